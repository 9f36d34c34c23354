package s4hana

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waybill/sinks"
	"waybill/sinks/web"
)

// exchange is the requests of one step.
type exchange struct {
	*Sink
	ctx             context.Context
	request, answer string // of the last write, as excerpts
	probing         bool   // creates carry a RequestID, whatever the configuration says
}

const excerpt = 4 << 10

// The services of OData.
const (
	partnerService = "/sap/opu/odata/sap/API_BUSINESS_PARTNER/"
	productService = "/sap/opu/odata/sap/API_PRODUCT_SRV/"
	journalService = "/sap/opu/odata/sap/API_OPLACCTGDOCITEMCUBE_SRV/"
	companyService = "/sap/opu/odata/sap/API_COMPANYCODE_SRV/"
)

// address is that of a path, with the client.
func (x *exchange) address(path string, query url.Values) string {
	q := url.Values{}
	maps.Copy(q, query)
	if x.cfg.Client != "" {
		q.Set("sap-client", x.cfg.Client)
	}
	if len(q) == 0 {
		return x.cfg.URL + path
	}
	// SAP's servers read %20 and not + in a query.
	return x.cfg.URL + path + "?" + strings.ReplaceAll(q.Encode(), "+", "%20")
}

// get reads entities. The outcome is nil when there is an answer; none is an answer too.
func (x *exchange) get(path string, query url.Values) (all []object, out *sinks.Outcome) {
	a := x.client.Do(x.ctx, web.Request{Method: http.MethodGet, URL: x.address(path, query), Header: map[string]string{"Accept": "application/json"}})
	if out := web.Unanswered(a, true); out != nil {
		return nil, out
	}
	if a.Status != http.StatusOK {
		o := x.classified(reads, a.Status, a.Header, a.Body, a.Wait)
		if o.Class == sinks.Unknown { // a read is never unknown
			o.Class, o.Hint = sinks.RetryLater, ""
		}
		return nil, &o
	}
	all, more, err := unwrap(a.Body)
	switch {
	case err != nil:
		return nil, setup("ANSWER", "", "asking "+path+": "+err.Error(), hintAddress)
	case more:
		return nil, setup("ANSWER", "", "asking "+path+": more records than one page holds", "More records have this key than can be told apart.")
	}
	return all, nil
}

// query asks for the entities that fit a filter.
func (x *exchange) query(path, filter, expand string, most string) ([]object, *sinks.Outcome) {
	q := url.Values{"$format": {"json"}, "$filter": {filter}}
	if expand != "" {
		q.Set("$expand", expand)
	}
	if most != "" {
		q.Set("$top", most)
	}
	return x.get(path, q)
}

// change is one write of OData.
type change struct {
	Method string `json:"method"`
	Path   string `json:"path"`           // behind the service
	ETag   string `json:"etag,omitempty"` // of what is changed
	Body   object `json:"body,omitempty"`
}

// json is the body on the wire; nil for none.
func (c change) json() ([]byte, error) {
	if c.Body == nil {
		return nil, nil
	}
	return json.Marshal(c.Body)
}

// write sends changes of one service: one as it is, several in a changeset. created is what the first of them made, nil when it made nothing.
func (x *exchange) write(service string, changes []change, in sinks.Intent, id string) (created object, out *sinks.Outcome) {
	header := map[string]string{"Accept": "application/json"}
	if (x.probing || x.cfg.Repeatability == RepeatabilityRequestID) && changes[0].Method == http.MethodPost {
		header["RequestID"] = strings.ToUpper(strings.ReplaceAll(id, "-", ""))
		header["RepeatabilityCreation"] = in.At.UTC().Format(http.TimeFormat)
	}
	if len(changes) > 1 {
		return x.batch(service, changes, header)
	}
	one := changes[0]
	body, err := one.json()
	if err != nil {
		return nil, rejected("BODY", "", err.Error(), "")
	}
	if body != nil {
		header["Content-Type"] = "application/json"
	}
	if one.ETag != "" {
		header["If-Match"] = one.ETag
	}
	x.request = web.Clip(one.Method+" "+one.Path+"\n"+string(body), excerpt)
	a := x.client.Do(x.ctx, web.Request{Method: one.Method, URL: x.address(service+one.Path, nil), Header: header, Body: body})
	x.answer = web.Clip(string(a.Body), excerpt)
	if out := web.Unanswered(a, false); out != nil {
		return nil, out
	}
	return x.made(a.Status, a.Header, a.Body, a.Wait)
}

// made reads the answer to one change.
func (x *exchange) made(status int, header http.Header, body []byte, wait time.Duration) (object, *sinks.Outcome) {
	switch status {
	case http.StatusNoContent:
		return nil, nil
	case http.StatusCreated, http.StatusOK:
		all, _, err := unwrap(body)
		if err != nil || len(all) != 1 {
			return nil, &sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Message: "S/4HANA took the change and did not say what it made.", Hint: web.HintUnknown}
		}
		return all[0], nil
	}
	o := x.classified(writes, status, header, body, wait)
	return nil, &o
}

// classified is the outcome of an error.
func (x *exchange) classified(table []web.Case, status int, header http.Header, body []byte, wait time.Duration) sinks.Outcome {
	s, transaction := said(status, header, body)
	o := web.Classify(table, s)
	o.Wait = wait
	if transaction != "" {
		o.Facts = map[string]string{"transactionid": web.Clip(transaction, 64)}
	}
	return o
}

func rejected(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Rejected, Code: code, Field: field, Message: web.Clip(message, 500), Hint: hint}
}

func setup(code, field, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Setup, Code: code, Field: field, Message: web.Clip(message, 500), Hint: hint}
}

func conflict(code, message, hint string) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.Conflict, Code: code, Message: web.Clip(message, 500), Hint: hint}
}
