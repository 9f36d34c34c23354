package config

import (
	"errors"
	"fmt"
	"time"
)

// Snapshot bounds what the reading of a source's tables beside its stream may cost the database. It has the fields of
// pipeline.ReadingOptions, whose defaults it takes.
type Snapshot struct {
	// Tables that are read at once, each with one connection. Default 2, 1 to 16.
	Workers int `yaml:"workers"`
	// Rows that are read in one go, 100 to 1000000; a chunk also ends at about 2 MiB. Default 20000.
	ChunkRows int `yaml:"chunk_rows"`
	// Rows a second, all tables of the source together, at least 100. Default 0: no bound.
	RowsPerSecond int `yaml:"rows_per_second"`
	// Reading waits while the source's own stream, or the slowest physical standby that PostgreSQL tells of (its lag in
	// replaying; MariaDB and MySQL do not know theirs), is further behind. 1s to 24h; 0: no bound. Where a standby is
	// delayed on purpose, give more than its delay, or 0. Default 1m.
	MaxLag time.Duration `yaml:"max_lag"`
}

// Validate reports every fault, as the adapters do.
func (s Snapshot) Validate() error {
	var faults []error
	fault := func(field, bounds string, got int) {
		faults = append(faults, fmt.Errorf("%s: must be %s (got %d)", field, bounds, got))
	}
	if s.Workers < 1 || s.Workers > 16 {
		fault("workers", "1 to 16", s.Workers)
	}
	if s.ChunkRows < 100 || s.ChunkRows > 1_000_000 {
		fault("chunk_rows", "100 to 1000000", s.ChunkRows)
	}
	if s.RowsPerSecond != 0 && (s.RowsPerSecond < 100 || s.RowsPerSecond > 100_000_000) {
		fault("rows_per_second", "0 for no bound, or 100 to 100000000", s.RowsPerSecond)
	}
	if s.MaxLag != 0 && (s.MaxLag < time.Second || s.MaxLag > 24*time.Hour) {
		faults = append(faults, fmt.Errorf("max_lag: must be 0 for no bound, or 1s to 24h (got %s)", s.MaxLag))
	}
	return errors.Join(faults...)
}
