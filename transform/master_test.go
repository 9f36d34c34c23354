package transform

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"
)

const governedCustomers = `
masters:
  customer:
    approve: { default: none, fields: { payment_term: two, name: one } }
    validate:
      postal_code: { form: "^[0-9]{5}$", means: five digits }
tests:
`

const (
	loneStar change = "insert dispatch.customers cust_cd=104377 name=LONE terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00"
	ofLone   string = "dispatch.customers cust_cd=104377 "
)

func governedDrive(t testing.TB) *drive {
	t.Helper()
	return newDrive(t, northstar(t, "\ntests:", governedCustomers))
}

// say changes the customer.
func (d *drive) say(columns string) {
	d.t.Helper()
	d.tx(change("update " + ofLone + columns))
}

// versions shows the versions of an entity: number, state, changed fields.
func (d *drive) versions(ref string) string {
	d.t.Helper()
	e, err := MasterEntityOf(d.st, ref)
	if err != nil {
		d.t.Fatal(err)
	}
	if e == nil {
		return ""
	}
	var all []string
	for _, v := range e.Versions {
		var fields []string
		for _, ch := range v.Changes {
			fields = append(fields, ch.Field)
		}
		text := fmt.Sprintf("%d %s", v.Number, v.State)
		if v.Number > 1 {
			text += " " + strings.Join(fields, "+")
		}
		all = append(all, text)
	}
	return strings.Join(all, ", ")
}

// judge gives a person's word on the newest version, as the pipeline does, and returns why it is refused.
func (d *drive) judge(ref, by string, approve bool) string {
	d.t.Helper()
	e, err := MasterEntityOf(d.st, ref)
	if err != nil || e == nil {
		d.t.Fatalf("%s: %v", ref, err)
	}
	v := e.Versions[len(e.Versions)-1]
	j := MasterJudgement{Ref: ref, Version: v.Number, Content: v.Content, Approve: approve, By: by, At: d.clock}
	refusal := j.Refusal(&v)
	d.index++
	if mine, err := d.p.JudgeMaster(d.st, d.out, d.entry(), j); err != nil || !mine {
		d.t.Fatalf("%v %v", mine, err)
	}
	d.fire()
	return refusal
}

func (d *drive) title() string {
	for _, p := range d.out.open {
		return p.Title + " " + p.Hint
	}
	return ""
}

func TestTwoPersonsApproveAVersion(t *testing.T) {
	d := governedDrive(t)
	d.snapshot("dispatch", 10, change(strings.Replace(string(loneStar), "insert", "snapshot", 1)))
	d.expect("what was there asks nobody", d.events()+"; "+d.posts()+"; "+d.problems(), "customer.changed 104377; customer 104377 (adopt); ")
	d.say("terms_cd=N15")
	d.expect("nothing leaves", d.events()+d.posts(), "")
	d.expect("problems", d.problems(), "APPROVAL_NEEDED customer/104377")
	d.expect("why", d.title(), "customer/104377, version 2, needs the approval of 2 persons: payment_term NET 30 → NET 15. "+
		"waybill master approve customer/104377 --why …, or waybill master reject customer/104377 --why …. Meanwhile version 1 stays in force.")
	d.expect("refused", d.judge("customer/104377", "ann@desk", true), "")
	d.expect("one is not enough", d.events()+d.problems(), "APPROVAL_NEEDED customer/104377")
	d.expect("twice the same", d.judge("customer/104377", "ANN@home", true), "ANN@home has approved it already, and another person must")
	d.expect("nothing", d.events(), "")
	d.expect("refused", d.judge("customer/104377", "bob@desk", true), "")
	told := d.out.events[0]
	d.expect("in force", d.events()+"; "+d.posts()+"; "+d.problems(), "customer.changed 104377; customer 104377; ")
	d.expect("versions", d.versions("customer/104377"), "1 superseded, 2 active payment_term")
	for _, want := range []string{`"entity_version":2`, `"approved_by":"ann@desk, bob@desk"`, `"change_set":"customer/104377@2"`,
		`"before":{"payment_term":"NET 30"}`, `"after":{"payment_term":"NET 15"}`, `"effective_from":"2026-10-01T13:00:00Z"`} {
		if !strings.Contains(string(told.Data), want) {
			t.Errorf("%s is not in %s", want, told.Data)
		}
	}
	if err := validates(compiled(t, EventTypeOf("customer.changed")), told.Data); err != nil {
		t.Error(err)
	}
	d.say("zip=75201")
	d.expect("a field that needs nobody", d.events()+d.versions("customer/104377"), "customer.changed 1043771 superseded, 2 superseded payment_term, 3 active postal_code")
}

func TestALaterChangeAmendsTheVersionThatWaits(t *testing.T) {
	d := governedDrive(t)
	d.tx(loneStar)
	d.expect("new", d.problems(), "APPROVAL_NEEDED customer/104377")
	d.judge("customer/104377", "ann", true)
	d.judge("customer/104377", "bob", true)
	d.events()
	d.posts()
	d.say("terms_cd=N15")
	d.judge("customer/104377", "ann", true)
	d.say("name=LONE_STAR")
	d.expect("amended", d.versions("customer/104377"), "1 active, 2 proposed name+payment_term")
	d.judge("customer/104377", "bob", true)
	d.expect("the word for the first content does not count", d.events()+d.problems(), "APPROVAL_NEEDED customer/104377")
	d.say("terms_cd=N30")
	if !strings.HasPrefix(d.title(), "customer/104377, version 2, needs the approval of a person: name LONE → LONE STAR.") {
		t.Errorf("one field less: %s", d.title())
	}
	d.say("name=LONE")
	d.expect("taken back", d.versions("customer/104377")+d.problems()+d.events(), "1 active, 2 superseded name")
	d.say("city=Dallas")
	d.expect("goes on", d.versions("customer/104377")+"; "+d.posts(), "1 superseded, 2 superseded name, 3 active city; customer 104377")
}

func TestARejectedVersionIsNotAskedAgain(t *testing.T) {
	d := governedDrive(t)
	d.snapshot("dispatch", 10, change(strings.Replace(string(loneStar), "insert", "snapshot", 1)))
	d.events()
	d.posts()
	d.say("name=LONER")
	d.expect("refused", d.judge("customer/104377", "bob", false), "")
	d.expect("closed", d.problems()+d.versions("customer/104377"), "1 active, 2 rejected name")
	d.say("upd_ts=2026-10-02_08:00:00") // the same content again
	d.expect("the same is not asked again", d.problems()+d.versions("customer/104377"), "1 active, 2 rejected name")
	if n := len(d.out.notes); n != 1 || d.out.notes[0].Why != "the same was refused by a person before" {
		t.Errorf("%+v", d.out.notes)
	}
	d.say("name=LONELY")
	d.expect("another is", d.problems()+" "+d.versions("customer/104377"), "APPROVAL_NEEDED customer/104377 1 active, 2 rejected name, 3 proposed name")
	d.expect("nothing left", d.events()+d.posts(), "")
	var fp string
	for k := range d.out.open {
		fp = k[0]
	}
	if err := d.p.Discard(d.st, d.out, d.entry(), fp); err != nil {
		t.Fatal(err)
	}
	d.expect("whoever discards the exception gives the version up", d.problems()+d.versions("customer/104377"), "1 active, 2 rejected name, 3 superseded name")
}

func TestAnIncompatibleVersionIsHeld(t *testing.T) {
	d := governedDrive(t)
	if err := SetTarget(d.st, "erp.customer", &TargetTable{Fields: []TargetField{{Name: "name", Required: true, Most: 5}}}); err != nil {
		t.Fatal(err)
	}
	d.snapshot("dispatch", 10, change(strings.Replace(string(loneStar), "insert", "snapshot", 1)))
	d.events()
	d.posts()
	d.say("name=LONE_STAR zip=752")
	d.expect("held", d.problems()+d.events()+d.posts(), "INCOMPATIBLE_MASTER customer/104377")
	at := strings.Index(d.title(), "masters (")
	d.expect("why", d.title()[:at], "customer/104377, version 2, cannot be taken: ")
	for _, want := range []string{`postal_code is "752", expected five digits; erp.customer: name is "LONE STAR", 9 characters, expected at most 5.`,
		"Meanwhile version 1 stays in force."} {
		if !strings.Contains(d.title(), want) {
			t.Errorf("%q is not in %q", want, d.title())
		}
	}
	d.expect("cannot be approved", d.judge("customer/104377", "ann", true)[:16], "it does not fit ")
	d.say("zip=75201")
	if err := SetTarget(d.st, "erp.customer", nil); err != nil { // another release of the target takes longer names
		t.Fatal(err)
	}
	if err := d.p.Retry(d.st, d.out, d.entry(), ""); err != nil {
		t.Fatal(err)
	}
	d.expect("judged again", d.problems(), "APPROVAL_NEEDED customer/104377")
	d.judge("customer/104377", "ann", true)
	d.expect("in force", d.posts()+d.problems(), "customer 104377")
}

func TestDocumentsOfAnEntityThatIsHeldWait(t *testing.T) {
	d := governedDrive(t)
	d.tx(loneStar)
	if ref, err := MasterAsked(d.st, "erp.customer", "104377"); err != nil || ref != "customer/104377" {
		t.Errorf("who is waited for: %q, %v", ref, err)
	}
	d.judge("customer/104377", "ann", true)
	d.judge("customer/104377", "bob", true)
	if ref, err := MasterAsked(d.st, "erp.customer", "104377"); err != nil || ref != "" {
		t.Errorf("who is waited for: %q, %v", ref, err)
	}
	d.say("name=LONER")
	if ref, err := MasterAsked(d.st, "erp.customer", "104377"); err != nil || ref != "" {
		t.Errorf("an older version is in force, and %q is waited for: %v", ref, err)
	}
}

// Rows that hold from a day: the next one comes into force when the watermark has passed its day, and the past overwrites nothing.
const datedCustomers = `
masters:
  customer: { approve: { new: none, default: none, fields: { name: one } }, effective: { from: eff_dt, to: end_dt }, by: chg_by }
tests:
`

func datedDrive(t testing.TB) *drive {
	d := newDrive(t, northstar(t, "\ntests:", datedCustomers))
	d.catalog["dispatch"][0].Columns = append(d.catalog["dispatch"][0].Columns, columns("eff_dt! date, end_dt date, chg_by text")...)
	return d
}

func TestAVersionComesIntoForceOnItsDay(t *testing.T) {
	d := datedDrive(t)
	row := func(op, from, to, rest string) change {
		return change(op + " " + ofLone + "eff_dt=" + from + " end_dt=" + to + " terms_cd=N30 active_flg=Y upd_ts=2026-10-01_08:00:00 " + rest)
	}
	d.tx(row("insert", "2019-01-01", "2026-10-09", "name=LONE"))
	d.expect("at once", d.events(), "customer.changed 104377")
	d.tx(row("insert", "2026-10-10", "~", "name=LONER chg_by=ann"))
	d.expect("asked", d.problems(), "APPROVAL_NEEDED customer/104377")
	d.expect("who made it does not approve it", d.judge("customer/104377", "Ann@desk", true), "Ann@desk made the change, and another person approves it")
	d.expect("approved", d.judge("customer/104377", "bob", true)+d.problems()+d.events()+d.versions("customer/104377"), "1 active, 2 approved name")
	d.tx(row("update", "2019-01-01", "2026-10-08", "name=LONE"))
	d.expect("the end of the first is known", d.versions("customer/104377")+d.events(), "1 active, 2 approved name")
	d.wait(8 * 24 * time.Hour) // 9 October
	d.expect("not yet", d.events(), "")
	d.wait(24 * time.Hour)
	told := d.out.events
	d.expect("on its day", d.events()+"; "+d.versions("customer/104377"), "customer.changed 104377; 1 superseded, 2 active name")
	if !strings.Contains(string(told[0].Data), `"effective_from":"2026-10-10"`) {
		t.Errorf("%s", told[0].Data)
	}
	d.tx(row("update", "2019-01-01", "2026-10-08", "name=LON"))
	d.expect("the past overwrites nothing", d.events()+d.problems()+d.versions("customer/104377"), "1 superseded, 2 active name")
	d.tx(row("insert", "2027-01-01", "2026-12-31", "name=LONER"))
	d.expect("dates", d.problems(), "EFFECTIVE_DATES customer/104377")
}

// A mapping that begins to govern knows what it told before.
func TestGoverningWhatWasTold(t *testing.T) {
	d := newDrive(t, northstar(t))
	d.tx(loneStar)
	d.events()
	d.posts()
	d.activate(northstar(t, "\ntests:", governedCustomers))
	d.say("terms_cd=N15")
	d.expect("against what was told", d.problems()+" "+d.versions("customer/104377"), "APPROVAL_NEEDED customer/104377 1 active, 2 proposed payment_term")
	d.activate(northstar(t))
	d.expect("governed no more", d.events()+d.problems(), "customer.changed 104377")
}

// Whatever is written and decided in whatever order, one version is in force at most, it is the last that left, one exception is open of
// an entity at most, and what is in force was approved as often as it needed.
func TestVersionsModel(t *testing.T) {
	for seed := range uint64(25) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		d := governedDrive(t)
		d.tx(loneStar)
		var left []Event
		for range 40 {
			switch rnd.IntN(8) {
			case 0:
				d.judge("customer/104377", []string{"ann", "bob", "eve"}[rnd.IntN(3)], true)
			case 1, 2:
				d.judge("customer/104377", []string{"ann", "bob", "eve"}[rnd.IntN(3)], rnd.IntN(5) > 0)
			case 3:
				d.say("name=" + []string{"LONE", "LONER", "LONELY"}[rnd.IntN(3)])
			case 4:
				d.say("terms_cd=" + []string{"N30", "N15"}[rnd.IntN(2)])
			case 5:
				d.say("zip=" + []string{"75201", "752", "~"}[rnd.IntN(3)])
			case 6:
				d.say("city=" + []string{"Dallas", "Waco"}[rnd.IntN(2)])
			case 7:
				if err := d.p.Retry(d.st, d.out, d.entry(), ""); err != nil {
					t.Fatal(err)
				}
			}
			left = append(left, d.out.events...)
			d.out.events = nil
			d.invariants(seed, left)
		}
	}
}

func (d *drive) invariants(seed uint64, left []Event) {
	d.t.Helper()
	e, err := MasterEntityOf(d.st, "customer/104377")
	if err != nil {
		d.t.Fatal(err)
	}
	if len(d.out.open) > 1 || len(d.out.open) == 1 != (len(e.Waiting) == 1) {
		d.t.Fatalf("seed %d: %d exceptions, waiting %v", seed, len(d.out.open), e.Waiting)
	}
	active := 0
	for _, v := range e.Versions {
		if v.State == MasterActive {
			active++
			var data map[string]json.RawMessage
			if err := json.Unmarshal(left[len(left)-1].Data, &data); err != nil || string(data["entity_version"]) != fmt.Sprint(v.Number) || v.Event != left[len(left)-1].ID {
				d.t.Fatalf("seed %d: version %d is in force, and %s left", seed, v.Number, left[len(left)-1].Data)
			}
			if len(v.Approvals) < v.Needs || len(v.Faults) > 0 || v.Number != e.Active {
				d.t.Fatalf("seed %d: %+v", seed, v)
			}
		}
	}
	if active > 1 || active == 0 && len(left) > 0 {
		d.t.Fatalf("seed %d: %d versions are in force, %d have left", seed, active, len(left))
	}
}

// The inline tests of a mapping say what becomes of versions, and a word that does not fit fails them.
func TestInlineTestsJudgeVersions(t *testing.T) {
	const given = `
  - name: a name is approved by one person
    given:
      - targets: { erp.customer: { name: { most: 12 } } }
      - snapshot: { dispatch.customers: { cust_cd: "104377", name: Lone, terms_cd: N30, active_flg: "Y", upd_ts: 2026-10-01 08:00 } }
      - tx: { dispatch.customers: { old: {}, new: { name: Lone Star Foods } } }
      - tx: { dispatch.customers: { old: {}, new: { name: Lone Star } } }
      - { approve: customer/104377, by: ann }
`
	m := northstar(t, "\ntests:", governedCustomers+given+`    expect:
      - customer.changed: { entity_version: 1, name: Lone }
      - customer.changed: { entity_version: 2, name: Lone Star, approved_by: ann, before.name: Lone }
  - name: nobody has approved
    given:
      - tx: { dispatch.customers: { cust_cd: "104377", name: Lone, terms_cd: N30, active_flg: "Y", upd_ts: 2026-10-01 08:00 } }
    expect: { problem: APPROVAL_NEEDED }
  - name: rejected
    given:
      - tx: { dispatch.customers: { cust_cd: "104377", name: Lone, terms_cd: N30, active_flg: "Y", upd_ts: 2026-10-01 08:00 } }
      - { reject: customer/104377, by: ann }
    expect: []
  - name: twice
    given:
      - tx: { dispatch.customers: { cust_cd: "104377", name: Lone, terms_cd: N30, active_flg: "Y", upd_ts: 2026-10-01 08:00 } }
      - { approve: customer/104377, by: ann }
      - { approve: customer/104377, by: ann }
    expect: []
#`)
	for i, r := range m.Test()[:4] {
		want := ""
		if i == 3 {
			want = "line %d: customer/104377: ann has approved it already, and another person must"
		}
		if got := strings.Join(r.Fails, "; "); want == "" && got != "" || want != "" && !strings.HasSuffix(got, want[len("line %d"):]) {
			t.Errorf("%s: %s", r.Name, got)
		}
	}
}

// Two carriers govern customers of the same number; the word on one is none on the other.
func TestCarriersGovernTheirOwn(t *testing.T) {
	src, err := os.ReadFile(northstarFile)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("dispatch.", "s_dispatch.", "billing.", "s_billing.", "  dispatch: {", "  s_dispatch: {", "  billing:  {", "  s_billing: {",
		"mapping: northstar\n", "mapping: southern\ncompany: SOUTH\n", "\ntests:", governedCustomers).Replace(string(src))
	other, err := Parse("southern.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	d := newConvoy(t, northstar(t, "\ntests:", governedCustomers), other)
	d.tx(loneStar)
	d.tx(south(loneStar)...)
	d.expect("both are asked", d.problems(), "APPROVAL_NEEDED customer/104377, APPROVAL_NEEDED customer/SOUTH:104377")
	for _, by := range []string{"ann", "bob"} {
		st := Scoped(d.st, []string{"southern"})[0]
		e, err := MasterEntityOf(st, "customer/SOUTH:104377")
		if err != nil || e == nil {
			t.Fatal(e, err)
		}
		j := MasterJudgement{Ref: e.Ref, Version: 1, Content: e.Versions[0].Content, Approve: true, By: by, At: d.clock}
		if err := d.c.JudgeMaster(d.st, d.out, d.entry(), j); err != nil {
			t.Fatal(err)
		}
	}
	d.expect("one is in force", d.events()+"; "+d.problems(), "customer.changed 104377; APPROVAL_NEEDED customer/104377")
	if ref, err := MasterAsked(d.st, "erp.customer", "104377"); err != nil || ref != "customer/104377" {
		t.Errorf("%q %v", ref, err)
	}
}
