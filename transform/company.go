package transform

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"cel.dev/cel-go/common/types"
)

// A company is a legal entity: an acquired carrier is one of several in one ERP. What two companies call by the same number is two
// things, so the company is part of every reference, order key, gate and key of the state that a number is part of (Ref). A
// mapping may be of one company, and a rule may tell another from the row.

// companyForm is what may name a company: it stands before the key in references, so it holds neither ":" nor "/".
var companyForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,31}$`)

// CompanyKey is a key within a company: "NSTAR:A1"; without a company the key itself.
func CompanyKey(company, key string) string {
	if company == "" {
		return key
	}
	return company + ":" + key
}

// orderKey keeps an order key that a rule builds itself apart by company: "group/7" is "group/NSTAR:7".
func orderKey(company, text string) string {
	if entity, key, ok := strings.Cut(text, "/"); ok {
		return Ref(company, entity, key)
	}
	return CompanyKey(company, text)
}

// company reads the company of the whole mapping: a name, not an expression.
func (c *compiler) company(f field) {
	c.m.company = c.text(f.value, "the name of a legal entity")
	if c.m.company != "" && !companyForm.MatchString(c.m.company) {
		c.fault(f.value, describe(f.value), "the name of a legal entity: letters, digits, _ . and -, at most 32", "company: ACME")
	}
}

// companyOf tells the company by the rule's own expression, or else by the mapping. What cannot be told is trouble.
func (r *run) companyOf(e *expr, f *frame, res *result, where string) (string, error) {
	if e == nil {
		return r.m.company, nil
	}
	v, err := res.one(f, &setting{name: "company", e: e}, where)
	if err != nil || types.IsError(v) || v == types.NullValue {
		return "", err
	}
	company := textOf(v)
	if !companyForm.MatchString(company) {
		res.add(&trouble{class: "DATA", code: "COMPANY_UNKNOWN", cause: where + "/" + company,
			title: fmt.Sprintf("%q cannot be the company of %s.", clip(company, 40), where),
			hint:  "A company is named by letters, digits, _ . and -, at most 32. Correct it in the source, or the rule's company in the mapping."})
		return "", nil
	}
	return company, nil
}

// quietCompany is the company for people and references; empty when it cannot be told.
func (r *run) quietCompany(e *expr, f *frame) string {
	if e == nil {
		return r.m.company
	}
	if company := quietText(e, f); companyForm.MatchString(company) {
		return company
	}
	return ""
}

// keyOf is the key of the document that the header shows, with its company: how records, groups and references name it. It is empty
// when the header has no key, and when the company that a rule asks for cannot be told.
func (r *run) keyOf(d *document, f *frame) (key, company string) {
	if key = quietText(d.key, f); key == "" {
		return "", ""
	}
	if company = r.quietCompany(d.company, f); company == "" && d.company != nil {
		return "", ""
	}
	return CompanyKey(company, key), company
}

// plain is the document's own number, as its company knows it.
func (rec *docRecord) plain() string {
	if rec.Company == "" {
		return rec.Key
	}
	return strings.TrimPrefix(rec.Key, rec.Company+":")
}

// homeless tells people of a header whose company is not known. When it is, the header is looked at as if it were new.
func (r *run) homeless(d *document, f *frame, c *rowChange) error {
	if d.company == nil || c.now == nil || quietText(d.key, f) == "" {
		return nil
	}
	t := homelessTrouble(d, c)
	_, err := d.company.eval(f)
	var why *trouble
	if errors.As(err, &why) {
		t.title += " " + why.title
	} else if err != nil {
		return err
	}
	return r.out.Problem(t.problem(d.name+"/"+quietText(d.key, f), "", d.name+" ("+d.at+")", nil))
}

func homelessTrouble(d *document, c *rowChange) *trouble {
	return &trouble{class: "DATA", code: "COMPANY_UNKNOWN", cause: c.table.key() + "/" + strings.Join(stateParts(c.key), "/"), owner: "billing",
		title: fmt.Sprintf("The company of a document of %s, row %s, is not known; nothing is made of it.", c.table.key(), strings.Join(stateParts(c.key), "/")),
		hint:  "Fill it in the source; the next change of the row is looked at by itself."}
}

// rehomed looks whether the header was of another company, or of none, before the change. If so the document left there: a
// release that waited there is void, and what was sent is for a person; here the header counts as new.
func (r *run) rehomed(d *document, key string, f *frame, c *rowChange) (*frame, error) {
	if d.company == nil || c.before == nil || c.now == nil {
		return f, nil
	}
	g := *f
	g.rows[newRow], g.rows[oldRow] = c.before, nil
	was, _ := r.keyOf(d, &g)
	if was == key {
		return f, nil
	}
	if was == "" {
		t := homelessTrouble(d, c)
		return f.asInserted(), r.out.Resolve(t.fingerprint(), d.name+"/"+quietText(d.key, f))
	}
	rec, err := r.record(d, was)
	if err != nil || rec == nil {
		return f.asInserted(), err
	}
	if rec.Sent != "" {
		t := trouble{class: "POLICY", code: "COMPANY_CHANGED", cause: c.table.key() + "/" + d.name + "/" + was,
			title: fmt.Sprintf("%s/%s was sent, and its header names another company now: %s/%s.", d.name, was, d.name, key),
			hint:  "Credit it in the company that it was sent for, or change it back; then discard this. Waybill never credits on its own."}
		if err := r.out.Problem(t.problem(d.name+"/"+was, "", d.name+" ("+d.at+")", nil)); err != nil {
			return nil, err
		}
	}
	if rec.Pending != nil {
		if err := r.cancel(d, rec); err != nil {
			return nil, err
		}
	}
	return f.asInserted(), r.st.Delete(d.bucket(), was)
}
