package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

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
