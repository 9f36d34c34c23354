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

// accountMetrics of one account.
type accountMetrics struct{ throttled prometheus.Counter }

func newAccountMetrics(reg prometheus.Registerer, a *Account) *accountMetrics {
	m := &accountMetrics{throttled: prometheus.NewCounter(prometheus.CounterOpts{Name: "waybill_account_throttled_total",
		Help: "Calls that the target refused as too many."})}
	if reg == nil {
		return m
	}
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"account": a.name}, reg)
	gauge := func(name, help string, labels prometheus.Labels, read func(AccountStand) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels},
			func() float64 { return float64(read(a.Stand())) })
	}
	const left = "waybill_account_budget_left"
	const leftHelp = "Calls left of the minute and of the day; -1 without a bound."
	reg.MustRegister(m.throttled,
		gauge("waybill_account_limit", "Calls at the same time that the target is given now.", nil, func(s AccountStand) int { return s.Limit }),
		gauge("waybill_account_ceiling", "Calls at the same time that it may be given.", nil, func(s AccountStand) int { return s.Ceiling }),
		gauge(left, leftHelp, prometheus.Labels{"of": "minute"}, func(s AccountStand) int { return s.LeftMinute }),
		gauge(left, leftHelp, prometheus.Labels{"of": "day"}, func(s AccountStand) int { return s.LeftDay }))
	return m
}
