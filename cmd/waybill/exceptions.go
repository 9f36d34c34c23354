package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"

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
			if err := checkLimit(q.Limit); err != nil {
				return err
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
