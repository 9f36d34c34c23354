package main

import (
	"context"
	"strings"
	"testing"
)

// The commands that ask the history, before a fake daemon: what people see, and the exit code.
func TestHistoryCommands(t *testing.T) {
	for _, x := range []struct {
		name   string
		args   string
		answer string
		empty  bool
		code   int
	}{
		{name: "checkpoint_verify", args: "checkpoint verify", code: 1},
		{name: "checkpoint_verify_equal", args: "checkpoint verify", empty: true},
		{name: "checkpoint_verify_json", args: "checkpoint verify --json", code: 1},
		{name: "map_diff", args: "map diff active DIR/northstar.yml --since 7d"},
		{name: "map_diff_files", args: "map diff DIR/northstar.yml DIR/northstar.yml", empty: true},
		{name: "map_diff_json", args: "map diff active DIR/northstar.yml --json"},
		{name: "map_diff_one", args: "map diff active", code: 2},
		{name: "map_diff_missing", args: "map diff active DIR/nothing.yml", code: 2},
		{name: "map_explain", args: "map explain 0/16B3748"},
		{name: "map_explain_json", args: "map explain billing.inv_hdr A10023 --json"},
		{name: "map_explain_unknown", args: "map explain A9", code: 1},
		{name: "map_explain_nothing", args: "map explain", code: 2},
		{name: "map_activate", args: "map activate --why tariff --yes"},
		{name: "map_activate_same", args: "map activate --why tariff --yes", empty: true},
		{name: "map_activate_typed", args: "map activate --why tariff --json", answer: "yes\n"},
		{name: "map_activate_no_reason", args: "map activate --yes", code: 2},
		{name: "map_activate_script", args: "map activate --why tariff", code: 2},
		{name: "map_shadow", args: "map shadow"},
		{name: "map_shadow_none", args: "map shadow", empty: true},
		{name: "map_shadow_json", args: "map shadow --json"},
		{name: "map_shadow_on", args: "map shadow on northstar --cutover 2026-03-09 --why go-live --yes"},
		{name: "map_shadow_on_typed", args: "map shadow on northstar --cutover 2026-03-09 --why go-live", answer: "no\n", code: 1},
		{name: "map_shadow_on_no_cutover", args: "map shadow on northstar --why go-live --yes", code: 2},
		{name: "map_shadow_on_unknown", args: "map shadow on nrthstar --cutover 2026-03-09 --why go-live --yes", code: 1},
		{name: "map_shadow_off", args: "map shadow off northstar --target erp.sales_invoice --why audit --yes"},
		{name: "map_shadow_word", args: "map shadow onn northstar", code: 2},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := newDesk(t)
			f := newFake()
			f.empty = x.empty
			d.daemon(f)
			out, stderr, code := d.run(context.Background(), x.answer, strings.Fields(strings.ReplaceAll(x.args, "DIR", d.dir))...)
			if code != x.code {
				t.Errorf("exit code %d, want %d: %s", code, x.code, stderr)
			}
			got := "$ waybill " + x.args + "\n" + out
			if stderr != "" {
				got += "--- standard error\n" + strings.ReplaceAll(stderr, "\r\x1b[K", "") + "\n"
			}
			for _, decided := range f.asked {
				got += "--- decided\n" + decided + "\n"
			}
			golden(t, x.name, strings.TrimRight(got, "\n")+"\n")
		})
	}
}

// Without a daemon the store is asked; where there is none, that is said.
func TestHistoryWithoutDaemon(t *testing.T) {
	d := newDesk(t)
	for _, args := range []string{"checkpoint verify", "map diff active " + d.dir + "/northstar.yml", "map explain A1", "map shadow"} {
		if _, stderr, code := d.run(context.Background(), "", strings.Fields(args)...); code != 3 || !strings.Contains(stderr, "there is no store in DIR/data") {
			t.Errorf("%s: %d %s", args, code, stderr)
		}
	}
	if _, stderr, code := d.run(context.Background(), "", "map", "activate", "--why", "x", "--yes"); code != 3 || !strings.Contains(stderr, "no daemon answers") {
		t.Errorf("map activate: %d %s", code, stderr)
	}
}
