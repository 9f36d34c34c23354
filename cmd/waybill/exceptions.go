package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func exceptionsCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "exceptions",
		Short: "List, show, retry or discard what needs a person",
		Long: `An exception is one cause that a person must settle; everything that waits for it is listed with it. Other keys go on
meanwhile.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(exceptionsListCommand(a), exceptionsShowCommand(a), exceptionsRetryCommand(a), exceptionsDiscardCommand(a))
	return group
}

func exceptionsListCommand(a *app) *cobra.Command {
	q := pipeline.ExceptionQuery{}
	c := &cobra.Command{
		Use:   "list",
		Short: "List exceptions",
		Example: `  waybill exceptions list
  waybill exceptions list --code UNKNOWN_CUSTOMER
  waybill exceptions list --state all --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			switch q.State {
			case "open", "resolved", "discarded", "all":
			default:
				return usage("", "--state: found %q, expected open, resolved, discarded or all", q.State)
			}
			if err := checkLimit(q.Limit); err != nil {
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
			if a.json {
				return a.printJSON(list)
			}
			a.printExceptions(list, q)
			return nil
		},
	}
	c.Flags().StringVar(&q.State, "state", "open", "open, resolved, discarded or all")
	c.Flags().StringVar(&q.Code, "code", "", "only this code, such as UNKNOWN_CUSTOMER")
	c.Flags().IntVar(&q.Limit, "limit", 100, "at most so many")
	return c
}

func (a *app) printExceptions(list []pipeline.ExceptionView, q pipeline.ExceptionQuery) {
	if len(list) == 0 {
		if q.State == "open" && q.Code == "" {
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
	closed := ""
	if x.ClosedAt != nil {
		closed = a.time(*x.ClosedAt) + " by " + orDash(x.ClosedBy)
	}
	for _, f := range [][2]string{{"state", x.State}, {"class", x.Class}, {"owner", x.Owner}, {"opened", a.time(x.OpenedAt) + ", " + a.ago(x.OpenedAt) + " ago"},
		{"closed", closed}, {"reason", x.Reason}, {"rule", x.Rule}, {"waiting", waits}, {"money", sums(x.Money)}, {"retries", fmt.Sprint(x.Retries)}} {
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
	if x.State == "open" {
		a.printf("\nNext: settle the cause, then waybill exceptions retry %s\n", x.ID)
	}
	return nil
}

func exceptionsRetryCommand(a *app) *cobra.Command {
	var all bool
	var why string
	var wait time.Duration
	c := &cobra.Command{
		Use:   "retry ID... | --all",
		Short: "Try again what waits, after its cause was settled",
		Long: `Evaluates again what waits on the exceptions, with the data and the mapping of now, and shows what became of them.
What the ERP holds already is found and not posted again.`,
		Example: `  waybill exceptions retry X-000012
  waybill exceptions retry --all --why "customer ACM9 created"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			ids, err := selected(c, args, all)
			if err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.Retry(c.Context(), ids, a.by, why)
			if err != nil {
				return err
			}
			if list, err = settled(c.Context(), d, list, wait); err != nil {
				return err
			}
			return a.printJudged("retried", list)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "every open exception")
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
			if list[i].State != "open" {
				continue
			}
			x, err := d.Exception(ctx, list[i].ID)
			if err != nil {
				return nil, err
			}
			list[i] = x
			open = open || x.State == "open"
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
		if x.State == "open" {
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
