package erp

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/transform"
)

var _ sinks.Answerer = (*Tryton)(nil)

// trytonQuestions are what Tryton can be asked, each with what it answers:
//
//	period    as of a day: open, and if there is one name, start and end; next_open is the first day of the next open period
//	customer  of a code: name, active, payment_term
//	tax       of a name: active (on the day, if one is asked for), rate (0.0825) or none
var trytonQuestions = map[string]func(*exchange, *transform.Question) (map[string]any, *sinks.Outcome){
	"period": (*exchange).askPeriod, "customer": (*exchange).askCustomer, "tax": (*exchange).askTax,
}

// Answers implements sinks.Answerer.
func (t *Tryton) Answers(question string) error {
	if trytonQuestions[question] == nil {
		return fmt.Errorf("the Tryton sink answers customer, period and tax, not %q", question)
	}
	return nil
}

// Ask implements sinks.Answerer.
func (t *Tryton) Ask(ctx context.Context, q *transform.Question) (sinks.Answer, *sinks.Outcome) {
	ask := trytonQuestions[q.Name]
	if ask == nil {
		return sinks.Answer{}, rejected("QUESTION", "", fmt.Sprintf("Tryton is not asked %q.", q.Name), "Ask it for customer, period or tax.")
	}
	x, cancel := t.begin(ctx)
	defer cancel()
	object, out := ask(x, q)
	if out != nil || object == nil {
		return sinks.Answer{}, out
	}
	raw, err := json.Marshal(object)
	if err != nil {
		return sinks.Answer{}, rejected("ANSWER", "", err.Error(), "")
	}
	return sinks.Answer{Found: true, Object: raw}, nil
}

// periodFields are what is read of an accounting period.
var periodFields = []string{"name", "state", "start_date", "end_date", "fiscalyear.state"}

func isOpen(period record) bool {
	return period.text("state") == "open" && period.sub("fiscalyear").text("state") == "open"
}

func (x *exchange) askPeriod(q *transform.Question) (map[string]any, *sinks.Outcome) {
	day, err := wireDate(q.AsOf)
	if err != nil {
		return nil, rejected("DATE", "as_of", fmt.Sprintf("%q is no day.", q.AsOf), "Ask as of a date.")
	}
	co, out := x.companyOf()
	if out != nil {
		return nil, out
	}
	company := []any{[]any{"company", "=", co.id}, []any{"type", "=", "standard"}}
	now, out := x.find("account.period", slices.Concat(company, []any{[]any{"start_date", "<=", day}, []any{"end_date", ">=", day}}), 1, periodFields, nil)
	if out != nil {
		return nil, out
	}
	answer := map[string]any{"open": false}
	if len(now) > 0 {
		answer = map[string]any{"open": isOpen(now[0]), "name": now[0].text("name"), "start": now[0].date("start_date"), "end": now[0].date("end_date")}
	}
	if answer["open"] == true {
		return answer, nil
	}
	var next []record
	later := slices.Concat(company, []any{[]any{"start_date", ">", day}, []any{"state", "=", "open"}, []any{"fiscalyear.state", "=", "open"}})
	if out := x.read(&next, "account.period", "search_read", nil, later, 0, 1, [][]string{{"start_date", "ASC"}}, periodFields); out != nil {
		return nil, out
	}
	if len(next) > 0 {
		answer["next_open"] = next[0].date("start_date")
	}
	return answer, nil
}

// oneKey is the value of a question about one thing.
func oneKey(q *transform.Question) (string, *sinks.Outcome) {
	if len(q.Key) != 1 || q.Key[0].Value == "" {
		return "", rejected("KEY", "", fmt.Sprintf("%s is asked of one thing, not of %d.", q.Name, len(q.Key)), "Give the lookup one key in the mapping.")
	}
	return q.Key[0].Value, nil
}

func (x *exchange) askCustomer(q *transform.Question) (map[string]any, *sinks.Outcome) {
	code, out := oneKey(q)
	if out != nil {
		return nil, out
	}
	if _, out := x.companyOf(); out != nil { // the payment term is the company's
		return nil, out
	}
	rows, out := x.find("party.party", []any{[]any{"code", "=", code}}, 1, []string{"name", "active", "customer_payment_term.name"}, record{"active_test": false})
	if out != nil || len(rows) == 0 {
		return nil, out
	}
	answer := map[string]any{"code": code, "name": rows[0].text("name"), "active": rows[0].truth("active")}
	if term := rows[0].sub("customer_payment_term").text("name"); term != "" {
		answer["payment_term"] = term
	}
	return answer, nil
}

func (x *exchange) askTax(q *transform.Question) (map[string]any, *sinks.Outcome) {
	name, out := oneKey(q)
	if out != nil {
		return nil, out
	}
	co, out := x.companyOf()
	if out != nil {
		return nil, out
	}
	rows, out := x.find("account.tax", []any{[]any{"name", "=", name}, []any{"company", "=", co.id}}, 1,
		[]string{"name", "active", "type", "rate", "start_date", "end_date"}, record{"active_test": false})
	if out != nil || len(rows) == 0 {
		return nil, out
	}
	row := rows[0]
	begins, ends := row.date("start_date"), row.date("end_date")
	active := row.truth("active") && (q.AsOf == "" || begins <= q.AsOf && (ends == "" || q.AsOf <= ends))
	answer := map[string]any{"name": name, "active": active}
	if rate, err := decimal.NewFromString(row.amount("rate")); err == nil && strings.HasPrefix(row.text("type"), "percentage") {
		answer["rate"] = rate.String()
	}
	return answer, nil
}
