package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// registryOf is a pipeline whose projector runs, without sources and sinks.
func registryOf(t *testing.T) (*rig, *Pipeline) {
	t.Helper()
	r := newRig(t)
	r.start()
	return r, &Pipeline{store: r.store, project: r.project}
}

// decided takes a decision, and returns the rows in their order, one a line.
func decided(t *testing.T, p *Pipeline, r XrefRequest) string {
	t.Helper()
	r.By, r.Why = "ann", "test"
	if _, err := p.ChangeXref(context.Background(), r); err != nil {
		t.Fatal(err)
	}
	return rowsOf(t, p)
}

func rowsOf(t *testing.T, p *Pipeline) string {
	t.Helper()
	rows, err := p.Xrefs(context.Background(), XrefQuery{Limit: listMost})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, r := range rows {
		fmt.Fprintf(&b, "%s %s %s %s..%s %s %v %s\n", r.ID, r.Key, r.Canonical, r.From, r.To, r.State, r.Attributes["erp_account"], r.Follows)
	}
	return b.String()
}

func xrefEqual(t *testing.T, what, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("%s:\n--- got\n%s--- want\n%s", what, got, want)
	}
}

func proposal(key, canonical, from, account string) *transform.RegistryRow {
	return &transform.RegistryRow{RegistryKey: transform.RegistryKey{Kind: "customer", System: "nstar.billing", Role: "bill_to", Key: key}, Canonical: canonical,
		From: from, Attributes: map[string]string{"erp_account": account}}
}

// A life of a registry: nothing is overwritten, and no day has two rows.
func TestRowsFollowRows(t *testing.T) {
	rig, p := registryOf(t)
	v, err := p.ChangeXref(context.Background(), XrefRequest{Action: XrefPropose, Row: proposal("ACM01", "C-18", "2019-01-01", "110045"), By: "ann", Why: "test"})
	if err != nil || len(v.Steps) != 1 || v.Steps[0].Row.ID != "R-000001" {
		t.Fatalf("a proposal: %+v %v", v, err)
	}
	xrefEqual(t, "approved", decided(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000001"}}), `
R-000001 ACM01 C-18 2019-01-01.. active 110045 
`)
	decided(t, p, XrefRequest{Action: XrefPropose, Row: proposal("ACM01", "C-18", "2026-07-01", "118200")})
	refuse(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000002"}}, "row R-000001 for the key customer ACM01, which answers from 2019-01-01")
	xrefEqual(t, "succeeded", decided(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000002"}, Succeed: true}), `
R-000001 ACM01 C-18 2019-01-01..2026-06-30 closed 110045 
R-000002 ACM01 C-18 2026-07-01.. active 118200 R-000001
`)
	decided(t, p, XrefRequest{Action: XrefPropose, Row: proposal("LONE9", "C-21", "2026-08-01", "119000")})
	decided(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000003"}})
	decided(t, p, XrefRequest{Action: XrefPropose, Row: proposal("LONE8", "C-21", "2020-01-01", "119000")})
	decided(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000004"}})
	xrefEqual(t, "merged", decided(t, p, XrefRequest{Action: XrefMerge, Kind: "customer", Canonical: "C-21", Into: "C-18", On: "2026-07-15"}), `
R-000001 ACM01 C-18 2019-01-01..2026-06-30 closed 110045 
R-000002 ACM01 C-18 2026-07-01.. active 118200 R-000001
R-000003 LONE9 C-21 2026-08-01.. rejected 119000 
R-000004 LONE8 C-21 2020-01-01..2026-07-14 closed 119000 
R-000005 LONE9 C-18 2026-08-01.. active 118200 R-000003
R-000006 LONE8 C-18 2026-07-15.. active 118200 R-000004
`)
	got := decided(t, p, XrefRequest{Action: XrefSplit, IDs: []string{"R-000006"}, Into: "C-30", On: "2026-09-01", Attributes: map[string]string{"erp_account": "120000"}})
	xrefEqual(t, "split", got[strings.Index(got, "R-000006"):], `
R-000006 LONE8 C-18 2026-07-15..2026-08-31 closed 118200 R-000004
R-000007 LONE8 C-30 2026-09-01.. active 120000 R-000006
`)
	decided(t, p, XrefRequest{Action: XrefClose, IDs: []string{"R-000007"}, On: "2026-12-31"})
	refuse(t, p, XrefRequest{Action: XrefClose, IDs: []string{"R-000007"}, On: "2026-12-31"}, "row R-000007, which is closed, expected a row that is active")
	refuse(t, p, XrefRequest{Action: XrefReject, IDs: []string{"R-000003"}}, "row R-000003, which is rejected")
	refuse(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000099"}}, `no row "R-000099"`)
	refuse(t, p, XrefRequest{Action: XrefClose, IDs: []string{"R-000002"}, On: "2026-06-30"}, "begins on 2026-07-01 only")
	refuse(t, p, XrefRequest{Action: XrefMerge, Kind: "customer", Canonical: "C-99", Into: "C-18", On: "2026-07-15"}, "no active row of the customer C-99")
	if _, err := p.Xref(context.Background(), XrefQuery{ID: "R-000099"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("a row that is not there: %v", err)
	}
	lines, err := p.Audit(context.Background(), AuditQuery{})
	if err != nil || len(lines) != 11 || !slices.ContainsFunc(lines, func(l AuditLine) bool {
		return l.Action == "xref merge" && l.Target == "customer C-21 into C-18 from 2026-07-15" && l.By == "ann" && l.Why == "test"
	}) {
		t.Errorf("%d lines of the audit, %v: %+v", len(lines), err, lines)
	}
	if proof := rig.proof(""); proof.Bad != 0 || proof.Lines != 11 || proof.Checked != 11 {
		t.Errorf("the chain: %+v", proof)
	}
}

func refuse(t *testing.T, p *Pipeline, r XrefRequest, want string) {
	t.Helper()
	before := rowsOf(t, p)
	r.By, r.Why = "ann", "test"
	_, err := p.ChangeXref(context.Background(), r)
	var refused *XrefError
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", r.Action, err, want)
	}
	xrefEqual(t, "a refused decision", rowsOf(t, p), before)
}

// A decision that fits no more when its turn comes does nothing, and the projector goes on.
func TestADecisionThatFitsNoMore(t *testing.T) {
	r, p := registryOf(t)
	decided(t, p, XrefRequest{Action: XrefPropose, Row: proposal("A", "C-1", "", "1")})
	decided(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000001"}})
	for _, late := range []XrefRequest{{Action: XrefApprove, IDs: []string{"R-000001"}, By: "bob", Why: "late"}, {Action: XrefImport, Text: "nonsense", By: "bob", Why: "late"}} {
		payload, err := json.Marshal(decisionEntry{Action: "xref", Xref: &late, By: "bob", Why: "late"})
		if err != nil {
			t.Fatal(err)
		}
		index, err := r.store.Append(context.Background(), checkpoint.Entry{Kind: checkpoint.Decision, Payload: payload})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if err := r.project.settled(ctx, index); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	xrefEqual(t, "rows", rowsOf(t, p), `
R-000001 A C-1 .. active 1 
`)
}

// Whoever is known by another id already is told, so that nobody is created twice.
func TestADoubtIsTold(t *testing.T) {
	_, p := registryOf(t)
	known, again := proposal("ACM01", "C-18", "", "110045"), proposal("LONE9", "C-99", "", "120000")
	known.Attributes["tax_id"], again.Attributes["tax_id"] = "36-1234567", "361234567"
	decided(t, p, XrefRequest{Action: XrefPropose, Row: known})
	preview := func(r XrefRequest) []string {
		r.By, r.Why = "ann", "test"
		v, err := p.PreviewXref(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		return v.Notes
	}
	if notes := preview(XrefRequest{Action: XrefPropose, Row: again}); len(notes) > 0 {
		t.Errorf("of a proposal, which answers nothing: %v", notes)
	}
	decided(t, p, XrefRequest{Action: XrefApprove, IDs: []string{"R-000001"}})
	if notes := preview(XrefRequest{Action: XrefPropose, Row: again}); !slices.Equal(notes, []string{"LONE9 is to be C-99, but looks like C-18: same tax id 361234567."}) {
		t.Errorf("%v", notes)
	}
	again.Canonical = "C-18"
	if notes := preview(XrefRequest{Action: XrefPropose, Row: again}); len(notes) > 0 {
		t.Errorf("of the same customer: %v", notes)
	}
	v, err := p.Xref(context.Background(), XrefQuery{ID: "R-000001"})
	if err != nil || len(v.Rows) != 1 || v.Row.JudgedBy != "ann" || v.Waiting != nil {
		t.Errorf("%+v %v", v, err)
	}
}

// A row that answers looks again at what waits for its key, as work that outlives the daemon; a proposal and a rejection do not.
func TestARowWakesWhatWaits(t *testing.T) {
	r := newRig(t)
	row := *proposal("ACM01", "C-18", "", "110045")
	row.State = transform.RowProposed
	r.do(func(s *state, _ *output) error {
		for _, subject := range []string{"invoice/A1", "invoice/A2"} {
			p := transform.Problem{Fingerprint: row.Fingerprint(), Class: "MASTER", Code: "UNKNOWN_CUSTOMER", Subject: subject, Evidence: json.RawMessage(`{"facts":{"name":"ACME"}}`),
				Amount: &transform.Money{Amount: "10.50", Currency: "USD"}}
			if _, err := s.openException(originMapping, p, "", time.Time{}); err != nil {
				return err
			}
		}
		return enter(s, []XrefStep{{"propose", row}})
	})
	waking := func() (kinds []string) {
		r.do(func(s *state, _ *output) error {
			return s.Scan(bucketWork, "", "", func(_ string, raw []byte) (bool, error) {
				var w work
				err := json.Unmarshal(raw, &w)
				kinds = append(kinds, w.Kind+" "+w.Key)
				return true, err
			})
		})
		return kinds
	}
	if got := waking(); len(got) > 0 {
		t.Errorf("a proposal left %v", got)
	}
	p := &Pipeline{store: r.store, project: r.project}
	v, err := p.PreviewXref(context.Background(), XrefRequest{Action: XrefApprove, IDs: []string{"R-000001"}, Why: "test"})
	if err != nil || v.Waiting != 2 || len(v.Releases) != 1 || v.Releases[0].Exception != "X-000001" || v.Releases[0].Money["USD"] != "21.00" {
		t.Errorf("a preview: %+v %v", v, err)
	}
	view, err := p.Xref(context.Background(), XrefQuery{Kind: "customer", System: "nstar.billing", Role: "bill_to", Key: "ACM01"})
	if err != nil || view.Waiting == nil || view.Waiting.Waiting != 2 || view.Facts["name"] != "ACME" {
		t.Errorf("the key: %+v %v", view, err)
	}
	r.do(func(s *state, _ *output) error { return enter(s, v.Steps) })
	if got := waking(); !slices.Equal(got, []string{"retry " + row.Fingerprint(), "timers "}) {
		t.Errorf("an approval left %v", got)
	}
}

const customersCSV = `kind,company,system,role,key,canonical,valid_from,valid_to,state,attr.erp_account,attr.name
customer,,nstar.billing,bill_to,ACM01,C-18,2026-07-01,,active,118200,"ACME, Inc."
customer,,nstar.billing,bill_to,ACM01,C-18,2019-01-01,2026-06-30,closed,110045,"ACME, Inc."
customer,NSTAR,gcbk.jobs,,36-1234567,C-20,,,proposed,,"say ""Bulk"""
location,,nstar.dispatch,,K12,L-1,,,rejected,,
`

// What was exported is imported again as it was; what is there already is left alone.
func TestImportAndExportAreOneAnother(t *testing.T) {
	_, p := registryOf(t)
	decided(t, p, XrefRequest{Action: XrefImport, File: "customers.csv", Text: "\ufeff" + customersCSV})
	first := export(t, p)
	if first != customersCSV {
		t.Errorf("exported:\n%s", first)
	}
	_, other := registryOf(t)
	decided(t, other, XrefRequest{Action: XrefImport, File: "customers.csv", Text: first})
	xrefEqual(t, "of the copy", export(t, other), first)

	v, err := p.ChangeXref(context.Background(), XrefRequest{Action: XrefImport, File: "again.csv", Text: customersCSV, By: "ann", Why: "again"})
	if err != nil || v.Rows != 0 || v.Same != 4 {
		t.Errorf("again: %+v %v", v, err)
	}
	ended := strings.Replace(strings.Replace(customersCSV, "2026-07-01,,active", "2026-07-01,2026-12-31,closed", 1), "proposed", "active", 1) +
		"customer,,nstar.billing,bill_to,ACM01,C-18,2027-01-01,,active,118300,\n"
	v, err = p.ChangeXref(context.Background(), XrefRequest{Action: XrefImport, File: "ended.csv", Text: ended, By: "ann", Why: "a new account"})
	if err != nil || v.Rows != 3 || v.Same != 2 {
		t.Errorf("an end, an approval and a new row: %+v %v", v, err)
	}
	xrefEqual(t, "rows", rowsOf(t, p), `
R-000001 ACM01 C-18 2026-07-01..2026-12-31 closed 118200 
R-000002 ACM01 C-18 2019-01-01..2026-06-30 closed 110045 
R-000003 36-1234567 C-20 .. active  
R-000004 K12 L-1 .. rejected  
R-000005 ACM01 C-18 2027-01-01.. active 118300 
`)
}

func export(t *testing.T, p *Pipeline) string {
	t.Helper()
	rows, err := p.Xrefs(context.Background(), XrefQuery{Limit: listMost})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := WriteXrefs(&b, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Every fault of a file is told at once, with its line and column, and nothing is entered.
func TestImportTellsEveryFault(t *testing.T) {
	_, p := registryOf(t)
	decided(t, p, XrefRequest{Action: XrefImport, File: "customers.csv", Text: customersCSV})
	head := "kind,system,key,canonical,valid_from,valid_to,state,role,attr.erp_account\n"
	for _, c := range []struct{ name, text, want string }{
		{"values", head + "custmer,s,A,C-1,2026-02-30,,,,\ncustomer,,\"a\nb\",C-1,2026-02-02,2026-02-01,,,\ncustomer,s,B, C-1,,,open,,\ncustomer,s,B\n", `
xref import of f.csv is refused, for 8 reasons:
  line 2, column kind: found "custmer", expected one of account, customer, item, location, tax_code
  line 2, column valid_from: found "2026-02-30", expected a day such as 2026-01-31
  line 3, column system: found "", expected a name of at most 60 bytes without blanks at its ends
  line 3, column key: found "a\nb", expected the key in 1 to 120 bytes, without blanks at its ends (trim it in the mapping)
  line 3, column valid_to: found 2026-02-01, expected a day that is not before 2026-02-02
  line 5, column canonical: found " C-1", expected a name of at most 60 bytes without blanks at its ends
  line 5, column state: found "open", expected proposed, active, closed or rejected
  line 6: found 3 cells, expected 9, as the header has
`},
		{"header", "kind,sytem,key,key,attr.Erp\n", `
xref import of f.csv is refused, for 5 reasons:
  line 1, column sytem: found the column "sytem", expected kind, company, system, role, key, canonical, valid_from, valid_to, state, or attr.<attribute>
  line 1, column key: found the column a second time, expected each column once
  line 1, column attr.Erp: found the attribute "Erp", expected small letters, digits and _, such as attr.erp_account
  line 1, column system: found no such column, expected the columns kind, system, key and canonical at least
  line 1, column canonical: found no such column, expected the columns kind, system, key and canonical at least
`},
		{"no CSV", head + "customer,s,\"A,C-1,,,,,\n", `
xref import of f.csv is refused: line 2: found no CSV at character 24: extraneous or missing " in quoted-field, expected cells between commas; quotes around a cell that has commas, quotes or lines
`},
		{"empty", "", `
xref import of f.csv is refused: found an empty file, expected the header kind,company,system,role,key,canonical,valid_from,valid_to,state
`},
		{"the registry", head + "customer,nstar.billing,ACM01,C-19,2026-09-01,,,bill_to,1\nlocation,nstar.dispatch,K12,L-1,,,,,\ncustomer,s,A,C-1,,,,,\ncustomer,s,A,C-2,2026-01-01,,,,\n", `
xref import of f.csv is refused, for 3 reasons:
  line 2: found row R-000001 for the key customer ACM01, which answers from 2026-07-01, expected no day with two rows; close that row first, or let the new one succeed it
  line 3: found row R-000004, which says the same and was rejected, expected waybill xref propose, if it is right after all
  line 5: found another row of it for the key customer A, which answers on every day, expected no day with two rows; close that row first, or let the new one succeed it
`},
	} {
		before := rowsOf(t, p)
		_, err := p.PreviewXref(context.Background(), XrefRequest{Action: XrefImport, File: "f.csv", Text: c.text, By: "ann", Why: "test"})
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		xrefEqual(t, c.name, err.Error()+"\n", c.want)
		xrefEqual(t, c.name, rowsOf(t, p), before)
	}
}

// A store without a daemon takes a decision, and applies it before what comes after.
func TestADecisionWithoutADaemon(t *testing.T) {
	r := newRig(t)
	q := XrefRequest{Action: XrefImport, File: "customers.csv", Text: "nonsense", By: "ann", Why: "test"}
	var refused *XrefError
	if _, err := OfflineXref(context.Background(), r.store, q); !errors.As(err, &refused) || r.store.Last() != 0 {
		t.Errorf("%v, and %d entries", err, r.store.Last())
	}
	q.Text = customersCSV
	if v, err := OfflineXref(context.Background(), r.store, q); err != nil || v.Rows != 4 {
		t.Fatalf("%+v %v", v, err)
	}
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := export(t, &Pipeline{store: r.store}); got != customersCSV {
		t.Errorf("rows:\n%s", got)
	}
}

// An import that was interrupted goes on with the rows that are not there, in as many transactions as it needs.
func TestImportGoesOn(t *testing.T) {
	r := newRig(t)
	var b strings.Builder
	b.WriteString("kind,system,key,canonical,attr.name\n")
	const n, piece = 1800, 200
	for i := range n {
		fmt.Fprintf(&b, "customer,s,K%d,C-%d,%0150d\n", i, i, i)
	}
	q := &XrefRequest{Action: XrefImport, Text: b.String(), Why: "test"}
	r.do(func(s *state, _ *output) error {
		plan, err := planXref(s, q)
		if err != nil || len(plan.faults) > 0 || len(plan.steps) != n {
			t.Fatalf("%d steps, %v %v", len(plan.steps), plan.faults, err)
		}
		return enter(s, plan.steps[:piece])
	})
	r.do(func(s *state, _ *output) error {
		plan, err := planXref(s, q)
		if err != nil || len(plan.faults) > 0 || len(plan.steps) != n-piece || plan.same != piece {
			t.Errorf("%d steps, %d there, %v %v", len(plan.steps), plan.same, plan.faults, err)
		}
		return nil
	})
	r.start()
	p := &Pipeline{store: r.store, project: r.project}
	decided(t, p, *q)
	if got := strings.Count(rowsOf(t, p), "\n"); got != n {
		t.Errorf("%d rows, want %d", got, n)
	}
}

func enter(s *state, steps []XrefStep) error {
	_, err := s.enter(steps, decisionEntry{By: "ann"}, checkpoint.Entry{})
	return err
}

// The heaviest rows that are taken fit the transactions of the state, in an import and in a decision about many.
func TestHeavyRowsFit(t *testing.T) {
	_, p := registryOf(t)
	head, cells := "kind,system,key,canonical", ""
	for i := range maxXrefSet {
		head += fmt.Sprintf(",attr.attribute_with_a_long_name_%d", i)
		cells += "," + strings.Repeat("x", maxXrefAttribute)
	}
	for i, name := range []string{"name", "tax_id", "street", "city", "postal_code"} {
		head = strings.Replace(head, fmt.Sprintf("attribute_with_a_long_name_%d", i), name, 1)
	}
	var b strings.Builder
	b.WriteString(head + "\n")
	const n = 180
	for i := range n {
		fmt.Fprintf(&b, "customer,s,%0120d,C-1%s\n", i, cells)
	}
	decided(t, p, XrefRequest{Action: XrefImport, Text: b.String()})
	if got := strings.Count(rowsOf(t, p), "\n"); got != n {
		t.Fatalf("%d rows", got)
	}
	refuse(t, p, XrefRequest{Action: XrefMerge, Kind: "customer", Canonical: "C-1", Into: "C-2", On: "2026-01-01"}, "decide about fewer rows at once")
	var some []string
	for i := range 20 {
		some = append(some, xrefID(uint64(i+1)))
	}
	decided(t, p, XrefRequest{Action: XrefSplit, IDs: some, Into: "C-2", On: "2026-01-01"})
	if got := strings.Count(rowsOf(t, p), "\n"); got != n+20 {
		t.Errorf("%d rows", got)
	}
}
