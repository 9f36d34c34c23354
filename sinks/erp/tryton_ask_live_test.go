package erp

import (
	"encoding/json"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/transform"
)

// questions are those of the suite; what is asked about is there.
func (l *live) questions(t *testing.T) []sinktest.Questioned {
	l.addCustomer(t, "T-0")
	about := func(name, key string) *transform.Question {
		return &transform.Question{Name: name, Key: []transform.Param{{Name: "key", Value: key}}}
	}
	fields := func(pairs ...string) (all []transform.AnswerField) {
		for i := 0; i < len(pairs); i += 2 {
			all = append(all, transform.AnswerField{Name: pairs[i], Type: pairs[i+1], Path: pairs[i]})
		}
		return all
	}
	return []sinktest.Questioned{
		{Ask: &transform.Question{Name: "period", AsOf: today()}, Fields: fields("open", "bool", "name", "text", "start", "date", "end", "date")},
		{Ask: about("customer", "T-0"), Fields: fields("name", "text", "active", "bool", "payment_term", "text"), Absent: about("customer", "nobody")},
		{Ask: about("tax", "Sales tax 8.25%"), Fields: fields("active", "bool", "rate", "decimal"), Absent: about("tax", "Sales tax 99%")},
	}
}

func (l *live) answer(t *testing.T, q *transform.Question) map[string]any {
	t.Helper()
	a, out := l.sink.Ask(t.Context(), q)
	if out != nil || !a.Found {
		t.Fatalf("%+v: %+v, %+v", q, a, out)
	}
	var object map[string]any
	if err := json.Unmarshal(a.Object, &object); err != nil {
		t.Fatal(err)
	}
	return object
}

// closePeriod closes the period of a day, and returns its first day and that of the period behind it.
func (l *live) closePeriod(t *testing.T, at time.Time) (reopen func(), start, next string) {
	t.Helper()
	day := sinktest.WireDate(at.Year(), int(at.Month()), at.Day())
	row := l.rpc.Rows("account.period", []any{[]any{"start_date", "<=", day}, []any{"end_date", ">=", day}}, "id", "start_date", "end_date")[0]
	l.rpc.Must(nil, "account.period.close", []any{row["id"]})
	return func() { l.rpc.Must(nil, "account.period.reopen", []any{row["id"]}) }, dayOf(t, row["start_date"], 0), dayOf(t, row["end_date"], 1)
}

// dayOf is so many days after a date on the wire.
func dayOf(t *testing.T, wire any, days int) string {
	t.Helper()
	raw, err := json.Marshal(wire)
	var d struct{ Year, Month, Day int }
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return time.Date(d.Year, time.Month(d.Month), d.Day+days, 0, 0, 0, 0, time.UTC).Format(dateForm)
}

// lookups are answers about a closed period, no period at all, an archived customer and a tax.
func (l *live) lookups(t *testing.T) {
	at := time.Now().UTC().AddDate(0, 0, -100)
	ask := &transform.Question{Name: "period", AsOf: at.Format(dateForm)}
	if a := l.answer(t, ask); a["open"] != true {
		t.Errorf("an open period: %v", a)
	}
	reopen, start, next := l.closePeriod(t, at)
	a := l.answer(t, ask)
	reopen()
	if a["open"] != false || a["start"] != start || a["next_open"] != next || a["name"] == "" {
		t.Errorf("a closed period, before %s: %v", next, a)
	}
	if a := l.answer(t, &transform.Question{Name: "period", AsOf: "2019-05-01"}); a["open"] != false || a["next_open"] == "" {
		t.Errorf("no period: %v", a)
	}
	l.addCustomer(t, "C-21")
	party := l.rpc.Rows("party.party", []any{[]any{"code", "=", "C-21"}}, "id")[0]["id"]
	l.rpc.Must(nil, "party.party.write", []any{party}, map[string]any{"active": false})
	customer := &transform.Question{Name: "customer", Key: []transform.Param{{Name: "account", Value: "C-21"}}}
	if a := l.answer(t, customer); a["active"] != false || a["payment_term"] != "NET 15" {
		t.Errorf("an archived customer: %v", a)
	}
	tax := &transform.Question{Name: "tax", Key: []transform.Param{{Name: "name", Value: "Sales tax 8.25%"}}, AsOf: today()}
	if a := l.answer(t, tax); a["active"] != true || a["rate"] != "0.0825" {
		t.Errorf("a tax: %v", a)
	}
}

// postingDate is the policy's: the document keeps its own date in a closed period, and the books have the one that was given.
func (l *live) postingDate(t *testing.T) {
	l.addCustomer(t, "C-22")
	at := time.Now().UTC().AddDate(0, 0, -70)
	reopen, _, next := l.closePeriod(t, at)
	defer reopen()
	op := invoiceOp("A-2200", "C-22", at.Format(dateForm), "22.00")
	_, out := l.sink.Prepare(t.Context(), op, "create", nil, time.Now())
	if out == nil {
		t.Fatal("a closed period is taken")
	}
	want(t, *out, sinks.Rejected, codePeriod)
	var body map[string]any
	if err := json.Unmarshal(op.Body, &body); err != nil {
		t.Fatal(err)
	}
	dated := func(day string) sinks.Operation {
		body["posting_date"] = day
		raw, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		op.Body = raw
		return op
	}
	for day, code := range map[string]string{"soon": "DATE", at.AddDate(0, 0, -1).Format(dateForm): "DATE", time.Now().AddDate(0, 0, 3).Format(dateForm): "FUTURE_DATE"} {
		_, out := l.sink.Prepare(t.Context(), dated(day), "create", nil, time.Now())
		if out == nil {
			t.Fatalf("the posting date %s is taken", day)
		}
		want(t, *out, sinks.Rejected, code)
	}
	o := l.post(t, dated(next))
	posting := o.Facts["posting_date"]
	if o.Facts["date"] != at.Format(dateForm) || posting != next && posting != today() { // today, when a later number is out already
		t.Errorf("posted as %v, want it on %s", o.Facts, next)
	}
}
