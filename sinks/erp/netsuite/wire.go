package netsuite

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/shopspring/decimal"

	"waybill/sinks"
	"waybill/sinks/web"
)

const (
	recordPath = "/services/rest/record/v1/"
	limitsPath = "/services/rest/system/v1/governanceLimits"
)

// record is a record of NetSuite. Numbers are their digits: no float holds money.
type record map[string]any

// decode keeps numbers as their digits.
func decode(raw []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	return d.Decode(into)
}

// text is a field as text, "" for none.
func (r record) text(name string) string {
	switch v := r[name].(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

// truth is a box that is checked.
func (r record) truth(name string) bool { b, _ := r[name].(bool); return b }

// sub is a reference or a subrecord; nil for none.
func (r record) sub(name string) record {
	m, _ := r[name].(map[string]any)
	return m
}

// ref is the id of a reference, which may stand alone.
func (r record) ref(name string) string {
	if m := r.sub(name); m != nil {
		return m.text("id")
	}
	return r.text(name)
}

// shown is a reference as people know it.
func (r record) shown(name string) string {
	if m := r.sub(name); m != nil && m.text("refName") != "" {
		return m.text("refName")
	}
	return r.ref(name)
}

// items are the lines of a sublist.
func (r record) items(name string) []record { return r.sub(name).list() }

// list are the members of a collection.
func (r record) list() []record {
	list, _ := r["items"].([]any)
	var all []record
	for _, v := range list {
		if m, ok := v.(map[string]any); ok {
			all = append(all, m)
		}
	}
	return all
}

// amount is a number in its shortest form; false when there is none.
func (r record) amount(name string) (decimal.Decimal, bool) {
	d, err := decimal.NewFromString(r.text(name))
	return d, err == nil
}

// number is an amount as it is sent.
func number(d decimal.Decimal) json.Number { return json.Number(d.String()) }

// refer is a reference by its internal id.
func refer(id string) record { return record{"id": id} }

// exchange is the calls of one step, together under the sink's timeout.
type exchange struct {
	*Sink
	ctx             context.Context
	request, answer string // of the last write
}

func (s *Sink) begin(ctx context.Context) (*exchange, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	return &exchange{Sink: s, ctx: ctx}, cancel
}

// get reads. Neither a record nor an outcome means that NetSuite says that there is none.
func (x *exchange) get(path string, query url.Values) (record, *sinks.Outcome) {
	at := x.cfg.URL + path
	if len(query) > 0 {
		at += "?" + query.Encode()
	}
	a := x.client.Do(x.ctx, web.Request{Method: http.MethodGet, URL: at})
	if a.Err == nil && a.Status == http.StatusOK {
		var r record
		if err := decode(a.Body, &r); err == nil {
			return r, nil
		}
		return nil, &sinks.Outcome{Class: sinks.RetryLater, Code: "ANSWER", Message: "NetSuite's answer is not JSON: " + web.Clip(string(a.Body), 200)}
	}
	if a.Err == nil && a.Status == http.StatusNotFound && said(a).Code == absent {
		return nil, nil
	}
	o := classifyRead(a)
	return nil, &o
}

// find reads the record of a type that carries our external id; nil without an outcome when there is none. Sublists come with it, except the lines
// of an invoice, whose totals say enough.
func (x *exchange) find(kind, key string) (record, *sinks.Outcome) {
	query := url.Values{"expandSubResources": {"true"}}
	if kind == "invoice" || kind == "creditMemo" {
		query = nil
	}
	return x.get(recordPath+kind+"/eid:"+url.PathEscape(key), query)
}

// query finds at most two records of a type; only their ids are sure to be there.
func (x *exchange) query(kind, q string) ([]record, *sinks.Outcome) {
	r, out := x.get(recordPath+kind, url.Values{"q": {q}, "limit": {"2"}})
	if out != nil {
		return nil, out
	}
	if r == nil { // no type of this name
		return nil, setup("ADDRESS", "", "NetSuite has no records of the type "+kind+".", hintAddress)
	}
	return r.list(), nil
}

// put creates or updates the record with the external id, once. replace names a sublist that the body's replaces.
func (x *exchange) put(req request, body []byte, replace string, headers map[string]string) web.Answer {
	at := x.cfg.URL + recordPath + req.Type + "/eid:" + url.PathEscape(req.Key)
	if replace != "" {
		at += "?replace=" + url.QueryEscape(replace)
	}
	all := map[string]string{"Content-Type": "application/json"}
	for name, value := range headers {
		all[name] = value
	}
	a := x.client.Do(x.ctx, web.Request{Method: http.MethodPut, URL: at, Header: all, Body: body})
	x.request, x.answer = "PUT "+strings.TrimPrefix(at, x.cfg.URL)+" "+web.Clip(string(body), 3800), web.Clip(string(a.Body), 4000)
	return a
}

// sublists names the members of a body that are sublists, for ?replace=.
func sublists(body []byte) string {
	var r record
	if decode(body, &r) != nil {
		return "" // a master has no body yet
	}
	var all []string
	for _, name := range sortedKeys(r) {
		if r.items(name) != nil {
			all = append(all, name)
		}
	}
	return strings.Join(all, ",")
}

// quoted is a value in a query; false when it cannot be written there.
func quoted(value string) (string, bool) {
	if strings.ContainsAny(value, "\"\\\r\n") {
		return "", false
	}
	return `"` + value + `"`, true
}
