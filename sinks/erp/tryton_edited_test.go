package erp

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"waybill/sinks"
)

func editedOp(phone, term, name string) sinks.Operation {
	return operation("customer", "C-20", fmt.Sprintf(`{"code":"C-20","name":%q,"street":"1 Main St","state":"TX","country":"US","phone":%q,"payment_term":%q}`,
		name, phone, term))
}

// send sends a customer as the pipeline does when somebody may have changed it since.
func (l *live) send(t *testing.T, op sinks.Operation, last *sinks.Last, take string) sinks.Outcome {
	t.Helper()
	op.Last, op.Take = last, take
	return l.sink.Deliver(t.Context(), l.prepare(t, op, "upsert", nil))
}

// edits of people in Tryton are told field by field, and a person's choice holds until the source changes the field again.
func (l *live) edits(t *testing.T) {
	first := editedOp("+1 214 555 0100", "NET 15", "Lone Star")
	want(t, l.send(t, first, nil, ""), sinks.Applied, "")
	last := &sinks.Last{Body: first.Body}
	byHand := func(phone, term string) {
		t.Helper()
		rows := l.rpc.Rows("party.party", []any{[]any{"code", "=", "C-20"}}, "id", "contact_mechanisms")
		l.rpc.Must(nil, "party.contact_mechanism.write", rows[0]["contact_mechanisms"], map[string]any{"value": phone})
		terms := l.rpc.Rows("account.invoice.payment_term", []any{[]any{"name", "=", term}}, "id")
		l.rpc.Must(nil, "party.party.write", []any{rows[0]["id"]}, map[string]any{"customer_payment_term": terms[0]["id"]})
	}
	want(t, l.send(t, editedOp("+1 214 555 0100", "NET 15", "Lone Star Foods"), last, ""), sinks.Applied, "")
	second := editedOp("+1 214 555 0100", "NET 15", "Lone Star Foods")
	last.Body = second.Body
	byHand("+1 214 555 0199", "NET 30")

	third := editedOp("+1 214 555 0100", "NET 15", "Lone Star Foods Inc")
	o := l.send(t, third, last, "")
	want(t, o, sinks.Conflict, sinks.CodeChanged)
	wantFacts(t, o, map[string]string{"there.payment_term": "NET 30", "last.payment_term": "NET 15", "wanted.payment_term": "NET 15", "last.phone": "+1 214 555 0100"})
	if o.Field != "payment_term, phone" || !strings.Contains(o.Message, `payment_term is "NET 30" there, "NET 15" was written, "NET 15" is wanted`) {
		t.Errorf("%s: %s", o.Field, o.Message)
	}
	wantParty := func(name, phone, term string) {
		t.Helper()
		r := record(l.rpc.Rows("party.party", []any{[]any{"code", "=", "C-20"}}, "name", "contact_mechanisms.value", "customer_payment_term.name")[0])
		got := r.text("name") + "; " + digitsOf(r.list("contact_mechanisms")[0].text("value")) + "; " + r.sub("customer_payment_term").text("name")
		if got != name+"; "+phone+"; "+term {
			t.Errorf("got %s, want %s; %s; %s", got, name, phone, term)
		}
	}
	wantParty("Lone Star Foods", "12145550199", "NET 30")
	o = l.send(t, third, last, sinks.TakeTheirs)
	want(t, o, sinks.Applied, "")
	wantParty("Lone Star Foods Inc", "12145550199", "NET 30")
	in := l.prepare(t, withLast(third, last, sinks.TakeTheirs), "upsert", nil)
	want(t, l.sink.Verify(t.Context(), in), sinks.AlreadyApplied, "")

	last = &sinks.Last{Body: third.Body, Facts: o.Facts}
	o = l.send(t, editedOp("+1 214 555 0100", "NET 15", "Lone Star Foods LLC"), last, "")
	want(t, o, sinks.Applied, "")
	wantParty("Lone Star Foods LLC", "12145550199", "NET 30")
	last.Facts = o.Facts
	o = l.send(t, editedOp("+1 214 555 0111", "NET 15", "Lone Star Foods LLC"), last, "")
	want(t, o, sinks.Conflict, sinks.CodeChanged)
	if o.Field != "phone" {
		t.Errorf("the source changed the phone alone: %s", o.Field)
	}
	want(t, l.send(t, editedOp("+1 214 555 0111", "NET 15", "Lone Star Foods LLC"), last, sinks.TakeOurs), sinks.Applied, "")
	wantParty("Lone Star Foods LLC", "12145550111", "NET 30")
}

func withLast(op sinks.Operation, last *sinks.Last, take string) sinks.Operation {
	op.Last, op.Take = last, take
	return op
}

func digitsOf(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}

// The table proves what can be proved without Tryton.
func TestCustomerTable(t *testing.T) {
	s := &Tryton{cfg: TrytonConfig{TaxIDType: "us_ein"}}
	for body, want := range map[string]string{
		`{"code":"C-1","name":"Lone Star","state":"TX","country":"US","tax_id":"36-1234567","active":true}`: "",
		`{"code":"C-1","name":" "}`:                                "name is nothing, expected a value",
		`{"code":"C-1","name":"L","country":"U.S."}`:               `country is "U.S.", expected a country of ISO 3166-1, such as US`,
		`{"code":"C-1","name":"L","tax_id":"36-12345"}`:            `tax_id is "36-12345", expected an EIN: nine digits`,
		`{"code":"C-1","name":"L","fax":"1","state":"New Mexico"}`: `state is "New Mexico", expected a subdivision of ISO 3166-2, such as TX or US-TX; erp.customer: fax is a field that it does not have`,
	} {
		faults, err := s.customerTable().Faults("erp.customer", json.RawMessage(body))
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, f := range faults {
			all = append(all, f.String())
		}
		if got := strings.Join(all, "; "); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s: %s", body, got)
		}
	}
}
