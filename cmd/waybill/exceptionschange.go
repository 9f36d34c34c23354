package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
)

// change is a command that decides about exceptions by their ids: its words, and the flags that fill its request.
func (a *app) change(words cobra.Command, q *pipeline.ExceptionChange, check func() error) *cobra.Command {
	c := &words
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		ids, err := selected(c, args, false)
		if err != nil {
			return err
		}
		if q.IDs, q.By = ids, a.by; check != nil {
			if err := check(); err != nil {
				return err
			}
		}
		if err := q.Valid(); err != nil {
			return usage(c.CommandPath()+" --help", "%v", err)
		}
		d, err := a.daemon()
		if err != nil {
			return err
		}
		defer d.Close()
		return a.changed(c.Context(), d, *q)
	}
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	return c
}

// done is what an action has done to exceptions.
var done = map[string]string{"assign": "assigned", "comment": "commented on", "wait": "put to rest", "fix": "noted as fixed", "waive": "waived", "release": "released"}

func (a *app) changed(ctx context.Context, d *admin.Client, q pipeline.ExceptionChange) error {
	list, err := d.Change(ctx, q)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	a.exceptionTable(list)
	a.printf("\n%s %s.\n", plural(len(list), "exception", "exceptions"), done[q.Action])
	return nil
}

func exceptionsAssignCommand(a *app) *cobra.Command {
	q := &pipeline.ExceptionChange{Action: "assign"}
	c := a.change(cobra.Command{Use: "assign ID...", Short: "Give exceptions to a person, or to another team",
		Long: "Gives exceptions to a person, or to another team. Without --to they go back to their team.",
		Example: `  waybill exceptions assign X-000012 --to ann@desk
  waybill exceptions assign X-000012 X-000013 --team billing --why "their customer"`}, q, nil)
	c.Flags().StringVar(&q.To, "to", "", "the person")
	c.Flags().StringVar(&q.Team, "team", "", "the team that owns it from now on")
	return c
}

func exceptionsCommentCommand(a *app) *cobra.Command {
	q := &pipeline.ExceptionChange{Action: "comment"}
	c := a.change(cobra.Command{Use: "comment ID...", Short: "Add a comment to the history of exceptions",
		Example: `  waybill exceptions comment X-000012 --text "customer called back: invoice was doubled"`}, q, nil)
	c.Flags().StringVar(&q.Text, "text", "", "the comment")
	return c
}

func exceptionsWaitCommand(a *app) *cobra.Command {
	q := &pipeline.ExceptionChange{Action: "wait"}
	var until string
	c := a.change(cobra.Command{Use: "wait ID...", Short: "Let exceptions rest until a time",
		Long: "Lets exceptions rest until a time. What waits on them goes on by itself when its cause is gone. Their due time moves behind it.",
		Example: `  waybill exceptions wait X-000012 --until 4h --why "bank is closed"
  waybill exceptions wait X-000012 --until "2026-03-10 09:00"`}, q, func() (err error) {
		q.Until, err = a.ahead("until", until)
		return err
	})
	c.Flags().StringVar(&until, "until", "", "a time, or a time from now: 4h, 2d")
	return c
}

// ahead reads a point in time to come.
func (a *app) ahead(flag, text string) (time.Time, error) {
	if d, err := config.ParseDuration(strings.TrimSpace(text)); err == nil && d > 0 {
		return a.now().Add(d), nil
	}
	t, err := a.when(flag, text)
	if err != nil || t.IsZero() {
		return t, err
	}
	if !t.After(a.now()) {
		return t, usage("", "--%s: found %q, which is not to come", flag, text)
	}
	return t, nil
}

func exceptionsFixedCommand(a *app) *cobra.Command {
	q := &pipeline.ExceptionChange{Action: "fix"}
	return a.change(cobra.Command{Use: "fixed ID...", Short: "Note that the cause is settled, before what waits is tried again",
		Example: `  waybill exceptions fixed X-000012 --why "period reopened"`}, q, nil)
}

func exceptionsWaiveCommand(a *app) *cobra.Command {
	q := &pipeline.ExceptionChange{Action: "waive"}
	return a.change(cobra.Command{Use: "waive ID...", Short: "Let what waits pass, although its cause is not settled",
		Long: `Lets what waits pass, although its cause is not settled: a rule of policy, a gate that was not met in time, or a problem that
was only told. What lacks a value, or was refused by the target, cannot be waived.`,
		Example: `  waybill exceptions waive X-000012 --why "customer agreed by phone"`}, q, nil)
}

func exceptionsReleaseCommand(a *app) *cobra.Command {
	q := pipeline.ExceptionChange{Action: "release", By: a.by}
	var yes bool
	c := &cobra.Command{
		Use:   "release ID",
		Short: "Send what a rule made too much of and was held for it (BLAST_RADIUS)",
		Long: `Sends what a rule made too much of, in its order. Look at it first with waybill exceptions show. To give it up: waybill
exceptions discard.`,
		Example: `  waybill exceptions release X-000012 --why "the yearly price round"`,
		Args:    oneArg("an exception id, such as X-000012"),
		RunE: func(c *cobra.Command, args []string) error {
			q.IDs, q.By = args, a.by
			if err := q.Valid(); err != nil {
				return usage(c.CommandPath()+" --help", "%v", err)
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			x, err := d.Exception(c.Context(), args[0])
			if err != nil {
				return err
			}
			if !a.json {
				a.printf("%s\n\n", x.Title)
			}
			if err := a.confirm(c.Context(), yes, plural(x.Held, "event or posting", "events and postings")+" will be sent."); err != nil {
				return err
			}
			return a.changed(c.Context(), d, q)
		},
	}
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

func exceptionsEditCommand(a *app) *cobra.Command {
	var q pipeline.EditRequest
	var patch, body string
	var dry, yes bool
	c := &cobra.Command{
		Use:   "edit ID",
		Short: "Write by hand what its target refused, or what a rule could not find",
		Long: `Changes the body of a posting that its target refused, by a JSON merge patch (null removes a field) or as a whole; or gives
fields of what the mapping holds their values. The difference is shown first; the original is kept beside it, and your name goes
with it to the end. The key and the money of a document cannot be edited: correct those at the source.`,
		Example: `  waybill exceptions edit X-000012 --patch '{"party": "110045"}' --why "merged customer" --resubmit
  waybill exceptions edit X-000012 --patch @fix.json --dry-run
  waybill exceptions edit X-000013 --subject shipment/88121 --patch '{"pieces": 20}' --why "read from the paper"
  waybill exceptions edit X-000012 --body @body.json --why "rewritten with accounting"`,
		Args: oneArg("an exception id, such as X-000012"),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			q.ID, q.By = args[0], a.by
			if q.Patch, err = a.content("patch", patch); err != nil {
				return err
			}
			if q.Body, err = a.content("body", body); err != nil {
				return err
			}
			if (len(q.Patch) > 0) == (len(q.Body) > 0) {
				return usage(c.CommandPath()+" --help", "give --patch or --body")
			}
			if !dry && strings.TrimSpace(q.Why) == "" {
				return usage("", "--why is needed: say why the body is changed by hand; it is kept in the audit")
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			return a.edit(c.Context(), d, q, dry, yes)
		},
	}
	c.Flags().StringVar(&q.Subject, "subject", "", "which of those who wait, such as invoice/A1, where the mapping holds several")
	c.Flags().StringVar(&patch, "patch", "", "JSON merge patch, or @file")
	c.Flags().StringVar(&body, "body", "", "the whole body as JSON, or @file")
	c.Flags().BoolVar(&q.Resubmit, "resubmit", false, "and try it again at once")
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&dry, "dry-run", false, "only show the difference")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}

// content is the JSON of a flag, or of the file that it names.
func (a *app) content(flag, text string) (json.RawMessage, error) {
	raw := []byte(text)
	if name, file := strings.CutPrefix(text, "@"); file {
		f, err := os.Open(name)
		if err != nil {
			return nil, usage("", "--%s: %v", flag, err)
		}
		defer f.Close()
		if raw, err = io.ReadAll(io.LimitReader(f, 1<<20)); err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
	}
	if len(raw) > 0 && !json.Valid(raw) {
		return nil, usage("", "--%s: found text that is not JSON", flag)
	}
	return raw, nil
}

func (a *app) edit(ctx context.Context, d *admin.Client, q pipeline.EditRequest, dry, yes bool) error {
	v, err := d.PreviewEdit(ctx, q)
	if err != nil {
		return err
	}
	if !a.json {
		a.printEdit(v)
	}
	if !dry {
		if err := a.confirm(ctx, yes, "The body will be changed so."); err != nil {
			return err
		}
		if v, err = d.Edit(ctx, q); err != nil {
			return err
		}
	}
	if a.json {
		return a.printJSON(v)
	}
	if !dry {
		a.printf("\n")
		a.exceptionTable([]pipeline.ExceptionView{v.Exception})
	}
	return nil
}

func (a *app) printEdit(v pipeline.EditView) {
	a.printf("%s %s\n", v.Exception.ID, v.Exception.Title)
	t := newTable("FIELD", "WAS", "IS")
	t.indent = "  "
	for _, c := range v.Changes {
		t.row(c.Path, orDash(oneLine(string(c.Was), 60)), orDash(oneLine(string(c.Is), 60)))
	}
	t.print(a.out)
	for _, n := range v.Notes {
		a.printf("  %s\n", n)
	}
}
