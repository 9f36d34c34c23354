package s4hana

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// options of a query that are known; each other one is refused.
var queryOptions = []string{"$filter", "$top", "$skip", "$select", "$expand", "$orderby", "$format", "$inlinecount", "sap-client", "sap-language"}

func (t *tx) query(c call, name string) (choose, expand []string, bad *reply) {
	refuse := func(code, message string) *reply {
		r := fault(c.service, http.StatusBadRequest, code, message)
		return &r
	}
	for option := range c.query {
		if !slices.Contains(queryOptions, option) {
			return nil, nil, refuse("/IWBEP/CM_MGW_RT/021", "Invalid query option '"+option+"'")
		}
	}
	if f := c.query.Get("$format"); f != "json" && !strings.Contains(c.header.Get("Accept"), "json") {
		r := fault(c.service, http.StatusNotAcceptable, "/IWFND/CM_CONSUMER/105", "The simulator writes JSON only; ask for it with Accept or $format")
		return nil, nil, &r
	}
	for list, at := range map[string]*[]string{"$select": &choose, "$expand": &expand} {
		for _, p := range strings.Split(c.query.Get(list), ",") {
			if p = strings.TrimSpace(p); p == "" {
				continue
			}
			head, _, _ := strings.Cut(p, "/")
			_, isProp := sets[name].props[head]
			_, isNav := sets[name].navs[head]
			if !isNav && (!isProp || list == "$expand") {
				return nil, nil, refuse("005056A509B11EE1B9A8FEC11C23378E", "Resource not found for the segment '"+head+"'")
			}
			*at = append(*at, p)
		}
	}
	return choose, expand, nil
}

func (t *tx) one(c call, name string, r row) reply {
	choose, expand, bad := t.query(c, name)
	if bad != nil {
		return *bad
	}
	answer := jsonReply(http.StatusOK, map[string]any{"d": t.encodeRow(name, r, choose, expand)})
	if sets[name].etag {
		answer.header.Set("ETag", r.etag())
	}
	return answer
}

func (t *tx) list(c call, name string, related func(row) bool) reply {
	choose, expand, bad := t.query(c, name)
	if bad != nil {
		return *bad
	}
	fits := func(row) bool { return true }
	if f := c.query.Get("$filter"); f != "" {
		var err error
		if fits, err = parseFilter(sets[name], f); err != nil {
			return fault(c.service, http.StatusBadRequest, "/IWBEP/CM_MGW_RT/021", "Invalid filter: "+err.Error())
		}
	}
	var found []row
	for _, r := range t.data.rows[name] {
		if r, ok := r.seen(t.behind); ok && related(r) && fits(r) {
			found = append(found, r)
		}
	}
	count := len(found)
	order(found, c.query.Get("$orderby"))
	skip, errSkip := strconv.Atoi("0" + c.query.Get("$skip"))
	top, errTop := strconv.Atoi("0" + c.query.Get("$top"))
	if errSkip != nil || errTop != nil {
		return fault(c.service, http.StatusBadRequest, "/IWBEP/CM_MGW_RT/021", "Invalid $top or $skip")
	}
	found = found[min(skip, len(found)):]
	if c.query.Get("$top") != "" {
		found = found[:min(top, len(found))]
	}
	results := []any{}
	for _, r := range found {
		results = append(results, t.encodeRow(name, r, choose, expand))
	}
	d := map[string]any{"results": results}
	if c.query.Get("$inlinecount") == "allpages" {
		d["__count"] = strconv.Itoa(count)
	}
	return jsonReply(http.StatusOK, map[string]any{"d": d})
}

// order sorts by one property, as text.
func order(rows []row, by string) {
	name, direction, _ := strings.Cut(strings.TrimSpace(by), " ")
	if name == "" {
		return
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		n := strings.Compare(text(a.values[name]), text(b.values[name]))
		if direction == "desc" {
			return -n
		}
		return n
	})
}
