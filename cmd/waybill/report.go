package main

import (
	"encoding/csv"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"waybill/pipeline"
)

func reportCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "report",
		Short: "Compare source, Waybill and ERP, or show what waits at each stage",
		Args:  cobra.ArbitraryArgs,
		RunE:  subcommands,
	}
	group.AddCommand(reportReconcileCommand(a), reportBacklogCommand(a))
	return group
}

// reportFlags are what both reports take.
type reportFlags struct {
	since, until string
	csv          bool
}

func (f *reportFlags) add(c *cobra.Command, since, what string) {
	c.Flags().StringVar(&f.since, "since", since, "only "+what+" since then: a time, or 7d")
	c.Flags().StringVar(&f.until, "until", "", "only "+what+" before then")
	c.Flags().BoolVar(&f.csv, "csv", false, "print comma-separated values for a spreadsheet")
}

func (f *reportFlags) query(a *app) (pipeline.ReportQuery, error) {
	since, until, err := a.period(f.since, f.until)
	if err == nil && f.csv && a.json {
		err = usage("", "--csv and --json: found both, expected one")
	}
	q := pipeline.ReportQuery{Since: since, Until: until}
	if a.terminal {
		q.Progress = func(done, total int64) {
			fmt.Fprintf(a.err, "waybill: %s of %s events read\n", count(done), count(total))
		}
	}
	return q, err
}

func reportReconcileCommand(a *app) *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "reconcile",
		Short: "Compare what was released, what Waybill made of it and what the ERP holds",
		Long: `For each day, company and currency: the documents that the source shows as released (by the rows that were captured), those that are
posted, in exception and in flight, and what the ERP said of those that it holds. What is left over is the difference, and each document
behind it is listed with the reason. The day is the day of the release where the source is. All figures are of one moment.

--csv prints the days; the list of differences is in the text and in --json.`,
		Example: `  waybill report reconcile
  waybill report reconcile --since 2026-10-01 --until 2026-11-01 --csv > october.csv
  waybill report reconcile --since 30d --json | jq .differences`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			q, err := f.query(a)
			if err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			r, err := d.Reconcile(c.Context(), q)
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(r)
			case f.csv:
				return a.reconcileCSV(r)
			}
			a.printReconcile(r)
			return nil
		},
	}
	f.add(c, "7d", "documents released")
	return c
}

func (a *app) printReconcile(r pipeline.ReconcileReport) {
	a.printf("Released = posted + in exception + in flight%s\n\n", a.periodText(r.Since, r.Until))
	if len(r.Lines) == 0 {
		a.printf("No document was released then.\n")
		return
	}
	t := newTable("DAY", "COMPANY", "", ">SOURCE", ">POSTED", ">IN EXCEPTION", ">IN FLIGHT", ">DIFFERENCE", ">ERP SAYS")
	for _, l := range append(r.Lines, r.Totals...) {
		day := l.Day
		if day == "" {
			day = "all days"
		}
		erp := summed(l.ERP)
		if l.Unread > 0 {
			erp += fmt.Sprintf(" and %s without a total", count(l.Unread))
		}
		t.row(day, orDash(l.Company), l.Currency, summed(l.Source), summed(l.Posted), summed(l.Exception), summed(l.InFlight), summed(l.Difference), erp)
	}
	t.print(a.out)
	if len(r.Differences) == 0 {
		a.printf("\nEverything adds up.\n")
		return
	}
	a.printf("\nWhat does not add up\n")
	t = newTable("DAY", "DOCUMENT", ">SOURCE", ">RELEASED", ">ERP", "WHY")
	t.indent = "  "
	for _, d := range r.Differences {
		t.row(d.Day, oneLine(d.Ref, 60), money(d.Source), money(d.Released), money(d.ERP), d.Why)
	}
	t.print(a.out)
	if r.More > 0 {
		a.printf("  and %s; narrow it with --since and --until\n", plural(r.More, "more", "more"))
	}
	a.printf("\nNext: waybill trace %s\n", r.Differences[0].Ref)
}

// summed shows an amount with the number of documents behind it.
func summed(s pipeline.ReportSum) string {
	if s.Count == 0 && (s.Amount == "0.00" || s.Amount == "") {
		return "-"
	}
	return group(s.Amount) + " (" + count(s.Count) + ")"
}

func (a *app) periodText(since, until time.Time) string {
	text := ""
	if !since.IsZero() {
		text = ", since " + a.time(since)
	}
	if !until.IsZero() {
		text += ", before " + a.time(until)
	}
	return text
}

func (a *app) reconcileCSV(r pipeline.ReconcileReport) error {
	rows := [][]string{{"day", "company", "currency", "source_count", "source_amount", "released_count", "released_amount", "posted_count", "posted_amount",
		"exception_count", "exception_amount", "in_flight_count", "in_flight_amount", "difference_count", "difference_amount", "erp_count", "erp_amount", "erp_without_total"}}
	for _, l := range r.Lines {
		row := []string{l.Day, l.Company, l.Currency}
		for _, s := range []pipeline.ReportSum{l.Source, l.Released, l.Posted, l.Exception, l.InFlight, l.Difference, l.ERP} {
			row = append(row, fmt.Sprint(s.Count), s.Amount)
		}
		rows = append(rows, append(row, fmt.Sprint(l.Unread)))
	}
	return a.printCSV(rows)
}

func (a *app) printCSV(rows [][]string) error {
	w := csv.NewWriter(a.out)
	if err := w.WriteAll(rows); err != nil {
		return fmt.Errorf("printing CSV: %w", err)
	}
	return nil
}

func reportBacklogCommand(a *app) *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "backlog",
		Short: "Show how much work and money stands at each stage, and since when",
		Long: `For each stage from delivery to the ERP's books: how many shipments or documents stand there, what they are worth, how many of them an
exception holds, and the oldest. A shipment stands at delivered, POD or ready until a document is written about it; posted is all that was
posted in that time. What was delivered before Waybill came is left out.`,
		Example: `  waybill report backlog
  waybill report backlog --since 90d --csv
  waybill report backlog --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			q, err := f.query(a)
			if err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			r, err := d.Backlog(c.Context(), q)
			switch {
			case err != nil:
				return err
			case a.json:
				return a.printJSON(r)
			case f.csv:
				return a.backlogCSV(r)
			}
			a.printBacklog(r)
			return nil
		},
	}
	f.add(c, "", "what happened")
	return c
}

// stageTitles are the stages as people call them.
var stageTitles = map[string]string{"delivered": "delivered, no POD", "pod": "POD in", "ready": "ready to bill", "drafted": "drafted", "released": "released", "posted": "posted"}

func (a *app) printBacklog(r pipeline.BacklogReport) {
	a.printf("What stands at each stage%s\n\n", a.periodText(r.Since, r.Until))
	t := newTable("STAGE", ">COUNT", ">MONEY", ">IN EXCEPTION", ">OLDEST", "WHICH")
	for _, s := range r.Stages {
		oldest := "-"
		if s.Oldest != nil {
			oldest = a.ago(*s.Oldest)
		}
		held := "-"
		if s.Exception > 0 {
			held = count(s.Exception)
		}
		t.row(stageTitles[s.Stage], count(s.Count), sums(s.Money), held, oldest, orDash(oneLine(s.OldestRef, 60)))
	}
	t.print(a.out)
}

// backlogCSV prints a row for each stage and currency; a stage without money is one row.
func (a *app) backlogCSV(r pipeline.BacklogReport) error {
	rows := [][]string{{"stage", "count", "in_exception", "oldest_at", "oldest_seconds", "oldest", "currency", "amount"}}
	for _, s := range r.Stages {
		at, seconds := "", ""
		if s.Oldest != nil {
			at, seconds = s.Oldest.UTC().Format(time.RFC3339), fmt.Sprint(int64(a.now().Sub(*s.Oldest).Seconds()))
		}
		head := []string{s.Stage, fmt.Sprint(s.Count), fmt.Sprint(s.Exception), at, seconds, s.OldestRef}
		if len(s.Money) == 0 {
			rows = append(rows, append(head, "", ""))
			continue
		}
		for _, currency := range slices.Sorted(maps.Keys(s.Money)) {
			rows = append(rows, append(append([]string{}, head...), currency, s.Money[currency]))
		}
	}
	return a.printCSV(rows)
}
