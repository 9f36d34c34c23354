package checkpoint

import (
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options bound a store. The zero Options are the defaults of the daemon.
type Options struct {
	// MaxBytes bounds the journal; 0 means 20 GiB. At the bound, entries of kind Rows are refused with ErrJournalFull
	// until Trim makes room: capture pauses, nothing is dropped. The small kinds may use one sixteenth more. What
	// has to go on before anything can be trimmed is taken, whatever its size (Entry.Continues); only Floor bounds it.
	MaxBytes int64
	// MaxAge is how long applied entries are kept for replay, diff and reset; 0 means 7 days.
	MaxAge time.Duration
	// Floor is the disk space that must stay free; 0 means 512 MiB. Below it entries of kind Rows are refused with
	// *FloorError, below half of it intents and mappings too, so that outcomes and decisions can still be recorded;
	// below a quarter the state is not changed, below an eighth nothing is written at all. It should be eight Segments or
	// more, because files are allocated whole.
	Floor int64
	// Segment is the size of a journal file in bytes; 0 means 64 MiB. Files are allocated whole and unlinked whole.
	Segment int
	// Adopt makes a copied, moved or restored directory the store: the epoch rises and the store is verify-first.
	Adopt bool
	// Log receives what the store does on its own (repairs, restores, pauses). nil discards it.
	Log *slog.Logger
	// Metrics registers the store's metrics; nil means none.
	Metrics prometheus.Registerer
	// OnSync is called by the committer after each sync of the journal that returned without error, with the last
	// index it covers, before anyone who waits for that index is told. For tests of the sync order, and for metrics.
	OnSync func(last uint64)
}

const (
	defaultMaxBytes = 20 << 30
	defaultMaxAge   = 7 * 24 * time.Hour
	defaultFloor    = 512 << 20
	defaultSegment  = 64 << 20
)

func (o Options) withDefaults() Options {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxAge == 0 {
		o.MaxAge = defaultMaxAge
	}
	if o.Floor == 0 {
		o.Floor = defaultFloor
	}
	if o.Segment == 0 {
		o.Segment = defaultSegment
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}
