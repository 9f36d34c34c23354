package pipeline

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"waybill/transform"
)

// Correction is a document with everything that corrects it, as one thing: where each of them stands, and what is open in the targets. A rebill
// is one: the original, its credit, the replacement.
type Correction struct {
	Of        string               `json:"of"`             // invoice/A100
	Text      string               `json:"text"`           // one sentence
	Open      []string             `json:"open,omitempty"` // documents that a target holds and posted credits do not cover, with what is open
	Documents []CorrectionDocument `json:"documents"`
}

// CorrectionDocument is one document of a correction.
type CorrectionDocument struct {
	Ref      string           `json:"ref"`
	Kind     string           `json:"kind"`  // invoice, credit, replacement, correction (of which it is not known yet)
	State    string           `json:"state"` // posted, withdrawn, given up, waiting; unknown: nothing was ever posted of it
	Why      string           `json:"why"`   // one clause: what it waits for
	Number   string           `json:"number,omitempty"`
	Amount   *transform.Money `json:"amount,omitempty"`
	Original string           `json:"original,omitempty"`
	seq      uint64           // place in the queue, while it waits
}

// roleOf says what a document of a correction group is, by the type of its release.
func roleOf(typ string) string {
	return map[string]string{"invoice.released": "invoice", "invoice.rebilled": "replacement", "credit_memo.issued": "credit"}[typ]
}

// corrections are the correction groups that the documents belong to, each once.
func (s *state) corrections(refs []string) ([]Correction, error) {
	states, err := s.caseStates()
	if err != nil {
		return nil, err
	}
	var all []Correction
	for _, ref := range refs {
		for _, st := range states {
			g, err := transform.CorrectionOf(st, ref)
			if err != nil {
				return nil, err
			}
			if g == nil || slices.ContainsFunc(all, func(c Correction) bool { return c.Of == g.Root }) {
				continue
			}
			c, err := s.correction(g)
			if err != nil {
				return nil, err
			}
			all = append(all, *c)
		}
	}
	return all, nil
}

func (s *state) correction(g *transform.Correction) (*Correction, error) {
	refs := make([]string, len(g.Parts))
	for i, p := range g.Parts {
		refs[i] = p.Ref
	}
	known, err := s.mentionsOf(refs, 0, listDefault)
	if err != nil {
		return nil, err
	}
	c := &Correction{Of: g.Root}
	for _, p := range g.Parts {
		d := CorrectionDocument{Ref: p.Ref, Original: p.Original}
		for _, seq := range known.events[p.Ref] {
			e, err := s.event(hexKey(seq))
			if err != nil {
				return nil, err
			}
			if e == nil || roleOf(e.Type) == "" || transform.CompanyKey(e.Company, e.Key) != keyOfRef(p.Ref) {
				continue // of another document, which corrects this one
			}
			d.Kind, d.Amount = roleOf(e.Type), e.Amount
			if err := s.stands(&d, e); err != nil {
				return nil, err
			}
		}
		if p.Waits != "" {
			d.Kind, d.State, d.Why = roleOf(p.Type), "waiting", "is not ready: "+strings.TrimSuffix(p.Waits, ".")
		}
		if d.State == "" {
			d.State, d.Why = "unknown", "was released before Waybill came, or never"
		}
		if d.Kind == "" {
			d.Kind = "correction"
			if p.Ref == g.Root {
				d.Kind = "invoice"
			}
		}
		c.Documents = append(c.Documents, d)
	}
	c.tell()
	return c, nil
}

// keyOfRef is the key of a reference, with its company.
func keyOfRef(ref string) string {
	_, k, _ := strings.Cut(ref, "/")
	return k
}

// stands says how far the postings of a document's release are.
func (s *state) stands(d *CorrectionDocument, e *transform.Event) error {
	ids, err := s.deliveriesOf(e.ID)
	if err != nil {
		return err
	}
	d.State, d.Why = "withdrawn", "was never sent, nor was what it credits"
	for _, id := range ids {
		dl, err := s.delivery(id)
		if err != nil || dl == nil {
			return err
		}
		switch v := dl.view(); {
		case dl.State == StateDone:
			d.State, d.Number, d.Why = "posted", v.Number, "is posted"
			if v.Number != "" {
				d.Why += " as " + v.Number
			}
		case dl.Withdrawn != "":
			d.State, d.Why = "withdrawn", "was withdrawn: "+dl.Withdrawn
		case dl.State == StateDiscarded:
			d.State, d.Why = "given up", v.Why
		default:
			d.State, d.Why, d.seq = "waiting", v.Why, 0
			if dl.State == StateWaiting && len(dl.Unmet) == 0 {
				d.seq = dl.Seq
			}
			return nil // the first that is not done is what people ask for
		}
	}
	return nil
}

// tell puts what the documents say into one sentence, and reckons what is open.
func (c *Correction) tell() {
	parts := make([]string, len(c.Documents))
	for i, d := range c.Documents {
		why := d.Why
		if b := c.before(&d); b != nil {
			why = fmt.Sprintf("waits for %s %s to be posted", b.Kind, keyOfRef(b.Ref))
			c.Documents[i].Why = why
		}
		parts[i] = fmt.Sprintf("%s %s %s", d.Kind, keyOfRef(d.Ref), why)
	}
	for _, d := range c.Documents {
		left := sums{}
		if d.State != "posted" || d.Kind == "credit" || d.Amount == nil {
			continue
		}
		left.add(d.Amount.Amount, d.Amount.Currency)
		for _, o := range c.Documents {
			if o.State == "posted" && o.Kind == "credit" && o.Original == d.Ref && o.Amount != nil {
				left.add(o.Amount.Amount, o.Amount.Currency)
			}
		}
		for currency, m := range left {
			if !m.Sum.IsZero() {
				c.Open = append(c.Open, fmt.Sprintf("%s %s %s", keyOfRef(d.Ref), m.text(), currency))
			}
		}
	}
	c.Text = strings.Join(parts, "; ")
	if len(c.Open) > 0 {
		c.Text += "; open: " + strings.Join(c.Open, ", ")
	}
}

// before is the document of the group behind which another one stands in the queue; nil when it stands behind none.
func (c *Correction) before(d *CorrectionDocument) (first *CorrectionDocument) {
	if d.seq == 0 {
		return nil
	}
	least := uint64(math.MaxUint64)
	for i := range c.Documents {
		o := &c.Documents[i]
		if o.State == "waiting" && o.seq < d.seq && o.Ref != d.Ref && o.seq <= least {
			first, least = o, o.seq
		}
	}
	return first
}

// replacementsMost bounds the postings of one correction group that are looked through for a replacement.
const replacementsMost = 100

// keepReplacement parks what stands behind a credit that a person gave up, when a replacement is among it: it would be posted beside an original
// that nobody credited. Who knows that the original was credited otherwise retries it.
func (s *state) keepReplacement(given *delivery, d decisionEntry, at time.Time) error {
	if typ, err := s.typeOf(given); err != nil || typ != "credit_memo.issued" {
		return err
	}
	var behind []string
	err := s.Scan(bucketItem, queueKey(given.Post)+sep, "", func(_ string, id []byte) (bool, error) {
		behind = append(behind, string(id))
		return len(behind) < replacementsMost, nil
	})
	if err != nil || len(behind) == 0 {
		return err
	}
	replacement := ""
	for _, id := range behind {
		dl, err := s.delivery(id)
		if err != nil {
			return err
		}
		typ, err := s.typeOf(dl)
		if err != nil {
			return err
		}
		if typ == "invoice.rebilled" && dl.Withdrawn == "" {
			replacement = subjectOf(dl.Post)
			break
		}
	}
	next, err := s.delivery(behind[0])
	if err != nil || next == nil || replacement == "" || next.State != StateWaiting && next.State != StateReady {
		return err
	}
	p := transform.Problem{Fingerprint: "DELIVERY/" + next.Post.ID, Class: "POLICY", Code: "CORRECTION_PENDING", Subject: subjectOf(next.Post),
		Title: clip(fmt.Sprintf("The credit %s was given up by %s; with its replacement %s the original would be open beside it.", subjectOf(given.Post), d.By, replacement), 300),
		Hint:  "If the original was credited in the target by other means, retry this. If not, discard this, replay the credit, and then replay the replacement.",
		Owner: "billing", OrderKey: next.Post.OrderKey, Amount: next.Post.Amount}
	if next.Exception, err = s.openException(originDelivery, p, next.Post.ID, at); err != nil {
		return err
	}
	if err := s.behead(next); err != nil {
		return err
	}
	next.State = StateParked
	return s.putDelivery(next)
}

// typeOf is the type of the event that made a delivery.
func (s *state) typeOf(d *delivery) (string, error) {
	if d == nil {
		return "", nil
	}
	seq, err := s.Get(bucketEventID, d.Post.Event)
	if err != nil || seq == nil {
		return "", err
	}
	e, err := s.event(string(seq))
	if err != nil || e == nil {
		return "", err
	}
	return e.Type, nil
}
