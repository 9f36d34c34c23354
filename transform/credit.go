package transform

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"gopkg.in/yaml.v3"
)

// A credit takes away from its original: an event with credits: original waits until the original was released, and may not be more
// than what other credits have left of it.

// originalKey reads original: { key: <expression>, as: <name> }, for billing systems that name the original by a part of the number.
func (c *compiler) originalKey(d *document, n *yaml.Node, sc *scope) bool {
	got := c.record(n, "original", []string{"key", "as"}, nil)
	if !c.need(n, got, "original", "key") {
		return false
	}
	d.original, d.origFrom, d.origKey = true, -1, c.expression(got["key"].value, sc)
	d.origKey.optional = true
	if a, ok := got["as"]; ok {
		sc.roots[c.text(a.value, "a name for the original's header")] = root{d.root, originalRow}
	}
	return true
}

// originalOf is the key of the document that a header corrects; "" when it corrects none.
func (d *document) originalOf(f *frame) string {
	if d.origKey != nil {
		return quietText(d.origKey, f)
	}
	return joinText(f.rows[newRow], d.origFrom)
}

// corrections reads credits and unsent of an event.
func (c *compiler) corrections(d *document, e *emitRule, got map[string]field) {
	if f, ok := got["credits"]; ok {
		e.credit = c.choice(f.value, "what the event credits", "original") != ""
		d.corrects = true
		if !d.original {
			c.fault(f.at, "credits: original in a document without original", "original: how the document names what it corrects", "")
		}
	}
	if f, ok := got["unsent"]; ok {
		e.take = c.choice(f.value, "what to do with a posting that was certainly never sent", "withdraw", "leave") == "withdraw"
		d.corrects = true
		c.m.takes = c.m.takes || e.take
		if _, set := got["set"]; e.take && !e.credit && !set {
			c.fault(f.at, "unsent: withdraw in an event that corrects nothing", "it beside credits: original, or in the notice of a void", "")
		}
	}
}

// overCredit is why a credit cannot be issued: waiting for its original, or trouble with the amount.
func (r *run) overCredit(d *document, rec *docRecord, amount *Money) (waiting, tr *trouble, err error) {
	subject, where := d.name+"/"+rec.Key, d.root.source.name+"/"+d.name+"/"+rec.Key
	if rec.Original == "" || rec.Original == rec.Key {
		return nil, &trouble{class: "DATA", code: "ORIGINAL_UNKNOWN", cause: where, owner: "billing",
			title: fmt.Sprintf("%s is a credit that does not say what it credits.", subject),
			hint:  "Name the original in billing; the next change is looked at by itself."}, nil
	}
	up, err := r.record(d, rec.Original)
	if err != nil {
		return nil, nil, err
	}
	whole, err := r.released(d, up)
	if err != nil {
		return nil, nil, err
	}
	if whole == nil {
		return &trouble{class: "WAITING", code: "ORIGINAL_NOT_POSTED", cause: where, owner: "billing",
			title: fmt.Sprintf("%s credits %s/%s, which was not released.", subject, d.name, rec.Original),
			hint:  "Release the original, or correct its number in the credit; the credit follows by itself."}, nil, nil
	}
	if amount == nil {
		return nil, nil, nil // why it has none is told already
	}
	if amount.Currency != whole.Currency {
		return nil, &trouble{class: "POLICY", code: "CURRENCY_MISMATCH", cause: where, owner: "finance",
			title: fmt.Sprintf("%s is in %s, but %s/%s, which it credits, is in %s.", subject, amount.Currency, d.name, rec.Original, whole.Currency),
			hint:  "Issue the credit in the currency of its original."}, nil
	}
	left, err := rest(up, rec, whole)
	if err != nil {
		return nil, nil, err
	}
	taken, err := parseNumber(amount.Amount)
	if err != nil || taken.Abs().LessThanOrEqual(left.Decimal) {
		return nil, nil, err
	}
	places := max(-taken.Exponent(), -left.Exponent(), 0) // as its own amount is written
	return nil, &trouble{class: "DATA", code: "CREDIT_EXCEEDS_ORIGINAL", cause: where, owner: "billing",
		title: fmt.Sprintf("%s credits %s %s, but of %s/%s only %s is left.", subject, amount.Amount, amount.Currency, d.name, rec.Original, left.StringFixed(places)),
		hint:  "Correct the amount of the credit in billing; the next change is looked at by itself."}, nil
}

// rest is what other credits have left of a document.
func rest(up, rec *docRecord, whole *Money) (number, error) {
	all, err := parseNumber(whole.Amount)
	for _, part := range []struct {
		text string
		sign int
	}{{up.Credited, -1}, {rec.Credits, 1}} {
		if err != nil || part.text == "" {
			continue
		}
		var n number
		if n, err = parseNumber(part.text); err == nil && part.sign > 0 {
			all.Decimal = all.Decimal.Add(n.Decimal)
		} else if err == nil {
			all.Decimal = all.Decimal.Sub(n.Decimal)
		}
	}
	if err != nil {
		return number{}, fmt.Errorf("reading what is credited of %s: %w", up.Key, err)
	}
	return all, nil
}

// released is the amount at which a document was released, before the cut-over too; nil when it was not.
func (r *run) released(d *document, rec *docRecord) (*Money, error) {
	switch {
	case rec == nil || rec.Pending != nil:
		return nil, nil
	case rec.Amount != nil && len(rec.Done) > 0:
		return r.withParts(d, rec)
	}
	f, _, err := r.assemble(d, rec)
	if err != nil || f == nil {
		return nil, err
	}
	e, err := r.match(d, f, true)
	if err != nil || e == nil {
		return nil, err
	}
	past, tr, err := r.historic(d, f, d.name+"/"+rec.Key)
	if err != nil || tr != nil || !past && len(rec.Done) == 0 {
		return nil, err
	}
	return r.amountNow(d, rec, f)
}

// withParts is the amount of a document and of what was carved out of it and released since.
func (r *run) withParts(d *document, rec *docRecord) (*Money, error) {
	all := *rec.Amount
	for _, m := range rec.Carved {
		part, err := r.record(d, partKey(rec, m))
		if err != nil {
			return nil, err
		}
		if part == nil || part.Amount == nil || len(part.Done) == 0 {
			continue
		}
		sum, err1 := parseNumber(all.Amount)
		n, err2 := parseNumber(part.Amount.Amount)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("adding up %s: %w", rec.Key, err)
		}
		all.Amount = number{sum.Decimal.Add(n.Decimal)}.String()
	}
	return &all, nil
}

// amountNow is the money of a document as its rows are.
func (r *run) amountNow(d *document, rec *docRecord, f *frame) (*Money, error) {
	set, err := apply(f, d.set, d.name+"/"+rec.Key)
	if err != nil {
		return nil, err
	}
	return r.amountOf(d, f, set.data)
}

// credited notes on the original what an issued credit takes away, once for each credit.
func (r *run) credited(d *document, rec *docRecord, amount *Money) error {
	if amount == nil || rec.Original == "" {
		return nil
	}
	up, err := r.record(d, rec.Original)
	if err != nil || up == nil {
		return err
	}
	n, err := parseNumber(amount.Amount)
	if err != nil {
		return fmt.Errorf("reading the amount of %s: %w", rec.Key, err)
	}
	left, err := rest(up, rec, &Money{Amount: "0"})
	if err != nil {
		return err
	}
	n.Decimal = n.Abs()
	rec.Credits = n.String()
	up.Credited = number{n.Sub(left.Decimal)}.String()
	if err := r.saveRecord(d, up); err != nil {
		return err
	}
	return r.settled(d, up)
}

// settled ends the alarm about a voided document once all of it is credited.
func (r *run) settled(d *document, rec *docRecord) error {
	whole, err := r.released(d, rec)
	if err != nil || whole == nil {
		return err
	}
	if left, err := rest(rec, &docRecord{}, whole); err != nil || left.IsPositive() {
		return err
	}
	t := d.voidedLate(rec.Key)
	return r.out.Resolve(t.fingerprint(), d.name+"/"+rec.Key)
}

// standIn lets expressions speak of what is not in any row.
func standIn(sc *scope, name string) { sc.fields[name] = cel.NullableType(cel.StringType) }

// creditedBefore notes what a credit from before the cut-over has taken away. Without a frame its rows are read.
func (r *run) creditedBefore(d *document, e *emitRule, rec *docRecord, f *frame) (err error) {
	if !e.credit {
		return nil
	}
	if f == nil {
		if f, _, err = r.assemble(d, rec); err != nil || f == nil {
			return err
		}
	}
	amount, err := r.amountNow(d, rec, f)
	if err != nil {
		return err
	}
	if err := r.credited(d, rec, amount); err != nil {
		return err
	}
	return r.saveRecord(d, rec)
}
