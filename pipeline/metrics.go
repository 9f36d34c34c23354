package pipeline

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
	"waybill/sinks"
)

// metrics are the pipeline's own; gauges are read from Status when Prometheus asks.
type metrics struct {
	outcomes *prometheus.CounterVec
	verifies *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	posting  *prometheus.HistogramVec
	journal  *prometheus.HistogramVec
	asks     *prometheus.CounterVec
	events   *prometheus.CounterVec
	calls    *prometheus.HistogramVec
	behind   *prometheus.HistogramVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waybill_deliveries_total",
			Help: "Intents sent, by what became of them."}, []string{"lane", "sink", "entity", "class"}),
		verifies: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waybill_verifications_total",
			Help: "Questions to a target about an unknown outcome, by answer."}, []string{"lane", "sink", "class"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_delivery_seconds",
			Help: "Time of one send, request to classified answer.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)},
			[]string{"lane", "sink"}),
		posting: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_commit_to_applied_seconds",
			Help:    "Time from the commit in the source until the target holds it.",
			Buckets: prometheus.ExponentialBuckets(0.05, 2, 18)}, []string{"lane", "sink"}),
	}
	m.journal = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_commit_to_journal_seconds",
		Help:    "Time from the commit in the source, by its clock, until the change is synced in the journal.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 20)}, []string{"source"})
	m.asks = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waybill_lookups_total",
		Help: "Questions to a service, by what came of them: found, absent, refused or failed."}, []string{"service", "status"})
	m.events = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "waybill_published_total",
		Help: "Events that were sent to a publisher, by what became of them."}, []string{"sink", "class"})
	m.calls = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_publish_seconds",
		Help: "Time of one call to a publisher, with all of its events.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 16)}, []string{"sink"})
	m.behind = prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "waybill_commit_to_published_seconds",
		Help: "Time from the commit in the source until the publisher has the event.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 20)}, []string{"sink"})
	if reg != nil {
		reg.MustRegister(m.outcomes, m.verifies, m.latency, m.posting, m.journal, m.asks, m.events, m.calls, m.behind)
	}
	return m
}

func (m *metrics) delivered(l *lane, d *delivery, o sinks.Outcome, took time.Duration) {
	lane, sink := string(l.name), l.target.name
	m.outcomes.WithLabelValues(lane, sink, d.Post.Entity, string(o.Class)).Inc()
	m.latency.WithLabelValues(lane, sink).Observe(took.Seconds())
	if o.Done() {
		m.posting.WithLabelValues(lane, sink).Observe(max(0, time.Since(d.Recorded).Seconds()))
	}
}

func (m *metrics) journalled(source string, b *cdc.Batch) {
	if b.Changes > 0 && !b.Snapshot {
		m.journal.WithLabelValues(source).Observe(max(0, time.Since(b.CommitAt).Seconds()))
	}
}

func (m *metrics) published(sink string, list []sinks.Publication, outcomes []sinks.Outcome, took time.Duration) {
	m.calls.WithLabelValues(sink).Observe(took.Seconds())
	behind := m.behind.WithLabelValues(sink)
	for i, o := range outcomes[:min(len(list), len(outcomes))] {
		m.events.WithLabelValues(sink, string(o.Class)).Inc()
		if o.Done() && !list[i].Event.Historic {
			behind.Observe(max(0, time.Since(list[i].Event.Recorded).Seconds()))
		}
	}
}

func (m *metrics) asked(service, status string) { m.asks.WithLabelValues(service, status).Inc() }

func (m *metrics) verified(l *lane, o sinks.Outcome) {
	m.verifies.WithLabelValues(string(l.name), l.target.name, string(o.Class)).Inc()
}

// collector reads the gauges from the pipeline's status.
type collector struct {
	p     *Pipeline
	descs map[string]*prometheus.Desc
}

func newCollector(p *Pipeline) *collector {
	c := &collector{p: p, descs: map[string]*prometheus.Desc{}}
	add := func(name, help string, labels ...string) {
		c.descs[name] = prometheus.NewDesc("waybill_"+name, help, labels, nil)
	}
	add("source_lag_bytes", "Bytes of the server's log that are not captured yet; -1 when unknown.", "source")
	add("source_lag_seconds", "Age of the source's watermark: all that was committed before it is captured.", "source")
	add("source_up", "1 while the source is streaming.", "source")
	add("source_changes_total", "Row changes captured since start.", "source")
	add("source_log_retained_bytes", "Bytes of log that the server holds and that we have not confirmed.", "source")
	add("source_log_safe_bytes", "Bytes of log that may still be written before the server removes some that we need; absent without such a bound.", "source")
	add("source_log_left_seconds", "Time until the server removes log that we need, at the present rate; absent when it never does.", "source")
	add("source_log_written_bytes_per_second", "Bytes of log that the server writes a second, between the last two readings.", "source")
	add("source_oldest_transaction_seconds", "Age of the oldest transaction of the server; absent when it is not visible.", "source")
	add("reading_rows", "Rows of a table that its reading under way has brought so far.", "source", "table")
	add("reading_rows_estimate", "Rows of a table that is being read, by the server's statistics; -1 when unknown.", "source", "table")
	add("lane_waiting", "Deliveries behind a gate or an earlier one of their order key.", "lane", "sink")
	add("lane_ready", "Deliveries that may be sent now.", "lane", "sink")
	add("lane_in_flight", "Deliveries being sent.", "lane", "sink")
	add("lane_unknown", "Deliveries sent whose outcome is not known.", "lane", "sink")
	add("lane_parked", "Deliveries held by an exception.", "lane", "sink")
	add("lane_oldest_seconds", "Age of the commit of the oldest delivery that may be sent.", "lane", "sink")
	add("feed_behind", "Events that a publisher does not have yet.", "sink")
	add("feed_aside", "Events that wait behind one of their order key which a publisher refused.", "sink")
	add("feed_oldest_seconds", "Age of the commit of the oldest event that a publisher does not have yet.", "sink")
	add("exceptions_open", "Open exceptions.", "code")
	add("journal_entries_behind", "Journal entries that the projector has not applied.")
	add("verify_first", "1 while the store looks into the target before each creation.")
	return c
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(name string, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(c.descs[name], prometheus.GaugeValue, v, labels...)
	}
	st, err := c.p.status(false)
	if err != nil {
		return // the store is closing
	}
	for _, s := range st.Sources {
		up := 0.0
		if s.State == "streaming" {
			up = 1
		}
		gauge("source_up", up, s.Name)
		gauge("source_lag_bytes", float64(s.LagBytes), s.Name)
		gauge("source_lag_seconds", s.LagSeconds, s.Name)
		ch <- prometheus.MustNewConstMetric(c.descs["source_changes_total"], prometheus.CounterValue, float64(s.Changes), s.Name)
		if s.Runway != nil && s.Runway.Error == "" {
			s.Runway.collect(func(name string, v float64) { gauge(name, v, s.Name) })
		}
		for _, r := range s.Readings {
			if r.State == ReadingPending || r.State == ReadingPaused {
				gauge("reading_rows", float64(r.Rows), s.Name, r.Table)
				gauge("reading_rows_estimate", float64(r.Estimate), s.Name, r.Table)
			}
		}
	}
	for _, l := range st.Lanes {
		gauge("lane_waiting", float64(l.Waiting), l.Lane, l.Sink)
		gauge("lane_ready", float64(l.Ready), l.Lane, l.Sink)
		gauge("lane_in_flight", float64(l.InFlight), l.Lane, l.Sink)
		gauge("lane_unknown", float64(l.Unknown), l.Lane, l.Sink)
		gauge("lane_parked", float64(l.Parked), l.Lane, l.Sink)
		age := 0.0
		if l.Oldest != nil {
			age = time.Since(*l.Oldest).Seconds()
		}
		gauge("lane_oldest_seconds", age, l.Lane, l.Sink)
	}
	for _, f := range st.Feeds {
		gauge("feed_behind", float64(f.Behind), f.Sink)
		gauge("feed_aside", float64(f.Aside), f.Sink)
		age := 0.0
		if f.Oldest != nil {
			age = time.Since(*f.Oldest).Seconds()
		}
		gauge("feed_oldest_seconds", age, f.Sink)
	}
	for _, x := range st.Exceptions {
		gauge("exceptions_open", float64(x.Open), x.Code)
	}
	gauge("journal_entries_behind", float64(st.Journal.Last-st.Journal.Applied))
	first := 0.0
	if c.p.store.Identity().VerifyFirst {
		first = 1
	}
	gauge("verify_first", first)
}

// collect tells the gauges that are known.
func (r *RunwayStatus) collect(gauge func(name string, v float64)) {
	for name, v := range map[string]float64{"source_log_retained_bytes": float64(r.Retained), "source_log_safe_bytes": float64(r.Safe),
		"source_log_left_seconds": r.Left, "source_log_written_bytes_per_second": r.Written, "source_oldest_transaction_seconds": r.Oldest} {
		if v >= 0 {
			gauge(name, v)
		}
	}
}
