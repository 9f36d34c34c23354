package transform

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
)

// currencies reads the list of currencies that must be the document's own: of its lines, of the customer it goes to. Waybill never
// converts.
func (c *compiler) currencies(d *document, f field, sc *scope) {
	inner := *sc
	inner.line = map[string]*cel.Type{}
	if sc.made != nil {
		inner.line = sc.made
	}
	for _, n := range c.list(f.value, "expressions that give a currency") {
		e := c.value(n, &inner)
		e.optional = true
		d.agree = append(d.agree, e)
	}
}

// disagreeing is the trouble of a document whose currencies are not one. What has none agrees.
func (r *run) disagreeing(d *document, rec *docRecord, f *frame, data map[string]any) (*trouble, error) {
	own, _ := data["currency"].(string)
	if own == "" {
		return nil, nil // its own trouble
	}
	kept, keptFields := f.rows[lineRow], f.lineFields
	defer func() { f.rows[lineRow], f.lineFields = kept, keptFields }()
	for _, e := range d.agree {
		for i := range max(len(f.lines), 1) {
			if i < len(f.lines) {
				f.rows[lineRow], f.lineFields = f.lines[i], nil
			}
			if i < len(f.made) {
				f.lineFields = f.made[i]
			}
			v, err := e.eval(f)
			var t *trouble
			if errors.As(err, &t) {
				return t, nil
			} else if err != nil {
				return nil, err
			}
			if v == types.NullValue || textOf(v) == own {
				continue
			}
			return &trouble{class: "POLICY", code: "CURRENCY_MISMATCH", cause: d.root.source.name + "/" + d.name + "/" + rec.Key, owner: "finance",
				title: fmt.Sprintf("%s/%s is in %s, but %s is %s.", d.name, rec.Key, own, e.text, textOf(v)),
				hint:  "Correct the currency in billing, or issue one document for each currency; Waybill never converts."}, nil
		}
	}
	return nil, nil
}
