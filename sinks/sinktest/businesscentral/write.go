package businesscentral

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

var (
	guidForm = regexp.MustCompile(`^(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
	dateForm = "2006-01-02"
)

// object reads the body of a write, strictly.
func object(req request) (map[string]any, *refusal) {
	if kind, _, _ := strings.Cut(req.header.Get("Content-Type"), ";"); strings.TrimSpace(kind) != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "BadRequest", "The content type '%s' is not supported.", req.header.Get("Content-Type"))
	}
	d := json.NewDecoder(bytes.NewReader(req.body))
	d.UseNumber()
	var body map[string]any
	if err := d.Decode(&body); err != nil || body == nil {
		return nil, bad("BadRequest", "Invalid Request Body")
	}
	return body, nil
}

// take reads properties into values. create says that the record is new; lines are what a deep insert brings.
func (s *Simulator) take(r *resource, body map[string]any, create bool) (v values, lines []any, out *refusal) {
	v = values{}
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if strings.HasPrefix(name, "@odata.") {
			continue
		}
		if name == r.lines && r.lines != "" {
			list, ok := body[name].([]any)
			if !ok || !create {
				return nil, nil, bad("BadRequest", "The property '%s' cannot be written here: nested records are inserted together with their parent alone.", name)
			}
			lines = list
			continue
		}
		p, ok := r.props[name]
		if !ok {
			return nil, nil, bad("BadRequest", "The property '%s' does not exist on type 'Microsoft.NAV.%s'. Make sure to only use property names that are defined by the type.", name, r.kind)
		}
		if p.readonly || name == "id" && (!create || !s.options.ClientIDs) {
			return nil, nil, bad("BadRequest_InvalidOperation", "Control '%s' is read-only.", name)
		}
		if body[name] == nil { // it is cleared
			v[name] = nil
			continue
		}
		value, out := p.read(body[name])
		if out != nil {
			return nil, nil, out
		}
		v[name] = value
	}
	return v, lines, nil
}

// read checks a value against the type of its property.
func (p property) read(raw any) (any, *refusal) {
	text, isText := raw.(string)
	switch n, isNumber := raw.(json.Number); {
	case p.kind == "decimal" || p.kind == "int":
		if d, err := decimal.NewFromString(n.String()); isNumber && err == nil && (p.kind == "decimal" || d.IsInteger()) {
			return d, nil
		}
		return nil, bad("BadRequest", "Cannot convert the literal '%v' to the expected type 'Edm.%s' of the property '%s'.", raw, p.kind, p.name)
	case p.kind == "bool":
		if b, ok := raw.(bool); ok {
			return b, nil
		}
		return nil, bad("BadRequest", "Cannot convert the literal '%v' to the expected type 'Edm.Boolean' of the property '%s'.", raw, p.name)
	case !isText:
		return nil, bad("BadRequest", "Cannot convert the literal '%v' to the expected type of the property '%s'.", raw, p.name)
	case p.kind == "guid" && !guidForm.MatchString(text):
		return nil, bad("Application_InvalidGUID", "Invalid format of GUID string '%s'.", text)
	case p.kind == "guid":
		return strings.ToLower(text), nil
	case p.kind == "date":
		if _, err := time.Parse(dateForm, text); err != nil {
			return nil, bad("BadRequest", "Unable to convert value to Date")
		}
	case p.most > 0 && len([]rune(text)) > p.most:
		return nil, bad("Application_StringExceededLength", "The length of the string is %d, but it must be less than or equal to %d characters. Value: %s", len([]rune(text)), p.most, text)
	case p.options != nil && !slices.Contains(p.options, text) && text != " ":
		return nil, bad("Unknown", "'%s' is not an option. The existing options are: %s", text, strings.Join(p.options, ","))
	}
	return text, nil
}

func (s *Simulator) create(t *transaction, req request, r *resource, parent string) (int, any, string, *refusal) {
	body, out := object(req)
	if out != nil {
		return 0, nil, "", out
	}
	v, lines, out := s.take(r, body, true)
	if out != nil {
		return 0, nil, "", out
	}
	if r.parent != "" && parent != "" {
		v[r.parent] = parent
	}
	row, out := s.make(t, r, v)
	if out != nil {
		return 0, nil, "", out
	}
	for _, raw := range lines {
		m, ok := raw.(map[string]any)
		if !ok {
			return 0, nil, "", bad("BadRequest", "Invalid Request Body")
		}
		line, _, out := s.take(resources[r.lines], m, true)
		if out != nil {
			return 0, nil, "", out
		}
		line[resources[r.lines].parent] = row.id
		if _, out := s.make(t, resources[r.lines], line); out != nil {
			return 0, nil, "", out
		}
	}
	s.noteWrite(t, r, "create", row)
	last := row.versions[len(row.versions)-1]
	return http.StatusCreated, json.RawMessage(s.show(t, req, r, &last, 0)), last.tag, nil
}

// noteWrite adds the line of the ledger for a write; a line of a sales document is an update of its document.
func (s *Simulator) noteWrite(t *transaction, r *resource, step string, row *row) {
	v := row.now()
	switch {
	case r.entity == "" || r.set == "journals":
		return
	case r.set == "journalLines":
		t.note(r, step, orElse(v.text("externalDocumentNumber"), v.text("documentNumber")), v, v.text("documentNumber"), v.amount("amount").String())
	case r.parent != "":
		of := headerOf(r)
		if doc := t.find(of.set, v.text(r.parent)); doc != nil {
			t.note(of, "update", doc.now().text("externalDocumentNumber"), doc.now(), "", doc.now().amount("totalAmountIncludingTax").String())
		}
	case r.lines != "":
		t.note(r, step, v.text("externalDocumentNumber"), v, "", v.amount("totalAmountIncludingTax").String())
	default:
		t.note(r, step, v.text(r.key), v, v.text(r.key), "")
	}
}

func orElse(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// make completes a new record, and checks what it names.
func (s *Simulator) make(t *transaction, r *resource, v values) (*row, *refusal) {
	if v.text("id") == "" {
		v["id"] = newID()
	}
	if t.find(r.set, v.text("id")) != nil {
		return nil, exists(r, "SystemId", v.text("id"))
	}
	if r.key != "" {
		if v.text(r.key) == "" && r.series != "" {
			v[r.key] = t.number(r.set, r.series+"%05d", 10)
		}
		switch {
		case v.text(r.key) == "":
			return nil, bad("Application_FieldValidationException", "%s must have a value in %s: It cannot be zero or empty.", r.key, r.table)
		case t.by(r.set, r.key, v.text(r.key)) != nil:
			return nil, exists(r, r.key, v.text(r.key))
		}
	}
	if out := s.relations(t, r, v); out != nil {
		return nil, out
	}
	switch {
	case r.set == "journalLines":
		return s.makeJournalLine(t, v)
	case r.parent != "":
		return s.makeLine(t, r, v)
	case r.lines != "" && r.set != "journals":
		return s.makeDocument(t, r, v)
	}
	return t.insert(r.set, v), nil
}

func exists(r *resource, name, value string) *refusal {
	return bad("Internal_EntityWithSameKeyExists", "The %s already exists. Identification fields and values: %s='%s'", r.table, name, value)
}

// relation is a property that names a record of another set, by its id or by its key.
type relation struct{ property, set, by string }

var relations = []relation{{"taxAreaId", "taxAreas", "id"}, {"taxGroupId", "taxGroups", "id"}, {"currencyId", "currencies", "id"}, {"currencyCode", "currencies", "code"},
	{"paymentTermsId", "paymentTerms", "id"}, {"balancingAccountId", "accounts", "id"}, {"balancingAccountNumber", "accounts", "number"}, {"locationId", "locations", "id"}}

func (s *Simulator) relations(t *transaction, r *resource, v values) *refusal {
	for _, rel := range relations {
		if value := v.text(rel.property); value != "" && value != noID && t.by(rel.set, rel.by, value) == nil &&
			(rel.by != "code" || value != s.options.LocalCurrency) {
			return missing(r, rel.property, value, resources[rel.set].table)
		}
	}
	return nil
}

func missing(r *resource, name, value, table string) *refusal {
	return bad("Internal_InvalidTableRelation", "The field %s of table %s contains a value (%s) that cannot be found in the related table (%s).", name, r.table, value, table)
}

// matched looks whether a change is of the record as it is now.
func matched(req request, row *row) *refusal {
	tag := req.header.Get("If-Match")
	switch {
	case tag == "":
		return bad("BadRequest_InvalidToken", "Could not validate the client concurrency token required by the service. Please provide a valid token in the client request.")
	case tag != "*" && !strings.HasPrefix(tag, `W/"`):
		return bad("BadRequest_InvalidToken", "Could not validate the client concurrency token required by the service. Please provide a valid token in the client request.")
	case tag != "*" && tag != row.versions[len(row.versions)-1].tag:
		return refuse(http.StatusConflict, "Request_EntityChanged", "Another user has already changed the record.")
	}
	return nil
}

func (s *Simulator) update(t *transaction, req request, r *resource, id string) (int, any, string, *refusal) {
	row := t.find(r.set, id)
	if row == nil {
		return 0, nil, "", notFound(r, id)
	}
	if out := matched(req, row); out != nil {
		return 0, nil, "", out
	}
	body, out := object(req)
	if out != nil {
		return 0, nil, "", out
	}
	change, _, out := s.take(r, body, false)
	if out != nil {
		return 0, nil, "", out
	}
	if key := change.text(r.key); r.key != "" && key != "" {
		if other := t.by(r.set, r.key, key); other != nil && other != row {
			return 0, nil, "", exists(r, r.key, key)
		}
	}
	if out := s.relations(t, r, change); out != nil {
		return 0, nil, "", out
	}
	v := maps.Clone(row.now())
	maps.Copy(v, change)
	if out := s.changed(t, r, row, v, change); out != nil {
		return 0, nil, "", out
	}
	s.noteWrite(t, r, "update", row)
	last := row.versions[len(row.versions)-1]
	return http.StatusOK, json.RawMessage(s.show(t, req, r, &last, 0)), last.tag, nil
}

// changed puts a changed record in its place; posted documents are not changed.
func (s *Simulator) changed(t *transaction, r *resource, row *row, v, change values) *refusal {
	header, doc, out := draft(t, r, row)
	if out != nil {
		return out
	}
	t.set(row, v)
	switch {
	case r.set == "journalLines" || r.set == "journals":
	case r.parent != "":
		if out := s.completeLine(t, r, v); out != nil {
			return out
		}
		t.set(row, v)
		return s.total(t, header, doc)
	case r.lines != "":
		for _, name := range []string{"customerId", "customerNumber"} {
			if _, moved := change[name]; moved {
				delete(v, map[string]string{"customerId": "customerNumber", "customerNumber": "customerId"}[name])
				if out := s.bill(t, r, v); out != nil {
					return out
				}
				t.set(row, v)
			}
		}
		return s.total(t, r, row)
	}
	return nil
}

// draft is the sales document to which a record belongs, or which it is, while that is not posted; nil for other records.
func draft(t *transaction, r *resource, of *row) (header *resource, doc *row, out *refusal) {
	switch {
	case r.set == "journals" || r.set == "journalLines" || r.lines == "" && r.parent == "":
		return nil, nil, nil
	case r.parent != "":
		header = headerOf(r)
		doc = t.find(header.set, of.now().text(r.parent))
	default:
		header, doc = r, of
	}
	if doc != nil && doc.now().text("status") != "Draft" {
		return nil, nil, bad("BadRequest_InvalidOperation", "The %s %s is posted and cannot be changed.", header.table, doc.now().text("number"))
	}
	return header, doc, nil
}

func (s *Simulator) remove(t *transaction, req request, r *resource, id string) (int, any, string, *refusal) {
	row := t.find(r.set, id)
	if row == nil {
		return 0, nil, "", notFound(r, id)
	}
	if out := matched(req, row); out != nil {
		return 0, nil, "", out
	}
	v := row.now()
	header, doc, out := draft(t, r, row)
	if out != nil {
		return 0, nil, "", out
	}
	if r.entity == "customer" {
		for _, set := range []string{"salesInvoices", "salesCreditMemos"} {
			if t.by(set, "customerId", id) != nil {
				return 0, nil, "", bad("Application_DialogException", "You cannot delete Customer %s because there is at least one outstanding document for it.", v.text("number"))
			}
		}
	}
	t.note(r, "delete", orElse(v.text("externalDocumentNumber"), v.text(r.key)), v, "", "")
	t.set(row, nil)
	if r.lines != "" {
		for _, line := range t.children(r.lines, resources[r.lines].parent, id) {
			t.set(line, nil)
		}
	}
	if r.parent != "" && doc != nil {
		if out := s.total(t, header, doc); out != nil {
			return 0, nil, "", out
		}
	}
	return http.StatusNoContent, nil, "", nil
}

// headerOf is the set of documents to which a set of lines belongs.
func headerOf(line *resource) *resource {
	for _, r := range resources {
		if r.lines == line.set {
			return r
		}
	}
	panic(fmt.Sprintf("the lines %s belong to nothing", line.set))
}
