package mysql

import (
	"testing"

	"waybill/cdc"
	"waybill/cdc/cdctest"
)

// TestSource runs the contract of every source. The server is its own: the suite kills it.
func TestSource(t *testing.T) {
	m := cdctest.StartMariaDB(t)
	m.Exec(t, "CREATE DATABASE suite")
	cfg := config(m, "suite")
	cdctest.TestSource(t, cdctest.Harness{
		DB: m.DB, Schema: "suite", Codecs: Codecs(), Heartbeat: cfg.Heartbeat,
		New: func(t *testing.T, name string, selection []cdc.Selection) cdc.Source {
			cfg := cfg
			cfg.Name = name
			return New(cfg, selection, quiet())
		},
		Kill: func(t *testing.T) { m.Kill() },
		Restart: func(t *testing.T) {
			if err := m.Restart(); err != nil {
				t.Fatal(err)
			}
		},
	})
}
