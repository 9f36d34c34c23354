package s4hana

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

func jsonReply(status int, v any) reply {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("writing JSON: " + err.Error()) // of the simulator's own values
	}
	return reply{status, http.Header{"Content-Type": {"application/json;charset=utf-8"}, "Dataserviceversion": {"2.0"}}, raw}
}

const dateForm = "2006-01-02"

// encodeRow is an entity as the services write it, with the entities that expand names.
func (t *tx) encodeRow(name string, r row, choose, expand []string) map[string]any {
	s := sets[name]
	v := map[string]any{"__metadata": t.metadata(name, r)}
	for _, p := range s.order {
		if len(choose) > 0 && !contains(choose, p) {
			continue
		}
		v[p] = encodeValue(s.props[p].kind, r.values[p])
	}
	for nav, to := range s.navs {
		if !contains(expand, nav) {
			if len(choose) == 0 {
				v[nav] = map[string]any{"__deferred": map[string]string{"uri": address(name, r) + "/" + nav}}
			}
			continue
		}
		var below []any
		for _, candidate := range t.data.rows[to] {
			if candidate, ok := candidate.seen(t.behind); ok && candidate.has(relation(to, r)) {
				below = append(below, t.encodeRow(to, candidate, nil, tails(expand, nav)))
			}
		}
		switch {
		case !single(nav):
			v[nav] = map[string]any{"results": append([]any{}, below...)}
		case len(below) > 0:
			v[nav] = below[0]
		default:
			v[nav] = nil
		}
	}
	return v
}

func contains(list []string, name string) bool {
	for _, l := range list {
		if l == name || strings.HasPrefix(l, name+"/") {
			return true
		}
	}
	return false
}

// tails are the rests of paths that begin with a name.
func tails(paths []string, name string) (rest []string) {
	for _, p := range paths {
		if tail, ok := strings.CutPrefix(p, name+"/"); ok {
			rest = append(rest, tail)
		}
	}
	return rest
}

func (t *tx) metadata(name string, r row) map[string]string {
	m := map[string]string{"uri": address(name, r), "id": address(name, r), "type": sets[name].service + "." + name + "Type"}
	if sets[name].etag {
		m["etag"] = r.etag()
	}
	return m
}

func address(name string, r row) string {
	s := sets[name]
	var keys []string
	for _, k := range s.keys {
		keys = append(keys, k+"='"+strings.ReplaceAll(text(r.values[k]), "'", "''")+"'")
	}
	if len(keys) == 1 {
		_, keys[0], _ = strings.Cut(keys[0], "=")
	}
	return odataRoot + s.service + "/" + name + "(" + strings.Join(keys, ",") + ")"
}

func encodeValue(kind byte, v any) any {
	switch kind {
	case kindDate:
		at, err := time.Parse(dateForm, text(v))
		if err != nil {
			return nil
		}
		return fmt.Sprintf("/Date(%d)/", at.UnixMilli())
	case kindBool:
		on, _ := v.(bool)
		return on
	case kindDecimal:
		if text(v) == "" {
			return "0"
		}
	}
	return text(v)
}

var dateLiteral = regexp.MustCompile(`^/Date\((-?\d+)(?:[+-]\d+)?\)/$`)

// decodeValue reads a property of a request; the message says what is wrong with it.
func decodeValue(p property, raw json.RawMessage) (v any, fault string) {
	if bytes.Equal(raw, []byte("null")) {
		return nil, ""
	}
	var s string
	isText := json.Unmarshal(raw, &s) == nil
	switch p.kind {
	case kindBool:
		var b bool
		if json.Unmarshal(raw, &b) != nil {
			return nil, "is no Edm.Boolean"
		}
		return b, ""
	case kindDecimal:
		d, err := decimal.NewFromString(s)
		if !isText || err != nil {
			return nil, "is no Edm.Decimal, which is written as a string"
		}
		return d.String(), ""
	case kindDate:
		if m := dateLiteral.FindStringSubmatch(s); m != nil {
			ms, err := strconv.ParseInt(m[1], 10, 64)
			if err != nil {
				return nil, "is no Edm.DateTime"
			}
			return time.UnixMilli(ms).UTC().Format(dateForm), ""
		}
		at, err := time.Parse("2006-01-02T15:04:05", s)
		if err != nil {
			return nil, "is no Edm.DateTime: /Date(ms)/ or yyyy-mm-ddThh:mm:ss"
		}
		return at.Format(dateForm), ""
	}
	switch {
	case !isText:
		return nil, "is no Edm.String"
	case len([]rune(s)) > p.most:
		return nil, fmt.Sprintf("has %d characters, and at most %d are possible", len([]rune(s)), p.most)
	}
	return s, ""
}
