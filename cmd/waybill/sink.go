package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/sinks"
)

func sinkCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "sink",
		Short: "List the targets, and pause or resume what goes to them",
		Long: `A flow is what goes to one sink, or what goes to it of one entity. A paused flow sends nothing new and begins no step; what
is unknown of it is verified. What waits meanwhile stays in its order, over restarts too.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(sinkListCommand(a),
		sinkSwitchCommand(a, "pause", "Send nothing new of a flow, until it is resumed", `  waybill sink pause erp --why "the ERP is being upgraded"
  waybill sink pause erp.sales_invoice --why "period close"`, (*admin.Client).PauseFlow),
		sinkSwitchCommand(a, "resume", "Let a paused flow go on", `  waybill sink resume erp.sales_invoice --why "the period is closed"`, (*admin.Client).ResumeFlow))
	return group
}

func sinkListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show what goes to each sink, what keeps it back, and what is left of its account",
		Example: `  waybill sink list
  waybill sink list --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			views, err := d.Flows(c.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(views)
			}
			a.printSinks(views...)
			return nil
		},
	}
}

func sinkSwitchCommand(a *app, verb, short, example string, apply func(*admin.Client, context.Context, pipeline.FlowRequest) (pipeline.SinkView, error)) *cobra.Command {
	r := pipeline.FlowRequest{}
	c := &cobra.Command{
		Use:     verb + " SINK[.ENTITY]",
		Short:   short,
		Long:    short + ". Your name and the reason are kept in the audit.",
		Example: example,
		Args:    oneArg("a sink, or a sink and an entity, such as erp.sales_invoice"),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(r.Why) == "" {
				return usage("", "--why is needed: say why you %s it; it is kept in the audit", verb)
			}
			r.Sink, r.Entity, _ = strings.Cut(args[0], ".")
			r.By = a.by
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := apply(d, c.Context(), r)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printSinks(v)
			a.printf("\n%s %sd.\n", args[0], verb)
			return nil
		},
	}
	c.Flags().StringVar(&r.Why, "why", "", "the reason, for the audit")
	return c
}

func (a *app) printSinks(views ...pipeline.SinkView) {
	if len(views) == 0 {
		a.printf("No sink is configured.\n")
		return
	}
	t := newTable("SINK", "ENTITY", "STATE", "ACCOUNT", ">AT ONCE", ">LEFT OF MINUTE", ">LEFT OF DAY")
	for _, v := range views {
		account, once, minute, day := "", "", "", ""
		if v.Account != nil {
			account, once = v.Account.Name, fmt.Sprintf("%d of %d", v.Account.Limit, v.Account.Ceiling)
			minute, day = left(v.Account.LeftMinute), left(v.Account.LeftDay)
		}
		t.row(v.Sink, "", a.sinkState(v), account, once, minute, day)
		for _, f := range v.Flows {
			if f.Paused != nil || v.Paused == nil {
				t.row(v.Sink, f.Entity, a.flowState(f.Paused), "", "", "", "")
			}
		}
	}
	t.print(a.out)
}

func left(n int) string {
	if n < 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func (a *app) flowState(r *sinks.Reason) string {
	if r == nil {
		return "goes"
	}
	return fmt.Sprintf("paused since %s by %s: %s", a.time(r.At), r.By, oneLine(r.Why, 120))
}

func (a *app) sinkState(v pipeline.SinkView) string {
	switch {
	case v.Paused != nil:
		return a.flowState(v.Paused)
	case v.DryRun:
		return "dry run: nothing is written"
	case v.Shut != "":
		return oneLine(v.Shut, 120)
	}
	return "goes"
}

// printHindrances shows what keeps a lane from sending, and what a dry run prepared.
func (a *app) printHindrances(l pipeline.LaneStatus) {
	for _, text := range l.Hindered {
		a.printf("  %s to %s: %s\n", l.Lane, l.Sink, oneLine(text, 300))
	}
	if !l.DryRun {
		return
	}
	a.printf("  %s to %s: dry run, nothing is written; %s prepared last\n", l.Lane, l.Sink, plural(len(l.Rehearsed), "operation", "operations"))
	for _, r := range l.Rehearsed {
		text := string(r.Request)
		if r.Refused != "" {
			text = "would be refused: " + r.Refused
		}
		a.printf("    %s of %s %s %s\n", r.Step, r.Entity, r.ExternalID, oneLine(text, 200))
	}
}
