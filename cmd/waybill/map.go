package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"waybill/cdc"
	"waybill/cmd/internal/config"
	"waybill/transform"
)

func mapCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "map",
		Short: "Check, test, explain, compare and activate a mapping",
		Args:  cobra.ArbitraryArgs,
		RunE:  subcommands,
	}
	group.AddCommand(mapCheckCommand(a), mapTestCommand(a), mapExplainCommand(a), mapDiffCommand(a), mapActivateCommand(a), mapShadowCommand(a), mapSchemaCommand(a))
	return group
}

func mapCheckCommand(a *app) *cobra.Command {
	var offline bool
	c := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Prove a mapping against the live databases",
		Long: `Proves a mapping: its grammar, and each table, column, type and enum label against the catalogs of the configured
databases. FILE is the mapping; without it the configured one is checked. With --offline no database is asked.`,
		Example: `  waybill map check
  waybill map check northstar-8.yml
  waybill map check northstar-8.yml --offline`,
		Args: atMostOneArg("a mapping file"),
		RunE: func(c *cobra.Command, args []string) error {
			r := &report{}
			if err := a.mapCheck(c.Context(), r, args, offline); err != nil {
				return err
			}
			return a.printReport(r, "Next: waybill map test.")
		},
	}
	c.Flags().BoolVar(&offline, "offline", false, "check only the file, ask no database")
	return c
}

func (a *app) mapCheck(ctx context.Context, r *report, args []string, offline bool) error {
	var cfg *config.Config
	if len(args) == 0 || !offline {
		var err error
		if cfg, err = a.load(); err != nil {
			return err
		}
	}
	m, err := readCarriers(mappingFiles(cfg, args))
	var faults transform.Faults
	if errors.As(err, &faults) {
		r.mappingFaults(faults)
		return nil
	}
	if err != nil {
		return err
	}
	for _, one := range m.Mappings() {
		r.ok("mapping", "rules", one.Version())
	}
	if offline {
		r.add("mapping", exitOK, cdc.Finding{Check: "catalogs", Level: cdc.LevelWarn, Found: "not compared: --offline"})
		return nil
	}
	return mapCatalogs(ctx, r, cfg, m)
}

func mappingFiles(cfg *config.Config, args []string) []string {
	if len(args) > 0 {
		return args
	}
	return cfg.Mapping
}

// mapCatalogs compares the mapping with the catalogs alone; check does the whole preflight.
func mapCatalogs(ctx context.Context, r *report, cfg *config.Config, m *transform.Carriers) error {
	catalogs := map[string][]*cdc.Schema{}
	for _, name := range m.Sources() {
		settings, ok := cfg.Sources[name]
		if !ok {
			r.fail("mapping", "source "+name, "the configuration does not have it", "add sources."+name, exitUsage)
			continue
		}
		src, err := newSource(name, settings, m, "", slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		ask, cancel := context.WithTimeout(ctx, askTimeout)
		catalogs[name], err = src.Catalog(ask, tables(m.Selections(name)))
		cancel()
		if err != nil {
			r.fail(name, "catalog", err.Error(), "waybill map check --offline checks the file alone", exitEnvironment)
		}
	}
	if r.Failed > 0 {
		return nil
	}
	if faults := m.Check(catalogs); len(faults) > 0 {
		r.mappingFaults(faults)
		return nil
	}
	r.ok("mapping", "catalogs", "every table and column fits")
	return nil
}

func mapTestCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "test [FILE]",
		Short: "Run the tests that a mapping file carries, without a database",
		Example: `  waybill map test
  waybill map test northstar-8.yml --json`,
		Args: atMostOneArg("a mapping file"),
		RunE: func(_ *cobra.Command, args []string) error {
			var cfg *config.Config
			if len(args) == 0 {
				var err error
				if cfg, err = a.load(); err != nil {
					return err
				}
			}
			results := []testResult{}
			for _, file := range mappingFiles(cfg, args) {
				m, err := readMapping(file)
				if err != nil {
					return err
				}
				for _, t := range m.Test() {
					results = append(results, testResult{file, t.Line, t.Name, t.OK, t.Fails})
				}
			}
			return a.printTests(results)
		},
	}
}

// testResult is the JSON form of an inline test.
type testResult struct {
	File  string   `json:"file"`
	Line  int      `json:"line"`
	Name  string   `json:"name"`
	OK    bool     `json:"ok"`
	Fails []string `json:"fails,omitempty"`
}

func (a *app) printTests(results []testResult) error {
	failed := 0
	for _, t := range results {
		if !t.OK {
			failed++
		}
	}
	if a.json {
		if err := a.printJSON(results); err != nil {
			return err
		}
	} else {
		a.printTestLines(results, failed)
	}
	if failed > 0 {
		return shownError{exitUsage}
	}
	return nil
}

func (a *app) printTestLines(results []testResult, failed int) {
	if len(results) == 0 {
		a.printf("The mapping has no tests. Write some under tests: they are the cheapest way to change a rule safely.\n")
		return
	}
	for _, t := range results {
		if t.OK {
			a.printf("ok    %s\n", t.Name)
			continue
		}
		a.printf("FAIL  %s (%s:%d)\n", t.Name, t.File, t.Line)
		for _, f := range t.Fails {
			a.printf("%s\n", indented(f, "      "))
		}
	}
	a.printf("\n%s, %s failed\n", plural(len(results), "test", "tests"), fmt.Sprint(failed))
}
