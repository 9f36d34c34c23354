package main

import (
	"github.com/spf13/cobra"

	"waybill/transform"
)

func mapSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of a mapping file, for editors",
		Long: `Prints the JSON Schema (2020-12) of a mapping file. An editor that knows it completes sections, keys and event types, and
marks what is misspelt; what the expressions mean, waybill map check proves. With the YAML language server:

  # yaml-language-server: $schema=waybill-mapping.schema.json`,
		Example: `  waybill map schema > waybill-mapping.schema.json`,
		Args:    noArgs,
		RunE: func(*cobra.Command, []string) error {
			schema, err := transform.Schema()
			if err != nil {
				return err
			}
			a.printf("%s", schema)
			return nil
		},
	}
}
