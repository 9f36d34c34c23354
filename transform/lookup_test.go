package transform

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"
)

func lookupMapping(t *testing.T) *Mapping {
	t.Helper()
	src, err := os.ReadFile("../testdata/mapping/lookups.yml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse("lookups.yml", src)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLookupsOfAMapping(t *testing.T) {
	for _, r := range lookupMapping(t).Test() {
		if !r.OK {
			t.Errorf("%s (line %d): %s", r.Name, r.Line, strings.Join(r.Fails, "; "))
		}
	}
}

func TestPickTakesWhatIsExactAndNothingElse(t *testing.T) {
	fields := []AnswerField{{"rate", "decimal", false, "prices.rate"}, {"open", "bool", true, "open"}, {"day", "date", true, "day"},
		{"at", "instant", true, "at"}, {"n", "int", true, "n"}, {"text", "text", true, "text"}}
	for _, c := range []struct{ object, want string }{
		{`{"prices":{"rate":2.10},"open":true,"day":"2026-10-01","at":"2026-10-01T08:00:00Z","n":7,"text":"a"}`,
			`{"at":"2026-10-01T08:00:00Z","day":"2026-10-01","n":"7","open":"true","rate":"2.10","text":"a"}`},
		{`{"prices":{"rate":"2.10"},"open":null,"more":[1]}`, `{"rate":"2.10"}`},
		{`{"prices":{"rate":2.1e3}}`, `"prices.rate" of the answer: "2.1e3" is not a plain decimal`},
		{`{"prices":{}}`, `the answer has no "prices.rate"`},
		{`{"prices":[1]}`, `the answer has no "prices.rate"`},
		{`{"prices":{"rate":1},"open":"yes"}`, `"open" of the answer: "yes" is neither true nor false`},
		{`{"prices":{"rate":1},"day":20261001}`, `"day" of the answer: 20261001 is no date`},
		{`{"prices":{"rate":1},"day":"1 Oct"}`, `"day" of the answer: "1 Oct" is not a day like 2026-10-01`},
		{`{"prices":{"rate":1},"n":1.5}`, `"n" of the answer: "1.5" is not an integer`},
		{`{"prices":{"rate":1},"text":{}}`, `"text" of the answer: a list or an object is no text`},
		{`[1]`, `the answer is not a JSON object`},
		{`null`, `the answer is not a JSON object`},
	} {
		got, err := Pick(fields, json.RawMessage(c.object))
		text := ""
		if err != nil {
			text = err.Error()
		} else if raw, err := canonical(got); err == nil {
			text = string(raw)
		}
		if text != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.object, text, c.want)
		}
	}
}

// asked lists the questions of a state.
func asked(t *testing.T, st State) (all []*Question) {
	t.Helper()
	if err := Questions(st, "", "", func(_ string, q *Question) (bool, error) {
		all = append(all, q)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// said applies an answer to a question.
func (d *drive) said(q *Question, status string, values map[string]string) {
	d.t.Helper()
	d.index++
	d.clock = d.clock.Add(time.Second)
	if err := d.p.Answered(d.st, d.out, d.entry(), &Answer{Question: *q, Status: status, Values: values, Asked: d.clock}); err != nil {
		d.t.Fatal(err)
	}
}

const (
	askHeader = "insert billing.inv_hdr inv_no=A1 cust_cd=C1 stat=R inv_dt=2026-09-05 line_cnt=1 inv_amt=100.00 tax_amt=0.00 rel_ts=2026-09-05_08:00:00"
	askLine   = "insert billing.inv_line inv_no=A1 line_no=1 chg_cd=LH ext_amt=100.00"
)

// lookupDrive runs the mapping over the sample catalog.
func lookupDrive(t *testing.T) *drive {
	t.Helper()
	d := newDrive(t, lookupMapping(t))
	return d
}

func TestAQuestionIsPutOnceAndEndsWithItsAnswer(t *testing.T) {
	d := lookupDrive(t)
	d.tx(askHeader, askLine)
	d.tx(change(strings.ReplaceAll(askHeader, "A1", "A2")), change(strings.ReplaceAll(askLine, "A1", "A2")))
	qs := asked(t, d.st)
	if len(qs) != 2 { // the contract and the credit limit; the period follows when the body can be built
		t.Fatalf("%d questions: %v", len(qs), qs)
	}
	for _, q := range qs {
		if len(q.Wakes) != 1 || q.Again != 0 || q.Company != "ASK" {
			t.Errorf("%+v", q)
		}
	}
	if n := len(d.out.open); n != 0 {
		t.Errorf("people were told: %v", d.out.open)
	}
}

func TestAnAnswerThatSaysNoIsAskedForAgain(t *testing.T) {
	d := lookupDrive(t)
	d.tx(askHeader, askLine)
	for _, q := range asked(t, d.st) {
		if q.Lookup == "contract" {
			d.said(q, AnswerAbsent, nil)
		} else {
			d.said(q, AnswerFound, map[string]string{"limit": "1"})
		}
	}
	var contract *Question
	for _, q := range asked(t, d.st) {
		if q.Lookup == "contract" {
			contract = q
		}
	}
	if contract == nil || contract.Again != defaultAgain || contract.Last == "" {
		t.Fatalf("%+v", contract)
	}
	if awaited, err := contract.Awaited(d.st); err != nil || !awaited {
		t.Errorf("awaited: %v, %v", awaited, err)
	}
	if err := d.p.Discard(d.st, d.out, d.entry(), "MASTER/NO_CONTRACT/contract/ASK/C1"); err != nil {
		t.Fatal(err)
	}
	if awaited, err := contract.Awaited(d.st); err != nil || awaited {
		t.Errorf("after a discard: awaited: %v, %v", awaited, err)
	}
	d.said(contract, AnswerAbsent, nil)
	if n := len(d.out.open); n != 0 {
		t.Errorf("open: %v", d.out.open)
	}
	d.clock = d.clock.Add(defaultAgain + time.Second) // nobody asked meanwhile: that there was none is not believed for long
	d.tx(change(strings.ReplaceAll(askHeader, "A1", "A2")), change(strings.ReplaceAll(askLine, "A1", "A2")))
	if qs := asked(t, d.st); len(qs) != 1 || qs[0].Again != 0 || len(d.out.open) != 0 {
		t.Errorf("questions %+v, open %v", qs, d.out.open)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	d := lookupDrive(t)
	l := d.p.m.lookups["credit"]
	const most = 100
	l.most = most
	r := d.p.run(d.st, d.out, d.entry())
	count := func() (n int) {
		for range d.st.buckets[bucketAnswer] {
			n++
		}
		return n
	}
	for i := range most + 50 {
		r.at.Index = uint64(i + 1)
		if err := r.keep(l, &Answer{Question: Question{Lookup: "credit", Key: []Param{{"customer", strings.Repeat("x", i%7) + time.Duration(i).String()}}}, Status: AnswerFound}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != most || len(d.st.buckets[bucketAnswerOf]) != most {
		t.Errorf("%d answers are kept, %d ages", n, len(d.st.buckets[bucketAnswerOf]))
	}
	r.at.Observed = r.at.Observed.Add(l.maxAge + time.Second)
	for i := range 10 {
		r.at.Index++
		if err := r.keep(l, &Answer{Question: Question{Lookup: "credit", Key: []Param{{"customer", "new" + time.Duration(i).String()}}}, Status: AnswerFound}); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != most-30 { // ten came, four went with each
		t.Errorf("%d answers are kept", n)
	}
}

// The state and the events that a history makes depend on nothing but the history.
func TestLookupsAreTheSameInEveryRun(t *testing.T) {
	history := func() *drive {
		d := lookupDrive(t)
		d.tx(askHeader, askLine)
		for _, q := range asked(t, d.st) {
			d.said(q, AnswerAbsent, nil)
		}
		d.clock = d.clock.Add(time.Hour)
		for _, q := range asked(t, d.st) {
			d.said(q, AnswerFound, map[string]string{"rate": "2", "limit": "3"})
		}
		for _, q := range asked(t, d.st) {
			d.said(q, AnswerFound, map[string]string{"open": "false", "next_open": "2026-10-01"})
		}
		return d
	}
	a, b := history(), history()
	if len(a.out.events) != 1 || len(a.out.posts) != 1 {
		t.Fatalf("%d events, %d posts; open: %v", len(a.out.events), len(a.out.posts), a.out.open)
	}
	if body := string(a.out.posts[0].Body); body != `{"date":"2026-09-05","party":"C1","posting_date":"2026-10-01","total":"100.00"}` {
		t.Error(body)
	}
	one, err1 := json.Marshal(a.st.buckets)
	two, err2 := json.Marshal(b.st.buckets)
	if err1 != nil || err2 != nil || string(one) != string(two) {
		t.Errorf("%v %v: two states of one history", err1, err2)
	}
}

// What the target says of a period comes last: an older answer is not believed, and a younger one is.
func TestARefusedPeriodMakesAnswersWorthless(t *testing.T) {
	d := lookupDrive(t)
	open := map[string]string{"open": "true"}
	d.tx(askHeader, askLine)
	for range 2 {
		for _, q := range asked(t, d.st) {
			d.said(q, AnswerFound, map[string]string{"rate": "2", "limit": "3", "open": "true"})
		}
	}
	if len(d.out.posts) != 1 {
		t.Fatalf("%d posts; open: %v", len(d.out.posts), d.out.open)
	}
	if err := d.p.Doubt(d.st, d.entry(), &d.out.posts[0]); err != nil {
		t.Fatal(err)
	}
	d.tx(change(strings.ReplaceAll(askHeader, "A1", "A2")), change(strings.ReplaceAll(askLine, "A1", "A2")))
	qs := asked(t, d.st)
	if len(d.out.posts) != 1 || len(qs) != 1 || qs[0].Lookup != "period" {
		t.Fatalf("%d posts, questions %v", len(d.out.posts), qs)
	}
	d.said(qs[0], AnswerFound, open)
	if len(d.out.posts) != 2 {
		t.Errorf("%d posts", len(d.out.posts))
	}
}

func TestAnAnswerThatIsUsedInItsLastQuarterIsRefreshed(t *testing.T) {
	d := lookupDrive(t)
	answers := func() {
		for range 2 {
			for _, q := range asked(t, d.st) {
				d.said(q, AnswerFound, map[string]string{"rate": "2", "limit": "3", "open": "true"})
			}
		}
	}
	d.tx(askHeader, askLine)
	answers()
	d.clock = d.clock.Add(50 * time.Minute) // of the hour that an answer about periods lasts
	d.tx(change(strings.ReplaceAll(askHeader, "A1", "A2")), change(strings.ReplaceAll(askLine, "A1", "A2")))
	if qs := asked(t, d.st); len(d.out.posts) != 2 || len(qs) != 1 || qs[0].Lookup != "period" || len(qs[0].Wakes) != 0 {
		t.Fatalf("%d posts, questions %+v", len(d.out.posts), qs)
	}
	answers()
	d.clock = d.clock.Add(30 * time.Minute)
	d.tx(change(strings.ReplaceAll(askHeader, "A1", "A3")), change(strings.ReplaceAll(askLine, "A1", "A3")))
	if len(d.out.posts) != 3 {
		t.Errorf("%d posts: the refreshed answer was not used", len(d.out.posts))
	}
}

func TestTheSchemaKnowsLookups(t *testing.T) {
	if wrong := misfits(editorSchema(t), fileValue(t, "../testdata/mapping/lookups.yml"), "lookups.yml"); len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
}

// A closed period that a person lets pass is the target's business again.
func TestAWaivedPeriodIsLeftToTheTarget(t *testing.T) {
	d := lookupDrive(t)
	d.tx(askHeader, askLine)
	for range 2 {
		for _, q := range asked(t, d.st) {
			d.said(q, AnswerFound, map[string]string{"rate": "2", "limit": "3", "open": "false", "name": "2026-09"})
		}
	}
	const fingerprint = "POLICY/PERIOD_CLOSED/erp/ASK:2026-09"
	if got := d.problems(); !strings.Contains(got, "PERIOD_CLOSED") || len(d.out.posts) != 0 {
		t.Fatalf("%s, %d posts", got, len(d.out.posts))
	}
	if err := d.p.Waive(d.st, d.out, d.entry(), fingerprint); err != nil {
		t.Fatal(err)
	}
	if len(d.out.posts) != 1 || strings.Contains(string(d.out.posts[0].Body), "posting_date") || len(d.out.open) != 0 {
		t.Errorf("%d posts, open %v", len(d.out.posts), d.out.open)
	}
}
