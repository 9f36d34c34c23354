package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/transform"
)

func mapExplainCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "explain ID | POSITION | KEY | TABLE KEY",
		Short: "Show why a change became an event, or did not",
		Long: `Asks every rule that reads a row about one change of it: the parts of its condition with the values that they had, before
and after; the first part that did not hold; what code tables and cross-references answered, and from which row; how the
document stood; what came of it, and what holds it now.

A change is named by an event's id, an exception's, the position of its commit as waybill trace shows it, or what it is
about, which is its newest change. The change is projected again beside the live state, which was otherwise then; that needs
room on the store's disk, and works with and without a running daemon.`,
		Example: `  waybill map explain 5f0c6f1c2a9b4d10
  waybill map explain X-000012
  waybill map explain 0/16B3748
  waybill map explain billing.inv_hdr A10023 --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 && len(args) != 2 {
				return usage(c.CommandPath()+" --help", "%s needs an id, a position or a key, or a table and a key (got %d arguments)", c.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			q := pipeline.ExplainRequest{What: args[len(args)-1]}
			if len(args) == 2 {
				q.Table = args[0]
			}
			v, err := pastOf(c.Context(), a,
				func(d *admin.Client) (pipeline.ExplainView, error) { return d.Explain(c.Context(), q, a.entries()) },
				func(h *pipeline.History) (pipeline.ExplainView, error) { return h.Explain(c.Context(), q) })
			a.clearLine()
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printExplain(v)
			return nil
		},
	}
}

func (a *app) printExplain(v pipeline.ExplainView) {
	a.printf("%s: journal entry %s, with the state as it was then (made from %s).\n", v.What, count(v.Entry), v.From)
	if len(v.Changes) == 0 {
		a.printf("No rule saw it: its table is held, or waited for its first reading.\n")
	}
	for _, x := range v.Changes {
		a.printChange(x)
	}
	if v.More > 0 {
		a.printf("\n… and %s of the same commit; name one by its key\n", plural(v.More, "more change", "more changes"))
	}
	for _, d := range v.Documents {
		a.printDocument(d)
	}
	a.printMade(v)
}

func (a *app) printChange(x *transform.Explanation) {
	a.printf("\n%s of %s %s at %s, mapping %s\n", x.Op, x.Table, x.Key, x.Position, x.Mapping)
	if x.Held != "" {
		a.printf("  The table is held: %s\n", x.Held)
		return
	}
	if x.Nothing != "" {
		a.printf("  It means nothing: %s\n", x.Nothing)
		return
	}
	if x.First {
		a.printf("  Seen by the first reading of the table: it seeds, and is not news.\n")
	}
	t := newTable("COLUMN", "BEFORE", "NOW", "")
	t.indent = "  "
	for _, c := range x.Columns {
		mark := ""
		if c.Changed {
			mark = "changed"
		}
		t.row(c.Name, oneLine(c.Before, 40), oneLine(c.Now, 40), mark)
	}
	t.print(a.out)
	for _, r := range x.Rules {
		a.printRule(r)
	}
}

func (a *app) printRule(r transform.RuleView) {
	name := r.Rule
	if r.Of != "" {
		name += " of document " + r.Of
	}
	a.printf("\n  %s (%s): %s\n", name, r.At, r.Result)
	if r.False != "" {
		a.printf("    because of: %s\n", oneLine(r.False, 160))
	}
	t := newTable("", "", "")
	t.indent = "    "
	for _, p := range r.Parts {
		t.row(oneLine(p.Text, 100), "= "+oneLine(p.Value, 100), oneLine(reads(p), 120))
	}
	t.print(a.out)
	for _, p := range r.Parts {
		a.printLookups(p.Lookups)
	}
	a.printLookups(r.Lookups)
	for _, why := range r.Trouble {
		a.printf("    held by: %s\n", oneLine(why, 200))
	}
}

// reads shows the columns that a part of a condition reads.
func reads(p transform.PartView) string {
	var parts []string
	for _, c := range p.Reads {
		if c.Changed {
			parts = append(parts, fmt.Sprintf("%s %s → %s", c.Name, c.Before, c.Now))
		} else {
			parts = append(parts, c.Name+" "+c.Now)
		}
	}
	return strings.Join(parts, ", ")
}

func (a *app) printLookups(list []transform.LookupView) {
	for _, l := range list {
		asked := l.What + "(" + l.Key
		if l.AsOf != "" {
			asked += ", as of " + l.AsOf
		}
		if l.Answer == "" {
			a.printf("    %s): no answer\n", oneLine(asked, 100))
			continue
		}
		a.printf("    %s) = %s, from %s\n", oneLine(asked, 100), oneLine(l.Answer, 160), l.Row)
	}
}

func (a *app) printDocument(d transform.DocumentView) {
	a.printf("\nDocument %s/%s: %s, %s\n", d.Document, d.Key, d.State, plural(d.Lines, "line", "lines"))
	for _, k := range d.Checks {
		verdict := "holds"
		if !k.Holds {
			verdict = "DOES NOT HOLD"
		}
		a.printf("  %s: %s and %s, %s\n", oneLine(k.Text, 120), k.Left, k.Right, verdict)
	}
	a.printLookups(d.Lookups)
	for _, why := range d.Trouble {
		a.printf("  held by: %s\n", oneLine(why, 200))
	}
}

func (a *app) printMade(v pipeline.ExplainView) {
	a.printf("\n")
	if len(v.Made) == 0 {
		a.printf("No event was made of it.\n")
	}
	for _, m := range v.Made {
		a.printf("Event %s %s, id %s\n", m.Type, m.Key, m.ID)
		for _, p := range m.Posts {
			a.printf("  %s.%s %s: %s, %s\n", p.Sink, p.Entity, p.ExternalID, p.State, p.Why)
		}
	}
	for _, h := range v.Holds {
		a.printf("Held by %s %s (%s), %s: %s\n  %s\n", h.ID, h.Code, h.Owner, h.Subject, oneLine(h.Title, 200), oneLine(h.Hint, 200))
	}
}
