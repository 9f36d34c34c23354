package books

import (
	"fmt"
	"io"
)

// Report is the result of a comparison.
type Report struct {
	Currencies  []Currency // in order of their code
	Paired      int        // released documents that the ERP holds exactly so
	Credits     int        // of the released documents: credit memos
	Rebills     int        // of the released documents: pairs of credit and replacement
	Duplicates  int        // documents in the ERP beyond the first of each key
	Differences []Difference
}

// Currency sums up the documents of one currency. Released, Exception and InFlight are counted as billing has them, Posted as the
// ERP does.
type Currency struct {
	Code                                  string
	Released, Posted, Exception, InFlight Sum
}

// Sum is a number of documents and their totals added up.
type Sum struct {
	Count int
	Money Cents
}

func (s *Sum) add(c Cents) { s.Count++; s.Money += c }

// Difference is the money that was released and is neither posted, nor in exception, nor in flight.
func (c Currency) Difference() Cents {
	return c.Released.Money - c.Posted.Money - c.Exception.Money - c.InFlight.Money
}

// Difference is one thing that is not as it should be.
type Difference struct {
	Kind string // duplicate, missing, state, currency, net, tax, total, party, before cut-over, not released, unknown, rebill, billing
	Key  string // the document's reference
	Text string // the rest of a sentence that begins with the document
}

func (d Difference) String() string { return "document " + d.Key + " " + d.Text }

// OK reports whether the books agree.
func (r Report) OK() bool {
	return len(r.Differences) == 0 && r.Duplicates == 0 && r.Difference() == 0
}

// Difference adds up the differences of all currencies, each without its sign, so that none hides another.
func (r Report) Difference() Cents {
	var sum Cents
	for _, c := range r.Currencies {
		sum += c.Difference().Abs()
	}
	return sum
}

// shown bounds the differences that Write lists.
const shown = 50

// Write prints the report for people: the sums of each currency, each difference in a sentence, and the two figures that must be 0.
func (r Report) Write(w io.Writer) error {
	p := printer{w: w}
	p.line("%-10s %22s %22s %18s %18s", "", "released", "posted", "in exception", "in flight")
	for _, c := range r.Currencies {
		p.line("%-10s %22s %22s %18s %18s", c.Code, c.Released, c.Posted, c.Exception, c.InFlight)
	}
	p.line("%d documents paired one by one on key, customer, currency, net, tax, total and state; among them %d credit memos, %d of these with a replacement",
		r.Paired, r.Credits, r.Rebills)
	for n, d := range r.Differences {
		if n == shown {
			p.line("  … and %d more", len(r.Differences)-shown)
			break
		}
		p.line("  %s", d)
	}
	if n := len(r.Differences); n > 0 {
		p.line("differing documents %d", n)
	}
	p.line("difference %s", r.Difference())
	p.line("duplicates %d", r.Duplicates)
	return p.err
}

func (s Sum) String() string { return fmt.Sprintf("%d · %s", s.Count, s.Money) }

// printer remembers the first error, so that Write reads as the page that it prints.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}
