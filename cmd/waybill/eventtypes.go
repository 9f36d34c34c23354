package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"waybill/transform"
)

func eventsTypesCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "types",
		Short: "List the events that Waybill knows, with what each must have",
		Long: `Lists the catalogue: each event with its version, its lane, whose word it is, and the fields that it must have. A field written
a|b is there as one of the two. An event that lacks one is held, and never leaves.`,
		Example: `  waybill events types
  waybill events types --json | jq '.[].type'`,
		Args: noArgs,
		RunE: func(*cobra.Command, []string) error {
			types := transform.EventTypes()
			if a.json {
				return a.printJSON(types)
			}
			t := newTable("TYPE", ">VERSION", "LANE", "OWNER", "MUST HAVE")
			for i := range types {
				e := &types[i]
				t.row(e.Name, fmt.Sprint(e.Version), string(e.Lane), e.Owner, orDash(mustHave(e)))
			}
			t.print(a.out)
			a.printf("\n%s. The form of all fields: waybill events schema TYPE\n", plural(len(types), "event", "events"))
			return nil
		},
	}
}

// mustHave lists the required fields of an event on one line.
func mustHave(e *transform.EventType) string {
	var all []string
	for _, need := range e.Needs() {
		all = append(all, strings.Join(need, "|"))
	}
	return strings.Join(all, ", ")
}

func eventsSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema TYPE",
		Short: "Print the JSON Schema of an event's data",
		Long: `Prints the JSON Schema (2020-12) of the data of one event, in its newest version. A released schema gets no breaking change: fields
may be added; anything else is a new version of the type.`,
		Example: `  waybill events schema invoice.released
  waybill events schema invoice.released > invoice.released.v1.schema.json`,
		Args: oneArg("an event type"),
		RunE: func(_ *cobra.Command, args []string) error {
			e := transform.EventTypeOf(args[0])
			if e == nil {
				var names []string
				for _, t := range transform.EventTypes() {
					names = append(names, t.Name)
				}
				return usage("waybill events types", "the catalogue has no event %q; %s", args[0], meant(args[0], names))
			}
			schema, err := e.Schema()
			if err != nil {
				return err
			}
			a.printf("%s", schema)
			return nil
		},
	}
}
