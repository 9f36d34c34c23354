package businesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// batchMost is how many operations a batch takes [B7].
const batchMost = 100

type batchRequest struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"` // below url of the configuration
	Headers map[string]string `json:"headers"`
	Body    any               `json:"body"`
}

type batchAnswer struct {
	ID     string          `json:"id"`
	Status int             `json:"status"`
	Body   json.RawMessage `json:"body"`
}

// createAll creates records of one set in batches, each in one transaction: all of its records are there afterwards, or none. No posting may
// be in one, for posting commits [B3]. The outcome is nil when all were created; else it is that of the first that was not.
func (x *exchange) createAll(path string, bodies []record) *sinks.Outcome {
	for len(bodies) > 0 {
		n := min(len(bodies), batchMost)
		if out := x.batch(path, bodies[:n]); out != nil {
			return out
		}
		bodies = bodies[n:]
	}
	return nil
}

func (x *exchange) batch(path string, bodies []record) *sinks.Outcome {
	var body struct {
		Requests []batchRequest `json:"requests"`
	}
	for i, b := range bodies {
		body.Requests = append(body.Requests, batchRequest{fmt.Sprint(i + 1), http.MethodPost, strings.TrimPrefix(x.base, x.cfg.URL+"/") + "/" + path, map[string]string{"Content-Type": "application/json"}, b})
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return rejected("BODY", "", err.Error(), "")
	}
	a := x.pool.do(x.ctx, web.Request{Method: http.MethodPost, URL: x.cfg.URL + "/$batch", Header: map[string]string{"Content-Type": "application/json", "Isolation": "snapshot"}, Body: raw})
	x.request, x.answer = clip("POST $batch "+string(raw), excerpt), clip(string(a.Body), excerpt)
	if o := x.classified(a, false); o != nil {
		return o
	}
	return parts(a, len(bodies))
}

// parts classifies a batch: what is outside says nothing about its parts.
func parts(a web.Answer, sent int) *sinks.Outcome {
	var answers struct {
		Responses []batchAnswer `json:"responses"`
	}
	if err := decode(a.Body, &answers); err != nil || len(answers.Responses) > sent {
		return &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "An answer of another shape to a batch.", Hint: hintAgain}
	}
	for _, r := range answers.Responses {
		if o := classify(web.Answer{Status: r.Status, Body: r.Body, Sent: true}, false); o != nil && r.Status != http.StatusFailedDependency {
			return o // those that were rolled back with it say nothing of their own
		}
	}
	if len(answers.Responses) < sent {
		return &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: fmt.Sprintf("A batch of %d was answered %d times.", sent, len(answers.Responses)), Hint: hintAgain}
	}
	return nil
}
