package businesscentral

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"waybill/sinks/sinktest"
)

const noID = "00000000-0000-0000-0000-000000000000"

// pageSize is the most that one answer lists.
const pageSize = 20_000

func (s *Simulator) readCompanies(req request) (int, any, string, *refusal) {
	if req.method != http.MethodGet {
		return 0, nil, "", refuse(http.StatusMethodNotAllowed, "BadRequest_MethodNotAllowed", "'%s' requests for 'companies' of EdmType 'Entity' are not allowed.", req.method)
	}
	f, out := parseFilter(resources["companies"], req.query.Get("$filter"))
	if req.query.Get("$filter") == "" {
		f, out = nil, nil
	}
	if out != nil {
		return 0, nil, "", out
	}
	list := []any{}
	for _, co := range s.companies {
		v := values{"id": co.id, "name": co.name, "displayName": co.name}
		if req.path[0].id == co.id {
			return http.StatusOK, json.RawMessage(render(resources["companies"], v, "")), "", nil
		}
		if f.takes(v) {
			list = append(list, json.RawMessage(render(resources["companies"], v, "")))
		}
	}
	if req.path[0].id != "" {
		return 0, nil, "", refuse(http.StatusNotFound, "Internal_CompanyNotFound", "Cannot find the company '%s'.", req.path[0].id)
	}
	return http.StatusOK, map[string]any{"@odata.context": s.API() + "/$metadata#companies", "value": list}, "", nil
}

// lag is how far behind a read is: the replica serves it unless it asks for the primary.
func (s *Simulator) lag(req request, entity string) time.Duration {
	if strings.EqualFold(req.header.Get("Data-Access-Intent"), "ReadWrite") && !s.options.IgnoreIntent {
		return 0
	}
	if o, hit := s.Sim.Struck(sinktest.StaleReads, entity, "read"); hit {
		return o.Delay
	}
	return s.options.ReplicaLag
}

// known options of a query.
var known = []string{"$filter", "$orderby", "$schemaversion", "$top", "$skip", "$select", "$expand", "$count", "tenant", "company"}

func (s *Simulator) read(t *transaction, req request, r *resource, parent, id string) (int, any, string, *refusal) {
	for name := range req.query {
		if !slices.Contains(known, name) {
			return 0, nil, "", bad("BadRequest", "The query option '%s' is not supported.", name)
		}
	}
	if expand := req.query.Get("$expand"); expand != "" && expand != r.lines {
		return 0, nil, "", bad("BadRequest", "Could not find a property named '%s' on type 'Microsoft.NAV.%s'.", expand, r.kind)
	}
	lag := s.lag(req, r.entity)
	if id != "" {
		for _, row := range t.co.tables[r.set] {
			if v := row.asOf(lag); row.id == id && v != nil && (parent == "" || v.data.text(r.parent) == parent) {
				return http.StatusOK, json.RawMessage(s.show(t, req, r, v, lag)), v.tag, nil
			}
		}
		return 0, nil, "", notFound(r, id)
	}
	var f filter
	if text := req.query.Get("$filter"); text != "" {
		var out *refusal
		if f, out = parseFilter(r, text); out != nil {
			return 0, nil, "", out
		}
	}
	var hits []*version
	for _, row := range t.co.tables[r.set] {
		if v := row.asOf(lag); v != nil && (parent == "" || v.data.text(r.parent) == parent) && f.takes(v.data) {
			hits = append(hits, v)
		}
	}
	if out := inOrder(r, req.query.Get("$orderby"), hits); out != nil {
		return 0, nil, "", out
	}
	found := []any{}
	for _, v := range hits {
		found = append(found, json.RawMessage(s.show(t, req, r, v, lag)))
	}
	answer := map[string]any{"@odata.context": fmt.Sprintf("%s/$metadata#companies(%s)/%s", s.API(), t.co.id, r.set)}
	if req.query.Get("$count") == "true" {
		answer["@odata.count"] = len(found)
	}
	skip, top := 0, pageSize
	for name, at := range map[string]*int{"$skip": &skip, "$top": &top} {
		if text := req.query.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return 0, nil, "", bad("BadRequest", "Invalid value '%s' for %s query option found.", text, name)
			}
			*at = n
		}
	}
	found = found[min(skip, len(found)):]
	answer["value"] = append([]any{}, found[:min(top, len(found), pageSize)]...)
	return http.StatusOK, answer, "", nil
}

// inOrder sorts by one property.
func inOrder(r *resource, by string, hits []*version) *refusal {
	if by == "" {
		return nil
	}
	name, way, _ := strings.Cut(strings.TrimSpace(by), " ")
	p, known := r.props[name]
	if !known || way != "" && way != "asc" && way != "desc" {
		return bad("BadRequest", "Could not find a property named '%s' on type 'Microsoft.NAV.%s'.", by, r.kind)
	}
	slices.SortStableFunc(hits, func(a, b *version) int {
		if way == "desc" {
			a, b = b, a
		}
		if p.kind == "decimal" || p.kind == "int" {
			return a.data.amount(name).Cmp(b.data.amount(name))
		}
		return strings.Compare(a.data.text(name), b.data.text(name))
	})
	return nil
}

// show is a version as the API gives it: with its lines when they are asked for, and the selected properties alone.
func (s *Simulator) show(t *transaction, req request, r *resource, v *version, lag time.Duration) json.RawMessage {
	raw := render(r, v.data, v.tag)
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		panic(fmt.Sprintf("a record of the simulator: %v", err))
	}
	if names := req.query.Get("$select"); names != "" {
		picked := strings.Split(names, ",")
		for name := range m {
			if name != "@odata.etag" && !slices.Contains(picked, name) {
				delete(m, name)
			}
		}
	}
	if req.query.Get("$expand") != "" {
		lines := []json.RawMessage{}
		for _, row := range t.co.tables[r.lines] {
			if l := row.asOf(lag); l != nil && l.data.text(resources[r.lines].parent) == v.data.text("id") {
				lines = append(lines, render(resources[r.lines], l.data, l.tag))
			}
		}
		list, err := json.Marshal(lines)
		if err != nil {
			panic(fmt.Sprintf("the lines of a record of the simulator: %v", err))
		}
		m[r.lines] = list
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("a record of the simulator: %v", err))
	}
	return raw
}

// render is a record with all its properties: those that were never set have their type's empty value, as in the product.
func render(r *resource, v values, tag string) json.RawMessage {
	m := map[string]any{}
	if tag != "" {
		m["@odata.etag"] = tag
	}
	for name, p := range r.props {
		switch value := v[name].(type) {
		case decimal.Decimal:
			m[name] = json.Number(value.String())
		case nil:
			m[name] = map[string]any{"text": "", "guid": noID, "date": "0001-01-01", "decimal": 0, "bool": false, "int": 0, "time": "0001-01-01T00:00:00Z"}[p.kind]
		default:
			m[name] = value
		}
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("a record of the simulator: %v", err))
	}
	return raw
}
