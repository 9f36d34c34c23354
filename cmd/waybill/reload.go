package main

import (
	"github.com/spf13/cobra"
)

func reloadCommand(a *app) *cobra.Command {
	why := ""
	c := &cobra.Command{
		Use:   "reload",
		Short: "Let the daemon read its configuration again",
		Long: `Lets the running daemon read its configuration file again. It takes what says how targets are treated: policies and accounts. When
anything else changed, or anything is wrong, it takes nothing and says all of it. Secrets in files are read anew by themselves. Old and
new values are kept in the audit. SIGHUP does the same.`,
		Example: `  waybill reload --why "the ERP has a new licence"`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			done, err := d.Reload(c.Context(), a.by, why)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(done)
			}
			if len(done.Changes) == 0 {
				a.printf("Nothing changed in %s.\n", done.File)
				return nil
			}
			for _, change := range done.Changes {
				a.printf("%s\n", change)
			}
			a.printf("\n%s taken from %s.\n", plural(len(done.Changes), "change", "changes"), done.File)
			return nil
		},
	}
	c.Flags().StringVar(&why, "why", "", "the reason, for the audit")
	return c
}
