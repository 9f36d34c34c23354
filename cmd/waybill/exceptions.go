package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func exceptionsCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "exceptions",
		Short: "List, show and settle what needs a person",
		Long: `An exception is one cause that a person must settle; everything that waits for it is listed with it. Other keys go on
meanwhile. It is open, assigned, waiting, fixed or resubmitted, and ends resolved, waived, superseded or discarded. Every decision
is kept with your name and your reason; see: waybill audit.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(exceptionsListCommand(a), exceptionsShowCommand(a), exceptionsAssignCommand(a), exceptionsCommentCommand(a), exceptionsWaitCommand(a),
		exceptionsEditCommand(a), exceptionsFixedCommand(a), exceptionsRetryCommand(a), exceptionsWaiveCommand(a), exceptionsReleaseCommand(a), exceptionsDiscardCommand(a))
	return group
}

func exceptionsListCommand(a *app) *cobra.Command {
	q := pipeline.ExceptionQuery{}
	var older, by string
	c := &cobra.Command{
		Use:   "list",
		Short: "List exceptions, or the causes that they have in common",
		Example: `  waybill exceptions list
  waybill exceptions list --by cause
  waybill exceptions list --owner billing --older 4h
  waybill exceptions list --code UNKNOWN_CUSTOMER --customer ACM9
  waybill exceptions list --state all --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			states := append([]string{"all"}, pipeline.ExceptionStates...)
			if !slices.Contains(states, q.State) {
				return usage("", "--state: found %q, expected %s", q.State, strings.Join(states, ", "))
			}
			if q.Limit < 1 || q.Limit > 10_000 {
				return usage("", "--limit: found %d, expected 1 to 10000", q.Limit)
			}
			if by != "" && by != "cause" {
				return usage("", "--by: found %q, expected cause", by)
			}
			if _, err := decimal.NewFromString(q.Money); q.Money != "" && err != nil {
				return usage("", "--money: found %q, expected an amount such as 5000", q.Money)
			}
			var err error
			if q.Before, err = a.when("older", older); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.Exceptions(c.Context(), q)
			if err != nil {
				return err
			}
			if by == "cause" {
				return a.printCauses(pipeline.ByCause(list), len(list) == q.Limit)
			}
			if a.json {
				return a.printJSON(list)
			}
			a.printExceptions(list, q)
			return nil
		},
	}
	c.Flags().StringVar(&q.State, "state", "open", "open (every one that is not closed), all, or a state of its life: assigned, waiting, fixed, resubmitted, resolved, waived, superseded, discarded")
	c.Flags().StringVar(&q.Class, "class", "", "only this class, such as MASTER")
	c.Flags().StringVar(&q.Code, "code", "", "only this code, such as UNKNOWN_CUSTOMER")
	c.Flags().StringVar(&q.Cause, "cause", "", "only this cause, as --by cause shows it")
	c.Flags().StringVar(&q.Owner, "owner", "", "only those of this team")
	c.Flags().StringVar(&q.Person, "person", "", "only those that this person has taken; - for those that nobody has")
	c.Flags().StringVar(&older, "older", "", "only those opened before then: a time, or 4h, 2d")
	c.Flags().BoolVar(&q.Overdue, "overdue", false, "only those past their due time")
	c.Flags().StringVar(&q.Money, "money", "", "only those about at least so much of one currency")
	c.Flags().StringVar(&q.Customer, "customer", "", "only those about this customer")
	c.Flags().StringVar(&by, "by", "", "cause: one line for each cause, the most money first")
	c.Flags().IntVar(&q.Limit, "limit", 100, "at most so many")
	return c
}

func (a *app) printCauses(list []pipeline.CauseView, more bool) error {
	if a.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.printf("No exception fits.\n")
		return nil
	}
	t := newTable("CAUSE", ">EXCEPTIONS", ">WAITING", ">MONEY", ">OLDEST", ">OVERDUE", "OWNER", "WHAT")
	for _, c := range list {
		t.row(oneLine(c.Cause, 70), count(len(c.IDs)), count(c.Waiting), sums(c.Money), a.ago(c.Oldest), count(c.Overdue), orDash(c.Owner), oneLine(c.Title, 60))
	}
	t.print(a.out)
	if more {
		a.printf("\nThere may be more: raise --limit.\n")
	}
	a.printf("\nNext: waybill exceptions retry --cause CAUSE, when it is settled\n")
	return nil
}

func (a *app) printExceptions(list []pipeline.ExceptionView, q pipeline.ExceptionQuery) {
	if len(list) == 0 {
		if q == (pipeline.ExceptionQuery{State: "open", Limit: q.Limit}) {
			a.printf("Nothing needs a person.\n")
		} else {
			a.printf("No exception fits.\n")
		}
		return
	}
	a.exceptionTable(list)
	if len(list) == q.Limit {
		a.printf("\nThere may be more: raise --limit.\n")
	}
	a.printf("\nNext: waybill exceptions show %s\n", list[0].ID)
}

func (a *app) exceptionTable(list []pipeline.ExceptionView) {
	t := newTable("ID", "STATE", "CODE", ">WAITING", ">MONEY", ">AGE", "OWNER", "WHAT")
	for _, x := range list {
		t.row(x.ID, x.State, x.Code, count(x.Waiting), sums(x.Money), a.ago(x.OpenedAt), orDash(x.Owner), oneLine(x.Title, 80))
	}
	t.print(a.out)
}

func exceptionsShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one exception: what was found, what waits, what to do",
		Example: `  waybill exceptions show X-000012
  waybill exceptions show X-000012 --json`,
		Args: oneArg("an exception id, such as X-000012"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			x, err := d.Exception(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(x)
			}
			return a.printException(x)
		},
	}
}

func (a *app) printException(x pipeline.ExceptionView) error {
	a.printf("%s %s: %s\n", x.ID, x.Code, x.Title)
	if x.Hint != "" {
		a.printf("  What to do: %s\n", x.Hint)
	}
	a.printf("\n")
	t := newTable("", "")
	t.indent = "  "
	waits := plural(x.Waiting, "subject waits", "subjects wait")
	if x.Behind > 0 {
		waits += ", " + plural(x.Behind, "delivery waits behind", "deliveries wait behind")
	}
	closed, held := "", ""
	if x.Held > 0 {
		held = plural(x.Held, "event or posting", "events and postings")
	}
	if x.ClosedAt != nil {
		closed = a.time(*x.ClosedAt) + " by " + orDash(x.ClosedBy)
	}
	for _, f := range [][2]string{{"state", x.State}, {"class", x.Class}, {"owner", x.Owner}, {"person", x.Person}, {"opened", a.time(x.OpenedAt) + ", " + a.ago(x.OpenedAt) + " ago"},
		{"due", a.due(x)}, {"until", a.maybe(x.Until)}, {"closed", closed}, {"reason", x.Reason}, {"rule", x.Rule}, {"mapping", x.Version}, {"waiting", waits}, {"held", held},
		{"money", sums(x.Money)}, {"retries", fmt.Sprint(x.Retries)}} {
		if f[1] != "" {
			t.row(f[0], f[1])
		}
	}
	t.print(a.out)
	if len(x.Subjects) > 0 {
		a.printf("\nWaiting\n  %s\n", strings.Join(x.Subjects, "\n  "))
		if more := x.Waiting - len(x.Subjects); more > 0 {
			a.printf("  and %s more\n", count(more))
		}
	}
	if x.Delivery != nil {
		a.printf("\nDelivery\n")
		a.printDeliveries([]pipeline.DeliveryView{*x.Delivery})
	}
	if len(x.Evidence) > 0 {
		pretty, err := json.MarshalIndent(x.Evidence, "  ", "  ")
		if err != nil {
			return fmt.Errorf("showing the evidence of %s: %w", x.ID, err)
		}
		a.printf("\nEvidence\n  %s\n", pretty)
	}
	if err := a.printBodies(x); err != nil {
		return err
	}
	a.printHistory(x)
	switch {
	case x.ClosedAt != nil:
	case slices.Contains(x.Allowed, "release"):
		a.printf("\nNext: waybill exceptions release %[1]s, or waybill exceptions discard %[1]s\n", x.ID)
	case slices.Contains(x.Allowed, "retry") || len(x.Allowed) == 0:
		a.printf("\nNext: settle the cause, then waybill exceptions retry %s\n", x.ID)
	}
	return nil
}

// due is the due time, and whether it has passed.
func (a *app) due(x pipeline.ExceptionView) string {
	if x.Due == nil {
		return ""
	}
	if x.Overdue {
		return a.time(*x.Due) + ", overdue"
	}
	return a.time(*x.Due)
}

func (a *app) maybe(t *time.Time) string {
	if t == nil {
		return ""
	}
	return a.time(*t)
}

// printBodies shows an edited body with its original, and what was asked and answered.
func (a *app) printBodies(x pipeline.ExceptionView) error {
	if len(x.Original) > 0 {
		for _, b := range []struct {
			title string
			raw   json.RawMessage
		}{{"Body, edited by " + orDash(x.EditedBy), x.Body}, {"Original", x.Original}} {
			pretty, err := json.MarshalIndent(b.raw, "  ", "  ")
			if err != nil {
				return fmt.Errorf("showing the body of %s: %w", x.ID, err)
			}
			a.printf("\n%s\n  %s\n", b.title, pretty)
		}
	}
	if len(x.Attempts) > 0 {
		a.printf("\nAttempts\n")
		t := newTable("AT", "KIND", "STEP", "ANSWER")
		t.indent = "  "
		for _, n := range x.Attempts {
			t.row(a.time(n.At), n.Kind, n.Step, oneLine(strings.TrimSpace(n.Class+" "+n.Code+" "+n.Message), 100))
		}
		t.print(a.out)
	}
	return nil
}

func (a *app) printHistory(x pipeline.ExceptionView) {
	if len(x.History) < 2 {
		return
	}
	a.printf("\nHistory\n")
	t := newTable("AT", "BY", "WHAT", "")
	t.indent = "  "
	for _, n := range x.History {
		text := n.Text
		if n.Until != nil && text == "" {
			text = "until " + a.time(*n.Until)
		}
		t.row(a.time(n.At), orDash(n.By), n.What, oneLine(text, 100))
	}
	t.print(a.out)
	if x.LostNotes > 0 {
		a.printf("  and %s, which were not kept\n", plural(x.LostNotes, "note more", "notes more"))
	}
}

func exceptionsRetryCommand(a *app) *cobra.Command {
	var all bool
	var why, cause string
	var wait time.Duration
	c := &cobra.Command{
		Use:     "retry ID... | --cause CAUSE | --all",
		Aliases: []string{"resubmit"},
		Short:   "Try again what waits, after its cause was settled",
		Long: `Evaluates again what waits on the exceptions, with the data and the mapping of now, and shows what became of them.
What the ERP holds already is found and not posted again.`,
		Example: `  waybill exceptions retry X-000012
  waybill exceptions retry --cause DELIVERY/erp.sales_invoice/PERIOD_CLOSED
  waybill exceptions retry --all --why "customer ACM9 created"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			var ids []string
			if cause == "" || all || len(args) > 0 {
				var err error
				if ids, err = selected(c, args, all || cause != ""); err != nil {
					return err
				}
			}
			if cause != "" && all {
				return usage(c.CommandPath()+" --help", "give --cause or --all, not both")
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			var list []pipeline.ExceptionView
			if cause != "" {
				list, err = d.Change(c.Context(), pipeline.ExceptionChange{Action: "retry", Cause: cause, By: a.by, Why: why})
			} else {
				list, err = d.Retry(c.Context(), ids, a.by, why)
			}
			if err != nil {
				return err
			}
			if list, err = settled(c.Context(), d, list, wait); err != nil {
				return err
			}
			return a.printJudged("retried", list)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "every open exception, but not what a rule made too much of")
	c.Flags().StringVar(&cause, "cause", "", "every open exception of this cause, as list --by cause shows it")
	c.Flags().StringVar(&why, "why", "", "what was settled, for the audit")
	c.Flags().DurationVar(&wait, "wait", 10*time.Second, "how long to wait for deliveries, before showing the state")
	return c
}

// selected is the ids of the arguments, or "all".
func selected(c *cobra.Command, args []string, all bool) ([]string, error) {
	switch {
	case all && len(args) > 0:
		return nil, usage(c.CommandPath()+" --help", "give ids or --all, not both")
	case all:
		return []string{"all"}, nil
	case len(args) == 0:
		return nil, usage("waybill exceptions list", "%s needs an exception id, or --all", c.CommandPath())
	}
	return args, nil
}

// settled asks again until no exception is open, or the time is over: a retry is decided at once, but its deliveries
// take as long as the ERP does.
func settled(ctx context.Context, d *admin.Client, list []pipeline.ExceptionView, wait time.Duration) ([]pipeline.ExceptionView, error) {
	over := time.NewTimer(wait)
	defer over.Stop()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		open := false
		for i := range list {
			if list[i].ClosedAt != nil || !again(list[i]) {
				continue
			}
			x, err := d.Exception(ctx, list[i].ID)
			if err != nil {
				return nil, err
			}
			list[i] = x
			open = open || x.ClosedAt == nil && again(x)
		}
		if !open {
			return list, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-over.C:
			return list, nil
		case <-tick.C:
		}
	}
}

// again reports whether an exception may still close by itself after a retry.
func again(x pipeline.ExceptionView) bool {
	return x.State == "open" || x.State == pipeline.ExceptionResubmitted
}

func (a *app) printJudged(verb string, list []pipeline.ExceptionView) error {
	if a.json {
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.printf("There was nothing to do: no exception is open.\n")
		return nil
	}
	a.exceptionTable(list)
	open := 0
	for _, x := range list {
		if x.ClosedAt == nil && x.State != "discarded" {
			open++
		}
	}
	a.printf("\n%s %s", plural(len(list), "exception", "exceptions"), verb)
	if open > 0 {
		a.printf(", %s still open; see: waybill exceptions show ID", count(open))
	}
	a.printf(".\n")
	return nil
}

func exceptionsDiscardCommand(a *app) *cobra.Command {
	var all, yes bool
	var why string
	c := &cobra.Command{
		Use:   "discard ID... | --all",
		Short: "Give up what waits: it will not reach the ERP",
		Long: `Gives up everything that waits on the exceptions. It will not be delivered; your name and the reason are kept in the
audit. What waits behind it on the same key goes on.`,
		Example: `  waybill exceptions discard X-000012 --why "entered by hand in the ERP"
  waybill exceptions discard X-000012 X-000013 --why duplicate --yes`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := selected(c, args, all)
			if err != nil {
				return err
			}
			if strings.TrimSpace(why) == "" {
				return usage("", "--why is needed: say why this will not be delivered; it is kept in the audit")
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.discard(c.Context(), d, ids, why, yes)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "every open exception")
	c.Flags().StringVar(&why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) discard(ctx context.Context, d *admin.Client, ids []string, why string, yes bool) error {
	var list []pipeline.ExceptionView
	var err error
	if ids[0] == "all" {
		list, err = d.Exceptions(ctx, pipeline.ExceptionQuery{State: "open", Limit: 10_000})
		ids = nil // exactly what is shown, not what appears meanwhile
		for _, x := range list {
			ids = append(ids, x.ID)
		}
	} else {
		for _, id := range ids {
			var x pipeline.ExceptionView
			if x, err = d.Exception(ctx, id); err != nil {
				break
			}
			list = append(list, x)
		}
	}
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return a.printJudged("discarded", list)
	}
	if !a.json {
		a.exceptionTable(list)
		a.printf("\n")
	}
	if err := a.confirm(ctx, yes, "What waits on "+plural(len(list), "exception", "exceptions")+" will never be delivered."); err != nil {
		return err
	}
	if list, err = d.Discard(ctx, ids, a.by, why); err != nil {
		return err
	}
	return a.printJudged("discarded", list)
}
