package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/pipeline"
	"waybill/transform"
)

func caseCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "case",
		Short: "Show, list or link shipments from order to cash",
		Long: `A case is one shipment from its order to the money, told by the dispatch and billing databases and the ERP: the facts
that were reached, how far it is, what is wrong with it, and what it waits for.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(caseListCommand(a), caseShowCommand(a), caseLinkCommand(a))
	return group
}

func caseListCommand(a *app) *cobra.Command {
	q := pipeline.CaseQuery{}
	c := &cobra.Command{
		Use:   "list",
		Short: "List cases with their stage and what they wait for",
		Example: `  waybill case list --stage delivered
  waybill case list --flag hold
  waybill case list --after shipment/88121 --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Stage != "" && !slices.Contains(transform.CaseStages(), q.Stage) {
				return usage("", "--stage: found %q; %s", q.Stage, meant(q.Stage, transform.CaseStages()))
			}
			if q.Flag != "" && !slices.Contains(transform.CaseFlags(), q.Flag) {
				return usage("", "--flag: found %q; %s", q.Flag, meant(q.Flag, transform.CaseFlags()))
			}
			if err := checkLimit(q.Limit); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.Cases(c.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			a.printCases(list, q)
			return nil
		},
	}
	c.Flags().StringVar(&q.Stage, "stage", "", "only cases in this stage, such as delivered")
	c.Flags().StringVar(&q.Flag, "flag", "", "only cases with this flag: "+strings.Join(transform.CaseFlags(), ", "))
	c.Flags().StringVar(&q.After, "after", "", "only cases behind this one, in the order of their names")
	c.Flags().IntVar(&q.Limit, "limit", 100, "at most so many")
	return c
}

func (a *app) printCases(list []transform.Case, q pipeline.CaseQuery) {
	if len(list) == 0 {
		a.printf("No case fits.\n")
		return
	}
	t := newTable("CASE", "STAGE", "FLAGS", "UPDATED", "WAITS FOR")
	for _, c := range list {
		t.row(c.Ref, c.Stage, orDash(strings.Join(c.Flags, " ")), a.time(c.Updated), oneLine(c.Waits, 100))
	}
	t.print(a.out)
	if len(list) == q.Limit {
		a.printf("\nThere may be more: raise --limit, or --after %s\n", list[len(list)-1].Ref)
	}
	a.printf("\nNext: waybill case show %s\n", list[0].Ref)
}

func caseShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show KEY",
		Short: "Show one case: its time line, stage and flags, and what it waits for",
		Long: `Shows one case. The key is any reference that leads to it, or the number alone: a shipment, load, PRO or invoice.
What was never reported but must have happened is marked as implied and has no time.`,
		Example: `  waybill case show shipment/88121
  waybill case show invoice/A10023 --json`,
		Args: oneArg("a key, such as shipment/88121"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.Case(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printCase(v)
			return nil
		},
	}
}

func (a *app) printCase(v pipeline.CaseView) {
	a.printf("%s: %s%s\n%s\n\n", v.Ref, v.Stage, prefixed(", ", strings.Join(v.Flags, ", ")), oneLine(v.Waits, 400))
	t := newTable("TIME", "FACT", "SOURCE", "REPORT")
	for _, f := range v.Facts {
		if f.Implied {
			t.row("-", f.Name, "-", "implied: nobody reported it")
			continue
		}
		t.row(a.time(f.At), f.Name, f.Source, factText(f))
		for _, r := range f.Reports {
			if r.Event != f.Event {
				t.row("", "  also", r.Source, a.time(r.At)+" "+r.Type+" "+r.Key+marks(r))
			}
		}
	}
	t.print(a.out)
	a.printStops(v)
	a.printBilling(v)
	if len(v.Checklist) > 0 && v.Ready == nil {
		a.printf("\nReady to bill?\n")
		t := newTable("", "")
		t.indent = "  "
		for _, i := range v.Checklist {
			t.row(map[bool]string{true: "yes", false: "NO"}[i.Met], oneLine(i.Why, 200))
		}
		t.print(a.out)
	}
	if len(v.Exceptions) > 0 {
		a.printf("\nExceptions\n")
		t := newTable("ID", "CODE", "WHAT")
		t.indent = "  "
		for _, x := range v.Exceptions {
			t.row(x.ID, x.Code, oneLine(x.Title, 160))
		}
		t.print(a.out)
	}
	if len(v.Held) > 0 {
		a.printf("\nHeld\n")
		for _, d := range v.Held {
			a.printf("  %s.%s %s: %s\n", d.Sink, d.Entity, d.ExternalID, d.Why)
		}
	}
	for i, n := range v.Notes {
		if i == 0 {
			a.printf("\nNotes\n")
		}
		a.printf("  %s\n", oneLine(n, 300))
	}
	a.printf("\nKnown by %s\n", oneLine(strings.Join(v.Keys, ", "), 400))
}

func prefixed(by, text string) string {
	if text == "" {
		return ""
	}
	return by + text
}

// factText says which report counts.
func factText(f transform.Fact) string {
	text := ""
	for _, r := range f.Reports {
		if r.Event == f.Event {
			text = r.Type + " " + r.Key + marks(r)
		}
	}
	if f.More > 0 {
		text += fmt.Sprintf(" (and %s not kept)", plural(f.More, "report", "reports"))
	}
	return text
}

func marks(r transform.CaseReport) string {
	text := ""
	if r.Linked {
		text += ", linked"
	}
	if r.Historic {
		text += ", from before the start"
	}
	return text
}

func (a *app) printStops(v pipeline.CaseView) {
	if len(v.Assignments) > 1 {
		a.printf("\nAssignments\n")
		t := newTable(">SEQ", "TIME", "DRIVER")
		t.indent = "  "
		for _, x := range v.Assignments {
			t.row(count(x.Seq), a.time(x.At), orDash(x.Driver))
		}
		t.print(a.out)
	}
	if len(v.Stops) == 0 {
		return
	}
	a.printf("\nStops\n")
	t := newTable("STOP", "TYPE", "ARRIVED", "DEPARTED", ">THERE")
	t.indent = "  "
	for _, s := range v.Stops {
		there := "-"
		if s.Minutes > 0 {
			there = span(time.Duration(s.Minutes) * time.Minute)
		}
		t.row(s.Stop, orDash(s.Type), a.time(s.Arrived), a.time(s.Departed), there)
	}
	t.print(a.out)
}

func (a *app) printBilling(v pipeline.CaseView) {
	if len(v.Charges) > 0 {
		a.printf("\nCharges\n")
		t := newTable("KEY", "CHARGE", ">AMOUNT", "STATE", "LEFT OUT")
		t.indent = "  "
		for _, c := range v.Charges {
			t.row(c.Key, orDash(c.Charge), orDash(group(c.Amount)), c.State, orDash(c.Reason))
		}
		t.print(a.out)
	}
	if len(v.Documents) > 0 {
		a.printf("\nDocuments\n")
		t := newTable("NUMBER", "KIND", "STATE", ">AMOUNT", "CORRECTS")
		t.indent = "  "
		for _, d := range v.Documents {
			t.row(d.Number, d.Kind, d.State, money(d.Amount), orDash(d.Original))
		}
		t.print(a.out)
	}
	for i, c := range v.Corrections {
		if i == 0 {
			a.printf("\nCorrections\n")
		}
		a.printf("  of %s%s\n", c.Of, prefixed("; open: ", strings.Join(c.Open, ", ")))
		t := newTable("DOCUMENT", "KIND", ">AMOUNT", "STATE", "IT")
		t.indent = "    "
		for _, d := range c.Documents {
			t.row(d.Ref, d.Kind, money(d.Amount), d.State, oneLine(d.Why, 160))
		}
		t.print(a.out)
	}
}

func caseLinkCommand(a *app) *cobra.Command {
	l := pipeline.CaseLink{}
	c := &cobra.Command{
		Use:   "link REFERENCE CASE",
		Short: "Say to which case an event belongs whose keys do not prove it",
		Long: `Links what carries the reference to the case: the events that wait for a case go there now, and later ones with the same
reference follow. The reference is the subject of an UNMATCHED exception, or a key that it names. Your name and the reason are
kept in the audit.`,
		Example: `  waybill case link invoice/A10023 shipment/88121 --why "the PRO was mistyped"
  waybill case link bol/77120 shipment/88121 --why "confirmed by the shipper"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(c.CommandPath()+" --help", "%s needs a reference and a case (got %d arguments)", c.CommandPath(), len(args))
			}
			if !strings.Contains(args[0], "/") {
				return usage("", "found the reference %q, expected entity/id, such as invoice/A10023", args[0])
			}
			if strings.TrimSpace(l.Why) == "" {
				return usage("", "--why is needed: say how you know that they belong together; it is kept in the audit")
			}
			l.Ref, l.Case, l.By = args[0], args[1], a.by
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.LinkCase(c.Context(), l)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printf("Linked: %s belongs to %s.\n\n", l.Ref, v.Ref)
			a.printCase(v)
			return nil
		},
	}
	c.Flags().StringVar(&l.Why, "why", "", "how it is known, for the audit")
	return c
}
