package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cdc"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

func snapshotCommand(a *app) *cobra.Command {
	var q pipeline.ReadRequest
	var dry, yes bool
	c := &cobra.Command{
		Use:   "snapshot SOURCE TABLE",
		Short: "Read a table again beside the stream, or see, pause and resume such readings",
		Long: `Reads the rows of a table while the stream goes on, and compares them with what Waybill knows. Every difference runs
through the rules; nothing is posted twice. Rows that are known here and gone there are deletes, unless --where leaves rows
out. Nothing is written to the source. What the reading may cost it is bounded by sources.NAME.snapshot in the configuration.

What would happen is shown first. The table is named as the database names it, with or without its schema.`,
		Example: `  waybill snapshot dispatch public.loads
  waybill snapshot billing inv_hdr --where "inv_dt >= '2026-03-01'" --why "rows edited with the log off"
  waybill snapshot dispatch loads --dry-run
  waybill snapshot list`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return subcommands(c, args)
			}
			q.By = a.by
			cfg, err := a.request(c, args, &q)
			if err != nil {
				return err
			}
			if err := pipeline.CheckWhere(q.Where); err != nil {
				return usage("", "--where: %v", err)
			}
			return a.snapshot(c.Context(), cfg, q, dry, yes)
		},
	}
	c.Flags().StringVar(&q.Where, "where", "", "only the rows for which this condition, in the database's SQL, holds")
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would happen")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.AddCommand(snapshotListCommand(a),
		snapshotToggleCommand(a, "pause", "Let a reading wait; what is read so far stays", (*admin.Client).PauseReading),
		snapshotToggleCommand(a, "resume", "Let a paused reading go on where it stopped", (*admin.Client).ResumeReading))
	return c
}

// request reads SOURCE and TABLE. The source is looked up in the configuration, the table by the daemon.
func (a *app) request(c *cobra.Command, args []string, q *pipeline.ReadRequest) (*config.Config, error) {
	if len(args) != 2 || args[1] == "" {
		return nil, usage(c.CommandPath()+" --help", "%s needs a source and a table (got %d arguments)", c.CommandPath(), len(args))
	}
	cfg, err := a.load()
	if err != nil {
		return nil, err
	}
	if _, ok := cfg.Sources[args[0]]; !ok {
		return nil, usage("", "%s has no source %q; %s", a.configFile, args[0], meant(args[0], cfg.SourceNames()))
	}
	q.Source = args[0]
	if schema, name, found := strings.Cut(args[1], "."); found {
		q.Table = cdc.Table{Schema: schema, Name: name}
	} else {
		q.Table = cdc.Table{Name: args[1]}
	}
	return cfg, nil
}

func (a *app) snapshot(ctx context.Context, cfg *config.Config, q pipeline.ReadRequest, dry, yes bool) error {
	d := admin.Dial(cfg.Admin.Socket, a.configFile)
	defer d.Close()
	plan, err := d.PreviewRead(ctx, q)
	if err != nil {
		return err
	}
	if dry && a.json {
		return a.printJSON(plan)
	}
	if !a.json {
		a.printReadPlan(plan)
	}
	if dry {
		return nil
	}
	if err := a.confirm(ctx, yes, "Table "+plan.Table+" of "+plan.Source+" will be read."); err != nil {
		return err
	}
	st, err := d.Read(ctx, q)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(st)
	}
	a.printf("Done: the reading of %s has begun (%s).\nNext: waybill snapshot list shows how far it is.\n", st.Table, st.State)
	return nil
}

func (a *app) printReadPlan(v pipeline.ReadPlan) {
	a.printf("read table %s of %s beside the stream\n", v.Table, v.Source)
	rows, bound, least := "unknown", "not bounded (sources."+v.Source+".snapshot.rows_per_second)", ""
	if v.Rows >= 0 {
		rows = "about " + count(v.Rows) + " by the server's statistics"
	}
	if v.RowsPerSecond > 0 {
		bound = "at most " + count(v.RowsPerSecond) + " rows a second, all tables of the source together"
		if v.Rows > 0 && v.Where == "" {
			least = "at least " + span(time.Duration(v.Rows)*time.Second/time.Duration(v.RowsPerSecond))
		}
	}
	t := newTable("", "")
	t.indent = "  "
	for _, f := range [][2]string{{"rows", rows}, {"only where", oneLine(v.Where, 200)}, {"in one go", "at most " + count(v.ChunkRows) + " rows, about 2 MiB"},
		{"at once", "at most " + plural(v.Workers, "table of the source", "tables of the source")}, {"load", bound}, {"time", least}} {
		if f[1] != "" {
			t.row(f[0], f[1])
		}
	}
	t.print(a.out)
	for _, n := range v.Notes {
		a.printf("  %s\n", oneLine(n, 400))
	}
	a.printf("\n")
}

// listedReading is a line of snapshot list.
type listedReading struct {
	Source string `json:"source"`
	pipeline.ReadingStatus
}

func snapshotListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the tables that are being read or cannot be, and what became of readings that were asked for",
		Example: `  waybill snapshot list
  waybill snapshot list --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			s, err := d.Status(c.Context())
			if err != nil {
				return err
			}
			list := []listedReading{}
			for _, src := range s.Sources {
				for _, r := range src.Readings {
					list = append(list, listedReading{src.Name, r})
				}
			}
			if a.json {
				return a.printJSON(list)
			}
			a.printReadings(list)
			return nil
		},
	}
}

func (a *app) printReadings(list []listedReading) {
	if len(list) == 0 {
		a.printf("No table is being read.\n")
		return
	}
	t := newTable("SOURCE", "TABLE", "STATE", ">ROWS", ">OF ABOUT", ">PERCENT", ">ROWS/S", ">TIME LEFT", "BEGAN", "BY")
	failed := false
	for _, r := range list {
		cells := append([]string{r.Source, r.Table}, readingCells(r.ReadingStatus)...)
		t.row(append(cells, a.time(r.Began), orDash(r.By))...)
		failed = failed || r.State == pipeline.ReadingFailed
	}
	t.print(a.out)
	for _, r := range list {
		if r.Where != "" {
			a.printf("%s %s: only where %s\n", r.Source, r.Table, oneLine(r.Where, 200))
		}
		if r.Waits != "" {
			a.printf("%s %s waits: %s\n", r.Source, r.Table, r.Waits)
		}
		if r.Error != "" {
			a.printf("%s %s: %s\n", r.Source, r.Table, oneLine(r.Error, 300))
		}
	}
	if failed {
		a.printf("\nNext: remove the cause, then waybill exceptions list --code TABLE_NOT_READ, and retry it\n")
	}
}

// readingCells are the columns from STATE to TIME LEFT.
func readingCells(r pipeline.ReadingStatus) []string {
	estimate, percent, rate, left := "-", "-", "-", "-"
	if r.Estimate >= 0 {
		estimate = count(r.Estimate)
	}
	if r.Percent >= 0 {
		percent = fmt.Sprintf("%.0f %%", r.Percent)
	}
	if r.Rate > 0 {
		rate = count(int64(r.Rate))
	}
	if r.Seconds > 0 {
		left = span(time.Duration(r.Seconds * float64(time.Second)))
	}
	return []string{string(r.State), count(r.Rows), estimate, percent, rate, left}
}

type toggleFunc func(*admin.Client, context.Context, pipeline.ReadRequest) (pipeline.ReadingStatus, error)

// snapshotToggleCommand makes pause and resume.
func snapshotToggleCommand(a *app, verb, short string, apply toggleFunc) *cobra.Command {
	q := pipeline.ReadRequest{}
	c := &cobra.Command{
		Use:     verb + " SOURCE TABLE",
		Short:   short,
		Example: fmt.Sprintf("  waybill snapshot %[1]s dispatch public.loads\n  waybill snapshot %[1]s dispatch loads --why \"month end\"", verb),
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) (err error) {
			q.By = a.by
			cfg, err := a.request(c, args, &q)
			if err != nil {
				return err
			}
			d := admin.Dial(cfg.Admin.Socket, a.configFile)
			defer d.Close()
			st, err := apply(d, c.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(st)
			}
			a.printf("Done: the reading of %s is %s, with %s rows so far.\nNext: waybill snapshot list shows how far it is.\n", st.Table, st.State, count(st.Rows))
			return nil
		},
	}
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	return c
}
