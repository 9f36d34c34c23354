package checkpoint

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the store's; all methods work without a registerer, too.
type metrics struct {
	reg     prometheus.Registerer
	entries prometheus.Counter
	bytes   prometheus.Counter
	sync    prometheus.Histogram
	gauges  []prometheus.Collector
}

func newMetrics(reg prometheus.Registerer, s *Store) (*metrics, error) {
	m := &metrics{reg: reg}
	m.entries = prometheus.NewCounter(prometheus.CounterOpts{Name: "waybill_journal_entries_total",
		Help: "Entries appended to the journal since the start."})
	m.bytes = prometheus.NewCounter(prometheus.CounterOpts{Name: "waybill_journal_appended_bytes_total",
		Help: "Payload bytes appended to the journal since the start."})
	m.sync = prometheus.NewHistogram(prometheus.HistogramOpts{Name: "waybill_journal_sync_seconds",
		Help: "Duration of the journal's syncs.", Buckets: []float64{.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .5, 2}})
	gauge := func(name, help string, value func(Stats) int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(s.Stats())) })
	}
	m.gauges = []prometheus.Collector{m.entries, m.bytes, m.sync,
		gauge("waybill_journal_bytes", "Bytes in the journal.", func(st Stats) int64 { return st.JournalBytes }),
		gauge("waybill_journal_max_bytes", "Bound of the journal.", func(st Stats) int64 { return st.MaxBytes }),
		gauge("waybill_journal_first_index", "First entry of the journal.", func(st Stats) int64 { return int64(st.First) }),
		gauge("waybill_journal_last_index", "Last synced entry of the journal.", func(st Stats) int64 { return int64(st.Last) }),
		gauge("waybill_journal_applied_index", "Last entry applied to the state.", func(st Stats) int64 { return int64(st.Applied) }),
		gauge("waybill_state_bytes", "Bytes of the state.", func(st Stats) int64 { return st.StateBytes }),
		gauge("waybill_store_disk_free_bytes", "Free bytes of the store's disk.", func(st Stats) int64 { return st.DiskFree }),
		gauge("waybill_store_disk_floor_bytes", "Free bytes below which capture pauses.", func(st Stats) int64 { return st.DiskFloor }),
	}
	if reg == nil {
		return m, nil
	}
	var err error
	for _, c := range m.gauges {
		err = errors.Join(err, reg.Register(c))
	}
	if err != nil {
		m.unregister()
	}
	return m, err
}

// unregister lets another store use the registerer.
func (m *metrics) unregister() {
	if m.reg == nil {
		return
	}
	for _, c := range m.gauges {
		m.reg.Unregister(c)
	}
}
