package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"waybill/cdc"
	"waybill/cdc/mysql"
	"waybill/cdc/postgres"
	"waybill/checkpoint"
	"waybill/cmd/internal/config"
	"waybill/sinks"
	"waybill/sinks/erp"
	"waybill/sinks/sinktest"
	"waybill/transform"
)

// This file is the one place that names adapters together (DESIGN §4).

// newLog returns the daemon's log. Times are UTC, so that logs of several machines can be read side by side.
func newLog(c config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo // Validate has refused anything else
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
		if attr.Key == slog.TimeKey && attr.Value.Kind() == slog.KindTime {
			attr.Value = slog.TimeValue(attr.Value.Time().UTC())
		}
		return attr
	}}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// readMapping parses the mapping file. The error is transform.Faults when the file is wrong.
func readMapping(file string) (*transform.Mapping, []byte, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, nil, usage("", "reading the mapping: %v", err)
	}
	if info.Size() > maxMapping {
		return nil, nil, usage("", "the mapping %s has %s, at most %s are read", file, size(info.Size()), size(maxMapping))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, usage("", "reading the mapping: %v", err)
	}
	m, err := transform.Parse(file, text)
	if err != nil {
		return nil, nil, err
	}
	return m, text, nil
}

// maxMapping bounds the mapping file, which is kept in the journal.
const maxMapping = 4 << 20

// database is what each source adapter is: a stream for run, an inspector for check and plan.
type database interface {
	cdc.Source
	cdc.Inspector
}

// newSource makes the adapter of a configured source; nothing is opened.
func newSource(name string, s config.Source, m *transform.Mapping, data string, log *slog.Logger) (database, error) {
	var selection []cdc.Selection
	if m != nil {
		selection = m.Selections(name)
	}
	switch settings := s.Settings.(type) {
	case *postgres.Config:
		c := *settings
		if data != "" {
			c.Unfinished = unfinished{filepath.Join(data, "slots")}
		}
		return postgres.New(c, selection, log), nil
	case *mysql.Config:
		return mysql.New(*settings, selection, log), nil
	}
	return nil, fmt.Errorf("source %s: no adapter for type %q", name, s.Type)
}

// databaseOf names the database on the source's server.
func databaseOf(s config.Source) string {
	switch settings := s.Settings.(type) {
	case *postgres.Config:
		return settings.Database
	case *mysql.Config:
		return settings.Database
	}
	return ""
}

// codecs are those of every release that wrote a journal.
func codecs() cdc.Codecs {
	all := cdc.Codecs{postgresCodec: postgres.Codec()}
	maps.Copy(all, mysql.Codecs())
	return all
}

// postgresCodec is the name that PostgreSQL's schemas carry.
const postgresCodec = "pgtext/1"

// newSink makes the adapter of a configured sink, without its policy.
func newSink(name string, s config.Sink, log *slog.Logger) (sinks.Sink, error) {
	log = log.With("sink", name)
	switch settings := s.Settings.(type) {
	case *erp.TrytonConfig:
		return erp.NewTryton(*settings, log)
	case *config.Ledger:
		return sinktest.NewLedgerSink(settings.URL, settings.Timeout), nil
	}
	return nil, fmt.Errorf("sink %s: no adapter for type %q", name, s.Type)
}

func storeOptions(c *config.Config, log *slog.Logger, reg prometheus.Registerer) checkpoint.Options {
	return checkpoint.Options{MaxBytes: int64(c.Journal.MaxBytes), MaxAge: c.Journal.MaxAge, Floor: int64(c.Disk.FreeFloor), Log: log, Metrics: reg}
}

// hasStore says whether the folder holds a store, without opening it: looking must not make one.
func hasStore(dir string) bool {
	for _, name := range []string{"identity.json", "journal"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// unfinished keeps what a PostgreSQL source must remember over a crash in the middle of its first snapshot: a file for
// each slot.
type unfinished struct{ dir string }

var _ postgres.Unfinished = unfinished{}

// Remember writes the point and syncs the file and its folder.
func (u unfinished) Remember(slot, point string) error {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of the slots: %w", err)
	}
	name := filepath.Join(u.dir, slot)
	f, err := os.OpenFile(name+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("remembering slot %q: %w", slot, err)
	}
	_, err = f.WriteString(point)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("remembering slot %q: %w", slot, err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("remembering slot %q: %w", slot, err)
	}
	dir, err := os.Open(u.dir)
	if err != nil {
		return fmt.Errorf("remembering slot %q: %w", slot, err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Recall returns the point remembered last, or "".
func (u unfinished) Recall(slot string) (string, error) {
	text, err := os.ReadFile(filepath.Join(u.dir, slot))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("recalling slot %q: %w", slot, err)
	}
	return string(text), nil
}
