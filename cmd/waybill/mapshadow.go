package main

import (
	"errors"

	"github.com/spf13/cobra"

	"waybill/checkpoint"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

func mapShadowCommand(a *app) *cobra.Command {
	limit := 0
	c := &cobra.Command{
		Use:   "shadow",
		Short: "List the documents that are kept in shadow, or switch them on",
		Long: `A mapping, or one of its posts, that is marked shadow: true makes its events like any other, but its documents are kept
and not sent. This lists and sums them; --json has their bodies, as they would be sent.`,
		Example: `  waybill map shadow
  waybill map shadow --limit 1000 --json
  waybill map shadow on acme --cutover 2026-04-01 --why "go-live"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return subcommands(c, args)
			}
			v, err := a.shadows(c, limit)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printShadows(v)
			return nil
		},
	}
	c.Flags().IntVar(&limit, "limit", 100, "documents to list")
	c.AddCommand(shadowSwitchCommand(a, true), shadowSwitchCommand(a, false))
	return c
}

func (a *app) shadows(c *cobra.Command, limit int) (v pipeline.ShadowView, err error) {
	cfg, err := a.load()
	if err != nil {
		return v, err
	}
	d := admin.Dial(cfg.Admin.Socket, a.configFile)
	defer d.Close()
	if v, err = d.Shadows(c.Context(), limit); !is[*admin.NotRunningError](err) {
		return v, err
	}
	return a.shadowsOffline(cfg, limit)
}

func (a *app) shadowsOffline(cfg *config.Config, limit int) (v pipeline.ShadowView, err error) {
	var store *checkpoint.Store
	if store, err = a.openStore(cfg); err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return pipeline.ShadowsOf(store, limit)
}

func (a *app) printShadows(v pipeline.ShadowView) {
	if len(v.Targets) == 0 {
		a.printf("Nothing is in shadow. Mark a mapping, or one of its posts, with shadow: true to keep its documents.\n")
		return
	}
	t := newTable("MAPPING", "TARGET", ">KEPT", ">MONEY", "NOW")
	for _, s := range v.Targets {
		now := "kept"
		if s.Sends {
			now = "sent; what is kept happened before " + a.time(s.CutOver)
		}
		t.row(s.Mapping, s.Target, count(s.Count), sums(s.Money), now)
	}
	t.print(a.out)
	if len(v.Documents) == 0 {
		return
	}
	a.printf("\n")
	t = newTable("COMMITTED", "TARGET", "EXTERNAL ID", "ABOUT", ">AMOUNT")
	for _, d := range v.Documents {
		t.row(a.time(d.Recorded), d.Target, d.ExternalID, d.Subject, money(d.Amount))
	}
	t.print(a.out)
	if v.More > 0 {
		a.printf("… and %s more; --limit lists them\n", count(v.More))
	}
}

func shadowSwitchCommand(a *app, on bool) *cobra.Command {
	q := pipeline.ShadowRequest{Send: on}
	var cutover string
	var yes bool
	c := &cobra.Command{
		Use:   "on MAPPING",
		Short: "Send what is kept since a cut-over, and what comes from now on",
		Long: `Sends the documents of a mapping, or of one target of it, that are kept in shadow: those that happened since the cut-over, in
the order in which they came, each looked for in the ERP first; and everything that comes from now on. What happened before
the cut-over is never sent: the program that Waybill replaces has sent it. Master data is sent whatever its time.`,
		Example: `  waybill map shadow on acme --cutover "2026-04-01 00:00" --why "go-live"
  waybill map shadow on acme --target erp.sales_invoice --cutover 2026-04-01 --why "go-live" --yes`,
		Args: oneArg("the name of a mapping"),
		RunE: func(c *cobra.Command, args []string) error {
			if q.Why == "" {
				return usage(c.CommandPath()+" --help", "--why is missing: the reason, for the audit")
			}
			var err error
			if q.CutOver, err = a.when("cutover", cutover); err != nil {
				return err
			}
			if on && q.CutOver.IsZero() {
				return usage(c.CommandPath()+" --help", "--cutover is missing: documents that happened before it are never sent")
			}
			q.Mapping, q.By = args[0], a.by
			question := "Documents of " + q.Mapping + " will be kept from now on."
			if on {
				question = "Documents of " + q.Mapping + " since " + a.time(q.CutOver) + " will be sent."
			}
			if err := a.confirm(c.Context(), yes, question); err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			v, err := d.SwitchShadow(c.Context(), q)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			v.Documents, v.More = nil, 0
			a.printShadows(v)
			return nil
		},
	}
	if !on {
		c.Use, c.Short = "off MAPPING", "Keep again what comes from now on"
		c.Long = "Keeps the documents of a mapping, or of one target of it, that come from now on, as long as the mapping marks them. What is queued is sent."
		c.Example = `  waybill map shadow off acme --why "ERP audit"`
	} else {
		c.Flags().StringVar(&cutover, "cutover", "", "send what happened since then")
	}
	c.Flags().StringVar(&q.Target, "target", "", "only of this target, such as erp.sales_invoice")
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
