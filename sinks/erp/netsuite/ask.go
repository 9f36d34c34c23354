package netsuite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

var _ sinks.Answerer = (*Sink)(nil)

// questions are what NetSuite can be asked, each with what it answers:
//
//	period    as of a day: open (for documents of customers), and if there is one name, start and end; next_open is the first day of the next open period
//	customer  of a code: name, active, payment_term
var questions = map[string]func(*exchange, *transform.Question) (map[string]any, *sinks.Outcome){
	"period": (*exchange).askPeriod, "customer": (*exchange).askCustomer,
}

// Answers implements sinks.Answerer.
func (s *Sink) Answers(question string) error {
	if questions[question] == nil {
		return fmt.Errorf("the NetSuite sink answers customer and period, not %q", question)
	}
	return nil
}

// Ask implements sinks.Answerer.
func (s *Sink) Ask(ctx context.Context, q *transform.Question) (sinks.Answer, *sinks.Outcome) {
	ask := questions[q.Name]
	if ask == nil {
		return sinks.Answer{}, rejected("QUESTION", "", fmt.Sprintf("NetSuite is not asked %q.", q.Name), "Ask it for customer or period.")
	}
	x, cancel := s.begin(ctx)
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

// mostPeriods bounds how far ahead an open period is looked for.
const mostPeriods = 24

func (x *exchange) askPeriod(q *transform.Question) (map[string]any, *sinks.Outcome) {
	if _, err := time.Parse(dateForm, q.AsOf); err != nil {
		return nil, rejected("DATE", "as_of", fmt.Sprintf("%q is no day.", q.AsOf), "Ask as of a date.")
	}
	p, out := x.periodOf(q.AsOf)
	if out != nil {
		return nil, out
	}
	if p == nil {
		return map[string]any{"open": false}, nil
	}
	answer := map[string]any{"open": isOpen(p), "name": first(p.text("periodName"), p.text("refName")), "start": p.text("startDate"), "end": p.text("endDate")}
	for n := 0; !isOpen(p) && n < mostPeriods; n++ {
		last, err := time.Parse(dateForm, p.text("endDate"))
		if err != nil {
			break // it does not say where the next one begins
		}
		if p, out = x.periodOf(last.AddDate(0, 0, 1).Format(dateForm)); out != nil {
			return nil, out
		}
		if p == nil {
			break
		}
		if isOpen(p) {
			answer["next_open"] = p.text("startDate")
		}
	}
	return answer, nil
}

// isOpen says whether documents of customers can be posted in a period.
func isOpen(p record) bool {
	return !p.truth("closed") && !p.truth("allLocked") && !p.truth("arLocked")
}

// periodOf reads the month of a day; nil when there is none.
func (x *exchange) periodOf(day string) (record, *sinks.Outcome) {
	rows, out := x.query("accountingPeriod", periodQuery(day))
	if out != nil || len(rows) == 0 {
		return nil, out
	}
	return x.get(recordPath+"accountingPeriod/"+url.PathEscape(rows[0].text("id")), nil)
}

func periodQuery(day string) string {
	return fmt.Sprintf(`startDate ON_OR_BEFORE %q AND endDate ON_OR_AFTER %[1]q AND isQuarter IS false AND isYear IS false`, day)
}

func (x *exchange) askCustomer(q *transform.Question) (map[string]any, *sinks.Outcome) {
	if len(q.Key) != 1 || q.Key[0].Value == "" {
		return nil, rejected("KEY", "", fmt.Sprintf("%s is asked of one thing, not of %d.", q.Name, len(q.Key)), "Give the lookup one key in the mapping.")
	}
	code := q.Key[0].Value
	key, err := encodeKey(x.cfg.Prefix, q.Company, code)
	if err != nil {
		return nil, rejected("KEY", "", err.Error(), "Shorten the key in the mapping.")
	}
	r, out := x.get(recordPath+"customer/eid:"+url.PathEscape(key), nil)
	if out != nil || r == nil {
		return nil, out
	}
	answer := map[string]any{"code": code, "name": r.text("companyName"), "active": !r.truth("isInactive")}
	if term := r.shown("terms"); term != "" {
		answer["payment_term"] = term
	}
	return answer, nil
}
