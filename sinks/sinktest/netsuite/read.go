package netsuite

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// read answers GET: a record, its sublist, or the records of a type that fit a query.
func (s *Server) read(c *call, t target) answer {
	entity, _ := c.names()
	then := c.then(entity)
	if t.id == "" && t.external == "" {
		return s.list(c, t, then)
	}
	var r *record
	var values map[string]any
	for _, one := range s.records[t.name] {
		v := one.at(then)
		if v != nil && (t.external != "" && str(v, "externalId") == t.external || t.id != "" && one.id == t.id) {
			r, values = one, v
		}
	}
	if r == nil {
		return notFound(named(t)).answer()
	}
	expand := c.r.URL.Query().Get("expandSubResources") == "true"
	if len(t.rest) > 0 {
		return s.readPart(c, t, r, values)
	}
	out := s.render(c.base, r, values, expand)
	if fields := c.r.URL.Query().Get("fields"); fields != "" {
		chosen := map[string]any{"links": out["links"], "id": out["id"]}
		for name := range strings.SplitSeq(fields, ",") {
			if _, known := s.field(t.kind, t.kind.fields, name); !known && name != "id" {
				return badQuery("fields", "There is no field "+name+".").answer()
			}
			if v, there := out[name]; there {
				chosen[name] = v
			}
		}
		out = chosen
	}
	return answer{status: http.StatusOK, body: out}
}

// readPart answers a path below a record: a sublist, or an object.
func (s *Server) readPart(c *call, t target, r *record, values map[string]any) answer {
	name := t.rest[0]
	out, there := s.render(c.base, r, values, true)[name]
	if !there || len(t.rest) > 2 {
		return notFound(strings.Join(t.rest, "/")).answer()
	}
	if len(t.rest) == 2 {
		for i, line := range rows(values, name) {
			if str(line, "line") == t.rest[1] {
				return answer{status: http.StatusOK, body: out.(map[string]any)["items"].([]any)[i]}
			}
		}
		return notFound(strings.Join(t.rest, "/")).answer()
	}
	return answer{status: http.StatusOK, body: out}
}

// list answers a query over a type: links only, a page at a time.
func (s *Server) list(c *call, t target, then time.Time) answer {
	q := c.r.URL.Query()
	conditions, p := s.conditions(t.kind, q.Get("q"))
	if p != nil {
		return p.answer()
	}
	limit, offset := 1000, 0
	for name, into := range map[string]*int{"limit": &limit, "offset": &offset} {
		if text := q.Get(name); text != "" {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 || n > 1000000 || name == "limit" && (n == 0 || n > 1000) {
				return badQuery(name, "A number, for limit from 1 to 1000.").answer()
			}
			*into = n
		}
	}
	if offset%limit != 0 {
		return badQuery("offset", "The offset is divisible by the limit.").answer()
	}
	items, total := []any{}, 0
	for _, r := range s.records[t.name] {
		values := r.at(then)
		if values == nil || !fits(conditions, r, values) {
			continue
		}
		if total++; total > offset && len(items) < limit {
			items = append(items, map[string]any{"id": r.id, "links": links(fmt.Sprintf("%s%s%s/%s", c.base, recordPath, t.name, r.id))})
		}
	}
	body := map[string]any{"links": links(c.base + c.r.URL.RequestURI()), "count": len(items), "hasMore": offset+len(items) < total, "items": items, "offset": offset, "totalResults": total}
	return answer{status: http.StatusOK, body: body, header: map[string]string{"Content-Type": "application/vnd.oracle.resource+json; type=collection; charset=UTF-8"}}
}

// condition is one comparison of a query.
type condition struct{ field, operator, value string }

var (
	conditionForm = regexp.MustCompile(`^\s*([A-Za-z_0-9]+)\s+(IS|IS_NOT|EQUAL|CONTAIN|START_WITH|END_WITH|ANY_OF|ON|ON_OR_AFTER|ON_OR_BEFORE|AFTER|BEFORE|EMPTY)\s*(?:"([^"]*)"|(\S+))?\s*$`)
	andForm       = regexp.MustCompile(`\s+AND\s+`)
)

// conditions reads a query; only AND joins them.
func (s *Server) conditions(k *kind, q string) (all []condition, p *problem) {
	if q == "" {
		return nil, nil
	}
	for _, part := range andForm.Split(q, -1) {
		m := conditionForm.FindStringSubmatch(part)
		if m == nil {
			return nil, badQuery("q", "Invalid search query: "+part)
		}
		if _, known := s.field(k, k.fields, m[1]); !known && m[1] != "id" {
			return nil, badQuery("q", "Invalid search query. There is no field "+m[1]+".")
		}
		all = append(all, condition{m[1], m[2], m[3] + m[4]})
	}
	return all, nil
}

func fits(all []condition, r *record, values map[string]any) bool {
	for _, c := range all {
		have := str(values, c.field)
		switch v := values[c.field].(type) {
		case bool:
			have = fmt.Sprint(v)
		case map[string]any:
			have = str(v, "id")
		}
		if c.field == "id" {
			have = r.id
		}
		if !c.holds(have) {
			return false
		}
	}
	return true
}

func (c condition) holds(have string) bool {
	day := have
	if len(day) > len(dateForm) {
		day = day[:len(dateForm)]
	}
	switch c.operator {
	case "IS", "EQUAL":
		return have == c.value
	case "IS_NOT":
		return have != c.value
	case "CONTAIN":
		return strings.Contains(strings.ToLower(have), strings.ToLower(c.value))
	case "START_WITH":
		return strings.HasPrefix(strings.ToLower(have), strings.ToLower(c.value))
	case "END_WITH":
		return strings.HasSuffix(strings.ToLower(have), strings.ToLower(c.value))
	case "ANY_OF":
		for one := range strings.SplitSeq(strings.Trim(c.value, "[]"), ",") {
			if have == strings.Trim(strings.TrimSpace(one), `"`) {
				return true
			}
		}
		return false
	case "ON":
		return day == c.value
	case "ON_OR_AFTER":
		return day >= c.value
	case "ON_OR_BEFORE":
		return day <= c.value
	case "AFTER":
		return day > c.value
	case "BEFORE":
		return day < c.value
	}
	return have == "" // EMPTY
}
