package main

import (
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func checkpointVerifyCommand(a *app) *cobra.Command {
	var since string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that the state is what the journal makes",
		Long: `Makes the state again from the earliest snapshot that the journal continues, or from the journal's beginning (with --since,
from the snapshot before that time, which is quicker), beside the live one, and compares the two at one journal entry, byte for byte: events, documents, ledger, cases, exceptions, audit,
registry, the rows of the sources, and all else that Waybill keeps. What outcomes, decisions and activations did is in the
journal, so nothing is sent or asked. The live state, the databases and the ERP are left alone. It needs as much room on the
store's disk as the state takes, and works with and without a running daemon. The exit code is 1 when they differ.`,
		Example: `  waybill checkpoint verify
  waybill checkpoint verify --since 2d --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			from, err := a.when("since", since)
			if err != nil {
				return err
			}
			v, err := pastOf(c.Context(), a,
				func(d *admin.Client) (pipeline.StateProof, error) {
					return d.VerifyState(c.Context(), from, a.entries())
				},
				func(h *pipeline.History) (pipeline.StateProof, error) { return h.VerifyState(c.Context(), from) })
			a.clearLine()
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(v)
			} else {
				a.printStateProof(v)
			}
			if err == nil && !v.Equal {
				return shownError{exitRuntime}
			}
			return err
		},
	}
	c.Flags().StringVar(&since, "since", "", "begin at the state snapshot before then: a time, or 2h, 7d")
	return c
}

func (a *app) printStateProof(v pipeline.StateProof) {
	a.printf("Rebuilt from %s up to journal entry %s.\n", v.From, count(v.Entry))
	a.printf("Compared, byte for byte: %s.\n", kindsText(v.Kinds))
	if v.Equal {
		a.printf("Equal: all %s values are what the journal makes.\n", count(v.Keys))
		return
	}
	a.printf("DIFFERENT: %s of %s values, in %v. The first:\n", count(v.Differ), count(v.Keys), v.Buckets)
	t := newTable("", "")
	t.indent = "  "
	t.row("where", oneLine(v.First.Bucket+"  "+v.First.Key, 200))
	t.row("live", orDash(oneLine(v.First.Live, 400)))
	t.row("rebuilt", orDash(oneLine(v.First.Rebuilt, 400)))
	t.print(a.out)
	a.printf("\nKeep a copy of the store and report this. What the ERP holds is not changed by it: waybill replay verifies single documents.\n")
}

// kindsText is how many values of each kind were compared.
func kindsText(list []pipeline.KindCount) string {
	parts := make([]string, 0, len(list))
	for _, k := range list {
		parts = append(parts, count(k.Count)+" "+k.What)
	}
	return strings.Join(parts, ", ")
}
