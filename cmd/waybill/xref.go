package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/pipeline"
	"waybill/transform"
)

func xrefCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "xref",
		Short: "Say what the keys of the sources mean: the registry of customers, locations, items, tax codes and accounts",
		Long: `The registry says which customer of the company a key of a source means, for a time, and what the ERP calls it. A key that
it does not know opens one exception that holds everything that needs it; an approved row lets all of it go on. Nothing is
ever overwritten: what ends is closed on a day, and what follows is a row of its own. Documents are read by their own date.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(xrefListCommand(a), xrefShowCommand(a), xrefProposeCommand(a), xrefApproveCommand(a), xrefRejectCommand(a), xrefCloseCommand(a),
		xrefMergeCommand(a), xrefSplitCommand(a), xrefImportCommand(a), xrefExportCommand(a))
	return group
}

// xrefFilter adds the flags that select rows.
func xrefFilter(c *cobra.Command, q *pipeline.XrefQuery) {
	c.Flags().StringVar(&q.Kind, "kind", "", strings.Join(transform.RegistryKinds(), ", "))
	c.Flags().StringVar(&q.System, "system", "", "only keys of this system, such as acme.billing")
	c.Flags().StringVar(&q.Role, "role", "", "only keys of this role, such as bill_to")
	c.Flags().StringVar(&q.Key, "key", "", "only this key")
	c.Flags().StringVar(&q.Canonical, "canonical", "", "only what means this, such as C-00018")
	c.Flags().StringVar(&q.Company, "company", "", "only of this legal entity")
	c.Flags().StringVar(&q.State, "state", "", "proposed, active, closed or rejected")
}

func checkXrefFilter(q *pipeline.XrefQuery) error {
	if kinds := transform.RegistryKinds(); q.Kind != "" && !slices.Contains(kinds, q.Kind) {
		return usage("", "--kind: found %q; %s", q.Kind, meant(q.Kind, kinds))
	}
	if states := []string{"proposed", "active", "closed", "rejected"}; q.State != "" && !slices.Contains(states, q.State) {
		return usage("", "--state: found %q; %s", q.State, meant(q.State, states))
	}
	return nil
}

func xrefListCommand(a *app) *cobra.Command {
	var q pipeline.XrefQuery
	c := &cobra.Command{
		Use:   "list",
		Short: "List rows of the registry",
		Example: `  waybill xref list
  waybill xref list --state proposed
  waybill xref list --kind customer --canonical C-00018 --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkXrefFilter(&q); err != nil {
				return err
			}
			if err := checkLimit(q.Limit); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			rows, err := d.Xrefs(c.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(rows)
			}
			if len(rows) == 0 {
				a.printf("No row fits.\n")
				return nil
			}
			a.xrefTable(rows)
			if len(rows) == q.Limit {
				a.printf("\nThere may be more: --after %s, or raise --limit.\n", rows[len(rows)-1].ID)
			}
			return nil
		},
	}
	xrefFilter(c, &q)
	c.Flags().StringVar(&q.After, "after", "", "only rows after this id")
	c.Flags().IntVar(&q.Limit, "limit", 100, "at most so many")
	return c
}

func (a *app) xrefTable(rows []transform.RegistryRow) {
	t := newTable("ID", "STATE", "KIND", "SYSTEM", "ROLE", "KEY", "MEANS", "FROM", "UNTIL", "ATTRIBUTES")
	for _, r := range rows {
		t.row(r.ID, string(r.State), r.Kind, oneLine(r.System, 40), orDash(r.Role), oneLine(r.Key, 40), oneLine(r.Canonical, 40), orDash(r.From), orDash(r.To),
			oneLine(attributes(r.Attributes), 80))
	}
	t.print(a.out)
}

// attributes shows the attributes of a row in one order.
func attributes(set map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(set)) {
		all = append(all, name+"="+set[name])
	}
	return orDash(strings.Join(all, " "))
}

func xrefShowCommand(a *app) *cobra.Command {
	var q pipeline.XrefQuery
	c := &cobra.Command{
		Use:   "show ID | KIND SYSTEM KEY",
		Short: "Show a row, or a key that may have none: what waits for it and what it may mean",
		Example: `  waybill xref show R-000012
  waybill xref show customer acme.billing ACM9 --role bill_to`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			switch len(args) {
			case 1:
				q.ID = args[0]
			case 3:
				q.Kind, q.System, q.Key = args[0], args[1], args[2]
			default:
				return usage(c.CommandPath()+" --help", "%s needs an id, or kind, system and key (got %d arguments)", c.CommandPath(), len(args))
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.Xref(c.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printXref(v)
			return nil
		},
	}
	c.Flags().StringVar(&q.Role, "role", "", "the role of the key")
	c.Flags().StringVar(&q.Company, "company", "", "the legal entity of the key")
	return c
}

func (a *app) printXref(v pipeline.XrefView) {
	a.printf("%s\n", oneLine(v.Key.String(), 200))
	if r := v.Row; r != nil {
		a.printf("\n")
		t := newTable("", "")
		t.indent = "  "
		judged := ""
		if r.JudgedAt != nil {
			judged = r.JudgedBy + ", " + a.time(*r.JudgedAt)
		}
		for _, f := range [][2]string{{"row", r.ID}, {"state", string(r.State)}, {"means", r.Canonical}, {"attributes", attributes(r.Attributes)},
			{"from", orDash(r.From)}, {"until", orDash(r.To)}, {"entered by", r.By + ", " + a.time(r.At)}, {"judged by", judged}, {"why", r.Why}, {"follows", r.Follows}} {
			if f[1] != "" {
				t.row(f[0], oneLine(f[1], 200))
			}
		}
		t.print(a.out)
	}
	if len(v.Rows) > 0 {
		a.printf("\nRows of the key\n")
		a.xrefTable(v.Rows)
	}
	if len(v.Same) > 0 {
		a.printf("\nMeans the same\n")
		a.xrefTable(v.Same)
	}
	if w := v.Waiting; w != nil {
		a.printf("\nWaiting: %s (%s) on exception %s\n", plural(w.Waiting, "subject", "subjects"), sums(w.Money), w.Exception)
	}
	if len(v.Facts) > 0 {
		a.printf("\nThe source says: %s\n", oneLine(attributes(v.Facts), 300))
	}
	a.printCandidates(v)
}

func (a *app) printCandidates(v pipeline.XrefView) {
	if len(v.Candidates) > 0 {
		a.printf("\nIt may be\n")
		t := newTable("MEANS", "ROW", "WHY")
		for _, c := range v.Candidates {
			t.row(oneLine(c.Canonical, 40), c.Row, oneLine(strings.Join(c.Why, ", "), 160))
		}
		t.print(a.out)
	}
	switch {
	case v.Row != nil && v.Row.State == transform.RowProposed:
		a.printf("\nNext: waybill xref approve %s --why …, or reject it\n", v.Row.ID)
	case v.Waiting != nil:
		like := " --as CANONICAL --set erp_account=…"
		if len(v.Candidates) > 0 {
			like = " --like " + v.Candidates[0].Row
		}
		a.printf("\nNext: waybill xref propose %s%s --why …\n", oneLine(v.Key.Arguments(), 300), like)
	}
}

func xrefExportCommand(a *app) *cobra.Command {
	var q pipeline.XrefQuery
	c := &cobra.Command{
		Use:   "export",
		Short: "Write rows as CSV, which import reads again",
		Example: `  waybill xref export > registry.csv
  waybill xref export --kind customer --system acme.billing`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkXrefFilter(&q); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			var all []transform.RegistryRow
			for q.Limit = 10_000; ; {
				rows, err := d.Xrefs(c.Context(), q)
				if err != nil {
					return err
				}
				if all = append(all, rows...); len(rows) < q.Limit {
					break
				}
				q.After = rows[len(rows)-1].ID
			}
			if a.json {
				return a.printJSON(all)
			}
			return pipeline.WriteXrefs(a.out, all)
		},
	}
	xrefFilter(c, &q)
	return c
}
