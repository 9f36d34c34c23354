package businesscentral

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"waybill/sinks"
	"waybill/sinks/web"
)

// exchange is the calls of one step, together under the sink's timeout.
type exchange struct {
	*Sink
	ctx             context.Context
	base            string // address of the company
	books           books
	request, answer string // of the last write, for people
}

func (s *Sink) begin(ctx context.Context) (*exchange, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	return &exchange{Sink: s, ctx: ctx}, cancel
}

// excerpt bounds what is kept of a request and of an answer, in bytes.
const excerpt = 4096

// get reads an address below url. The outcome is nil when into holds the answer.
func (x *exchange) get(into any, address string) (web.Answer, *sinks.Outcome) {
	// A replica may be behind, and then what was written is not there [B4, B5].
	a := x.pool.do(x.ctx, web.Request{Method: http.MethodGet, URL: address, Header: map[string]string{"Data-Access-Intent": "ReadWrite"}})
	if o := x.classified(a, true); o != nil {
		return a, o
	}
	if err := decode(a.Body, into); err != nil {
		return a, &sinks.Outcome{Class: sinks.Setup, Code: codeAddress, Message: "An answer of another shape: " + clip(err.Error(), 300), Hint: hintAddress}
	}
	return a, nil
}

func (x *exchange) classified(a web.Answer, reads bool) *sinks.Outcome {
	if errors.Is(a.Err, errBusy) {
		return &sinks.Outcome{Class: sinks.RetryLater, Code: "BUSY", Message: "All service principals are busy.",
			Hint: "Lower concurrency in the sink's policy to what the principals may have in flight together, or add a principal."}
	}
	return classify(a, reads)
}

// find reads the records of a set that match a filter, at most limit. The filter is made of comparisons that are joined by "and" only.
func (x *exchange) find(set, filter string, limit int) ([]record, *sinks.Outcome) {
	q := url.Values{"$top": {fmt.Sprint(limit)}}
	if filter != "" {
		q.Set("$filter", filter)
	}
	var page struct {
		Value []record `json:"value"`
	}
	_, out := x.get(&page, x.base+"/"+set+"?"+strings.ReplaceAll(q.Encode(), "+", "%20"))
	return page.Value, out
}

// byID reads a record; nil without an outcome: it is not there.
func (x *exchange) byID(set, id string) (record, *sinks.Outcome) {
	var r record
	a, out := x.get(&r, x.base+"/"+set+"("+id+")")
	if out != nil && a.Status == http.StatusNotFound && read(a).Code != "" && out.Code != "COMPANY" {
		return nil, nil // in the API's own words
	}
	return r, out
}

// write sends a request that changes something. etag is that of the record that it changes, "" for a new one. The outcome is nil when it was
// done, and into holds what the answer says of it, if anything.
func (x *exchange) write(into any, method, path, etag string, body any) *sinks.Outcome {
	header := map[string]string{"Content-Type": "application/json"}
	if etag != "" {
		header["If-Match"] = etag
	}
	var raw []byte
	if body != nil {
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return rejected("BODY", "", err.Error(), "")
		}
	}
	a := x.pool.do(x.ctx, web.Request{Method: method, URL: x.base + "/" + path, Header: header, Body: raw})
	x.request, x.answer = clip(strings.TrimSpace(method+" "+path+" "+string(raw)), excerpt), clip(string(a.Body), excerpt)
	if o := x.classified(a, false); o != nil {
		return o
	}
	if into != nil && a.Status != http.StatusNoContent {
		if err := decode(a.Body, into); err != nil {
			return &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "An answer of another shape: " + clip(err.Error(), 300), Hint: hintAgain}
		}
	}
	return nil
}

// decode reads JSON without losing a digit.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// quoted is a text as a filter writes it.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
