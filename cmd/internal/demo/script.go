package demo

import (
	"cmp"
	"slices"
	"time"
)

// Database names one of the carriers' databases.
type Database string

// The databases.
const (
	Dispatch   Database = "dispatch" // of Northstar, PostgreSQL; placeholders are $1
	Billing    Database = "billing"  // of Northstar, MariaDB; placeholders are ?
	PineValley Database = "pvly"     // PostgreSQL
	GulfCoast  Database = "gcbk"     // PostgreSQL
)

// clock is an argument that is the moment when the statement is run: a carrier's local time by the name of its zone, or milliseconds.
type clock string

const (
	localClock clock = "America/Chicago"
	milliClock clock = "ms"
)

// at is the clock's reading.
func (c clock) at(t time.Time) (any, error) {
	if c == milliClock {
		return t.UnixMilli(), nil
	}
	zone, err := time.LoadLocation(string(c))
	if err != nil {
		return nil, err
	}
	return t.In(zone).Format(time.DateTime), nil
}

// Statement is one SQL statement with its arguments.
type Statement struct {
	SQL  string
	Args []any
}

// Transaction is what one of a carrier's people does at one moment.
type Transaction struct {
	At         time.Duration // after the start of the days; 0 for what was there before
	Database   Database
	What       string // for people: "invoice B500001 released"
	Tell       string // a mishap: what is told when it happens; "" for what is not worth a word
	Statements []Statement
}

// Remedy is one thing that people do about a mishap. It has either transactions at a source, or a command, or a mapping.
type Remedy struct {
	Transactions []Transaction
	Command      []string // of waybill; {exception} and {row} stand for ids that only the daemon knows
	Upgrade      bool     // the next version of Northstar's mapping
}

// Mishap is one thing that goes wrong in the trade, and how people mend it.
type Mishap struct {
	Name    string        // unknown customer
	Carrier string        // Pine Valley
	Story   string        // what happened, in a sentence
	Code    string        // of the exception that it makes; "" when Waybill needs nobody
	About   string        // reference of what waits: by it the exception is found, or it is the case that says what it waits for
	Handled string        // what Waybill does by itself, for a mishap without an exception
	Now     []Transaction // it happens when people come to it, not in the days: what it corrects must be in the ERP already
	Remedy  []Remedy
	Posted  []string // external ids that must be in the ERP when it is mended
	Trace   string   // what was sent to the ERP about it tells what became of it; "" for nothing
	Notes   string   // case whose note tells what became of it; "" for none
}

// Script is the carriers' days: what is there before them, what happens in them, and what must come out.
type Script struct {
	Before   []Transaction // in order
	Days     []Transaction // in order of At
	Mishaps  []Mishap      // in the order in which they are settled
	Released []string      // external ids of all documents that are released, in no particular order; the ERP must hold each once
	Gated    int           // documents that wait for a requirement when the days are over
	Lost     string        // external id of the document whose answer gets lost on the way
	Loads    int           // moved during the days
	Accounts map[string]string
	Known    []Entry  // of the registry, from before the days
	Tell     []string // a case of each carrier that is told at the end
}

// Entry is a row of the registry: which account a ship-to of Pine Valley means.
type Entry struct{ Key, Canonical, Account, Currency, Name string }

func (s *Script) sort() {
	slices.SortStableFunc(s.Days, func(a, b Transaction) int { return cmp.Compare(a.At, b.At) })
}
