package sinks

import "github.com/prometheus/client_golang/prometheus"

// metrics of one sink. The registerer adds its name.
type metrics struct {
	requests *prometheus.CounterVec   // by call and class
	seconds  *prometheus.HistogramVec // by call
	inFlight *prometheus.GaugeVec     // by lane
	breaker  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waybill_sink_requests_total",
			Help: "Calls to the target, by call and by the class of its outcome."}, []string{"call", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_sink_request_seconds",
			Help: "How long calls to the target took.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}}, []string{"call"}),
		inFlight: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "waybill_sink_in_flight",
			Help: "Calls to the target that run now, by lane."}, []string{"lane"}),
		breaker: prometheus.NewGauge(prometheus.GaugeOpts{Name: "waybill_sink_breaker_state",
			Help: "0 closed, 1 half open, 2 open: no calls."}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.seconds, m.inFlight, m.breaker)
	}
	return m
}
