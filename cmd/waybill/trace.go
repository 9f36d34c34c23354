package main

import (
	"github.com/spf13/cobra"

	"waybill/pipeline"
)

func traceCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "trace KEY",
		Short: "Tell the whole story of one shipment, invoice or customer",
		Long: `Tells everything about one thing, in time order: the row changes, the events made of them, what was sent to the
ERP, what it answered, and who decided what.`,
		Example: `  waybill trace invoice/A10023
  waybill trace shipment/88121
  waybill trace customer/ACM9 --json`,
		Args: oneArg("a key, such as invoice/A10023"),
		RunE: func(c *cobra.Command, args []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			items, err := d.Trace(c.Context(), args[0])
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(items)
			}
			a.printTrace(args[0], items)
			return nil
		},
	}
}

func (a *app) printTrace(key string, items []pipeline.TraceItem) {
	if len(items) == 0 {
		a.printf("Nothing is known of %s. Write the key as entity/id, such as invoice/A10023; older history leaves with the journal.\n", key)
		return
	}
	t := newTable("TIME", "KIND", "WHERE", ">ENTRY", "WHAT HAPPENED")
	for _, i := range items {
		t.row(a.time(i.At), i.Kind, i.Where, count(i.Index), oneLine(i.Text, 200))
	}
	t.print(a.out)
}
