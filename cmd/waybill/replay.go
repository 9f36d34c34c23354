package main

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func replayCommand(a *app) *cobra.Command {
	var q pipeline.ReplayRequest
	var since, until string
	var dry, yes bool
	c := &cobra.Command{
		Use:   "replay",
		Short: "Deliver stored events again; what the ERP holds is verified, not posted twice",
		Long: `Delivers stored events again through the same steps as the first time. What is applied already is looked up in the
ERP and found; only what is missing there is posted. The selection is shown first, with its money.

It does not read the databases again (see: waybill checkpoint reset) and does not run the mapping again.`,
		Example: `  waybill replay --key invoice/A10023 --dry-run
  waybill replay --event 5f0c6f1c2a9b4d10
  waybill replay --since 2026-03-08 --until 2026-03-09 --why "ERP restored from last night"
  waybill replay --from 120000 --to 125000
  waybill replay --all --yes`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			var err error
			if q.Since, q.Until, err = a.period(since, until); err != nil {
				return err
			}
			q.By = a.by
			if err := admin.CheckReplay(q); err != nil {
				return usage("waybill replay --help", "%v: give exactly one of --event, --key, --since/--until, --from/--to or --all", err)
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.decide(c.Context(), decision{dry: dry, yes: yes, question: "These events will be delivered again.",
				preview: func(ctx context.Context) (pipeline.Preview, error) { return d.PreviewReplay(ctx, q) },
				do:      func(ctx context.Context) (pipeline.Preview, error) { return d.Replay(ctx, q) },
				next:    "waybill status shows the lanes at work."})
		},
	}
	c.Flags().StringVar(&q.Event, "event", "", "this event")
	c.Flags().StringVar(&q.Key, "key", "", "events of this key or reference, such as invoice/A10023")
	c.Flags().StringVar(&since, "since", "", "events committed since then: a time, or 2h, 3d")
	c.Flags().StringVar(&until, "until", "", "events committed before then")
	c.Flags().Uint64Var(&q.From, "from", 0, "events of this journal entry and later ones")
	c.Flags().Uint64Var(&q.To, "to", 0, "events up to this journal entry")
	c.Flags().BoolVar(&q.All, "all", false, "every stored event")
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would be delivered")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// decision is an action with a preview: replay and reset.
type decision struct {
	dry, yes    bool
	question    string
	preview, do func(context.Context) (pipeline.Preview, error)
	next        string
}

// decide shows, asks, acts, and says where the backup lies.
func (a *app) decide(ctx context.Context, x decision) error {
	shown, err := x.preview(ctx)
	if err != nil {
		return err
	}
	if x.dry {
		return a.printPreview(shown)
	}
	if !a.json {
		if err := a.printPreview(shown); err != nil {
			return err
		}
		a.printf("\n")
	}
	if err := a.confirm(ctx, x.yes, x.question); err != nil {
		return err
	}
	done, err := x.do(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(done)
	}
	a.printf("Done: %s.\n", done.Action)
	for _, n := range done.Notes {
		if !slices.Contains(shown.Notes, n) {
			a.printf("  %s\n", n)
		}
	}
	if done.Backup != "" {
		a.printf("Backup: %s\n", done.Backup)
	}
	a.printf("Next: %s\n", x.next)
	return nil
}

func (a *app) printPreview(p pipeline.Preview) error {
	if a.json {
		return a.printJSON(p)
	}
	a.printf("%s\n", p.Action)
	t := newTable("", ">")
	t.indent = "  "
	t.row("events", count(p.Events))
	t.row("keys", count(len(p.Keys)+p.More))
	t.row("postings", count(p.Posts))
	t.row("of these applied, will be verified", count(p.Done))
	t.row("money", sums(p.Money))
	t.print(a.out)
	for _, k := range p.Keys {
		a.printf("    %s\n", k)
	}
	if p.More > 0 {
		a.printf("    and %s more keys\n", count(p.More))
	}
	for _, n := range p.Notes {
		a.printf("  %s\n", n)
	}
	return nil
}
