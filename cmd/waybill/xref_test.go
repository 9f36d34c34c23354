package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"waybill/pipeline"
	"waybill/transform"
)

func fakeRows() []transform.RegistryRow {
	judged := ago(time.Hour)
	row := func(id, system, key, role, canonical, account string, state transform.RegistryState) transform.RegistryRow {
		return transform.RegistryRow{ID: id, RegistryKey: transform.RegistryKey{Kind: "customer", System: system, Key: key, Role: role}, Canonical: canonical,
			Attributes: map[string]string{"erp_account": account, "name": "ACME\nFoods"}, State: state, By: "bob@desk", At: ago(26 * time.Hour), Why: "new account"}
	}
	old, now, proposed := row("R-000001", "nstar.billing", "ACM01", "bill_to", "C-00018", "110045", transform.RowClosed),
		row("R-000002", "nstar.billing", "ACM01", "bill_to", "C-00018", "118200", transform.RowActive), row("R-000003", "gcbk.jobs", "36-1234567", "", "C-00018", "118200", transform.RowProposed)
	old.From, old.To, old.JudgedBy, old.JudgedAt = "2019-01-01", "2026-06-30", "ann@desk", &judged
	now.From, now.Follows = "2026-07-01", "R-000001"
	return []transform.RegistryRow{old, now, proposed}
}

func fakeWaiting() pipeline.XrefWaiting {
	return pipeline.XrefWaiting{Key: "customer ACM9 of nstar.billing (bill_to)", Exception: "X-000001", Waiting: 200, Money: map[string]string{"USD": "20100.00"}}
}

func (f *fakeDaemon) Xrefs(_ context.Context, q pipeline.XrefQuery) (rows []transform.RegistryRow, err error) {
	for _, r := range fakeRows() {
		if !f.empty && r.ID > q.After && (q.State == "" || q.State == string(r.State)) && len(rows) < q.Limit {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

func (f *fakeDaemon) Xref(_ context.Context, q pipeline.XrefQuery) (pipeline.XrefView, error) {
	rows, w := fakeRows(), fakeWaiting()
	switch {
	case q.ID == "R-000002":
		return pipeline.XrefView{Key: rows[1].RegistryKey, Row: &rows[1], Rows: rows[:2]}, nil
	case q.ID == "R-000003":
		return pipeline.XrefView{Key: rows[2].RegistryKey, Row: &rows[2], Rows: rows[2:], Same: rows[:2],
			Candidates: []transform.Candidate{{Canonical: "C-00018", Row: "R-000002", Why: []string{"same tax id 361234567"}}}}, nil
	case q.Key == "ACM9":
		return pipeline.XrefView{Key: transform.RegistryKey{Kind: q.Kind, System: q.System, Key: q.Key, Role: q.Role}, Waiting: &w, Facts: map[string]string{"name": "ACME FOODS", "tax_id": "36-1234567"},
			Candidates: []transform.Candidate{{Canonical: "C-00018", Row: "R-000002", Why: []string{"same tax id 361234567", "same name ACME FOODS"}}}}, nil
	}
	return pipeline.XrefView{}, pipeline.ErrNotFound
}

func (f *fakeDaemon) PreviewXref(_ context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error) {
	v := pipeline.XrefPreview{Action: string(r.Action), Steps: []pipeline.XrefStep{}, Releases: []pipeline.XrefWaiting{}}
	rows := fakeRows()
	switch r.Action {
	case pipeline.XrefImport:
		if strings.Contains(r.Text, "bad") {
			return v, &pipeline.XrefError{What: "xref import of " + filepath.Base(r.File), Faults: []pipeline.XrefFault{{Line: 2, Column: "kind", Found: `"bad"`, Expected: "one of customer"}, {Line: 3, Found: "2 cells", Expected: "4"}}}
		}
		v.Same = 3
	case pipeline.XrefPropose:
		row := *r.Row
		row.State = transform.RowProposed
		v.Rows, v.Steps = 1, []pipeline.XrefStep{{Change: "propose", Row: row}}
	case pipeline.XrefApprove:
		v.Rows, v.Steps = 1, []pipeline.XrefStep{{Change: "approve", Row: rows[2]}}
		v.Releases, v.Waiting = []pipeline.XrefWaiting{fakeWaiting()}, 200
	default:
		v.Rows, v.Steps = 101, []pipeline.XrefStep{{Change: "close", Row: rows[0]}, {Change: "new", Row: rows[1]}}
	}
	return v, nil
}

func (f *fakeDaemon) ChangeXref(ctx context.Context, r pipeline.XrefRequest) (pipeline.XrefPreview, error) {
	f.decide(r)
	v, err := f.PreviewXref(ctx, r)
	if r.Action == pipeline.XrefPropose {
		v.Steps[0].Row.ID = "R-000004"
	}
	return v, err
}

// Every command of the registry before a fake daemon.
func TestXrefCommands(t *testing.T) {
	for _, x := range []struct {
		name, args string
		answer     string
		empty      bool
		code       int
	}{
		{name: "xref_list", args: "xref list"},
		{name: "xref_list_limit", args: "xref list --limit 1 --after R-000001"},
		{name: "xref_list_none", args: "xref list --state rejected"},
		{name: "xref_list_state", args: "xref list --state open", code: 2},
		{name: "xref_list_kind", args: "xref list --kind custmer", code: 2},
		{name: "xref_show_row", args: "xref show R-000002"},
		{name: "xref_show_proposed", args: "xref show R-000003"},
		{name: "xref_show_key", args: "xref show customer nstar.billing ACM9 --role bill_to"},
		{name: "xref_show_json", args: "xref show customer nstar.billing ACM9 --role bill_to --json"},
		{name: "xref_show_unknown", args: "xref show R-000099", code: 1},
		{name: "xref_show_few", args: "xref show customer nstar.billing", code: 2},
		{name: "xref_propose", args: "xref propose customer nstar.billing ACM9 --role bill_to --as C-00018 --set erp_account=118200 --from 2026-07-01 --why called --yes"},
		{name: "xref_propose_like", args: "xref propose customer nstar.billing ACM9 --like R-000002 --set erp_account=118300 --why called --yes"},
		{name: "xref_propose_twice", args: "xref propose customer nstar.billing ACM9 --like R-000002 --as C-1 --why called", code: 2},
		{name: "xref_propose_set", args: "xref propose customer nstar.billing ACM9 --as C-1 --set erp_account --why called", code: 2},
		{name: "xref_approve_typed", args: "xref approve R-000003 --why called", answer: "yes\n"},
		{name: "xref_approve_declined", args: "xref approve R-000003 --why called", answer: "no\n", code: 1},
		{name: "xref_approve_dry", args: "xref approve R-000003 --why called --dry-run --json"},
		{name: "xref_approve_why", args: "xref approve R-000003 --yes", code: 2},
		{name: "xref_approve_nothing", args: "xref approve --why called", code: 2},
		{name: "xref_close", args: "xref close R-000001 R-000002 --on 2026-06-30 --why ended --yes"},
		{name: "xref_merge", args: "xref merge customer C-00021 --into C-00018 --from 2026-07-01 --why bought --yes"},
		{name: "xref_merge_from", args: "xref merge customer C-00021 --into C-00018 --why bought", code: 2},
		{name: "xref_split", args: "xref split R-000002 --into C-00031 --from 2026-07-01 --set erp_account=1 --why own --yes --json"},
		{name: "xref_import_same", args: "xref import FILE --why again --yes"},
		{name: "xref_import_bad", args: "xref import BAD --why again --yes", code: 1},
		{name: "xref_import_missing", args: "xref import /nowhere/rows.csv --why again --yes", code: 2},
		{name: "xref_export", args: "xref export"},
	} {
		t.Run(x.name, func(t *testing.T) {
			d := newDesk(t)
			f := newFake()
			f.empty = x.empty
			d.daemon(f)
			args := strings.Fields(x.args)
			for i, a := range args {
				if text := map[string]string{"FILE": "kind\n", "BAD": "bad\n"}[a]; text != "" {
					args[i] = filepath.Join(d.dir, "rows.csv")
					if err := os.WriteFile(args[i], []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			out, stderr, code := d.run(context.Background(), x.answer, args...)
			if code != x.code {
				t.Errorf("exit code %d, want %d: %s", code, x.code, stderr)
			}
			got := "$ waybill " + x.args + "\n" + out
			if stderr != "" {
				got += "--- standard error\n" + stderr + "\n"
			}
			for _, decided := range f.asked {
				got += "--- decided\n" + strings.ReplaceAll(decided, d.dir, "DIR") + "\n"
			}
			golden(t, x.name, strings.TrimRight(got, "\n")+"\n")
		})
	}
}
