package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"waybill/checkpoint"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

func checkpointCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "checkpoint",
		Short: "Show, verify, reset or adopt what Waybill remembers",
		Args:  cobra.ArbitraryArgs,
		RunE:  subcommands,
	}
	group.AddCommand(checkpointShowCommand(a), checkpointResetCommand(a), checkpointAdoptCommand(a), checkpointVerifyCommand(a))
	return group
}

func checkpointShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show",
		Short: "Show the resume points, bindings and backups",
		Long:  "Shows the resume point of each source. It works with and without a running daemon.",
		Example: `  waybill checkpoint show
  waybill checkpoint show --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			d := admin.Dial(cfg.Admin.Socket, a.configFile)
			defer d.Close()
			v, err := d.Checkpoint(c.Context())
			if is[*admin.NotRunningError](err) {
				v, err = a.checkpointOffline(c.Context(), cfg)
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			a.printCheckpoint(v)
			return nil
		},
	}
}

func (a *app) printCheckpoint(v pipeline.CheckpointView) {
	a.printf("store %s, epoch %d, mapping %s\n", v.Store, v.Epoch, orDash(v.Mapping))
	a.printf("journal entries up to %s, applied up to %s\n\n", count(v.Last), count(v.Applied))
	if len(v.Sources) == 0 {
		a.printf("No source has a resume point yet: the next start begins with a snapshot.\n")
	} else {
		t := newTable("SOURCE", "POSITION", "COMMITTED", "SERVER")
		for _, s := range v.Sources {
			position := s.Position
			if position == "" {
				position = "none: begins with a snapshot"
			}
			t.row(s.Name, position, a.time(s.CommitAt), orDash(s.Identity))
		}
		t.print(a.out)
	}
	names := make([]string, 0, len(v.Bindings))
	for n := range v.Bindings {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		a.printf("\n%s is bound to %s\n", n, v.Bindings[n])
	}
	if len(v.Backups) > 0 {
		a.printf("\nBackups\n  %s\n", strings.Join(v.Backups, "\n  "))
	}
}

func checkpointResetCommand(a *app) *cobra.Command {
	q := pipeline.ResetRequest{}
	var dry, yes bool
	c := &cobra.Command{
		Use:   "reset SOURCE --to snapshot",
		Short: "Forget a source's position: read its tables again and compare",
		Long: `Forgets the resume point of a source. Its tables are read again and compared with what Waybill knows; every
difference, vanished rows too, runs through the rules. Events that were made stay, and what the ERP holds is verified,
not posted twice. Needed when a slot or a binlog was lost, or when a mapping reads tables that were not captured.

What would happen is shown first, and the state is backed up. It works with and without a running daemon. It leaves the
ERP, the journal, the exceptions and the other sources alone.`,
		Example: `  waybill checkpoint reset dispatch --to snapshot --dry-run
  waybill checkpoint reset billing --to snapshot --why "binlog purged"`,
		Args: oneArg("the name of a source"),
		RunE: func(c *cobra.Command, args []string) error {
			q.Source, q.By = args[0], a.by
			if q.To != "snapshot" {
				return usage("", "--to: found %q, expected snapshot", q.To)
			}
			cfg, err := a.load()
			if err != nil {
				return err
			}
			if _, ok := cfg.Sources[q.Source]; !ok {
				return usage("", "%s has no source %q; %s", a.configFile, q.Source, meant(q.Source, cfg.SourceNames()))
			}
			return a.reset(c.Context(), cfg, q, dry, yes)
		},
	}
	c.Flags().StringVar(&q.To, "to", "", "where to: snapshot")
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show what would happen")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// reset asks the daemon, and does it itself where none runs.
func (a *app) reset(ctx context.Context, cfg *config.Config, q pipeline.ResetRequest, dry, yes bool) error {
	d := admin.Dial(cfg.Admin.Socket, a.configFile)
	defer d.Close()
	x := decision{dry: dry, yes: yes, question: "Source " + q.Source + " will be read again.",
		preview: func(ctx context.Context) (pipeline.Preview, error) { return d.PreviewReset(ctx, q) },
		do:      func(ctx context.Context) (pipeline.Preview, error) { return d.Reset(ctx, q) },
		next:    "waybill status shows the snapshot."}
	if _, err := d.Status(ctx); is[*admin.NotRunningError](err) {
		var closeStore func() error
		if x, closeStore, err = a.resetOffline(ctx, cfg, q, x); err != nil {
			return err
		}
		return errors.Join(a.decide(ctx, x), closeStore())
	}
	return a.decide(ctx, x)
}

func checkpointAdoptCommand(a *app) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "adopt",
		Short: "Make a copied or restored data folder the store",
		Long: `A copy of a data folder refuses to run, because two stores must not feed one ERP. Adopting says that the original
is gone for good: the epoch rises, and each posting is looked for in the ERP before it is sent.`,
		Example: `  waybill checkpoint adopt
  waybill checkpoint adopt --yes`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := a.load()
			if err != nil {
				return err
			}
			return a.adopt(c.Context(), cfg, yes)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func (a *app) adopt(ctx context.Context, cfg *config.Config, yes bool) error {
	if !hasStore(cfg.Data) {
		return &environmentError{errors.New("there is no store in " + cfg.Data + "; the first waybill run makes one")}
	}
	log := newLog(cfg.Log, a.err)
	store, err := checkpoint.Open(cfg.Data, storeOptions(cfg, log, nil))
	if err == nil {
		id := store.Identity()
		if err := store.Close(); err != nil {
			return err
		}
		if a.json {
			return a.printJSON(map[string]any{"store": id.ID, "epoch": id.Epoch, "adopted": false})
		}
		a.printf("Nothing to do: %s is the store %s already, epoch %d.\n", cfg.Data, id.ID, id.Epoch)
		return nil
	}
	var copied *checkpoint.CopyError
	if !errors.As(err, &copied) {
		return err
	}
	if !a.json {
		a.printf("%s is a copy (%s).\nThe original was %s.\n", copied.Dir, copied.Reason, copied.Origin)
	}
	if err := a.confirm(ctx, yes, "The original must never run again."); err != nil {
		return err
	}
	options := storeOptions(cfg, log, nil)
	options.Adopt = true
	if store, err = checkpoint.Open(cfg.Data, options); err != nil {
		return err
	}
	id := store.Identity()
	if err := store.Close(); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{"store": id.ID, "epoch": id.Epoch, "adopted": true})
	}
	a.printf("Adopted: %s is the store %s now, epoch %d.\nNext: waybill run -c %s\n", cfg.Data, id.ID, id.Epoch, a.configFile)
	return nil
}
