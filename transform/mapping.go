package transform

import (
	"waybill/cdc"
)

// Mapping is a parsed mapping file: everything that is known about one carrier. It is immutable.
type Mapping struct {
	name    string
	version string
}

// Parse reads a mapping file. The error is Faults: every mistake at once.
func Parse(file string, src []byte) (*Mapping, error) { return &Mapping{}, nil }

// Version names the mapping and its version: "northstar/7". It is stamped on every event.
func (m *Mapping) Version() string { return m.name + "/" + m.version }

// Selections says which tables and columns of the source the rules read.
func (m *Mapping) Selections(source string) []cdc.Selection { return nil }

// Sources returns the names of the sources, sorted.
func (m *Mapping) Sources() []string { return nil }

// Targets returns the "<sink>.<entity>" that posts go to, sorted.
func (m *Mapping) Targets() []string { return nil }

// Check proves the mapping against the live catalogs, by source name.
func (m *Mapping) Check(catalog map[string][]*cdc.Schema) []Fault { return nil }

// Test runs the inline tests without a database.
func (m *Mapping) Test() []TestResult { return nil }

// TestResult is the outcome of one inline test.
type TestResult struct {
	Name  string
	Line  int
	OK    bool
	Fails []string // what differs, one sentence each
}
