package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/pipeline"
	"waybill/sinks"
	"waybill/transform"
)

func masterCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "master",
		Short: "Show, approve or reject versions of master data",
		Long: `Entities that the mapping governs (customers, locations, items, rates) have versions. A version comes into force when every
target can take it, as many persons as the mapping asks for have approved it, and its day has come; until then the version before
it stays in force, and documents and targets know nothing of the new one.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(masterListCommand(a), masterShowCommand(a), masterApproveCommand(a), masterRejectCommand(a), masterConfirmCommand(a), masterSettleCommand(a))
	return group
}

func masterListCommand(a *app) *cobra.Command {
	q := pipeline.MasterQuery{}
	c := &cobra.Command{
		Use:   "list",
		Short: "List governed entities with their newest version",
		Example: `  waybill master list --state waiting
  waybill master list --entity customer --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.State != "" && !slices.Contains(pipeline.MasterStates(), q.State) {
				return usage("", "--state: found %q; %s", q.State, meant(q.State, pipeline.MasterStates()))
			}
			if err := checkLimit(q.Limit); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.Masters(c.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			a.printMasters(list, q)
			return nil
		},
	}
	c.Flags().StringVar(&q.State, "state", "", "only entities whose newest version is "+strings.Join(pipeline.MasterStates(), ", "))
	c.Flags().StringVar(&q.Entity, "entity", "", "only entities of this kind, such as customer")
	c.Flags().StringVar(&q.After, "after", "", "only entities behind this one, in the order of their names")
	c.Flags().IntVar(&q.Limit, "limit", 100, "at most so many")
	return c
}

func (a *app) printMasters(list []transform.MasterEntity, q pipeline.MasterQuery) {
	if len(list) == 0 {
		a.printf("No governed entity fits.\n")
		return
	}
	t := newTable("ENTITY", ">IN FORCE", ">NEWEST", "STATE", "SINCE", "CHANGED")
	for _, e := range list {
		v := &e.Versions[len(e.Versions)-1]
		t.row(e.Ref, versionNumber(e.Active), count(v.Number), string(v.State), a.time(v.Proposed), oneLine(masterChanges(v), 100))
	}
	t.print(a.out)
	if len(list) == q.Limit {
		a.printf("\nThere may be more: raise --limit, or --after %s\n", list[len(list)-1].Ref)
	}
	a.printf("\nNext: waybill master show %s\n", list[0].Ref)
}

func versionNumber(n int) string {
	if n == 0 {
		return "-"
	}
	return count(n)
}

// masterChanges shows what differs from the version before.
func masterChanges(v *transform.MasterVersion) string {
	if len(v.Changes) == 0 {
		return "-"
	}
	var all []string
	for _, c := range v.Changes {
		if string(c.Before) == "null" && v.Number == 1 {
			all = append(all, c.Field)
			continue
		}
		all = append(all, c.String())
	}
	return strings.Join(all, ", ")
}

func masterShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show KEY",
		Short: "Show one entity: its versions, who approved them, and which one each target holds",
		Example: `  waybill master show customer/104377
  waybill master show customer/104377 --json`,
		Args: oneArg("a key, such as customer/104377"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.Master(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printMaster(v)
			return nil
		},
	}
}

func (a *app) printMaster(v pipeline.MasterView) {
	a.printf("%s: %s\n\n", v.Ref, inForce(v.Active))
	t := newTable(">VERSION", "STATE", "EFFECTIVE", "CHANGED", "BY", "HELD BY")
	for i := range v.Versions {
		x := &v.Versions[i]
		t.row(count(x.Number), string(x.State), a.effective(x), oneLine(masterChanges(x), 80), oneLine(masterBy(x), 60), orDash(heldBy(v.Targets, x.Number)))
	}
	t.print(a.out)
	for i := range v.Versions {
		a.printWaiting(&v.Versions[i])
	}
	if len(v.Targets) > 0 {
		a.printf("\nTargets\n")
		t := newTable(">VERSION", "TARGET", "EXTERNAL ID", "STATE", "ACKNOWLEDGED", "WHAT")
		t.indent = "  "
		for _, x := range v.Targets {
			what := x.Why
			if x.Holds && len(x.Kept) > 0 {
				what += "; its own value stays in " + strings.Join(x.Kept, ", ")
			}
			t.row(count(x.Version), x.Target, oneLine(x.ExternalID, 40), x.State, a.time(x.At), oneLine(what, 120))
		}
		t.print(a.out)
	}
	if len(v.Exceptions) > 0 {
		a.printf("\nExceptions\n")
		t := newTable("ID", "CODE", "WHAT")
		t.indent = "  "
		for _, x := range v.Exceptions {
			t.row(x.ID, x.Code, oneLine(x.Title, 200))
		}
		t.print(a.out)
		a.printf("\nNext: waybill exceptions show %s\n", v.Exceptions[0].ID)
	}
}

func inForce(n int) string {
	if n == 0 {
		return "no version is in force"
	}
	return fmt.Sprintf("version %d is in force", n)
}

// effective shows the days between which a version holds, as its source says them, or else when it came into force.
func (a *app) effective(v *transform.MasterVersion) string {
	from, to := v.From, v.To
	if from == "" {
		from = a.time(v.ActiveAt)
	}
	if to != "" {
		return from + " to " + to
	}
	return from
}

// masterBy says who proposed, approved or refused a version.
func masterBy(v *transform.MasterVersion) string {
	var all []string
	if v.Proposer != "" {
		all = append(all, "proposed by "+v.Proposer)
	}
	for _, x := range v.Approvals {
		all = append(all, x.By)
	}
	switch {
	case v.EndedBy != "":
		all = append(all, "rejected by "+v.EndedBy)
	case v.State == transform.MasterProposed:
		all = append(all, fmt.Sprintf("%d of %d have approved", len(v.Approvals), v.Needs))
	case v.Adopted:
		all = append(all, "first reading")
	}
	return orDash(strings.Join(all, ", "))
}

func heldBy(all []pipeline.MasterTarget, version int) string {
	var names []string
	for _, t := range all {
		if t.Version == version && t.Holds {
			names = append(names, t.Target)
		}
	}
	return strings.Join(names, ", ")
}

// printWaiting says what a version that waits is, field by field, and what keeps it.
func (a *app) printWaiting(v *transform.MasterVersion) {
	switch v.State {
	case transform.MasterProposed, transform.MasterHeld, transform.MasterApproved:
	case transform.MasterRejected:
		a.printf("\nVersion %d was rejected by %s on %s; waybill audit list says why.\n", v.Number, v.EndedBy, a.time(v.EndedAt))
		return
	default:
		return
	}
	a.printf("\nVersion %d\n", v.Number)
	t := newTable("FIELD", "BEFORE", "AFTER")
	t.indent = "  "
	for _, c := range v.Changes {
		t.row(c.Field, oneLine(jsonText(c.Before), 60), oneLine(jsonText(c.After), 60))
	}
	t.print(a.out)
	for _, f := range v.Faults {
		a.printf("  %s\n", oneLine(f.String(), 300))
	}
	if v.State == transform.MasterApproved {
		a.printf("  It comes into force on %s.\n", a.time(v.Due))
	}
}

// jsonText shows a value: a text without quotes, no value as a dash.
func jsonText(raw json.RawMessage) string {
	var text string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return "-"
	case json.Unmarshal(raw, &text) == nil:
		return text
	}
	return string(raw)
}

// masterFlags are those of a word on a version.
type masterFlags struct {
	why     string
	version int
	yes     bool
}

func (f *masterFlags) add(c *cobra.Command) *cobra.Command {
	c.Flags().StringVar(&f.why, "why", "", "the reason, for the audit (needed)")
	c.Flags().IntVar(&f.version, "version", 0, "which version, when more than one waits")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	return c
}

func masterApproveCommand(a *app) *cobra.Command {
	var f masterFlags
	return f.add(&cobra.Command{
		Use:   "approve KEY",
		Short: "Approve the version that waits",
		Long: `Shows what the version changes, asks, and notes your approval. Where the mapping wants two persons, they are two, and whoever made
the change in the source is none of them. What its source changes meanwhile is asked again.`,
		Example: `  waybill master approve customer/104377 --why "contract of 1 March"`,
		Args:    oneArg("a key, such as customer/104377"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.judgeMaster(c.Context(), pipeline.MasterRequest{Action: pipeline.MasterApprove, Ref: args[0]}, &f)
		},
	})
}

func masterRejectCommand(a *app) *cobra.Command {
	var f masterFlags
	return f.add(&cobra.Command{
		Use:     "reject KEY",
		Short:   "Reject the version that waits; the same is not asked again",
		Example: `  waybill master reject customer/104377 --why "no such contract"`,
		Args:    oneArg("a key, such as customer/104377"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.judgeMaster(c.Context(), pipeline.MasterRequest{Action: pipeline.MasterReject, Ref: args[0]}, &f)
		},
	})
}

// judgeMaster shows the version that waits, asks, and takes the decision about what was shown.
func (a *app) judgeMaster(ctx context.Context, r pipeline.MasterRequest, f *masterFlags) error {
	if r.By, r.Why, r.Version = a.by, f.why, f.version; strings.TrimSpace(f.why) == "" {
		return usage("", "--why is needed: say why; it is kept in the audit")
	}
	d, err := a.daemon()
	if err != nil {
		return err
	}
	defer d.Close()
	v, err := d.Master(ctx, r.Ref)
	if err != nil {
		return err
	}
	if r.Version == 0 && len(v.Waiting) == 1 {
		r.Version = v.Waiting[0]
	}
	r.Ref = v.Ref
	if i := slices.IndexFunc(v.Versions, func(x transform.MasterVersion) bool { return x.Number == r.Version }); i >= 0 {
		r.Content = v.Versions[i].Content
		if !a.json {
			a.printf("%s: %s\n", v.Ref, inForce(v.Active))
			a.printWaiting(&v.Versions[i])
		}
	}
	question := map[pipeline.MasterAction]string{pipeline.MasterApprove: "You approve this version.", pipeline.MasterReject: "This version is rejected."}[r.Action]
	if err := a.confirm(ctx, f.yes || r.Content == "", question); err != nil { // without a version the daemon says why there is none
		return err
	}
	if v, err = d.JudgeMaster(ctx, r); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(v)
	}
	a.printf("\n")
	a.printMaster(v)
	return nil
}

func masterConfirmCommand(a *app) *cobra.Command {
	r := pipeline.MasterRequest{Action: pipeline.MasterConfirm}
	c := &cobra.Command{
		Use:   "confirm KEY",
		Short: "Let documents pass for which an entity was another when they were ordered",
		Long: `A document whose customer has other terms than when it was ordered waits (MASTER_DRIFT), where the mapping says that these fields hold as
of the order. Confirm one document, or all that wait for the entity as it is now.`,
		Example: `  waybill master confirm customer/104377 --document invoice/A10023 --why "agreed with the customer"
  waybill master confirm customer/104377 --why "new contract covers open orders"`,
		Args: oneArg("a key, such as customer/104377"),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(r.Why) == "" {
				return usage("", "--why is needed: say why; it is kept in the audit")
			}
			r.Ref, r.By = args[0], a.by
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.JudgeMaster(c.Context(), r)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			what := "every document that waited for it"
			if r.Document != "" {
				what = r.Document
			}
			a.printf("Confirmed: %s passes with version %d of %s in force.\n", what, v.Active, v.Ref)
			return nil
		},
	}
	c.Flags().StringVar(&r.Document, "document", "", "only this document, such as invoice/A10023")
	c.Flags().StringVar(&r.Why, "why", "", "the reason, for the audit (needed)")
	return c
}

func masterSettleCommand(a *app) *cobra.Command {
	r := pipeline.MasterRequest{Action: pipeline.MasterSettle}
	c := &cobra.Command{
		Use:   "settle EXCEPTION",
		Short: "Say whose value stays where somebody changed a record in the target",
		Long: `Waybill compares what it wrote last with what is there before it writes. What somebody else changed meanwhile is an exception
(` + sinks.CodeChanged + `) that shows both. With --take ours the target is told what the source says; with --take theirs the changed fields
stay as they are in the target, until their source changes them again.`,
		Example: `  waybill exceptions list --code ` + sinks.CodeChanged + `
  waybill master settle X-000012 --take theirs --why "the customer called"`,
		Args: oneArg("an exception, such as X-000012"),
		RunE: func(c *cobra.Command, args []string) error {
			if r.Take != sinks.TakeOurs && r.Take != sinks.TakeTheirs {
				return usage("", "--take: found %q; it is %s or %s", r.Take, sinks.TakeOurs, sinks.TakeTheirs)
			}
			if strings.TrimSpace(r.Why) == "" {
				return usage("", "--why is needed: say why; it is kept in the audit")
			}
			r.Exception, r.By = args[0], a.by
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.JudgeMaster(c.Context(), r)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printf("Settled: %s is written again, and takes %s.\nNext: waybill master show %s\n", v.Ref, r.Take, v.Ref)
			return nil
		},
	}
	c.Flags().StringVar(&r.Take, "take", "", "whose value stays: ours or theirs (needed)")
	c.Flags().StringVar(&r.Why, "why", "", "the reason, for the audit (needed)")
	return c
}
