package sinktest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"waybill/sinks"
	"waybill/transform"
)

// Closed is a run of days whose accounting period is closed in the simulated ERP, by POST /periods with the whole list. Documents posted
// into it are refused.
type Closed struct {
	From string `json:"from"` // days, both belong to it
	To   string `json:"to"`
	Name string `json:"name"`
}

// ledgerQuestions are what the simulated ERP can be asked: period (as of a day), and customer (by code: what was upserted last).
var ledgerQuestions = []string{"period", "customer"}

// closedOn finds the closed period of a day.
func (l *LedgerERP) closedOn(day string) *Closed {
	for i, c := range l.closed {
		if c.From <= day && day <= c.To {
			return &l.closed[i]
		}
	}
	return nil
}

// period is the answer about a day. A period that is not closed is named by its month.
func (l *LedgerERP) period(day string) map[string]any {
	c := l.closedOn(day)
	if c == nil {
		return map[string]any{"open": true, "name": day[:min(7, len(day))]}
	}
	answer := map[string]any{"open": false, "name": c.Name}
	for range len(l.closed) { // runs may follow each other
		end, err := time.Parse(time.DateOnly, c.To)
		if err != nil {
			return answer
		}
		next := end.AddDate(0, 0, 1).Format(time.DateOnly)
		if c = l.closedOn(next); c == nil {
			answer["next_open"] = next
			return answer
		}
	}
	return answer
}

// posted is the day on which a body is to be booked.
func (e *Effect) posted() string {
	var body struct {
		Date        string `json:"date"`
		PostingDate string `json:"posting_date"`
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return "" // a body that is no object, or whose date is no text, has no day
	}
	if body.PostingDate == "" {
		return body.Date
	}
	return body.PostingDate
}

// serveAsk answers GET /ask?question=&key=&as_of= with null when there is nothing, and POST /periods.
func (l *LedgerERP) serveAsk(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method == http.MethodPost {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.closed = nil
		if err := json.Unmarshal(body, &l.closed); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
		return
	}
	q := r.URL.Query()
	if suffer(w, r, l.draw("ask", q.Get("question"), false), func() {}) {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch q.Get("question") {
	case "period":
		reply(w, l.period(q.Get("as_of")))
	case "customer":
		for _, e := range slices.Backward(l.effects) {
			if e.Entity == "customer" && e.ExternalID == q.Get("key") {
				reply(w, json.RawMessage(e.Body))
				return
			}
		}
		reply(w, nil)
	default:
		http.Error(w, "no such question", http.StatusUnprocessableEntity)
	}
}

// Answers implements sinks.Answerer.
func (s *LedgerSink) Answers(question string) error {
	if !slices.Contains(ledgerQuestions, question) {
		return fmt.Errorf("the simulated ERP answers period and customer, not %q", question)
	}
	return nil
}

// Ask implements sinks.Answerer.
func (s *LedgerSink) Ask(ctx context.Context, q *transform.Question) (sinks.Answer, *sinks.Outcome) {
	params := url.Values{"question": {q.Name}, "as_of": {q.AsOf}}
	if len(q.Key) > 0 {
		params.Set("key", q.Key[0].Value)
	}
	var object json.RawMessage
	if o := s.call(ctx, http.MethodGet, "/ask?"+params.Encode(), nil, &object); o != nil {
		if o.Class == sinks.Unknown {
			o.Class = sinks.RetryLater
		}
		return sinks.Answer{}, o
	}
	if bytes.Equal(object, []byte("null")) {
		return sinks.Answer{}, nil
	}
	return sinks.Answer{Found: true, Object: object}, nil
}

// ClosePeriods closes accounting periods of the simulated ERP; all others are open.
func (p *LedgerProcess) ClosePeriods(periods ...Closed) {
	p.tb.Helper()
	p.tell("/periods", periods)
}
