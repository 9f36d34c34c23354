package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/pipeline"
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
