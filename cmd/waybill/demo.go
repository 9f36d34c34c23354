package main

import (
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/demo"
)

func demoCommand(a *app) *cobra.Command {
	o := demo.DefaultOptions()
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show the whole way on this machine: three carriers, ten mishaps, a real ERP, the books",
		Long: `Starts a PostgreSQL, a MariaDB and a Tryton of its own in a folder of its own, plays some working days of three carriers
into them while one Waybill runs, with the ten mishaps that the trade knows best; stops the ERP and kills Waybill
meanwhile; settles each mishap with the command that a person would type; and ends with the books: each released
document of each carrier paired with its posting in the ERP.

Nothing else on the machine is touched, and nothing is left running. It needs the Debian packages of PostgreSQL, MariaDB
and Tryton: make demo installs them.

Exit code 0: the books agree. 1: they do not, or something failed.`,
		Example: `  waybill demo
  waybill demo --keep --seed 7
  KEEP=1 waybill demo --fast --invoices 60`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o.Out = a.out
			// A closed terminal ends the demo as Ctrl-C does.
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGHUP)
			defer stop()
			err := demo.Run(ctx, o)
			if errors.Is(err, demo.ErrBooksDiffer) {
				a.report(err)
				return shownError{exitRuntime}
			}
			return err
		},
	}
	keep := os.Getenv("KEEP")
	f := c.Flags()
	f.Uint64Var(&o.Seed, "seed", o.Seed, "seed of the carriers' data, their days and the disasters")
	f.StringVar(&o.Dir, "dir", "", "folder to work in, empty or new (default a fresh one under $TMPDIR)")
	f.StringVar(&o.Carriers, "carriers", "", "folder of the carriers' schemas and mappings (default testdata/carriers)")
	f.IntVar(&o.Invoices, "invoices", o.Invoices, "documents that Northstar releases, at least 40")
	f.IntVar(&o.History, "history", o.History, "documents from before the cut-over")
	f.BoolVar(&o.Keep, "keep", keep != "" && keep != "0", "leave everything running at the end, until Ctrl-C (or KEEP=1)")
	f.BoolVar(&o.Fast, "fast", false, "play the days in a third of the time")
	return c
}
