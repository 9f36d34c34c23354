package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func eventsCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "events",
		Short: "List, show or follow the business events",
		Args:  cobra.ArbitraryArgs,
		RunE:  subcommands,
	}
	group.AddCommand(eventsListCommand(a), eventsShowCommand(a), eventsFollowCommand(a), eventsTypesCommand(a), eventsSchemaCommand(a))
	return group
}

func eventsListCommand(a *app) *cobra.Command {
	var q pipeline.EventQuery
	var since, until string
	c := &cobra.Command{
		Use:   "list",
		Short: "List stored events, the newest last",
		Long: `Lists stored events in the order in which they were made, the newest last. Without --since or --after the newest
events are shown.`,
		Example: `  waybill events list
  waybill events list --type invoice.released --since 2h
  waybill events list --key shipment/88121`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if q.Since, q.Until, err = a.period(since, until); err != nil {
				return err
			}
			if err := checkLimit(q.Limit); err != nil {
				return err
			}
			q.Newest = since == "" && q.After == 0
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			events, err := d.Events(c.Context(), q)
			if err != nil {
				return err
			}
			return a.printEvents(events, q)
		},
	}
	c.Flags().StringVar(&q.Type, "type", "", "only events of this type, such as invoice.released")
	c.Flags().StringVar(&q.Key, "key", "", "only events of this key, or about this reference, such as shipment/88121")
	c.Flags().StringVar(&since, "since", "", "only events recorded since then: a time, or 2h, 3d")
	c.Flags().StringVar(&until, "until", "", "only events recorded before then")
	c.Flags().Uint64Var(&q.After, "after", 0, "only events after this sequence number")
	c.Flags().IntVar(&q.Limit, "limit", 50, "at most so many")
	return c
}

func (a *app) printEvents(events []pipeline.StoredEvent, q pipeline.EventQuery) error {
	if a.json {
		return a.printJSON(events)
	}
	if len(events) == 0 {
		a.printf("No event fits. ")
		if q.Type != "" || q.Key != "" || !q.Since.IsZero() {
			a.printf("Try fewer conditions: waybill events list\n")
		} else {
			a.printf("Events appear when a row change fits a rule of the mapping; see: waybill status\n")
		}
		return nil
	}
	t := newTable(">SEQ", "RECORDED", "TYPE", "KEY", ">AMOUNT", "ID")
	for _, e := range events {
		t.row(fmt.Sprint(e.Seq), a.time(e.Recorded), eventType(e), oneLine(e.Key, 40), money(e.Amount), e.ID)
	}
	t.print(a.out)
	if len(events) == q.Limit && !q.Newest {
		a.printf("\nThere may be more: add --after %d\n", events[len(events)-1].Seq)
	}
	return nil
}

func eventType(e pipeline.StoredEvent) string {
	if e.Historic {
		return e.Type + " (historic)"
	}
	return e.Type
}

func eventsShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one event, its data and its deliveries",
		Example: `  waybill events show 5f0c6f1c2a9b4d10
  waybill events show 5f0c6f1c2a9b4d10 --json`,
		Args: oneArg("an event id"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			e, err := d.Event(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(e)
			}
			return a.printEvent(e)
		},
	}
}

func (a *app) printEvent(e pipeline.StoredEvent) error {
	a.printf("%s %s\n", eventType(e), e.Key)
	t := newTable("", "")
	t.indent = "  "
	for _, f := range [][2]string{{"id", e.ID}, {"sequence", fmt.Sprint(e.Seq)}, {"source", e.Source}, {"position", e.Position},
		{"rule", e.Rule}, {"mapping", e.MapVersion}, {"company", e.Company}, {"lane", string(e.Lane)}, {"order key", e.OrderKey},
		{"amount", money(e.Amount)}, {"occurred", a.time(e.Occurred)}, {"recorded", a.time(e.Recorded)}, {"observed", a.time(e.Observed)},
		{"correlation", e.Correlation}, {"caused by", strings.Join(e.Causation, ", ")}, {"about", strings.Join(e.Refs, ", ")}} {
		if f[1] != "" && f[1] != "-" {
			t.row(f[0], f[1])
		}
	}
	t.print(a.out)
	if len(e.Data) > 0 && string(e.Data) != "null" {
		pretty, err := json.MarshalIndent(e.Data, "  ", "  ")
		if err != nil {
			return fmt.Errorf("showing the data of event %s: %w", e.ID, err)
		}
		a.printf("\nData\n  %s\n", pretty)
	}
	a.printf("\nDeliveries\n")
	if len(e.Deliveries) == 0 {
		a.printf("  This event posts nothing.\n")
		return nil
	}
	a.printDeliveries(e.Deliveries)
	for _, v := range e.Deliveries {
		if v.Exception != "" {
			a.printf("\nNext: waybill exceptions show %s\n", v.Exception)
		}
	}
	return nil
}

func (a *app) printDeliveries(list []pipeline.DeliveryView) {
	t := newTable("SINK", "ENTITY", "EXTERNAL ID", "STATE", "STEP", ">ATTEMPTS", "NUMBER", ">AMOUNT")
	t.indent = "  "
	for _, v := range list {
		t.row(v.Sink, v.Entity, v.ExternalID, v.State, orDash(v.Step), fmt.Sprint(v.Attempts), orDash(v.Number), money(v.Amount))
	}
	t.print(a.out)
	for _, v := range list {
		if v.Why != "" {
			a.printf("  %s: %s\n", v.ExternalID, v.Why)
		}
	}
}

func eventsFollowCommand(a *app) *cobra.Command {
	var q pipeline.EventQuery
	var since string
	var every time.Duration
	c := &cobra.Command{
		Use:   "follow",
		Short: "Print new events as they are made, until Ctrl-C",
		Long: `Prints each new event on a line of its own (with --json: one JSON object a line) until Ctrl-C. It goes on where
it was when the daemon is stopped and started again.`,
		Example: `  waybill events follow
  waybill events follow --type invoice.released --since 10m
  waybill events follow --json | jq .type`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if q.Since, err = a.when("since", since); err != nil {
				return err
			}
			if every < 50*time.Millisecond {
				return usage("", "--every: found %s, expected at least 50ms", every)
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			err = a.follow(c.Context(), d, q, every)
			if c.Context().Err() != nil {
				return nil // Ctrl-C is the way to end it
			}
			return err
		},
	}
	c.Flags().StringVar(&q.Type, "type", "", "only events of this type")
	c.Flags().StringVar(&q.Key, "key", "", "only events of this key or reference")
	c.Flags().StringVar(&since, "since", "", "begin with events recorded since then: a time, or 10m, 2h")
	c.Flags().Uint64Var(&q.After, "after", 0, "begin after this sequence number")
	c.Flags().DurationVar(&every, "every", time.Second, "how often to ask")
	return c
}

// follow asks for what is new. The sequence of the last event is the cursor, so nothing is shown twice or left out.
func (a *app) follow(ctx context.Context, d *admin.Client, q pipeline.EventQuery, every time.Duration) error {
	if q.Since.IsZero() && q.After == 0 {
		last, err := d.Events(ctx, pipeline.EventQuery{Newest: true, Limit: 1})
		if err != nil {
			return err
		}
		if len(last) > 0 {
			q.After = last[0].Seq
		}
	}
	q.Limit = 1000
	tick := time.NewTicker(every)
	defer tick.Stop()
	away := false
	for {
		page, err := d.Events(ctx, q)
		var gone *admin.NotRunningError
		switch {
		case errors.As(err, &gone):
			if !away {
				fmt.Fprintln(a.err, "waybill: the daemon has stopped; waiting for it to come back")
			}
			away = true
		case err != nil:
			return err
		default:
			away = false
			if err := a.printFollowed(page); err != nil {
				return err
			}
		}
		if len(page) > 0 {
			q.After = page[len(page)-1].Seq
		}
		if len(page) == q.Limit {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (a *app) printFollowed(page []pipeline.StoredEvent) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	for i := range page {
		if a.json {
			if err := e.Encode(page[i]); err != nil {
				return fmt.Errorf("printing JSON: %w", err)
			}
			continue
		}
		amount := ""
		if page[i].Amount != nil {
			amount = "  " + money(page[i].Amount)
		}
		a.printf("%s  %s %s%s\n", a.time(page[i].Recorded), eventType(page[i]), oneLine(page[i].Key, 60), amount)
	}
	return nil
}
