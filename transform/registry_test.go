package transform

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

const (
	storedCustomer = `    from: billing.bill_cust
    key: cust_cd
    valid: [eff_dt, end_dt]
    value: { account: erp_acct }
    miss: UNKNOWN_CUSTOMER
`
	registryCustomer = `    registry: customer
    system: nstar.billing
    role: bill_to
    from: dispatch.customers
    key: cust_cd
    describe: { name: name, tax_id: tax_id, street: addr1, postal_code: zip }
    value: { account: erp_account }
`
)

// registryDrive runs the sample carrier with its customers in the registry.
func registryDrive(t *testing.T) *drive {
	t.Helper()
	return newDrive(t, registryMapping(t, ""))
}

// registryMapping is the sample carrier with its customers in the registry, and other inline tests.
func registryMapping(t *testing.T, tests string) *Mapping {
	t.Helper()
	src, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	text, _, found := strings.Cut(string(src), "\ntests:")
	if !found || !strings.Contains(text, storedCustomer) {
		t.Fatal("the sample mapping is another")
	}
	m, err := Parse("mapping.yaml", []byte(strings.Replace(text, storedCustomer, registryCustomer, 1)+"\n"+tests))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func acmeRow(id, from, to, account string) RegistryRow {
	return RegistryRow{ID: id, RegistryKey: RegistryKey{Kind: "customer", System: "nstar.billing", Role: "bill_to", Key: "ACM01"}, Canonical: "C-00018",
		Attributes: map[string]string{"erp_account": account}, From: from, To: to, State: RowActive, By: "test"}
}

func (d *drive) enter(r RegistryRow) {
	d.t.Helper()
	if err := (Registry{d.st}).Put(r); err != nil {
		d.t.Fatal(err)
	}
	if err := d.p.Retry(d.st, d.out, d.entry(), r.Fingerprint()); err != nil {
		d.t.Fatal(err)
	}
}

// One unknown key is one exception on which every document waits; a row that answers lets all go, also when the mapper is made anew
// between two pieces of the release.
func TestOneRowOfTheRegistryReleasesAll(t *testing.T) {
	d := registryDrive(t)
	const n = 2*wakeBatch + 50
	for i := range n {
		d.tx(invoice("insert", fmt.Sprintf("B%03d", i), "", "100.00")...)
	}
	d.expect("events", d.events(), "")
	causes := map[string]bool{}
	for k := range d.out.open {
		causes[k[0]] = true
	}
	fingerprint := acmeRow("", "", "", "").Fingerprint()
	if len(causes) != 1 || !causes[fingerprint] || len(d.out.open) != n {
		t.Fatalf("%d problems of %v, want %d of %s", len(d.out.open), causes, n, fingerprint)
	}
	d.enter(acmeRow("R-000001", "2026-10-05", "", "118200"))
	if len(d.out.events) != wakeBatch || len(d.out.timers) != 1 {
		t.Fatalf("%d events in the first piece, %d timers", len(d.out.events), len(d.out.timers))
	}
	var err error
	if d.p, err = NewMapper(d.p.m); err != nil { // killed, and started again
		t.Fatal(err)
	}
	d.fire()
	if len(d.out.events) != n || len(d.out.open) != 0 {
		t.Fatalf("%d events, %d problems", len(d.out.events), len(d.out.open))
	}
	seen := map[string]bool{}
	for _, p := range d.out.posts {
		if seen[p.ExternalID] || !strings.Contains(string(p.Body), `"party":"118200"`) {
			t.Fatalf("%s twice, or %s", p.ExternalID, p.Body)
		}
		seen[p.ExternalID] = true
	}
	d.events()
	d.posts()
}

// A key is read by the business date; a closed row answers for its days, a proposed and a rejected one never.
func TestRowsOfTheRegistryAsOfADate(t *testing.T) {
	st := NewMemoryState()
	for id, state := range map[string]RegistryState{"R-000001": RowClosed, "R-000002": RowActive, "R-000003": RowProposed, "R-000004": RowRejected} {
		row := acmeRow(id, "2019-01-01", "2026-06-30", "110045")
		if id == "R-000002" {
			row.From, row.To, row.Attributes = "2026-07-01", "", map[string]string{"erp_account": "118200"}
		}
		if row.State = state; state == RowProposed || state == RowRejected {
			row.From, row.To = "", ""
		}
		if err := (Registry{st}).Put(row); err != nil {
			t.Fatal(err)
		}
	}
	k := acmeRow("", "", "", "").RegistryKey
	for day, want := range map[string]string{"2018-12-31": "", "2019-01-01": "R-000001", "2026-06-30": "R-000001", "2026-07-01": "R-000002", "2031-01-01": "R-000002"} {
		r, err := Registry{st}.Find(k, day)
		if err != nil {
			t.Fatal(err)
		}
		if got := r != nil; got != (want != "") || got && r.ID != want {
			t.Errorf("on %s: %v, want %s", day, r, want)
		}
	}
	k.Role = "shipper"
	if r, err := (Registry{st}).Find(k, "2026-07-01"); r != nil || err != nil {
		t.Errorf("another role: %v %v", r, err)
	}
	k.Role, k.Company = "bill_to", "NSTAR"
	if r, err := (Registry{st}).Find(k, "2026-07-01"); r != nil || err != nil {
		t.Errorf("another company: %v %v", r, err)
	}
}

// What the source says of a key finds who it may be; it is told with its reason, and nothing is applied.
func TestAnUnknownKeyHasCandidates(t *testing.T) {
	d := registryDrive(t)
	known := acmeRow("R-000001", "", "", "118200")
	known.System, known.Key = "erp", "118200"
	known.Attributes = map[string]string{"erp_account": "118200", "name": "Lone Star Foods, Inc.", "tax_id": "36-1234567", "street": "12 North Main Street", "postal_code": "75001-1234"}
	d.enter(known)
	d.tx(invoice("insert", "B1", "", "100.00")...)
	for _, p := range d.out.open {
		d.expect("a key that nobody describes", p.Title, `The customer "ACM01" of nstar.billing (bill_to) is not in the registry on 2026-10-05.`)
	}
	d.tx("insert dispatch.customers cust_cd=ACM01 name=LONE_STAR_FOODS addr1=12_N._Main_St zip=75001 terms_cd=N30 active_flg=Y tax_id=361234567 upd_ts=2026-10-01_08:00:00")
	d.events()
	var found Problem
	for _, p := range d.out.open {
		found = p
	}
	d.expect("its description wakes it", found.Title, `The customer "ACM01" of nstar.billing (bill_to), LONE STAR FOODS, is not in the registry on 2026-10-05. It may be C-00018: `+
		`same tax id 361234567, same name and address LONE STAR FOODS, 12 N MAIN ST 75001.`)
	if !strings.Contains(found.Hint, "waybill xref show customer nstar.billing ACM01 --role bill_to") || !strings.Contains(string(found.Evidence), `"row":"R-000001"`) {
		t.Errorf("%s %s", found.Hint, found.Evidence)
	}
	d.expect("it waits", d.problems(), "UNKNOWN_CUSTOMER invoice/B1")
}

// A key may describe itself: the broker's customers are known by their tax ids.
func TestAKeyThatIsATaxID(t *testing.T) {
	src, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(src), "\ntests:")
	own := "    registry: customer\n    system: bulk.jobs\n    key: cust_cd\n    describe: { tax_id: cust_cd }\n    value: { account: erp_account }\n"
	m, err := Parse("mapping.yaml", []byte(strings.Replace(text, storedCustomer, own, 1)))
	if err != nil {
		t.Fatal(err)
	}
	d := newDrive(t, m)
	known := acmeRow("R-000001", "", "", "118200")
	known.Attributes["tax_id"] = "ACM-01"
	d.enter(known)
	d.tx(invoice("insert", "B1", "", "100.00")...)
	for _, p := range d.out.open {
		d.expect("title", p.Title, `The customer "ACM01" of bulk.jobs is not in the registry on 2026-10-05. It may be C-00018: same tax id ACM01, same key ACM01.`)
	}
	d.expect("problems", d.problems(), "UNKNOWN_CUSTOMER invoice/B1")
}

func TestCandidatesAreNormalised(t *testing.T) {
	for _, c := range []struct{ fn, in, want string }{
		{"name", "The Lone-Star Foods Co., Inc.", "LONE STAR FOODS"}, {"name", "A & B L.L.C.", "A AND B"}, {"name", "Inc.", "INC"}, {"name", " ", ""},
		{"id", "36-1234567", "361234567"}, {"id", "00-0000000", ""}, {"id", "12", ""}, {"id", "n/a", ""},
	} {
		got := map[string]func(string) string{"name": plainName, "id": plainID}[c.fn](c.in)
		if got != c.want {
			t.Errorf("%s of %q is %q, want %q", c.fn, c.in, got, c.want)
		}
	}
	for _, c := range [][3]string{{"12 North Main Street, Suite 4", "75001-1234", "12 N MAIN ST STE 4 75001"}, {"Hauptstr. 5", "10115", "HAUPTSTR 5 10115"}, {"1 Rd", "", ""}, {"", "75001", ""},
		{"1 Rd", "k1a-0b1", "1 RD K1A0B1"}} {
		if got := plainAddress(c[0], c[1]); got != c[2] {
			t.Errorf("%q %q is %q, want %q", c[0], c[1], got, c[2])
		}
	}
}

// A row without what the rules need holds like none, on the same exception.
func TestARowThatLacksAnAttributeHolds(t *testing.T) {
	d := registryDrive(t)
	d.tx(invoice("insert", "B1", "", "100.00")...)
	bare := acmeRow("R-000001", "", "2026-12-31", "")
	bare.Attributes = nil
	d.enter(bare)
	d.expect("events", d.events(), "")
	if len(d.out.open) != 1 {
		t.Fatalf("%d problems", len(d.out.open))
	}
	for _, p := range d.out.open {
		d.expect("title", p.Title, `The customer "ACM01" of nstar.billing (bill_to) is C-00018 on 2026-10-05, but row R-000001 of the registry has no erp_account.`)
	}
}

func TestRowsAreFoundAgain(t *testing.T) {
	st := NewMemoryState()
	g := Registry{st}
	for i := range 5 {
		r := acmeRow(fmt.Sprintf("R-%06d", i+1), "", "", "1")
		r.Key = fmt.Sprintf("K%d", i%2)
		r.State = RowProposed
		if err := g.Put(r); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	if err := g.Each("R-000002", func(r RegistryRow) (bool, error) { ids = append(ids, r.ID); return len(ids) < 3, nil }); err != nil {
		t.Fatal(err)
	}
	of, err := g.Of("customer", "C-00018", 4)
	if err != nil || len(of) != 4 {
		t.Fatalf("%d rows of the canonical id, %v", len(of), err)
	}
	if !reflect.DeepEqual(ids, []string{"R-000002", "R-000003", "R-000004"}) {
		t.Errorf("%v", ids)
	}
	if r, err := g.Row("R-000009"); r != nil || err != nil {
		t.Errorf("%v %v", r, err)
	}
}

// The inline tests of a mapping enter rows as people do.
func TestInlineTestsOfTheRegistry(t *testing.T) {
	m := registryMapping(t, `tests:
  - name: the registry lets it go
    given:
      - tx:
          billing.inv_hdr: { inv_no: A1, rev_no: 0, cust_cd: NEW01, stat: R, inv_dt: 2026-10-01, line_cnt: 1, inv_amt: "100.00", tax_amt: "0.00", rel_ts: 2026-10-01 08:00, upd_ts: 2026-10-01 08:00 }
          billing.inv_line: { inv_no: A1, line_no: 1, chg_cd: LH, qty: "1.000", rate: "100.0000", ext_amt: "100.00", tax_cd: EX }
      - registry: [ { kind: customer, system: nstar.billing, role: bill_to, key: NEW01, canonical: C-1, valid_to: 2026-09-30, erp_account: "1" } ]
      - registry: [ { kind: customer, system: nstar.billing, role: bill_to, key: NEW01, canonical: C-1, valid_from: 2026-10-01, erp_account: "2" } ]
    expect: { invoice.released: { bill_to.account: "2", bill_to.id: C-1 } }
  - name: a proposal does not
    given:
      - tx:
          billing.inv_hdr: { inv_no: A1, rev_no: 0, cust_cd: NEW01, stat: R, inv_dt: 2026-10-01, line_cnt: 1, inv_amt: "100.00", tax_amt: "0.00", rel_ts: 2026-10-01 08:00, upd_ts: 2026-10-01 08:00 }
          billing.inv_line: { inv_no: A1, line_no: 1, chg_cd: LH, qty: "1.000", rate: "100.0000", ext_amt: "100.00", tax_cd: EX }
      - registry: [ { kind: customer, system: nstar.billing, role: bill_to, key: NEW01, canonical: C-1, state: proposed, erp_account: "1" } ]
    expect: { problem: UNKNOWN_CUSTOMER }
`)
	for _, r := range m.Test() {
		if !r.OK {
			t.Errorf("%s: %v", r.Name, r.Fails)
		}
	}
}
