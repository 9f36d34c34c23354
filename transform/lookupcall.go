package transform

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// answerNode is lookup.<name>(key, as_of=date): the answer as a record.
type answerNode struct {
	l    *lookupRule
	key  []node
	asOf node // nil: not as of a day
}

func (n answerNode) eval(f *frame) ref.Val {
	if f.unasked {
		return types.NullValue
	}
	q := n.l.asking(f.m.name, f.m.company)
	for i, k := range n.key {
		v := k.eval(f)
		if v == types.NullValue || types.IsError(v) {
			return v
		}
		q.Key = append(q.Key, Param{n.l.key[i], textOf(v)})
	}
	if n.asOf != nil {
		v := n.asOf.eval(f)
		if v == types.NullValue || types.IsError(v) {
			return v
		}
		q.AsOf = textOf(v)
	}
	v, t, err := n.l.answer(f, q)
	switch {
	case err != nil:
		return types.WrapErr(&stateError{err})
	case t != nil:
		return types.WrapErr(t)
	case v == nil:
		return types.NullValue
	}
	return v
}

// asking is a question of the rule, without its key.
func (l *lookupRule) asking(mapping, company string) *Question {
	return &Question{Mapping: mapping, Lookup: l.name, Service: l.service, Name: l.question, Company: company, Fields: l.fields}
}

// known is the answer that the state has, with its age by the journal's time; nil when there is none, or none that is believed.
func (l *lookupRule) known(f *frame, q *Question) (k *kept, age time.Duration, err error) {
	k = &kept{}
	found, err := loadJSON(f.st, bucketAnswer, stateKey(q.own()...), k)
	if err != nil || !found {
		return nil, 0, err
	}
	since, err := f.st.Get(bucketDistrust, l.name)
	if err != nil {
		return nil, 0, err
	}
	if since != nil {
		if t, err := time.Parse(time.RFC3339Nano, string(since)); err == nil && !k.At.After(t) {
			return nil, 0, nil
		}
	}
	if !f.now.IsZero() {
		age = f.now.Sub(k.At)
	}
	return k, age, nil
}

// answer is the record of an answer, nil where a fallback says that there is no value, or why it cannot be had now. What only waits for
// an answer is quiet: nobody is told.
func (l *lookupRule) answer(f *frame, q *Question) (record, *trouble, error) {
	k, age, err := l.known(f, q)
	if err != nil {
		return nil, nil, err
	}
	if k != nil && age <= l.lasts(k) {
		if k.Status == AnswerFound && age > l.maxAge/4*3 {
			f.reask(q)
		}
		return l.found(q, k)
	}
	silent, err := Silent(f.st, l.service)
	if err != nil {
		return nil, nil, err
	}
	if silent != nil {
		switch {
		case l.fallback == fallbackNull:
			f.reask(q)
			return nil, nil, nil
		case l.fallback == fallbackStale && k != nil && k.Status == AnswerFound && age <= l.maxAge+l.stale:
			f.reask(q)
			return l.found(q, k)
		}
	}
	return nil, l.pending(q), nil
}

// seen is what the state has of the answer, for people.
func (n answerNode) seen(f *frame) LookupView {
	l := LookupView{What: "lookup." + n.l.name}
	var key []string
	for _, k := range n.key {
		key = append(key, plainText(k.eval(f)))
	}
	l.Key = strings.Join(key, "/")
	if n.asOf != nil {
		l.AsOf = plainText(n.asOf.eval(f))
	}
	if v, ok := n.eval(f).(record); ok {
		if text, err := canonical(plain(v)); err == nil {
			l.Answer, l.Row = string(text), n.l.service+"."+n.l.question
		}
	}
	return l
}

// lasts is how long an answer is used. That there is none is believed for as long only as it would be asked again.
func (l *lookupRule) lasts(k *kept) time.Duration {
	if k.Status == AnswerFound {
		return l.maxAge
	}
	return min(l.maxAge, l.again)
}

// found makes the record, or the trouble of an answer that says no.
func (l *lookupRule) found(q *Question, k *kept) (record, *trouble, error) {
	switch k.Status {
	case AnswerAbsent:
		return nil, l.missing(q, k, ""), nil
	case AnswerRefused:
		return nil, l.refused(q, k), nil
	}
	r := record{"version": types.NullValue, "answered_at": types.Timestamp{Time: k.Asked}}
	if k.Version != "" {
		r["version"] = types.String(k.Version)
	}
	for i := range l.fields {
		a := &l.fields[i]
		text, ok := k.Values[a.Name]
		switch {
		case ok && a.valid(text) == nil:
			r[a.Name] = a.value(text)
		case !ok && a.Optional:
			r[a.Name] = types.NullValue
		default:
			return nil, l.pending(q), nil // an older version of the mapping asked for something else
		}
	}
	if l.require != "" && r[l.require] != types.True {
		return nil, l.missing(q, k, l.require), nil
	}
	return r, nil, nil
}

// about names what a question is about, for people.
func (q *Question) about() string {
	var parts []string
	if q.Company != "" {
		parts = append(parts, "company "+q.Company)
	}
	for _, p := range q.Key {
		parts = append(parts, strings.ReplaceAll(p.Name, "_", " ")+" "+p.Value)
	}
	if q.AsOf != "" {
		parts = append(parts, "on "+q.AsOf)
	}
	return strings.Join(parts, ", ")
}

// cause is the question without its day: what is missing on many days is one cause.
func (q *Question) cause() string {
	parts := []string{q.Lookup}
	if q.Company != "" {
		parts = append(parts, q.Company)
	}
	for _, p := range q.Key {
		parts = append(parts, p.Value)
	}
	if len(q.Key) == 0 {
		parts = append(parts, q.AsOf)
	}
	return strings.Join(parts, "/")
}

// codePending is the code of what waits for an answer; nobody is told of it.
const codePending = "LOOKUP_PENDING"

func (l *lookupRule) pending(q *Question) *trouble {
	return &trouble{class: "WAITING", code: codePending, cause: q.cause() + "/" + q.AsOf, quiet: true, ask: q,
		title: fmt.Sprintf("%s is asked for the %s of %s.", l.service, l.words(), q.about())}
}

func (l *lookupRule) words() string { return strings.ReplaceAll(l.name, "_", " ") }

// more asks again after an answer that cannot be used: another one lets go what waits.
func (l *lookupRule) more(q *Question, k *kept) *Question {
	again := *q
	again.Again, again.Last = l.again, k.Sum
	return &again
}

func (l *lookupRule) missing(q *Question, k *kept, field string) *trouble {
	t := &trouble{class: l.class, code: l.miss, cause: q.cause(), owner: l.owner, ask: l.more(q, k), evidence: l.evidence(q, k),
		title: fmt.Sprintf("%s has no %s for %s.", l.service, l.words(), q.about()),
		hint:  fmt.Sprintf("Enter it in %s; it is asked again every %s, and what waits goes on by itself. A retry asks at once.", l.service, shortly(l.again))}
	if field != "" {
		t.title = fmt.Sprintf("%s says that %s is not so for the %s of %s.", l.service, field, l.words(), q.about())
		t.hint = fmt.Sprintf("Correct it in %s, or the document in its source; it is asked again every %s. A retry asks at once.", l.service, shortly(l.again))
	}
	return t
}

func (l *lookupRule) refused(q *Question, k *kept) *trouble {
	return &trouble{class: "MAPPING", code: "LOOKUP_REFUSED", cause: q.cause(), ask: l.more(q, k), evidence: l.evidence(q, k),
		title: fmt.Sprintf("%s cannot answer for the %s of %s: %s.", l.service, l.words(), q.about(), strings.TrimSuffix(clip(k.Why, 300), ".")),
		hint:  fmt.Sprintf("Compare lookups.%s of the mapping with what the service says; it is asked again every %s. A retry asks at once.", l.name, shortly(l.again))}
}

func (l *lookupRule) evidence(q *Question, k *kept) map[string]any {
	e := map[string]any{"lookup": l.name, "service": l.service, "question": q.Name, "asked": k.Asked.UTC().Format(time.RFC3339)}
	for _, p := range q.Key {
		e["key."+p.Name] = p.Value
	}
	for name, v := range map[string]string{"as_of": q.AsOf, "company": q.Company, "version": k.Version} {
		if v != "" {
			e[name] = v
		}
	}
	if len(k.Values) > 0 {
		e["answer"] = k.Values
	}
	return e
}

// shortly is a duration without zero units: 5m.
func shortly(d time.Duration) string {
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// maxAging bounds what one call asks again.
const maxAging = 64

// reask notes that a question should be asked again soon though an answer is used.
func (f *frame) reask(q *Question) {
	if f.aging != nil && len(*f.aging) < maxAging {
		*f.aging = append(*f.aging, q)
	}
}

// quietlyAsks reports whether a trouble only waits for an answer.
func quietlyAsks(t *trouble) bool { return t.quiet && t.ask != nil }

// told reports whether people know why a document waits.
func told(waits []string) bool {
	return slices.ContainsFunc(waits, func(fp string) bool { return !strings.HasPrefix(fp, "WAITING/"+codePending+"/") })
}
