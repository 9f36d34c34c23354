package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
	"waybill/transform"
)

// pastMapping has what makes a history: codes that may be unknown, documents, and gates on events and on the ledger.
const pastMapping = `mapping: past
version: 1
cutover: "2020-01-01T00:00:00Z"
sources:
  dispatch: { schema: public, zone: America/Chicago, currency: USD }
codes:
  term: { N30: NET 30 }
  kind: { LH: FREIGHT, FSC: FUEL }
events:
  customer.changed:
    from: dispatch.customers
    lane: master
    key: cust_cd
    set: { code: cust_cd, name: name, payment_term: code.term(terms_cd) }
  shipment.delivered:
    from: dispatch.loads
    when: became(status, "D") and pcs is not null
    key: load_no
    set: { pieces: pcs }
documents:
  invoice:
    root: dispatch.inv as h
    lines: h.items as i
    key: h.inv_no
    released_at: h.rel_ts
    total: source
    amount: h.amt
    correlate: { shipment: h.load_no }
    emit:
      invoice.released: became(h.stat, "R")
    set:
      number: h.inv_no
      date: day(h.rel_ts, source.zone)
      currency: source.currency
      bill_to: h.cust_cd
      total: h.amt
      kind: code.kind(h.kind)
      load: h.load_no
      lines[]: { charge: code.kind(h.kind), net: i.net }
posts:
  customer.changed -> erp.customer:
    external_id: code
    body: { code: code, name: name, term: payment_term }
  invoice.released -> erp.sales_invoice:
    external_id: number
    require:
      - { erp.customer: bill_to }
      - { shipment.delivered: load }
    body: { number: number, kind: kind, total: total }
`

func pastTable(name string, cols ...string) *cdc.Schema {
	s := &cdc.Schema{Source: "dispatch", Table: cdc.Table{Schema: "public", Name: name}, Codec: "plain/1"}
	for i, c := range cols {
		kind := cdc.KindText
		switch c {
		case "amt":
			kind = cdc.KindDecimal
		case "rel_ts":
			kind = cdc.KindInstant
		case "items":
			kind = cdc.KindJSON
		case "pcs":
			kind = cdc.KindInt
		}
		s.Columns = append(s.Columns, cdc.Column{Name: c, Type: "text", Kind: kind, Key: i == 0, NotNull: i == 0})
	}
	return s
}

var pastSchemas = map[string]*cdc.Schema{
	"customers": pastTable("customers", "cust_cd", "name", "terms_cd"),
	"loads":     pastTable("loads", "load_no", "status", "pcs"),
	"inv":       pastTable("inv", "inv_no", "stat", "cust_cd", "load_no", "kind", "amt", "rel_ts", "items"),
}

// past writes a carrier's history into a rig's journal, a transaction of its dispatch database after the other.
type past struct {
	*rig
	tx int
}

func newPast(t *testing.T) *past {
	t.Helper()
	p := &past{rig: newRig(t)}
	p.project.codecs["plain/1"] = plainCodec{}
	p.activates(pastMapping)
	p.seeded("dispatch")
	return p
}

func (p *past) activates(text string) {
	p.t.Helper()
	m, err := transform.Parse("past.yaml", []byte(text))
	if err != nil {
		p.t.Fatal(err)
	}
	payload, err := json.Marshal(mappingEntry{m.Version(), "past.yaml", text})
	if err != nil {
		p.t.Fatal(err)
	}
	p.journal(checkpoint.Mapping, payload)
}

// commits journals one transaction. A change is "table: value value …" for a new row, with "~" before it for an update.
func (p *past) commits(changes ...string) { p.t.Helper(); p.rows(p.batch(changes...)) }

func (p *past) batch(changes ...string) cdc.Batch {
	p.t.Helper()
	p.tx++
	var e cdc.Encoder
	at := time.Date(2026, 10, 1, 8, 0, p.tx, 0, time.UTC)
	commit := fmt.Sprintf("0/%04X", p.tx)
	e.Begin(cdc.Tx{Commit: commit, CommitAt: at})
	seen := map[*cdc.Schema]bool{}
	var schemas []*cdc.Schema
	for _, text := range changes {
		name, values, _ := strings.Cut(text, ": ")
		op := cdc.Insert
		if rest, update := strings.CutPrefix(name, "~"); update {
			op, name = cdc.Update, rest
		}
		s := pastSchemas[name]
		if !seen[s] {
			seen[s] = true
			schemas = append(schemas, s)
		}
		e.Change(op, s)
		for _, v := range strings.Fields(values) {
			if v == "-" {
				e.Null()
			} else {
				e.Value([]byte(v))
			}
		}
		if name == "inv" {
			e.Value([]byte(`[{"net":1}]`))
		}
	}
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Tx: commit, Schemas: schemas, CommitAt: at, Position: cdc.Position("pg/1/1/" + commit)}
	b.Data, b.Changes = e.Take()
	return b
}

// month is a history with everything: held customers and invoices, gates, deliveries, a refusal that a person discards.
func (p *past) month() {
	p.t.Helper()
	for i := range 16 {
		term := "N30"
		if i%8 == 3 {
			term = "N45" // nobody knows it
		}
		p.commits(fmt.Sprintf("customers: C%d Name%d %s", i, i, term))
	}
	var loads, invoices, delivered []string
	for i := range 40 {
		kind := "LH"
		if i%10 == 7 {
			kind = "ZZ" // nobody knows it
		}
		loads = append(loads, fmt.Sprintf("loads: L%d A %d", i, i+1))
		invoices = append(invoices, fmt.Sprintf("inv: A%d R C%d L%d %s %d.50 2026-10-01T08:00:00Z", i, i%16, i, kind, 100+i))
		delivered = append(delivered, fmt.Sprintf("~loads: L%d D %d", i, i+1))
		if i%4 == 0 { // queued at once, between those that a gate lets go
			delivered = append(delivered, fmt.Sprintf("customers: Y%d Young%d N30", i, i))
		}
	}
	p.commits(loads...)
	p.commits(invoices...)
	if p.stop != nil {
		p.settled()
	}
	p.commits(delivered...) // one transaction that opens 40 gates
}

func (p *past) history() *History {
	return &History{p.store, p.project.codecs, slog.New(slog.DiscardHandler), func(Progress) {}}
}

// quiet waits until everything that the journal holds is applied.
func (p *past) quiet() {
	p.t.Helper()
	if p.stop == nil {
		if err := p.project.catchUp(context.Background()); err != nil {
			p.t.Fatal(err)
		}
		return
	}
	p.until("everything is applied", func() bool {
		p.project.mu.Lock()
		defer p.project.mu.Unlock()
		return p.project.quiet && p.project.applied.Index == p.store.Last()
	})
}

// settled waits until nothing can be sent any more.
func (p *past) settled() {
	p.t.Helper()
	p.until("nothing is on its way", func() bool {
		busy := false
		err := p.store.View(func(tx *checkpoint.Txn) error {
			k, _, err := newState(tx).first(bucketHead, "")
			busy = k != ""
			return err
		})
		if err != nil {
			p.t.Fatal(err)
		}
		return !busy && p.project.place().Index == p.store.Last()
	})
	p.quiet()
}
