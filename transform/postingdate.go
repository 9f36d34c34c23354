package transform

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// The posting date of a document is the day on which the ERP books it. It is the document's own date while that lies in an open
// period. When the period is closed, the policy of the post says what becomes of it:
//
//	posting_date: { policy: next_open, most: 31d }
//
//	document   the target decides; nothing is asked (the default)
//	next_open  it is booked on the first day of the next open period, at most so many days later
//	wait       it waits until the period is open again
//
// The document's date is never changed: the body has both. Which periods are open says a lookup, period unless periods names another:
// it is asked as of a day and answers open (bool), and for next_open next_open (date); name, if it has one, is what people call it.
// What the target itself says about a period comes last, and makes older answers worthless (Mapper.Doubt).

// datedPost is how a posting gets its date.
type datedPost struct {
	policy  string
	of      *expr // the document's date
	periods *lookupRule
	most    int // days
	zone    *time.Location
}

// The policies.
const (
	dateOfDocument = "document"
	dateNextOpen   = "next_open"
	dateWait       = "wait"
)

const (
	postingDateField = "posting_date"
	periodLookup     = "period"
	defaultMost      = 31
)

var postingDateKeys = []string{"policy", "of", "periods", "most"}

var daysForm = regexp.MustCompile(`^([1-9][0-9]{0,3})d$`)

// postingDate reads posting_date of a post.
func (c *compiler) postingDate(f field, p *post, sc *scope) {
	got := c.record(f.value, "posting_date", postingDateKeys, nil)
	if !c.need(f.at, got, "posting_date", "policy") {
		return
	}
	d := &datedPost{most: defaultMost, zone: time.UTC,
		policy: c.choice(got["policy"].value, "what becomes of a document whose period is closed", dateOfDocument, dateNextOpen, dateWait)}
	if sc.src != nil {
		if loc, err := time.LoadLocation(sc.src.zone); err == nil {
			d.zone = loc
		}
	}
	if of, ok := got["of"]; ok {
		d.of = c.moment(of, sc)
	} else if _, ok := sc.fields["date"]; ok {
		d.of = &expr{text: "date", at: p.at, alts: []node{fieldNode{"date", false}}, typ: cel.DynType}
	} else {
		c.fault(f.at, "posting_date of an event without the field date", "the date of the document", "of: <expression>")
	}
	if m, ok := got["most"]; ok {
		days := daysForm.FindStringSubmatch(c.text(m.value, "a number of days"))
		if days == nil {
			c.fault(m.value, describe(m.value), "by how many days a posting may be later than its document", "31d")
		} else {
			d.most, _ = strconv.Atoi(days[1]) // digits only, as the form says
		}
		if d.policy != dateNextOpen && d.policy != "" {
			c.fault(m.at, "most with the policy "+d.policy, "most with the policy "+dateNextOpen, "")
		}
	}
	if slices.ContainsFunc(p.body, func(s setting) bool { return s.name == postingDateField }) {
		c.fault(f.at, "posting_date beside posting_date of the body", "one of the two", "")
	}
	if d.policy == dateOfDocument || d.policy == "" {
		return
	}
	if d.periods = c.periods(f, got, d.policy); d.periods != nil && d.of != nil {
		p.dated = d
	}
}

// periods finds the lookup that says which periods are open.
func (c *compiler) periods(f field, got map[string]field, policy string) *lookupRule {
	name, at := periodLookup, f.at
	if n, ok := got["periods"]; ok {
		name, at = c.text(n.value, "a lookup"), n.value
	}
	l := c.m.lookups[name]
	if l == nil {
		c.fault(at, fmt.Sprintf("the policy %s without the lookup %s", policy, name), "a lookup that says which periods are open",
			"lookups: { "+name+": { ask: erp.period, dated: true, answer: { open: bool, next_open: date or null, name: text or null } } }")
		return nil
	}
	has := func(field, typ string) bool { a := l.field(field); return a != nil && a.Type == typ }
	switch {
	case !l.dated || len(l.key) > 0:
		c.fault(at, "the lookup "+name+", which is not asked as of a day alone", "dated: true and no key", "")
	case !has("open", "bool"):
		c.fault(at, "the lookup "+name+" without open", "open: bool in its answer", "")
	case policy == dateNextOpen && !has("next_open", "date"):
		c.fault(at, "the lookup "+name+" without next_open", "next_open: date or null in its answer", "")
	default:
		return l
	}
	return nil
}

// postingDay is the day on which a posting is to be booked; "" when that cannot be told now, which is noted in res.
func (r *run) postingDay(d *datedPost, f *frame, company, where string, res *result) (string, error) {
	v, err := res.one(f, &setting{name: "date", e: d.of}, where)
	if err != nil || types.IsError(v) || v == types.NullValue {
		return "", err
	}
	day := textOf(dayNode{constNode{v}, d.zone}.eval(f))
	q := d.periods.asking(f.m.name, company)
	q.AsOf = day
	answer, t, err := d.periods.answer(f, q)
	if err != nil {
		return "", err
	}
	if t != nil {
		res.add(t)
		return "", nil
	}
	if answer == nil || answer["open"] == types.True {
		return day, nil
	}
	next := ""
	if v, ok := answer["next_open"]; ok && v != types.NullValue {
		next = textOf(v)
	}
	if d.policy == dateNextOpen && next > day && next <= textOf(civil{text: day}.addDays(d.most)) {
		return next, nil
	}
	k, _, err := d.periods.known(f, q)
	if err != nil || k == nil {
		return "", err
	}
	closed := d.closed(q, k, day, next)
	waived, err := r.st.Get(bucketWaived, closed.fingerprint())
	if err == nil && waived == nil {
		res.add(closed)
	}
	return "", err // when a person let it pass, the target decides
}

// closed is the trouble of a document whose period is closed: one for the period and company.
func (d *datedPost) closed(q *Question, k *kept, day, next string) *trouble {
	l := d.periods
	name, of := k.Values["name"], ""
	if name == "" {
		name = "of " + day
	}
	if q.Company != "" {
		of = " of " + q.Company
	}
	t := &trouble{class: "POLICY", code: "PERIOD_CLOSED", cause: l.service + "/" + CompanyKey(q.Company, name), owner: "finance", ask: l.more(q, k),
		evidence: l.evidence(q, k), title: fmt.Sprintf("The period %s%s is closed in %s.", name, of, l.service),
		hint: fmt.Sprintf("Reopen the period; it is asked again every %s, and what waits goes on by itself. A retry asks at once.", shortly(l.again))}
	switch {
	case d.policy == dateWait:
		t.hint += " Or let posting_date of the post be " + dateNextOpen + "."
	case next == "":
		t.title = fmt.Sprintf("The period %s%s is closed in %s, and none after it is open.", name, of, l.service)
	default:
		t.title = fmt.Sprintf("The period %s%s is closed in %s, and the next open one begins on %s, more than %d days after %s.", name, of, l.service, next, d.most, day)
		t.hint += " Or raise most of posting_date."
	}
	return t
}
