package main

import (
	"strings"

	"github.com/spf13/cobra"

	"waybill/pipeline"
)

func laneCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "lane",
		Short: "List what waits for a batch or a window, or let it go now",
		Long: `A mapping may send what it releases with a batch, or in some hours of the day only. Until then it waits, and nothing
is wrong with it.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(laneHeldCommand(a), laneReleaseCommand(a))
	return group
}

func laneHeldCommand(a *app) *cobra.Command {
	limit := 100
	c := &cobra.Command{
		Use:   "held [KEY]",
		Short: "List the deliveries that wait for a batch or a window",
		Example: `  waybill lane held
  waybill lane held invoice/A10023`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkLimit(limit); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.Held(c.Context(), strings.Join(args, ""), limit)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			if len(list) == 0 {
				a.printf("Nothing waits for a batch or a window.\n")
				return nil
			}
			a.printHeld(list)
			if len(list) == limit {
				a.printf("\nThere may be more: raise --limit\n")
			}
			a.printf("\nNext: it goes by itself; at once: waybill lane release KEY --why REASON\n")
			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", 100, "at most so many")
	return c
}

func (a *app) printHeld(list []pipeline.DeliveryView) {
	t := newTable("SINK", "ENTITY", "EXTERNAL ID", ">AMOUNT", "STANDS")
	for _, v := range list {
		t.row(v.Sink, v.Entity, v.ExternalID, money(v.Amount), oneLine(v.Why, 120))
	}
	t.print(a.out)
}

func laneReleaseCommand(a *app) *cobra.Command {
	r := pipeline.HeldRelease{}
	c := &cobra.Command{
		Use:   "release KEY",
		Short: "Let one document go before its batch, or before its window opens",
		Long: `Lets what waits of the key go now. What goes before it on the same order key still goes first, and what else it waits
for it still does. Your name and the reason are kept in the audit.`,
		Example: `  waybill lane release invoice/A10023 --why "the customer needs it today"`,
		Args:    oneArg("a key, such as invoice/A10023"),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(r.Why) == "" {
				return usage("", "--why is needed: say why this cannot wait; it is kept in the audit")
			}
			r.Ref, r.By = args[0], a.by
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			list, err := d.ReleaseHeld(c.Context(), r)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(list)
			}
			a.printHeld(list)
			a.printf("\n%s released.\n", plural(len(list), "delivery", "deliveries"))
			return nil
		},
	}
	c.Flags().StringVar(&r.Why, "why", "", "the reason, for the audit")
	return c
}

// printBatches shows what of a lane waits for its time.
func (a *app) printBatches(l pipeline.LaneStatus) {
	for _, h := range l.Held {
		verb := " wait for "
		if h.Count == 1 {
			verb = " waits for "
		}
		a.printf("  %s to %s: %s%s%s\n", l.Lane, l.Sink, count(h.Count), verb, h.Until)
	}
}
