package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func mapDiffCommand(a *app) *cobra.Command {
	var q pipeline.DiffRequest
	var since string
	c := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what another version of the mapping would change",
		Long: `Runs both versions of a mapping over the journal, beside the live state, and shows what differs: events, documents,
money and exceptions, in two parts. The history: what the new version would have made otherwise. The activation: what would
happen if it became active now; that is exactly what waybill map activate does then. OLD may be the word active: the version
that holds. Both are of one carrier; where several mappings hold, those of the others stay what they are.

It begins at the state snapshot before --since, or as far back as the journal reaches. It sends nothing and changes nothing,
needs room on the store's disk for two copies of the state, and works with and without a running daemon.`,
		Example: `  waybill map diff active acme-8.yml --since 7d
  waybill map diff acme-7.yml acme-8.yml --limit 1000 --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(c.CommandPath()+" --help", "%s needs two mapping files, the first may be the word active (got %d arguments)", c.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if q.Since, err = a.when("since", since); err != nil {
				return err
			}
			if args[0] != "active" {
				old, err := mappingText(args[0])
				if err != nil {
					return err
				}
				q.Old = &old
			}
			if q.New, err = mappingText(args[1]); err != nil {
				return err
			}
			v, err := pastOf(c.Context(), a,
				func(d *admin.Client) (pipeline.MappingDiff, error) {
					return d.DiffMappings(c.Context(), q, a.entries())
				},
				func(h *pipeline.History) (pipeline.MappingDiff, error) { return h.DiffMappings(c.Context(), q) })
			a.clearLine()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printDiff(v)
			return nil
		},
	}
	c.Flags().StringVar(&since, "since", "", "over the history since then: a time, or 2h, 7d")
	c.Flags().IntVar(&q.Limit, "limit", 100, "events and documents to list, of each part")
	return c
}

// mappingText reads a mapping that is right.
func mappingText(file string) (pipeline.MappingText, error) {
	m, err := readMapping(file)
	if err != nil {
		return pipeline.MappingText{}, err
	}
	return pipeline.MappingText{File: m.File(), Text: string(m.Text())}, nil
}

func (a *app) printDiff(v pipeline.MappingDiff) {
	a.printf("%s against %s, over %s journal entries since %s. Nothing was sent.\n", v.Old, v.New, count(v.Entries), v.From)
	for _, n := range v.Notes {
		a.printf("%s\n", n)
	}
	a.printf("\nHistory: what %s would have made otherwise\n", v.New)
	a.printDifference(v.History)
	a.printf("\nActivation: what %s would do if it became active now\n", v.New)
	a.printDifference(v.Activation)
}

func (a *app) printDifference(d pipeline.Difference) {
	if d.Added+d.Gone+d.Changed+len(d.Documents)+len(d.Exceptions) == 0 {
		a.printf("  nothing\n")
		return
	}
	a.printf("  events     %s added, %s gone, %s changed\n", count(d.Added), count(d.Gone), count(d.Changed))
	a.printf("  documents  %s added, %s gone, %s changed\n", count(d.Posts.Added), count(d.Posts.Gone), count(d.Posts.Changed))
	a.printMoneyDiff(d.Money)
	a.printEventDiffs(d.Events)
	a.printDocumentDiffs(d.Documents)
	if len(d.Exceptions) > 0 {
		a.printf("\n")
		t := newTable("EXCEPTION", "CODE", ">WAITING BEFORE", ">AFTER", "TITLE")
		t.indent = "  "
		for _, x := range d.Exceptions {
			kind := map[string]string{"added": "opens", "gone": "closes", "changed": "changes"}[x.Kind]
			t.row(kind, x.Code, count(x.OldWaiting), count(x.NewWaiting), oneLine(x.Title, 100))
		}
		t.print(a.out)
	}
	if d.More > 0 {
		a.printf("  … and %s more events and documents; --limit lists them\n", count(d.More))
	}
}

func (a *app) printMoneyDiff(list []pipeline.MoneyDiff) {
	if len(list) == 0 {
		return
	}
	a.printf("\n")
	t := newTable("MONEY", ">BEFORE", ">SUM", ">AFTER", ">SUM", "")
	t.indent = "  "
	for _, m := range list {
		t.row(m.Of, count(m.OldCount), orDash(group(m.OldSum)), count(m.NewCount), orDash(group(m.NewSum)), m.Currency)
	}
	t.print(a.out)
}

func (a *app) printEventDiffs(list []pipeline.EventDiff) {
	if len(list) == 0 {
		return
	}
	a.printf("\n")
	t := newTable("EVENT", "TYPE", "KEY", ">BEFORE", ">AFTER", "FIELDS")
	t.indent = "  "
	for _, e := range list {
		t.row(e.Kind, e.Type, e.Key, money(e.Old), money(e.New), fieldDiffs(e.Fields))
	}
	t.print(a.out)
}

func (a *app) printDocumentDiffs(list []pipeline.DocumentDiff) {
	if len(list) == 0 {
		return
	}
	a.printf("\n")
	t := newTable("DOCUMENT", "TARGET", "EXTERNAL ID", ">BEFORE", ">AFTER", "FIELDS")
	t.indent = "  "
	for _, d := range list {
		kind := d.Kind
		if d.Posted {
			kind += ", posted"
		}
		t.row(kind, d.Target, d.ExternalID, money(d.Old), money(d.New), fieldDiffs(d.Fields))
	}
	t.print(a.out)
}

func fieldDiffs(list []pipeline.FieldDiff) string {
	parts := make([]string, 0, len(list))
	for _, f := range list {
		parts = append(parts, fmt.Sprintf("%s: %s → %s", f.Name, orDash(f.Old), orDash(f.New)))
	}
	return oneLine(strings.Join(parts, "; "), 160)
}
