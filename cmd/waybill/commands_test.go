package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
	"waybill/pipeline"
	"waybill/transform"
)

func nowForTests() time.Time { return testNow }

// Every command before a fake daemon: what people see, and the exit code.
func TestCommands(t *testing.T) {
	cases := []struct {
		name   string
		args   string
		answer string // typed by a person; empty: a script
		empty  bool
		code   int
	}{
		{name: "status", args: "status"},
		{name: "status_json", args: "status --json"},
		{name: "status_empty", args: "status", empty: true},
		{name: "events_list", args: "events list"},
		{name: "events_list_since", args: "events list --since 2h --limit 1"},
		{name: "events_list_none", args: "events list --type load.assigned"},
		{name: "events_list_json", args: "events list --limit 1 --json"},
		{name: "events_show", args: "events show 5f0c6f1c2a9b4d10"},
		{name: "events_show_quiet", args: "events show 1b2c3d4e5f607182"},
		{name: "events_show_unknown", args: "events show nothing", code: 1},
		{name: "trace", args: "trace invoice/A10023"},
		{name: "trace_json", args: "trace invoice/A10023 --json"},
		{name: "trace_unknown", args: "trace invoice/A1"},
		{name: "exceptions_list", args: "exceptions list"},
		{name: "exceptions_list_none", args: "exceptions list", empty: true},
		{name: "exceptions_list_code", args: "exceptions list --code NOTHING"},
		{name: "exceptions_show", args: "exceptions show X-000001"},
		{name: "exceptions_show_json", args: "exceptions show X-000002 --json"},
		{name: "exceptions_show_unknown", args: "exceptions show X-999999", code: 1},
		{name: "exceptions_retry", args: "exceptions retry X-000001 --why fixed"},
		{name: "exceptions_retry_all", args: "exceptions retry --all --wait 1ms"},
		{name: "exceptions_retry_unknown", args: "exceptions retry X-999999", code: 1},
		{name: "exceptions_discard_yes", args: "exceptions discard X-000002 --why duplicate --yes"},
		{name: "exceptions_discard_typed", args: "exceptions discard --all --why duplicate", answer: "yes\n"},
		{name: "exceptions_discard_declined", args: "exceptions discard X-000002 --why duplicate", answer: "y\n", code: 1},
		{name: "exceptions_discard_script", args: "exceptions discard X-000002 --why duplicate", code: 2},
		{name: "exceptions_discard_no_reason", args: "exceptions discard X-000002", code: 2},
		{name: "case_list", args: "case list"},
		{name: "case_list_none", args: "case list --flag late"},
		{name: "case_list_json", args: "case list --stage cancelled --json"},
		{name: "case_list_stage", args: "case list --stage delivred", code: 2},
		{name: "case_list_flag", args: "case list --flag helt", code: 2},
		{name: "case_show", args: "case show 88121"},
		{name: "case_show_json", args: "case show shipment/88121 --json"},
		{name: "case_show_unknown", args: "case show 1", code: 1},
		{name: "case_link", args: "case link bol/77 shipment/88121 --why mistyped"},
		{name: "case_link_nothing", args: "case link bol/0 shipment/88121 --why mistyped", code: 1},
		{name: "case_link_few", args: "case link bol/77 --why mistyped", code: 2},
		{name: "case_link_number", args: "case link 77 shipment/88121 --why mistyped", code: 2},
		{name: "case_link_no_reason", args: "case link bol/77 shipment/88121", code: 2},
		{name: "lane_held", args: "lane held"},
		{name: "lane_held_none", args: "lane held", empty: true},
		{name: "lane_held_one", args: "lane held invoice/A10023 --json"},
		{name: "lane_release", args: "lane release invoice/A10023 --why urgent"},
		{name: "lane_release_nothing", args: "lane release invoice/A1 --why urgent", code: 1},
		{name: "lane_release_no_reason", args: "lane release invoice/A10023", code: 2},
		{name: "sink_list", args: "sink list"},
		{name: "sink_list_none", args: "sink list", empty: true},
		{name: "sink_list_json", args: "sink list --json"},
		{name: "sink_pause", args: "sink pause erp.sales_invoice --why close"},
		{name: "sink_pause_unknown", args: "sink pause epr --why close", code: 1},
		{name: "sink_pause_no_reason", args: "sink pause erp", code: 2},
		{name: "sink_resume", args: "sink resume erp.sales_invoice --why closed"},
		{name: "sink_resume_few", args: "sink resume --why closed", code: 2},
		{name: "reload", args: "reload --why licence"},
		{name: "reload_nothing", args: "reload --json", empty: true},
		{name: "reload_broken", args: "reload --why broken", code: 1},
		{name: "master_list", args: "master list"},
		{name: "master_list_none", args: "master list --state waiting", empty: true},
		{name: "master_list_json", args: "master list --entity customer --json"},
		{name: "master_list_state", args: "master list --state proposd", code: 2},
		{name: "master_show", args: "master show 104377"},
		{name: "master_show_held", args: "master show customer/104378"},
		{name: "master_show_json", args: "master show customer/104377 --json"},
		{name: "master_show_unknown", args: "master show customer/1", code: 1},
		{name: "master_approve", args: "master approve customer/104377 --why contract", answer: "yes\n"},
		{name: "master_approve_yes", args: "master approve customer/104377 --why contract --yes --json"},
		{name: "master_approve_declined", args: "master approve customer/104377 --why contract", answer: "no\n", code: 1},
		{name: "master_approve_script", args: "master approve customer/104377 --why contract", code: 2},
		{name: "master_approve_held", args: "master approve customer/104378 --why contract --yes", code: 1},
		{name: "master_approve_no_reason", args: "master approve customer/104377", code: 2},
		{name: "master_reject", args: "master reject customer/104377 --why forged --yes"},
		{name: "master_confirm", args: "master confirm customer/104377 --why agreed"},
		{name: "master_confirm_one", args: "master confirm customer/104377 --document invoice/A10023 --why agreed"},
		{name: "master_confirm_no_reason", args: "master confirm customer/104377", code: 2},
		{name: "master_settle", args: "master settle X-000012 --take theirs --why called"},
		{name: "master_settle_mine", args: "master settle X-000012 --take mine --why called", code: 2},
		{name: "master_settle_no_reason", args: "master settle X-000012 --take ours", code: 2},
		{name: "exceptions_show_blast", args: "exceptions show X-000004"},
		{name: "exceptions_show_history", args: "exceptions show X-000003"},
		{name: "exceptions_list_state", args: "exceptions list --state closed", code: 2},
		{name: "exceptions_list_money", args: "exceptions list --money lots", code: 2},
		{name: "exceptions_list_by_cause", args: "exceptions list --by cause --owner billing --older 1h --customer ACM9"},
		{name: "exceptions_retry_cause", args: "exceptions resubmit --cause MASTER/UNKNOWN_CUSTOMER/billing/ACM9 --wait 1ms"},
		{name: "exceptions_assign", args: "exceptions assign X-000001 X-000002 --to bob@desk --team billing --why customer"},
		{name: "exceptions_comment", args: "exceptions comment X-000001 --text called"},
		{name: "exceptions_comment_empty", args: "exceptions comment X-000001", code: 2},
		{name: "exceptions_wait", args: "exceptions wait X-000001 --until 4h"},
		{name: "exceptions_wait_past", args: "exceptions wait X-000001 --until 2026-03-08", code: 2},
		{name: "exceptions_fixed", args: "exceptions fixed X-000002"},
		{name: "exceptions_waive", args: "exceptions waive X-000002 --why agreed --json"},
		{name: "exceptions_waive_no_reason", args: "exceptions waive X-000002", code: 2},
		{name: "exceptions_release_typed", args: "exceptions release X-000004 --why yearly", answer: "yes\n"},
		{name: "exceptions_release_script", args: "exceptions release X-000004 --why yearly", code: 2},
		{name: "exceptions_edit_dry", args: `exceptions edit X-000001 --patch {"party":"110045"} --dry-run`},
		{name: "exceptions_edit_typed", args: `exceptions edit X-000001 --patch {"party":"110045"} --why merged --resubmit`, answer: "yes\n"},
		{name: "exceptions_edit_json", args: `exceptions edit X-000001 --patch party --why merged`, code: 2},
		{name: "exceptions_edit_no_reason", args: `exceptions edit X-000001 --patch {"party":"110045"}`, code: 2},
		{name: "exceptions_edit_unknown", args: `exceptions edit X-000009 --patch {"party":"110045"} --why merged --yes`, code: 1},
		{name: "audit_list", args: "audit list"},
		{name: "audit_list_none", args: "audit list", empty: true},
		{name: "audit_list_json", args: "audit list --limit 1 --json"},
		{name: "audit_show", args: "audit show 2"},
		{name: "audit_show_unknown", args: "audit show 9", code: 1},
		{name: "audit_show_text", args: "audit show first", code: 2},
		{name: "audit_verify", args: "audit verify"},
		{name: "audit_verify_bad", args: "audit verify --expect 2:ab", code: 1},
		{name: "audit_export", args: "audit export"},
		{name: "audit_redact", args: "audit redact 3 --fields by --why erasure --yes"},
		{name: "audit_redact_field", args: "audit redact 3 --fields name --why erasure --yes", code: 2},
		{name: "checkpoint_show", args: "checkpoint show"},
		{name: "checkpoint_show_json", args: "checkpoint show --json"},
		{name: "checkpoint_reset_dry", args: "checkpoint reset billing --to snapshot --dry-run"},
		{name: "checkpoint_reset_typed", args: "checkpoint reset billing --to snapshot", answer: "yes\n"},
		{name: "checkpoint_reset_script", args: "checkpoint reset billing --to snapshot", code: 2},
		{name: "checkpoint_reset_to", args: "checkpoint reset billing --to yesterday", code: 2},
		{name: "checkpoint_reset_source", args: "checkpoint reset biling --to snapshot", code: 2},
		{name: "replay_dry", args: "replay --key invoice/A10023 --dry-run"},
		{name: "replay_dry_json", args: "replay --all --dry-run --json"},
		{name: "replay_yes", args: "replay --since 2026-03-08 --until 2026-03-09 --yes"},
		{name: "replay_declined", args: "replay --all", answer: "no\n", code: 1},
		{name: "replay_nothing", args: "replay", code: 2},
		{name: "replay_two", args: "replay --all --key x", code: 2},
		{name: "replay_when", args: "replay --since yesterday", code: 2},
		{name: "snapshot_typed", args: "snapshot dispatch public.loads --why audit", answer: "yes\n"},
		{name: "snapshot_where", args: "snapshot dispatch loads --where id>4000000 --yes"},
		{name: "snapshot_json", args: "snapshot dispatch loads --yes --json"},
		{name: "snapshot_dry", args: "snapshot dispatch loads --dry-run --json"},
		{name: "snapshot_declined", args: "snapshot dispatch loads", answer: "no\n", code: 1},
		{name: "snapshot_script", args: "snapshot dispatch loads", code: 2},
		{name: "snapshot_source", args: "snapshot dispach loads", code: 2},
		{name: "snapshot_table", args: "snapshot dispatch lodes --yes", code: 1},
		{name: "snapshot_semicolon", args: "snapshot dispatch loads --yes --where 1=1;", code: 2},
		{name: "snapshot_subcommand", args: "snapshot lst", code: 2},
		{name: "snapshot_list", args: "snapshot list"},
		{name: "snapshot_list_json", args: "snapshot list --json"},
		{name: "snapshot_list_none", args: "snapshot list", empty: true},
		{name: "snapshot_pause", args: "snapshot pause dispatch public.loads"},
		{name: "snapshot_resume", args: "snapshot resume dispatch public.loads --why night"},
		{name: "snapshot_pause_few", args: "snapshot pause dispatch", code: 2},
		{name: "events_types", args: "events types"},
		{name: "events_schema", args: "events schema shipment.delivered"},
		{name: "events_schema_unknown", args: "events schema shipment.deliverd", code: 2},
		{name: "report_reconcile", args: "report reconcile --since 2026-03-08"},
		{name: "report_reconcile_none", args: "report reconcile", empty: true},
		{name: "report_reconcile_csv", args: "report reconcile --csv"},
		{name: "report_reconcile_json", args: "report reconcile --json"},
		{name: "report_period", args: "report reconcile --since 2026-03-08 --until 2026-03-07", code: 2},
		{name: "report_two_forms", args: "report backlog --csv --json", code: 2},
		{name: "report_backlog", args: "report backlog"},
		{name: "report_backlog_csv", args: "report backlog --until 2026-03-09 --csv"},
		{name: "report_backlog_json", args: "report backlog --json"},
		{name: "no_such_command", args: "sttus", code: 2},
		{name: "no_such_subcommand", args: "exceptions lst", code: 2},
		{name: "no_such_flag", args: "status --colour", code: 2},
		{name: "too_many_arguments", args: "status now", code: 2},
		{name: "too_few_arguments", args: "trace", code: 2},
		{name: "usage_json", args: "events list --limit 0 --json", code: 2},
	}
	for _, x := range cases {
		t.Run(x.name, func(t *testing.T) {
			d := newDesk(t)
			f := newFake()
			f.empty = x.empty
			d.daemon(f)
			out, stderr, code := d.run(context.Background(), x.answer, strings.Fields(x.args)...)
			if code != x.code {
				t.Errorf("exit code %d, want %d: %s", code, x.code, stderr)
			}
			got := "$ waybill " + x.args + "\n" + out
			if stderr != "" {
				got += "--- standard error\n" + stderr + "\n"
			}
			for _, decided := range f.asked {
				got += "--- decided\n" + decided + "\n"
			}
			golden(t, x.name, strings.TrimRight(got, "\n")+"\n")
		})
	}
}

func TestWithoutDaemon(t *testing.T) {
	d := newDesk(t)
	for _, args := range []string{"status", "events list", "events follow", "events show x", "report reconcile", "report backlog", "trace x", "exceptions list", "exceptions retry --all", "case list", "case show x", "case link a/1 b/2 --why x", "replay --all --yes",
		"snapshot dispatch loads --yes", "snapshot list", "snapshot pause dispatch loads"} {
		_, stderr, code := d.run(context.Background(), "", strings.Fields(args)...)
		want := "waybill: no daemon answers at DIR/data/waybill.sock; start it with waybill run -c DIR/waybill.yaml"
		if args == "status" {
			want += "; what its store holds meanwhile: waybill checkpoint show -c DIR/waybill.yaml"
		}
		if want += "\n"; code != 3 || stderr != want {
			t.Errorf("%s: %d %s", args, code, stderr)
		}
	}
	for _, args := range []string{"checkpoint show", "checkpoint adopt", "checkpoint reset billing --to snapshot --dry-run"} {
		if _, stderr, code := d.run(context.Background(), "", strings.Fields(args)...); code != 3 || !strings.Contains(stderr, "there is no store in DIR/data") {
			t.Errorf("%s: %d %s", args, code, stderr)
		}
	}
}

func TestWithoutConfiguration(t *testing.T) {
	d := newDesk(t)
	if err := os.Remove(d.config); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"run", "status", "plan", "map test", "checkpoint show"} {
		_, stderr, code := d.run(context.Background(), "", strings.Fields(args)...)
		if want := "waybill: DIR/waybill.yaml: found no readable file (no such file or directory). Name the configuration with -c FILE or WAYBILL_CONFIG.\n"; code != 2 || stderr != want {
			t.Errorf("%s: %d %s", args, code, stderr)
		}
	}
	out, _, code := d.run(context.Background(), "", "check")
	if code != 2 || !strings.Contains(out, "found no readable file") {
		t.Errorf("check: %d %s", code, out)
	}
}

// lines is a writer that hands on what is written, line by line.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) wait(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; {
		l.mu.Lock()
		got := l.buf.String()
		l.mu.Unlock()
		if strings.Contains(got, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never saw %q in %q", text, got)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func TestFollow(t *testing.T) {
	d := newDesk(t)
	f := newFake()
	d.daemon(f)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var out lines
	done := make(chan int, 1)
	go func() {
		done <- d.app("", &out, io.Discard).execute(ctx, []string{"-c", d.config, "events", "follow", "--every", "50ms", "--since", "100m"})
	}()
	out.wait(t, "2026-03-09 08:34:05 CDT  credit_memo.issued C20001  -1,234,567.5 USD\n")
	f.mu.Lock()
	f.events = append(f.events, pipeline.StoredEvent{Seq: 44, Event: transform.Event{ID: "e44", Type: "load.assigned", Key: "L1", Recorded: testNow}})
	f.mu.Unlock()
	out.wait(t, "2026-03-09 10:04:05 CDT  load.assigned L1\n")
	cancel()
	if code := <-done; code != 0 {
		t.Errorf("Ctrl-C ends follow with %d", code)
	}
	if n := strings.Count(out.buf.String(), "\n"); n != 2 {
		t.Errorf("%d lines: %s", n, out.buf.String())
	}
}

func TestExitCodes(t *testing.T) {
	for _, x := range []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("broken"), 1},
		{&admin.Error{Status: 404, Message: "no event"}, 1},
		{errDeclined, 1},
		{usage("", "wrong"), 2},
		{config.Faults{{File: "x"}}, 2},
		{fmt.Errorf("reading: %w", transform.Faults{{File: "x"}}), 2},
		{&admin.NotRunningError{}, 3},
		{&cdc.RefusedError{}, 3},
		{fmt.Errorf("starting source a: %w", &cdc.LostError{}), 3},
		{&checkpoint.LockedError{}, 3},
		{&checkpoint.CopyError{}, 3},
		{&checkpoint.VersionError{}, 3},
		{&checkpoint.FloorError{}, 3},
		{&pipeline.BindingError{}, 3},
		{fmt.Errorf("connecting: %w", cdc.ErrDenied), 3},
		{fmt.Errorf("connecting: %w", &net.OpError{Op: "dial", Err: errors.New("refused")}), 3},
		{shownError{2}, 2},
	} {
		if got := exitCode(x.err); got != x.code {
			t.Errorf("%v: %d, want %d", x.err, got, x.code)
		}
	}
}

// With --json the statements of a loss are a list, so that nobody need pick them out of a sentence.
func TestLossInJSON(t *testing.T) {
	var out bytes.Buffer
	a := &app{err: &out, json: true}
	a.report(fmt.Errorf("starting: %w", &cdc.LostError{Source: "a", Reason: "slot is gone", Hint: "Run: SELECT 1; SELECT 2;", SQL: []string{"SELECT 1;", "SELECT 2;"}}))
	var got struct {
		Error string   `json:"error"`
		SQL   []string `json:"sql"`
		Code  int      `json:"exit_code"`
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got.SQL) != 2 || got.SQL[1] != "SELECT 2;" || got.Code != exitEnvironment || !strings.Contains(got.Error, "slot is gone") {
		t.Errorf("%v: %s", err, out.String())
	}
}

// Every command has words, and every runnable one examples; -c and --json are there for all.
func TestHelp(t *testing.T) {
	d := newDesk(t)
	root := d.app("", io.Discard, io.Discard).root()
	var names []string
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() == "help" {
				continue
			}
			names = append(names, strings.TrimPrefix(sub.CommandPath(), "waybill "))
			if sub.Short == "" || strings.HasSuffix(sub.Short, ".") {
				t.Errorf("%s: short help %q", sub.CommandPath(), sub.Short)
			}
			if !sub.HasSubCommands() && !strings.Contains(sub.Example, "waybill "+names[len(names)-1]) {
				t.Errorf("%s has no example of itself", sub.CommandPath())
			}
			if sub.InheritedFlags().Lookup("json") == nil || sub.InheritedFlags().Lookup("config") == nil {
				t.Errorf("%s lacks --json or --config", sub.CommandPath())
			}
			walk(sub)
		}
	}
	walk(root)
	want := []string{"run", "check", "plan", "status", "events list", "events show", "events follow", "trace", "exceptions list", "exceptions show",
		"exceptions retry", "exceptions discard", "checkpoint show", "checkpoint reset", "checkpoint adopt", "snapshot", "snapshot list", "snapshot pause", "snapshot resume", "replay", "map check", "map test", "version"}
	for _, name := range want {
		if !slices.Contains(names, name) {
			t.Errorf("no command %q", name)
		}
	}
	out, _, code := d.run(context.Background(), "", "replay", "--help")
	if code != 0 {
		t.Errorf("--help ends with %d", code)
	}
	golden(t, "help_replay", out)
}

func TestVersion(t *testing.T) {
	d := newDesk(t)
	out, _, code := d.run(context.Background(), "", "version", "--json")
	var v versionInfo
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 0 || v.Version == "" || v.Go == "" {
		t.Errorf("%d %s %v", code, out, err)
	}
}

func TestNotes(t *testing.T) {
	u := notes{filepath.Join(t.TempDir(), "slots")}
	if point, err := u.Recall("waybill_dispatch"); point != "" || err != nil {
		t.Errorf("before: %q %v", point, err)
	}
	for _, point := range []string{"0/16B3748", "", "0/16B3750"} {
		if err := u.Remember("waybill_dispatch", point); err != nil {
			t.Fatal(err)
		}
		if got, err := u.Recall("waybill_dispatch"); got != point || err != nil {
			t.Errorf("recalled %q, %v, want %q", got, err, point)
		}
	}
}

func TestMoneyText(t *testing.T) {
	for in, want := range map[string]string{"1150.00": "1,150.00", "-1234567.5": "-1,234,567.5", "0": "0", "999": "999", "1000": "1,000", "12345678901234567890.01": "12,345,678,901,234,567,890.01"} {
		if got := group(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for in, want := range map[time.Duration]string{420 * time.Millisecond: "0.4 s", 42 * time.Second: "42 s", 192 * time.Second: "3 min 12 s",
		3*time.Hour + 5*time.Minute: "3 h 5 min", 50 * time.Hour: "2 d 2 h", -time.Second: "0.0 s"} {
		if got := span(in); got != want {
			t.Errorf("%s: %s", in, got)
		}
	}
}

func TestDifference(t *testing.T) {
	m := pipeline.MoneyStatus{ReleasedSum: "10.005", PostedSum: "9", ExceptionSum: "1", InFlightSum: "0.005"}
	if got := difference(m); got != "0.000" {
		t.Errorf("difference %s", got)
	}
	if m.PostedSum = ""; difference(m) != "unreadable" {
		t.Error("an empty sum was read")
	}
}
