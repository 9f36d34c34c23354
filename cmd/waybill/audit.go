package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"waybill/checkpoint"
	"waybill/cmd/internal/admin"
	"waybill/pipeline"
)

func auditCommand(a *app) *cobra.Command {
	group := &cobra.Command{
		Use:   "audit",
		Short: "Every decision, in a chain that shows when a line was changed",
		Long: `The audit has a line for every decision of a person, and for what the daemon decided itself. Each line holds the hash of the
one before it. It can be listed, proved and exported with and without a running daemon.`,
		Args: cobra.ArbitraryArgs,
		RunE: subcommands,
	}
	group.AddCommand(auditListCommand(a), auditShowCommand(a), auditVerifyCommand(a), auditExportCommand(a), auditRedactCommand(a))
	return group
}

// ledger is the audit of the daemon, or of its store while it does not run.
type ledger struct {
	lines  func(ctx context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLine, error)
	verify func(ctx context.Context, expect string) (pipeline.AuditProof, error)
}

// audited works on the audit of the daemon, or of its store while it does not run.
func (a *app) audited(work func(l ledger) error) error {
	cfg, err := a.load()
	if err != nil {
		return err
	}
	d := admin.Dial(cfg.Admin.Socket, a.configFile)
	defer d.Close()
	err = work(ledger{d.Audit, d.VerifyAudit})
	if !is[*admin.NotRunningError](err) {
		return err
	}
	store, err := a.openStore(cfg)
	if err != nil {
		return err
	}
	return errors.Join(work(offlineLedger(store)), store.Close())
}

func offlineLedger(store *checkpoint.Store) ledger {
	return ledger{
		lines: func(_ context.Context, q pipeline.AuditQuery) ([]pipeline.AuditLine, error) {
			return pipeline.AuditOf(store, q)
		},
		verify: func(_ context.Context, expect string) (pipeline.AuditProof, error) {
			return pipeline.VerifyAuditOf(store, expect)
		},
	}
}

func auditListCommand(a *app) *cobra.Command {
	var q pipeline.AuditQuery
	c := &cobra.Command{
		Use:   "list",
		Short: "List the newest lines, or those behind a line",
		Example: `  waybill audit list
  waybill audit list --by ann@desk --action waive
  waybill audit list --target X-000012
  waybill audit list --after 1200 --json`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if q.Limit < 1 || q.Limit > 10_000 {
				return usage("", "--limit: found %d, expected 1 to 10000", q.Limit)
			}
			return a.audited(func(l ledger) error {
				list, err := l.lines(c.Context(), q)
				if err != nil {
					return err
				}
				return a.printAudit(list)
			})
		},
	}
	c.Flags().StringVar(&q.By, "by", "", "only what this person decided; waybill is the daemon itself")
	c.Flags().StringVar(&q.Action, "action", "", "only this action, such as discard")
	c.Flags().StringVar(&q.Target, "target", "", "only what is about this, such as X-000012")
	c.Flags().Uint64Var(&q.After, "after", 0, "from this line on, oldest first")
	c.Flags().IntVar(&q.Limit, "limit", 100, "at most so many")
	return c
}

func (a *app) printAudit(list []pipeline.AuditLine) error {
	if a.json {
		if list == nil {
			list = []pipeline.AuditLine{}
		}
		return a.printJSON(list)
	}
	if len(list) == 0 {
		a.printf("The audit has no such line.\n")
		return nil
	}
	t := newTable(">LINE", "AT", "BY", "ACTION", "TARGET", "WHAT")
	for _, l := range list {
		t.row(count(l.Seq), a.time(l.At), auditText(l, "by", l.By), l.Action, oneLine(orDash(l.Target), 40),
			oneLine(strings.Trim(auditText(l, "note", l.Note)+": "+auditText(l, "why", l.Why), ": -"), 80))
	}
	t.print(a.out)
	return nil
}

// auditText is a field for people.
func auditText(l pipeline.AuditLine, name, text string) string {
	if l.Seals[name].Redacted > 0 {
		return "(redacted)"
	}
	return orDash(text)
}

func auditShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "show LINE",
		Short:   "Show one line whole, with its hash",
		Example: `  waybill audit show 1204`,
		Args:    oneArg("the number of a line, such as 1204"),
		RunE: func(c *cobra.Command, args []string) error {
			seq, err := auditSeq(args[0])
			if err != nil {
				return err
			}
			return a.audited(func(l ledger) error {
				list, err := l.lines(c.Context(), pipeline.AuditQuery{Oldest: true, After: seq - 1, Limit: 1})
				if err != nil {
					return err
				}
				if len(list) == 0 || list[0].Seq != seq {
					return fmt.Errorf("the audit has no line %d", seq)
				}
				return a.printAuditLine(list[0])
			})
		},
	}
}

func auditSeq(text string) (uint64, error) {
	seq, err := strconv.ParseUint(text, 10, 64)
	if err != nil || seq == 0 {
		return 0, usage("waybill audit list", "found %q, expected the number of a line, such as 1204", text)
	}
	return seq, nil
}

func (a *app) printAuditLine(l pipeline.AuditLine) error {
	if a.json {
		return a.printJSON(l)
	}
	t := newTable("", "")
	for _, f := range [][2]string{{"line", strconv.FormatUint(l.Seq, 10)}, {"at", a.time(l.At)}, {"by", auditText(l, "by", l.By)}, {"action", l.Action}, {"target", orDash(l.Target)},
		{"note", auditText(l, "note", l.Note)}, {"why", auditText(l, "why", l.Why)}, {"journal entry", strconv.FormatUint(l.Index, 10)},
		{"entry's hash", orDash(l.Entry)}, {"line before", orDash(l.Prev)}, {"hash", l.Hash}} {
		t.row(f[0], oneLine(f[1], 1000))
	}
	t.print(a.out)
	return nil
}

func auditVerifyCommand(a *app) *cobra.Command {
	var expect, file string
	c := &cobra.Command{
		Use:   "verify",
		Short: "Prove that no line was changed, removed or put between",
		Long: `Proves the chain line by line, each also against its journal entry as long as that is kept, and names the first line that is
wrong. Keep the head that it prints somewhere else: with --expect, a later proof shows that everything up to it is still the same.`,
		Example: `  waybill audit verify
  waybill audit verify --expect 120:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
  waybill audit verify --file audit.jsonl`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if file != "" {
				f, err := os.Open(file)
				if err != nil {
					return usage("", "--file: %v", err)
				}
				defer f.Close()
				proof, err := pipeline.VerifyAuditFile(f, expect)
				if err != nil {
					return err
				}
				return a.printProof(proof)
			}
			return a.audited(func(l ledger) error {
				proof, err := l.verify(c.Context(), expect)
				if err != nil {
					return err
				}
				return a.printProof(proof)
			})
		},
	}
	c.Flags().StringVar(&expect, "expect", "", "head of an earlier proof")
	c.Flags().StringVar(&file, "file", "", "an export, in place of the store")
	return c
}

// printProof ends with code 1 when a line is wrong.
func (a *app) printProof(p pipeline.AuditProof) error {
	switch {
	case a.json:
		if err := a.printJSON(p); err != nil {
			return err
		}
	case p.Bad > 0:
		a.printf("Line %s is wrong: %s.\nProved before it: %s.\n", count(p.Bad), p.Reason, plural(int(p.Lines), "line", "lines"))
	default:
		a.printf("%s proved, %s with the journal entry, %s redacted.\nhead %s\n", plural(int(p.Lines), "line", "lines"), count(p.Checked),
			plural(p.Redacted, "field", "fields"), p.Head)
	}
	if p.Bad > 0 {
		return shownError{exitRuntime}
	}
	return nil
}

func auditExportCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Write the whole chain, one JSON line each",
		Long:  "Writes the whole chain to the standard output, one JSON line each, as waybill audit verify --file proves it.",
		Example: `  waybill audit export > audit.jsonl
  waybill audit verify --file audit.jsonl`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.audited(func(l ledger) error {
				out := json.NewEncoder(a.out)
				out.SetEscapeHTML(false)
				for after := uint64(0); ; {
					list, err := l.lines(c.Context(), pipeline.AuditQuery{Oldest: true, After: after, Limit: 1000})
					if err != nil || len(list) == 0 {
						return err
					}
					for _, line := range list {
						if err := out.Encode(line); err != nil {
							return fmt.Errorf("writing line %d: %w", line.Seq, err)
						}
						after = line.Seq
					}
				}
			})
		},
	}
}

func auditRedactCommand(a *app) *cobra.Command {
	var q pipeline.RedactRequest
	var fields string
	var yes bool
	c := &cobra.Command{
		Use:   "redact LINE",
		Short: "Drop a name or free words from a line; the chain stays whole",
		Long: `Drops the name (by), the reason (why) or the words (note) of a line for good. The chain stays whole, and the redaction is a line of
its own. The journal has the decision's text until it is trimmed (journal.max_age), and backups and snapshots of the state as long as
they are kept.`,
		Example: `  waybill audit redact 1204 --fields by,why --why "erasure request 17"`,
		Args:    oneArg("the number of a line, such as 1204"),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if q.Line, err = auditSeq(args[0]); err != nil {
				return err
			}
			q.Fields, q.By = strings.Split(fields, ","), a.by
			if err := q.Valid(); err != nil {
				return usage(c.CommandPath()+" --help", "%v", err)
			}
			d, err := a.daemon()
			if err != nil {
				return err
			}
			defer d.Close()
			if err := a.confirm(c.Context(), yes, fmt.Sprintf("The fields %s of line %d will be dropped for good.", strings.Join(q.Fields, ", "), q.Line)); err != nil {
				return err
			}
			line, err := d.Redact(c.Context(), q)
			if err != nil {
				return err
			}
			return a.printAuditLine(line)
		},
	}
	c.Flags().StringVar(&fields, "fields", "", "by, why, note: one or several, with commas")
	c.Flags().StringVar(&q.Why, "why", "", "the reason, for the audit")
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return c
}
