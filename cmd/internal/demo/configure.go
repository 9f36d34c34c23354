package demo

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configure writes waybill.yaml and the first version of each carrier's mapping into the demo's folder.
func (s *show) configure() error {
	for _, h := range fleet {
		if err := s.writeMapping(h, 1); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "waybill.yaml"), []byte(s.config()), 0o600); err != nil {
		return fmt.Errorf("writing waybill.yaml: %w", err)
	}
	return nil
}

// config is waybill.yaml. The horizon and the breaker are shorter than one would have them at a customer's, so that the demo is too.
func (s *show) config() string {
	p, m, t := s.servers.postgres, s.servers.mariadb, s.servers.tryton
	var files, sources []string
	for _, h := range fleet {
		files = append(files, h.folder+".yaml")
		for _, name := range h.sources {
			kind, host, port, database := "postgres", p.Host, p.Port, postgresDatabases[name]
			if name == Billing {
				kind, host, port, database = "mariadb", m.Host, m.Port, billingDatabase
			}
			text := fmt.Sprintf("  %s:\n    type: %s\n    host: %s\n    port: %d\n    database: %s\n    user: %s\n    password: %s\n    heartbeat: 1s\n",
				name, kind, host, port, database, captureUser, capturePassword)
			if kind == "postgres" {
				text += "    ssl_mode: disable\n"
			}
			sources = append(sources, text)
		}
	}
	return fmt.Sprintf(`# Three carriers, one daemon, one ERP. Written by the demo.
data: data
mapping: [%s]

sources:
%s
sinks:
  erp:
    type: tryton
    url: %s
    database: %s
    user: %s
    password: %s
    company: %s
    time_zone: America/Chicago
    timeout: 15s
    horizon: 5s
    policy:
      backoff_cap: 5s
      breaker_cooldown: 3s
  milestones:
    type: file
    folder: %s
    max_age: 3s
`, strings.Join(files, ", "), strings.Join(sources, "\n"), s.servers.proxy.URL(), t.Database(), t.User(), t.Password(), t.Company(), milestonesFolder)
}

// writeRegistry writes what people know of Pine Valley's ship-tos, as a file to import.
func (s *show) writeRegistry() (err error) {
	file, err := os.Create(filepath.Join(s.Dir, "ship-tos.csv"))
	if err != nil {
		return fmt.Errorf("writing ship-tos.csv: %w", err)
	}
	w := csv.NewWriter(file)
	rows := [][]string{{"kind", "system", "role", "key", "canonical", "valid_from", "attr.erp_account", "attr.currency", "attr.name"}}
	for _, e := range s.script.Known {
		rows = append(rows, []string{"customer", "pvly", "bill_to", e.Key, e.Canonical, "2019-01-01", e.Account, e.Currency, e.Name})
	}
	err = w.WriteAll(rows)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("writing ship-tos.csv: %w", err)
	}
	return nil
}
