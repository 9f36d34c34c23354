package main

import (
	"context"
	"encoding/json"
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
	"waybill/sinks/erp/businesscentral"
	"waybill/sinks/erp/netsuite"
	"waybill/sinks/erp/s4hana"
	"waybill/sinks/file"
	"waybill/sinks/http"
	"waybill/sinks/httpjson"
	"waybill/sinks/kafka"
	"waybill/sinks/sinktest"
	"waybill/sinks/sql"
	"waybill/sinks/webhook"
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

// readCarriers parses the mapping files and puts the mappings beside each other. The error is transform.Faults when one of them is
// wrong, or two cannot be in one daemon.
func readCarriers(files []string) (*transform.Carriers, error) {
	var mappings []*transform.Mapping
	var faults transform.Faults
	for _, file := range files {
		m, err := readMapping(file)
		var wrong transform.Faults
		switch {
		case errors.As(err, &wrong):
			faults = append(faults, wrong...)
		case err != nil:
			return nil, err
		}
		mappings = append(mappings, m)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return transform.NewCarriers(mappings...)
}

// readMapping parses a mapping file. The error is transform.Faults when the file is wrong.
func readMapping(file string) (*transform.Mapping, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, usage("", "reading the mapping: %v", err)
	}
	if info.Size() > maxMapping {
		return nil, usage("", "the mapping %s has %s, at most %s are read", file, size(info.Size()), size(maxMapping))
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("", "reading the mapping: %v", err)
	}
	return transform.Parse(file, text)
}

// maxMapping bounds a mapping file, which is kept in the journal.
const maxMapping = 4 << 20

// database is what each source adapter is: a stream for run, an inspector for check and plan.
type database interface {
	cdc.Source
	cdc.Inspector
}

// newSource makes the adapter of a configured source; nothing is opened.
func newSource(name string, s config.Source, m *transform.Carriers, data string, log *slog.Logger) (database, error) {
	var selection []cdc.Selection
	if m != nil {
		selection = m.Selections(name)
	}
	switch settings := s.Settings.(type) {
	case *postgres.Config:
		c := *settings
		if data != "" {
			c.Memory = notes{filepath.Join(data, "slots")}
		}
		return postgres.New(c, selection, log), nil
	case *mysql.Config:
		c := *settings
		if data != "" {
			c.Definitions = definitions{filepath.Join(data, "definitions")}
		}
		return mysql.New(c, selection, log), nil
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
	case *netsuite.Config:
		return netsuite.New(*settings, log)
	case *s4hana.Config:
		return s4hana.New(*settings)
	case *http.Config:
		return http.New(*settings)
	case *businesscentral.Config:
		return businesscentral.New(*settings, log)
	case *sql.Config:
		return sql.New(*settings)
	case *config.Ledger:
		return sinktest.NewLedgerSink(settings.URL, settings.Timeout), nil
	}
	return nil, fmt.Errorf("sink %s: no adapter for type %q", name, s.Type)
}

// keepIn gives a sink that has something to remember beside the journal a folder for it.
func keepIn(data, name string, s config.Sink) {
	if settings, ok := s.Settings.(*netsuite.Config); ok {
		settings.Memory = notes{filepath.Join(data, "sinks", name)}
	}
}

// newPublisher makes the adapter of a configured sink that takes events as they are, without its policy; nil for one that takes postings.
func newPublisher(name string, s config.Sink) (p sinks.Publisher, err error) {
	switch settings := s.Settings.(type) {
	case *kafka.Config:
		p = kafka.New(*settings)
	case *webhook.Config:
		p, err = webhook.New(*settings)
	case *file.Config:
		p = file.New(*settings)
	}
	if err != nil {
		return nil, fmt.Errorf("sink %s: %w", name, err)
	}
	return p, nil
}

// publishes reports whether a sink takes events as they are, and no postings.
func publishes(s config.Sink) bool {
	switch s.Settings.(type) {
	case *kafka.Config, *webhook.Config, *file.Config:
		return true
	}
	return false
}

// newService makes the adapter of a configured service, without its policy.
func newService(name string, s config.Service) (sinks.Service, error) {
	if settings, ok := s.Settings.(*httpjson.Config); ok {
		return httpjson.New(*settings)
	}
	return nil, fmt.Errorf("service %s: no adapter for type %q", name, s.Type)
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

// notes keeps what a PostgreSQL source must remember beside its position: a file for each slot and note.
type notes struct{ dir string }

var _ postgres.Memory = notes{}

// Remember writes the note and syncs the file and its folder.
func (n notes) Remember(name, text string) error { return replace(n.dir, name, []byte(text)) }

// Recall returns the note remembered last, or "".
func (n notes) Recall(name string) (string, error) {
	text, err := recall(n.dir, name)
	return string(text), err
}

// definitions keeps the history of a MariaDB or MySQL source's table definitions: a file for each source.
type definitions struct{ dir string }

var _ mysql.Definitions = definitions{}

// Load returns what was saved last, or nothing.
func (d definitions) Load(_ context.Context, source string) (list []mysql.Definition, err error) {
	text, err := recall(d.dir, source+".json")
	if err != nil || text == nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("reading the table definitions of source %s in %s: %w", source, d.dir, err)
	}
	return list, nil
}

// Save replaces the history and syncs it.
func (d definitions) Save(_ context.Context, source string, list []mysql.Definition) error {
	text, err := json.Marshal(list)
	if err != nil {
		return fmt.Errorf("writing the table definitions of source %s: %w", source, err)
	}
	return replace(d.dir, source+".json", text)
}

// recall reads a small file; nil when there is none.
func recall(dir, name string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("recalling %s: %w", name, err)
	}
	return text, nil
}

// replace writes a small file, whole or not at all, and syncs it and its folder.
func replace(dir, name string, text []byte) error {
	wrap := func(err error) error {
		if err != nil {
			return fmt.Errorf("remembering %s: %w", name, err)
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return wrap(err)
	}
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return wrap(err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return wrap(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return wrap(err)
	}
	folder, err := os.Open(dir)
	if err != nil {
		return wrap(err)
	}
	return wrap(errors.Join(folder.Sync(), folder.Close()))
}
