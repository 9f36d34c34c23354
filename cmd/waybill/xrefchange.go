package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/transform"
)

// xrefFlags are those of every command that changes the registry.
type xrefFlags struct {
	why      string
	dry, yes bool
}

func (f *xrefFlags) add(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&f.why, "why", "", "the reason, for the audit (needed)")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "only show what would happen")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	return c
}

// changeXref shows what a decision would do, asks, and takes it.
func (a *app) changeXref(ctx context.Context, r pipeline.XrefRequest, f *xrefFlags, complete func(context.Context, *admin.Client) error) error {
	if r.By, r.Why = a.by, f.why; strings.TrimSpace(f.why) == "" {
		return usage("", "--why is needed: say why; it is kept in the audit")
	}
	d, err := a.daemon()
	if err != nil {
		return err
	}
	defer d.Close()
	if complete != nil {
		if err := complete(ctx, d); err != nil {
			return err
		}
	}
	v, err := d.PreviewXref(ctx, r)
	if err != nil {
		return err
	}
	if f.dry && a.json {
		return a.printJSON(v)
	}
	if !a.json {
		a.printXrefPreview(v)
	}
	if f.dry {
		return nil
	}
	if v.Rows == 0 {
		if a.json {
			return a.printJSON(v)
		}
		a.printf("There was nothing to do.\n")
		return nil
	}
	if err := a.confirm(ctx, f.yes, plural(v.Rows, "row of the registry changes.", "rows of the registry change.")); err != nil {
		return err
	}
	if v, err = d.ChangeXref(ctx, r); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(v)
	}
	a.printf("Done: %s.\n", plural(v.Rows, "row", "rows"))
	if v.Waiting > 0 {
		a.printf("Next: waybill exceptions list shows what still waits\n")
	} else if r.Action == pipeline.XrefPropose {
		a.printf("Next: waybill xref approve %s --why …\n", v.Steps[0].Row.ID)
	}
	return nil
}

func (a *app) printXrefPreview(v pipeline.XrefPreview) {
	if len(v.Steps) > 0 {
		t := newTable("CHANGE", "ID", "KIND", "SYSTEM", "ROLE", "KEY", "MEANS", "FROM", "UNTIL", "ATTRIBUTES")
		for _, s := range v.Steps {
			r := s.Row
			t.row(s.Change, orDash(r.ID), r.Kind, oneLine(r.System, 40), orDash(r.Role), oneLine(r.Key, 40), oneLine(r.Canonical, 40), orDash(r.From), orDash(r.To),
				oneLine(attributes(r.Attributes), 80))
		}
		t.print(a.out)
		if more := v.Rows - len(v.Steps); more > 0 {
			a.printf("and %s more\n", count(more))
		}
		a.printf("\n")
	}
	if v.Same > 0 {
		a.printf("%s there already.\n", plural(v.Same, "row is", "rows are"))
	}
	for _, w := range v.Releases {
		a.printf("%s (%s) on %s for %s will be looked at again.\n", plural(w.Waiting, "subject waits", "subjects wait"), sums(w.Money), w.Exception, oneLine(w.Key, 120))
	}
	for _, n := range v.Notes {
		a.printf("%s\n", oneLine(n, 400))
	}
}

// sets reads --set name=value.
func sets(pairs []string) (map[string]string, error) {
	all := map[string]string{}
	for _, p := range pairs {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage("", "--set: found %q, expected name=value, such as erp_account=118200", p)
		}
		all[name] = value
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

func xrefProposeCommand(a *app) *cobra.Command {
	var f xrefFlags
	var like string
	var pairs []string
	row := &transform.RegistryRow{}
	c := &cobra.Command{
		Use:   "propose KIND SYSTEM KEY",
		Short: "Propose what a key means; it answers nothing until it is approved",
		Example: `  waybill xref propose customer acme.billing ACM9 --role bill_to --as C-00018 --set erp_account=118200 --why "new customer"
  waybill xref propose customer bulk.jobs 36-1234567 --role bill_to --like R-000003 --from 2026-07-01 --why "same tax id"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 3 {
				return usage(c.CommandPath()+" --help", "%s needs kind, system and key (got %d arguments)", c.CommandPath(), len(args))
			}
			if (like == "") == (row.Canonical == "") {
				return usage(c.CommandPath()+" --help", "say what it means with --as CANONICAL, or with --like ROW")
			}
			row.Kind, row.System, row.Key = args[0], args[1], args[2]
			set, err := sets(pairs)
			if err != nil {
				return err
			}
			row.Attributes = set
			complete := func(ctx context.Context, d *admin.Client) error { return takeOver(ctx, d, row, like) }
			return a.changeXref(c.Context(), pipeline.XrefRequest{Action: pipeline.XrefPropose, Row: row}, &f, complete)
		},
	}
	c.Flags().StringVar(&row.Role, "role", "", "the role of the key, such as bill_to")
	c.Flags().StringVar(&row.Company, "company", "", "the legal entity")
	c.Flags().StringVar(&row.Canonical, "as", "", "what it means for all systems, such as C-00018")
	c.Flags().StringVar(&like, "like", "", "means what this row means, with its attributes")
	c.Flags().StringArrayVar(&pairs, "set", nil, "an attribute: name=value")
	c.Flags().StringVar(&row.From, "from", "", "first day, such as 2026-07-01; left out, always")
	c.Flags().StringVar(&row.To, "until", "", "last day; left out, no end")
	return f.add(c)
}

// takeOver fills a row with what another one means. Attributes that were set stay.
func takeOver(ctx context.Context, d *admin.Client, row *transform.RegistryRow, like string) error {
	if like == "" {
		return nil
	}
	v, err := d.Xref(ctx, pipeline.XrefQuery{ID: like})
	if err != nil {
		return err
	}
	row.Canonical = v.Row.Canonical
	if row.Attributes == nil {
		row.Attributes = map[string]string{}
	}
	for name, value := range v.Row.Attributes {
		if _, set := row.Attributes[name]; !set {
			row.Attributes[name] = value
		}
	}
	return nil
}

// xrefJudgeCommand makes approve, reject and close.
func xrefJudgeCommand(a *app, action pipeline.XrefAction, c *cobra.Command, r *pipeline.XrefRequest) *cobra.Command {
	var f xrefFlags
	r.Action = action
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("waybill xref list", "%s needs the id of a row", c.CommandPath())
		}
		r.IDs = args
		return a.changeXref(c.Context(), *r, &f, nil)
	}
	return f.add(c)
}

func xrefApproveCommand(a *app) *cobra.Command {
	var r pipeline.XrefRequest
	c := &cobra.Command{
		Use:   "approve ID...",
		Short: "Let proposed rows answer: everything that waits for their keys goes on",
		Example: `  waybill xref approve R-000012 --why "confirmed by phone"
  waybill xref approve R-000013 --succeed --why "new account from July on"`,
	}
	c.Flags().BoolVar(&r.Succeed, "succeed", false, "close the row that answers so far on the day before this one begins")
	return xrefJudgeCommand(a, pipeline.XrefApprove, c, &r)
}

func xrefRejectCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:     "reject ID...",
		Short:   "Say that rows are wrong: they answer nothing, on no day",
		Example: `  waybill xref reject R-000012 --why "another company of the same name"`,
	}
	return xrefJudgeCommand(a, pipeline.XrefReject, c, &pipeline.XrefRequest{})
}

func xrefCloseCommand(a *app) *cobra.Command {
	var r pipeline.XrefRequest
	c := &cobra.Command{
		Use:     "close ID... --on DAY",
		Short:   "End rows on their last day; documents of the days before still mean what they meant",
		Example: `  waybill xref close R-000012 --on 2026-06-30 --why "account closed"`,
	}
	c.Flags().StringVar(&r.On, "on", "", "the last day, such as 2026-06-30 (needed)")
	return xrefJudgeCommand(a, pipeline.XrefClose, c, &r)
}

func xrefMergeCommand(a *app) *cobra.Command {
	var f xrefFlags
	var pairs []string
	r := pipeline.XrefRequest{Action: pipeline.XrefMerge}
	c := &cobra.Command{
		Use:   "merge KIND CANONICAL --into CANONICAL --from DAY",
		Short: "Two are one: every key of the first means the second from a day on",
		Long: `Every active row of the first is closed on the day before, and followed by a row that means the second, with the attributes
that the second has in the same company. Documents of earlier days still mean what they meant.`,
		Example: `  waybill xref merge customer C-00021 --into C-00018 --from 2026-07-01 --why "ACME bought it"`,
		Args:    cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage(c.CommandPath()+" --help", "%s needs kind and canonical id (got %d arguments)", c.CommandPath(), len(args))
			}
			r.Kind, r.Canonical = args[0], args[1]
			return a.moveXref(c, r, pairs, &f)
		},
	}
	xrefMove(c, &r, &pairs)
	return f.add(c)
}

func xrefSplitCommand(a *app) *cobra.Command {
	var f xrefFlags
	var pairs []string
	r := pipeline.XrefRequest{Action: pipeline.XrefSplit}
	c := &cobra.Command{
		Use:   "split ID... --into CANONICAL --from DAY",
		Short: "One is two: the keys of these rows mean another from a day on",
		Example: `  waybill xref split R-000012 --into C-00031 --from 2026-07-01 --set erp_account=118300 --why "own company now"
  waybill xref split R-000012 --into C-00018 --from 2026-07-01 --set erp_account=118200 --why "new account"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("waybill xref list", "%s needs the id of a row", c.CommandPath())
			}
			r.IDs = args
			return a.moveXref(c, r, pairs, &f)
		},
	}
	xrefMove(c, &r, &pairs)
	return f.add(c)
}

func xrefMove(c *cobra.Command, r *pipeline.XrefRequest, pairs *[]string) {
	c.Flags().StringVar(&r.Into, "into", "", "who it means from then on (needed)")
	c.Flags().StringVar(&r.On, "from", "", "the first day, such as 2026-07-01 (needed)")
	c.Flags().StringArrayVar(pairs, "set", nil, "an attribute of the new rows: name=value")
}

func (a *app) moveXref(c *cobra.Command, r pipeline.XrefRequest, pairs []string, f *xrefFlags) (err error) {
	if r.Into == "" || r.On == "" {
		return usage(c.CommandPath()+" --help", "%s needs --into and --from", c.CommandPath())
	}
	if r.Attributes, err = sets(pairs); err != nil {
		return err
	}
	return a.changeXref(c.Context(), r, f, nil)
}

func xrefImportCommand(a *app) *cobra.Command {
	var f xrefFlags
	c := &cobra.Command{
		Use:   "import FILE.csv",
		Short: "Enter rows from a CSV file, all or none; what is there already is left alone",
		Long: `Reads a CSV file (UTF-8, commas, a header) with the columns kind, company, system, role, key, canonical, valid_from, valid_to, state
and attr.NAME for attributes; kind, system, key and canonical are needed. Every fault is told at once with line and column,
and then nothing is entered. The file is one decision; importing it again changes nothing.`,
		Example: `  waybill xref import customers.csv --why "customers of the ERP" --dry-run
  waybill xref import customers.csv --why "customers of the ERP" --yes`,
		Args: oneArg("a CSV file"),
		RunE: func(c *cobra.Command, args []string) error {
			text, err := readBounded(args[0], pipeline.XrefMaxBytes)
			if err != nil {
				return err
			}
			return a.changeXref(c.Context(), pipeline.XrefRequest{Action: pipeline.XrefImport, File: args[0], Text: text}, &f, nil)
		},
	}
	return f.add(c)
}

// readBounded reads a file of at most so many bytes.
func readBounded(name string, most int64) (_ string, err error) {
	file, err := os.Open(name)
	if err != nil {
		return "", usage("", "%v", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", name, err)
	}
	if int64(len(text)) > most {
		return "", usage("", "%s has more than %d bytes; import it in parts", name, most)
	}
	return string(text), nil
}
