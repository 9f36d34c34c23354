package main

import (
	"strings"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/config"
	"waybill/pipeline"
	"waybill/transform"
)

func mapActivateCommand(a *app) *cobra.Command {
	var why string
	var yes bool
	c := &cobra.Command{
		Use:   "activate [CARRIER]",
		Short: "Let the configured mapping file hold from now on, without a new start",
		Long: `Journals the activation of the mapping file that the configuration names: from the next change on its rules hold, and
what was held is looked at again. What was made before stays as it was made; waybill map diff active FILE shows both before.
Where the configuration names several, CARRIER says whose; those of the others hold as before.

It refuses a version that needs a new start: one that reads tables or columns which are not captured, or posts to a sink
that is not configured. Without a running daemon the next waybill run activates the file.`,
		Example: `  waybill map activate --why "codes of the new tariff"
  waybill map activate acme --why "codes of the new tariff" --yes --json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(c.CommandPath()+" --help", "%s takes one carrier at most (got %d arguments)", c.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if why == "" {
				return usage(c.CommandPath()+" --help", "--why is missing: the reason, for the audit")
			}
			cfg, err := a.load()
			if err != nil {
				return err
			}
			m, err := configured(cfg.Mapping, args)
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
			v, err := d.ActivateMapping(c.Context(), pipeline.ActivateRequest{Mapping: pipeline.MappingText{File: m.File(), Text: string(m.Text())}, By: a.by, Why: why})
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

// configured is the mapping of a carrier that the configuration names; the carrier need not be named where there is one.
func configured(files config.Files, carrier []string) (*transform.Mapping, error) {
	var names []string
	for _, file := range files {
		m, err := readMapping(file)
		if err != nil {
			return nil, err
		}
		if len(carrier) == 1 && m.Name() == carrier[0] || len(carrier) == 0 && len(files) == 1 {
			return m, nil
		}
		names = append(names, m.Name())
	}
	if len(carrier) == 0 {
		return nil, usage("waybill map activate "+names[0]+" --help", "the configuration names %d mappings; say whose: %s", len(names), strings.Join(names, ", "))
	}
	return nil, usage("", "the configuration names no mapping of %s, but of %s", carrier[0], strings.Join(names, ", "))
}
