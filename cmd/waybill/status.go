package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func statusCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what the daemon is doing: sources, lanes, exceptions, money",
		Long: `Shows the running daemon at a glance: how far each source is behind its database, what each lane still has to
deliver, what needs a person, and whether the money adds up.`,
		Example: `  waybill status
  waybill status --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			s, err := d.Status(c.Context())
			if is[*admin.NotRunningError](err) {
				return fmt.Errorf("%w; what its store holds meanwhile: waybill checkpoint show -c %s", err, a.configFile)
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(s)
			}
			a.printStatus(s)
			return nil
		},
	}
}

func (a *app) printStatus(s pipeline.Status) {
	state := "ready"
	if !s.Ready {
		state = "NOT READY"
	}
	a.printf("waybill %s, mapping %s, %s, up %s\n", s.Version, s.Mapping, state, a.ago(s.StartedAt))
	a.printf("store %s, epoch %d\n", s.Store, s.Epoch)
	for _, p := range s.Problems {
		a.printf("  ! %s\n", p)
	}
	a.printSources(s.Sources)
	a.printLanes(s.Lanes)
	a.printFeeds(s.Feeds)
	a.printServices(s.Services)
	a.printExceptionCounts(s.Exceptions)
	a.printMoney(s.Money)
	j := s.Journal
	a.printf("\nJournal: entries %s to %s, %s not applied yet, %s; disk %s free, floor %s\n", count(j.First), count(j.Last),
		count(j.Last-min(j.Applied, j.Last)), size(j.Bytes), size(j.DiskFree), size(j.DiskFloor))
	if len(s.Exceptions) > 0 {
		a.printf("\nNext: waybill exceptions list\n")
	}
}

func (a *app) printSources(sources []pipeline.SourceStatus) {
	a.printf("\nSources\n")
	if len(sources) == 0 {
		a.printf("  No source is configured.\n")
		return
	}
	t := newTable("SOURCE", "STATE", ">BEHIND", ">BYTES BEHIND", ">CHANGES", "CAPTURED UP TO")
	t.indent = "  "
	for _, src := range sources {
		behind := span(time.Duration(src.LagSeconds * float64(time.Second)))
		t.row(src.Name, src.State, behind, size(src.LagBytes), count(src.Changes), a.time(src.Watermark))
	}
	t.print(a.out)
	for _, src := range sources {
		if src.Error != "" {
			a.printf("  %s: %s\n", src.Name, src.Error)
		}
		for _, table := range src.Held {
			a.printf("  %s: table %s is held, its shape is not understood; correct the mapping and start again\n", src.Name, table)
		}
		a.printRunway(src)
		a.printReading(src)
	}
}

// oldTransaction is the age in seconds from which the oldest transaction is worth a word.
const oldTransaction = 60

// printRunway shows how far the server is from removing log that we need. Its warnings are among the problems.
func (a *app) printRunway(src pipeline.SourceStatus) {
	r := src.Runway
	if r == nil {
		return
	}
	var parts []string
	if r.Retained >= 0 {
		parts = append(parts, "log kept "+size(r.Retained))
		switch {
		case r.Left >= 0:
			parts = append(parts, span(time.Duration(r.Left*float64(time.Second)))+" left ("+r.Bound+")")
		case r.Safe >= 0:
			parts = append(parts, size(r.Safe)+" more may be written")
		}
	}
	if r.Oldest >= oldTransaction {
		parts = append(parts, "oldest transaction "+span(time.Duration(r.Oldest*float64(time.Second)))+" (process "+r.OldestPID+")")
	}
	if len(parts) > 0 {
		a.printf("  %s: %s\n", src.Name, strings.Join(parts, ", "))
	}
	if r.Error != "" && src.Error == "" {
		a.printf("  %s: its log's runway could not be read: %s\n", src.Name, oneLine(r.Error, 300))
	}
}

// printReading shows the tables of a source that are being read beside its stream, or cannot be.
func (a *app) printReading(src pipeline.SourceStatus) {
	t := newTable("TABLE", "STATE", ">ROWS", ">OF ABOUT", ">PERCENT", ">ROWS/S", ">TIME LEFT")
	t.indent = "    "
	for _, r := range src.Readings {
		if r.State != pipeline.ReadingDone {
			t.row(append([]string{r.Table}, readingCells(r)...)...)
		}
	}
	if len(t.rows) == 0 {
		return
	}
	a.printf("  %s: tables being read\n", src.Name)
	t.print(a.out)
	for _, r := range src.Readings {
		if r.Waits != "" {
			a.printf("    %s waits: %s\n", r.Table, r.Waits)
		}
		if r.Error != "" {
			a.printf("    %s: %s\n", r.Table, oneLine(r.Error, 300))
		}
	}
}

func (a *app) printLanes(lanes []pipeline.LaneStatus) {
	a.printf("\nLanes\n")
	if len(lanes) == 0 {
		a.printf("  No lane has started.\n")
		return
	}
	t := newTable("LANE", "SINK", "STATE", ">READY", ">WAITING", ">SENT", ">UNKNOWN", ">PARKED", ">DONE", ">OLDEST")
	t.indent = "  "
	for _, l := range lanes {
		oldest := "-"
		if l.Oldest != nil {
			oldest = a.ago(*l.Oldest)
		}
		t.row(l.Lane, l.Sink, l.State, count(l.Ready), count(l.Waiting), count(l.InFlight), count(l.Unknown), count(l.Parked), count(l.Done), oldest)
	}
	t.print(a.out)
	for _, l := range lanes {
		text := l.Error
		if busy := l.Ready + l.Waiting + l.InFlight + l.Unknown + l.Parked; text == "" && l.LastError != "" && busy > 0 {
			text = "last error: " + l.LastError
		}
		if text != "" {
			a.printf("  %s to %s: %s\n", l.Lane, l.Sink, oneLine(text, 300))
		}
		a.printBatches(l)
		a.printHindrances(l)
	}
}

func (a *app) printExceptionCounts(stats []pipeline.ExceptionStat) {
	a.printf("\nExceptions\n")
	if len(stats) == 0 {
		a.printf("  Nothing needs a person.\n")
		return
	}
	t := newTable("CODE", ">OPEN", ">WAITING", ">MONEY")
	t.indent = "  "
	for _, x := range stats {
		t.row(x.Code, count(x.Open), count(x.Waiting), sums(x.Money))
	}
	t.print(a.out)
}

func (a *app) printMoney(lines []pipeline.MoneyStatus) {
	if len(lines) == 0 {
		return
	}
	a.printf("\nMoney: released = posted + in exception + in flight\n")
	t := newTable("", ">DOCUMENTS", ">RELEASED", ">POSTED", ">IN EXCEPTION", ">IN FLIGHT", ">DIFFERENCE")
	t.indent = "  "
	for _, m := range lines {
		t.row(m.Currency, count(m.Released), group(m.ReleasedSum), group(m.PostedSum), group(m.ExceptionSum), group(m.InFlightSum), difference(m))
	}
	t.print(a.out)
}

// difference is what the sentence leaves over; anything but zero is a fault of Waybill itself.
func difference(m pipeline.MoneyStatus) string {
	left, err := decimal.NewFromString(m.ReleasedSum)
	for _, part := range []string{m.PostedSum, m.ExceptionSum, m.InFlightSum} {
		d, perr := decimal.NewFromString(part)
		if err != nil || perr != nil {
			return "unreadable"
		}
		left = left.Sub(d)
	}
	return group(left.StringFixed(max(2, -left.Exponent())))
}
