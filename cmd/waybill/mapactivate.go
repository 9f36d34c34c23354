package main

import (
	"github.com/spf13/cobra"

	"waybill/pipeline"
)

func mapActivateCommand(a *app) *cobra.Command {
	var why string
	var yes bool
	c := &cobra.Command{
		Use:   "activate",
		Short: "Let the configured mapping file hold from now on, without a new start",
		Long: `Journals the activation of the mapping file that the configuration names: from the next change on its rules hold, and
what was held is looked at again. What was made before stays as it was made; waybill map diff active FILE shows both before.

It refuses a version that needs a new start: one that reads tables or columns which are not captured, or posts to a sink
that is not configured. Without a running daemon the next waybill run activates the file.`,
		Example: `  waybill map activate --why "codes of the new tariff"
  waybill map activate --why "codes of the new tariff" --yes --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if why == "" {
				return usage(c.CommandPath()+" --help", "--why is missing: the reason, for the audit")
			}
			cfg, err := a.load()
			if err != nil {
				return err
			}
			m, _, err := readMapping(cfg.Mapping)
			if err != nil {
				return err
			}
			text, err := mappingText(cfg.Mapping)
			if err != nil {
				return err
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			if err := a.confirm(c.Context(), yes, m.Version()+" will hold from now on."); err != nil {
				return err
			}
			v, err := d.ActivateMapping(c.Context(), pipeline.ActivateRequest{Mapping: text, By: a.by, Why: why})
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(v)
			}
			if v.Entry == 0 {
				a.printf("Nothing to do: %s is active.\n", v.Version)
				return nil
			}
			a.printf("%s holds since journal entry %s; before it was %s.\nNext: waybill exceptions list shows what is still held.\n", v.Version, count(v.Entry), v.Before)
			return nil
		},
	}
	c.Flags().StringVar(&why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
