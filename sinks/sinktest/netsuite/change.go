package netsuite

import (
	"fmt"
	"mime"
	"net/http"
	"strings"
)

// write reads what the headers and the query say of a change.
func (c *call) write(t target) (*write, *problem) {
	w := &write{server: c.server, sim: c.sim, kind: t.kind, strict: strictness{Warning, Error}, replace: map[string]bool{}}
	for name, into := range map[string]*level{"X-NetSuite-PropertyNameValidation": &w.strict.names, "X-NetSuite-PropertyValueValidation": &w.strict.values} {
		if given := c.r.Header.Get(name); given != "" {
			if *into = level(given); *into != Error && *into != Warning && *into != Ignore {
				return nil, badHeader(name, "The value is Error, Warning or Ignore, not "+given+".")
			}
		}
	}
	for name := range strings.SplitSeq(c.r.URL.Query().Get("replace"), ",") {
		if name == "" {
			continue
		}
		if f, ok := t.kind.fields[name]; !ok || f.form != sublist {
			return nil, badQuery("replace", "There is no sublist "+name+".")
		}
		w.replace[name] = true
	}
	if c.r.Method == http.MethodDelete || t.collected {
		return w, nil
	}
	form, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || form != "application/json" && form != "application/vnd.oracle.resource+json" {
		return nil, refusal(http.StatusUnsupportedMediaType, detail{Detail: "The content type is application/json.", Code: "INVALID_HEADER", Header: "Content-Type"})
	}
	return w, nil
}

func (c *call) object() (map[string]any, *problem) {
	var body map[string]any
	if err := decode(c.body, &body); err != nil || body == nil {
		return nil, refusal(http.StatusBadRequest, detail{Detail: "Invalid content in the request body: not a JSON object.", Code: invalidContent})
	}
	return body, nil
}

func (c *call) done(w *write, r *record) answer {
	a := answer{status: http.StatusNoContent, header: map[string]string{"Location": fmt.Sprintf("%s%s%s/%s", c.base, recordPath, r.kind.name, r.id)}}
	if len(w.warned) > 0 {
		a.header["Warning"] = fmt.Sprintf("199 - %q", "ignored: "+strings.Join(w.warned, ", "))
	}
	return a
}

func (s *Server) post(c *call, w *write, r *record, t target) answer {
	body, p := c.object()
	if p != nil {
		return p.answer()
	}
	switch {
	case len(t.rest) == 2 && t.rest[0] == "!transform" && t.name == "invoice" && t.rest[1] == "creditMemo":
		if r == nil {
			return notFound(named(t)).answer()
		}
		w.kind = kinds["creditMemo"]
		body = credited(r, body)
	case t.id != "" || t.external != "":
		return refusal(http.StatusMethodNotAllowed, detail{Detail: "POST makes a record of a type.", Code: "METHOD_NOT_ALLOWED"}).answer()
	}
	made, p := w.create(body)
	if p != nil {
		return p.answer()
	}
	return c.done(w, made)
}

// credited is a credit memo as a transformation of an invoice makes it; what the body says wins.
func credited(invoice *record, body map[string]any) map[string]any {
	from := invoice.last().values
	out := map[string]any{"entity": clone(from["entity"]), "subsidiary": clone(from["subsidiary"]), "currency": clone(from["currency"]), "createdFrom": map[string]any{"id": invoice.id}}
	if _, own := body["item"]; !own {
		items := []any{}
		for _, line := range rows(from, "item") {
			copied := clone(line).(map[string]any)
			delete(copied, "grossAmt")
			items = append(items, copied)
		}
		out["item"] = map[string]any{"items": items}
	}
	if _, own := body["apply"]; !own {
		out["apply"] = map[string]any{"items": []any{map[string]any{"apply": true, "doc": map[string]any{"id": invoice.id}}}}
	}
	for name, value := range body {
		out[name] = value
	}
	return out
}

// upsert is PUT: it makes a record, or changes the one that is there.
func (s *Server) upsert(c *call, w *write, r *record, t target) answer {
	body, p := c.object()
	if p != nil {
		return p.answer()
	}
	if other, said := body["externalId"]; said && other != t.external {
		return content("externalId", "The external ID of the body is not that of the address.").answer()
	}
	body["externalId"] = t.external
	if r != nil {
		if p := w.update(r, body); p != nil {
			return p.answer()
		}
		return c.done(w, r)
	}
	made, p := w.create(body)
	if p != nil {
		return p.answer()
	}
	return c.done(w, made)
}

func (s *Server) change(c *call, w *write, r *record) answer {
	body, p := c.object()
	if p == nil {
		p = w.update(r, body)
	}
	if p != nil {
		return p.answer()
	}
	return c.done(w, r)
}

func (s *Server) delete(w *write, r *record, t target) answer {
	if r == nil {
		return notFound(named(t)).answer()
	}
	if p := w.remove(r); p != nil {
		return p.answer()
	}
	return answer{status: http.StatusNoContent}
}
