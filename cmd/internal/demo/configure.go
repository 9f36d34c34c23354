package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"
)

// configure writes waybill.yaml and the given version of the carrier's mapping into the demo's folder: the first with the cut-over
// of this run, the second with one more charge code.
func (s *show) configure(version int) error {
	text, err := os.ReadFile(filepath.Join(s.Carrier, "mapping.yaml"))
	if err != nil {
		return fmt.Errorf("reading the carrier's mapping: %w", err)
	}
	mapping, err := withCutover(string(text), s.cutover)
	if err != nil {
		return err
	}
	if version > 1 {
		if mapping, err = withNewCharge(mapping); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "mapping.yaml"), []byte(mapping), 0o644); err != nil {
		return fmt.Errorf("writing the mapping: %w", err)
	}
	if err := os.WriteFile(filepath.Join(s.Dir, "waybill.yaml"), []byte(s.config()), 0o600); err != nil {
		return fmt.Errorf("writing waybill.yaml: %w", err)
	}
	return nil
}

// config is waybill.yaml. The horizon and the breaker are shorter than one would have them at a customer's, so that the demo is too.
func (s *show) config() string {
	p, m, t := s.servers.postgres, s.servers.mariadb, s.servers.tryton
	return fmt.Sprintf(`# Northstar's Waybill, written by the demo.
data: data
mapping: mapping.yaml

sources:
  dispatch:
    type: postgres
    host: %s
    port: %d
    database: %s
    user: %s
    password: %s
    ssl_mode: disable
    heartbeat: 1s
  billing:
    type: mariadb
    host: %s
    port: %d
    database: %s
    user: %s
    password: %s
    heartbeat: 1s

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
    horizon: 10s
    policy:
      backoff_cap: 5s
      breaker_cooldown: 3s
`, p.Host, p.Port, dispatchDatabase, captureUser, capturePassword,
		m.Host, m.Port, billingDatabase, captureUser, capturePassword,
		t.URL(), t.Database(), t.User(), t.Password(), t.Company())
}

var (
	cutoverLine  = regexp.MustCompile(`(?m)^cutover:.*$`)
	testsSection = regexp.MustCompile(`(?ms)^tests:.*\z`)
	versionLine  = regexp.MustCompile(`(?m)^version: *1 *$`)
)

// withCutover moves the cut-over. The inline tests at the end go: their documents are dated for the carrier's own cut-over.
func withCutover(mapping string, at time.Time) (string, error) {
	mapping = testsSection.ReplaceAllString(mapping, "")
	if len(cutoverLine.FindAllString(mapping, -1)) != 1 {
		return "", fmt.Errorf("writing the mapping: want one line that begins with \"cutover:\" in the carrier's mapping.yaml")
	}
	return cutoverLine.ReplaceAllString(mapping, fmt.Sprintf("cutover: %q", at.Format(time.RFC3339))), nil
}

// withNewCharge is the next version of the mapping, which knows newChargeCode.
func withNewCharge(mapping string) (string, error) {
	for _, table := range []struct{ name, entry string }{
		{"charge", newChargeCode + ": TARPING"}, {"item", "TARPING: ACC"}, {"revenue_account", `TARPING: "4020"`},
	} {
		line := regexp.MustCompile(`(?m)^  ` + table.name + `: \{ `)
		if len(line.FindAllString(mapping, -1)) != 1 {
			return "", fmt.Errorf("writing version 2 of the mapping: want the code table %s on one line in the carrier's mapping.yaml", table.name)
		}
		mapping = line.ReplaceAllString(mapping, "${0}"+table.entry+", ")
	}
	if !versionLine.MatchString(mapping) {
		return "", fmt.Errorf("writing version 2 of the mapping: want \"version: 1\" in the carrier's mapping.yaml")
	}
	return versionLine.ReplaceAllString(mapping, "version: 2"), nil
}
