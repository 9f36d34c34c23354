package transform

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
)

// southern is the sample carrier's mapping for another carrier of the same build: other sources, another company, or none.
func southern(t testing.TB, company string) *Mapping {
	t.Helper()
	src, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("dispatch.", "s_dispatch.", "billing.", "s_billing.", "  dispatch: {", "  s_dispatch: {", "  billing:  {", "  s_billing: {",
		"mapping: northstar\n", "mapping: southern\n"+company).Replace(string(src))
	m, err := Parse("southern.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// both are the catalogs of two carriers of the same build.
func both() map[string][]*cdc.Schema {
	all := catalog()
	for name, tables := range catalog() {
		for _, s := range tables {
			s.Source = "s_" + name
			all["s_"+name] = append(all["s_"+name], s)
		}
	}
	return all
}

// convoy drives several carriers.
type convoy struct {
	*drive
	c *Carriers
}

func newConvoy(t testing.TB, mappings ...*Mapping) *convoy {
	t.Helper()
	c, err := NewCarriers(mappings...)
	if err != nil {
		t.Fatal(err)
	}
	d := newDrive(t, mappings[0])
	d.catalog = both()
	return &convoy{d, c}
}

// south is the change in the databases of the other carrier.
func south(changes ...change) []change {
	var all []change
	for _, ch := range changes {
		all = append(all, change(strings.NewReplacer(" dispatch.", " s_dispatch.", " billing.", " s_billing.").Replace(string(ch))))
	}
	return all
}

func (d *convoy) tx(changes ...change) {
	d.t.Helper()
	d.index++
	d.clock = d.clock.Add(time.Second)
	var enc cdc.Encoder
	enc.Begin(cdc.Tx{Commit: fmt.Sprintf("0/%X", d.index), CommitAt: d.clock})
	shapes := map[uint64]*cdc.Schema{}
	for _, ch := range changes {
		d.encode(&enc, ch)
		s := d.shape(strings.Fields(string(ch))[1])
		shapes[s.ID()] = s
	}
	data, n := enc.Take()
	reader := cdc.NewReader(cdc.Codecs{"test/1": testCodec{}}, func(id uint64) (*cdc.Schema, error) { return shapes[id], nil })
	reader.Reset(&cdc.Batch{Identity: "server-1", Data: data, Changes: n})
	for reader.Next() {
		ch := reader.Change()
		ch.Source = ch.Schema.Source
		if err := d.c.Change(d.st, d.out, d.entry(), ch); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := reader.Err(); err != nil {
		d.t.Fatal(err)
	}
	for more := true; more; {
		var err error
		if more, err = d.c.Commit(d.st, d.out, d.entry(), 1); err != nil {
			d.t.Fatal(err)
		}
	}
	d.fire()
}

func (d *convoy) wait(by time.Duration) {
	d.clock = d.clock.Add(by)
	d.index++
	d.fire()
}

func (d *convoy) fire() {
	d.t.Helper()
	for range 1000 {
		timer, ok := d.out.due(d.clock)
		if !ok {
			return
		}
		if err := d.c.Fire(d.st, d.out, d.entry(), timer); err != nil {
			d.t.Fatal(err)
		}
	}
	d.t.Fatal("timers without end")
}

func TestMappingsThatCannotBeTogether(t *testing.T) {
	first, second := northstar(t), southern(t, "")
	named := *second
	named.name = "Southern Lines"
	again := *southern(t, "company: SOUTH\n")
	again.name = "northstar"
	twin := *northstar(t, "version: 1\n", "version: 1\ncompany: TWIN\n")
	twin.name, twin.file = "twin", "twin.yaml"
	var got strings.Builder
	for _, all := range [][]*Mapping{{first, second}, {northstar(t, "version: 1\n", "version: 1\ncompany: NSTAR\n"), first}, {first, &named}, {first, &again}, {first, &twin}} {
		_, err := NewCarriers(all...)
		var faults Faults
		if !errors.As(err, &faults) {
			t.Fatalf("accepted, or %v", err)
		}
		got.WriteString(faults.Error() + "\n")
	}
	golden(t, "together.golden", got.String())
}

// What one carrier does is what it would do alone, whatever another carrier of the same build and the same numbers does beside it.
func TestCarriersOfTheSameNumbersNeverMeet(t *testing.T) {
	unknown := invoice("insert", "A2", "", "50.00")
	unknown[0] = change(strings.Replace(string(unknown[0]), "cust_cd=ACM01", "cust_cd=NEW01", 1))
	odd := invoice("insert", "A3", "", "60.00")
	odd[1] = change(strings.Replace(string(odd[1]), "chg_cd=LH", "chg_cd=ZZ", 1))
	story := [][]change{{acme}, {draft, line1}, {line2}, {free}, unknown, odd,
		{"insert dispatch.customers cust_cd=104377 name=Lone_Star terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00"},
		{"insert dispatch.loads load_no=88121 cust_cd=104377 status_cd=ADL pcs_ord=20 upd_ts=2026-10-01_08:00:00"},
		{"update dispatch.loads load_no=88121 status_cd=MTY dlv_dt=2026-10-01 dlv_tm=14:05:00 | status_cd=ADL"},
		{"insert billing.bill_cust cust_cd=NEW01 erp_acct=104399 eff_dt=2019-01-01"}}
	north, souther := northstar(t), southern(t, "company: SOUTH\n")
	alone, other, together := newConvoy(t, north), newConvoy(t, souther), newConvoy(t, north, souther)
	for _, step := range story { // each at the same index and time as in its carrier's own run
		alone.tx(step...)
		other.tx(south(step...)...)
		index, clock := together.index, together.clock
		together.tx(step...)
		together.index, together.clock = index, clock
		together.tx(south(step...)...)
	}
	for _, d := range []*convoy{alone, other, together} {
		d.wait(time.Hour)
	}
	text := func(v any) string {
		raw, err := json.MarshalIndent(v, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	name := func(e Event) string { return e.MapVersion[:5] }
	for _, one := range []struct {
		who string
		d   *convoy
	}{{"north", alone}, {"south", other}} {
		var got []Event
		for _, e := range together.out.events {
			if name(e) == one.who {
				got = append(got, e)
			}
		}
		if is, want := text(got), text(one.d.out.events); len(got) < 4 || is != want {
			t.Errorf("%s makes other events beside another carrier:\n got %s\nwant %s", one.who, is, want)
		}
	}
	lines := strings.Split(strings.TrimSpace(alone.st.dump()), "\n")
	for _, l := range strings.Split(strings.TrimSpace(other.st.dump()), "\n") {
		if rest, own := strings.CutPrefix(l, "map/"); own {
			l = "maps/southern/" + rest
		}
		lines = append(lines, l)
	}
	is := strings.Split(strings.TrimSpace(together.st.dump()), "\n")
	slices.Sort(lines)
	slices.Sort(is)
	for i := range lines {
		if i >= len(is) || lines[i] != is[i] {
			t.Fatalf("the state differs from both states alone: %s", lines[i])
		}
	}
	if len(is) != len(lines) {
		t.Fatalf("%d keys together, %d alone", len(is), len(lines))
	}
	refs := map[string]bool{}
	for _, e := range together.out.events {
		own := append([]string{e.OrderKey, Ref(e.Company, e.Entity, e.Key)}, e.Refs...)
		for _, r := range own {
			refs[name(e)+" "+r] = true
			if other := map[string]string{"north": "south", "south": "north"}[name(e)]; refs[other+" "+r] {
				t.Errorf("%s is of both carriers", r)
			}
		}
	}
	gates := map[string]string{}
	for _, p := range together.out.posts {
		for _, g := range p.Gates {
			if was := gates[g.Name+" "+g.Key]; was != "" && was != p.Company+"!" {
				t.Errorf("postings of both carriers wait for %s %s", g.Name, g.Key)
			}
			gates[g.Name+" "+g.Key] = p.Company + "!"
		}
	}
	together.expect("problems", together.problems(), "UNMAPPED_CODE invoice/A3, UNMAPPED_CODE invoice/SOUTH:A3")
}

func TestOneCarriersProblemIsItsOwn(t *testing.T) {
	d := newConvoy(t, northstar(t), southern(t, "company: SOUTH\n"))
	odd := invoice("insert", "A3", "", "60.00")
	odd[1] = change(strings.Replace(string(odd[1]), "chg_cd=LH", "chg_cd=ZZ", 1))
	d.tx(acme)
	d.tx(odd...)
	d.tx(south(acme)...)
	d.tx(south(odd...)...)
	d.expect("problems", d.problems(), "UNMAPPED_CODE invoice/A3, UNMAPPED_CODE invoice/SOUTH:A3")
	// One that is retired reads nothing, and what it holds can be given up.
	if err := d.c.Add(southern(t, "company: SOUTH\n"), "southern", true); err != nil {
		t.Fatal(err)
	}
	d.events()
	d.tx(south(invoice("insert", "A4", "", "60.00")...)...)
	d.expect("events of a retired carrier", d.events()+d.c.Version(), "northstar/1")
	if err := d.c.Discard(d.st, d.out, d.entry(), "southern:MAPPING/UNMAPPED_CODE/charge/ZZ"); err != nil {
		t.Fatal(err)
	}
	d.expect("problems after the discard of one", d.problems(), "UNMAPPED_CODE invoice/A3")
	d.events()
	// A mapping that knows the code is activated for one carrier; the other's state is not touched.
	if err := d.c.Add(northstar(t, "charge: { LH: LINEHAUL,", "charge: { ZZ: LINEHAUL, LH: LINEHAUL,"), "", false); err != nil {
		t.Fatal(err)
	}
	if err := d.c.Activate(d.st, d.out, d.entry(), ""); err != nil {
		t.Fatal(err)
	}
	d.expect("events", d.events(), "invoice.released A3")
	d.expect("problems", d.problems(), "")
}

// A carrier whose databases are away keeps neither the timers nor the time of the others.
func TestTimersAreOfTheirCarriersSources(t *testing.T) {
	d := newConvoy(t, northstar(t), southern(t, "company: SOUTH\n"))
	d.tx(south("insert billing.inv_hdr inv_no=A1 rev_no=0 cust_cd=ACM01 stat=R inv_dt=2026-10-01 line_cnt=1 inv_amt=5.00 tax_amt=0.00 rel_ts=2026-10-02_09:00:00 upd_ts=2026-10-02_09:00:00")...)
	o, _ := d.c.ofTimer("maps/southern/doc/invoice/SOUTH:A1")
	if o == nil || o.m.name != "southern" {
		t.Fatal("the timer's carrier is not found")
	}
	if len(d.out.timers) != 1 || d.out.timers["maps/southern/doc/invoice/SOUTH:A1"].ID == "" {
		t.Fatalf("timers: %v", d.out.timers)
	}
	marks := map[string]time.Time{"dispatch": time.Unix(1, 0), "billing": time.Unix(2, 0), "s_dispatch": time.Unix(9, 0), "s_billing": time.Unix(8, 0)}
	if now := d.c.entry(o, Entry{Now: time.Unix(1, 0), Marks: marks}).Now; !now.Equal(time.Unix(8, 0)) {
		t.Errorf("its time is %s", now)
	}
	for _, ch := range [][]change{{acme}, {draft, line1, line2}, {free}} {
		d.tx(ch...)
	}
	if posts := d.out.posts; len(posts) != 1 || !slices.Equal(posts[0].Sources, []string{"billing", "dispatch"}) {
		t.Errorf("postings: %+v", posts)
	}
	out := d.c.output(o, d.out)
	if err := out.SetTimer(Timer{ID: "wake/1"}); err != nil || !slices.Equal(d.out.timers["maps/southern/wake/1"].Sources, []string{"s_billing", "s_dispatch"}) {
		t.Errorf("%v %v", d.out.timers, err)
	}
}

// The registry is of all carriers: a key that it does not know is one problem for them, one row lets the documents of each go, and a person gives up
// those of each.
func TestCarriersShareTheProblemsOfTheRegistry(t *testing.T) {
	src, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	const undescribed = "    registry: customer\n    system: nstar.billing\n    role: bill_to\n    key: cust_cd\n    value: { account: erp_account }\n"
	registered := func(replace ...string) *Mapping {
		text := strings.NewReplacer(append(replace, storedCustomer, undescribed)...).Replace(string(src))
		text, _, _ = strings.Cut(text, "\ntests:")
		m, err := Parse("mapping.yaml", []byte(text+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	d := newConvoy(t, registered(), registered("dispatch.", "s_dispatch.", "billing.inv", "s_billing.inv", "  dispatch: {", "  s_dispatch: {", "  billing:  {", "  s_billing: {",
		"mapping: northstar\n", "mapping: southern\ncompany: SOUTH\n"))
	bill := func(no string) {
		d.tx(invoice("insert", no, "", "100.00")...)
		d.tx(south(invoice("insert", no, "", "100.00")...)...)
	}
	bill("B1")
	row := acmeRow("R-000001", "2026-10-05", "", "118200")
	for k := range d.out.open {
		if k[0] != row.Fingerprint() {
			t.Errorf("a problem of its own: %v", k)
		}
	}
	if len(d.out.open) != 2 {
		t.Fatalf("%v", d.out.open)
	}
	if waits, err := d.c.Waits(d.st, row.Fingerprint()); err != nil || !waits {
		t.Errorf("nothing waits: %v", err)
	}
	for _, subject := range []string{"invoice/B1", "invoice/SOUTH:B1"} {
		if _, err := d.c.PreviewAmend(d.st, row.Fingerprint(), subject, nil); err != nil {
			t.Errorf("%s cannot be edited: %v", subject, err)
		}
	}
	if err := d.c.Discard(d.st, d.out, d.entry(), row.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	d.expect("given up", fmt.Sprint(len(d.out.open))+d.events(), "0")
	bill("B2")
	if err := (Registry{d.st}).Put(row); err != nil {
		t.Fatal(err)
	}
	if err := d.c.Retry(d.st, d.out, d.entry(), row.Fingerprint()); err != nil {
		t.Fatal(err)
	}
	if len(d.out.events) != 2 || len(d.out.open) != 0 {
		t.Errorf("%d events, open %v", len(d.out.events), d.out.open)
	}
}
