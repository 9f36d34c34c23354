package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/pipeline"
	"waybill/sinks"
	"waybill/transform"
)

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
