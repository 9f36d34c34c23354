package demo

import (
	"cmp"
	"slices"
	"time"
)

// Database names one of the carrier's two databases.
type Database string

// The databases.
const (
	Dispatch Database = "dispatch" // PostgreSQL; placeholders are $1
	Billing  Database = "billing"  // MariaDB; placeholders are ?
)

// Statement is one SQL statement with its arguments.
type Statement struct {
	SQL  string
	Args []any
}

// Transaction is what one of the carrier's people does at one moment.
type Transaction struct {
	At         time.Duration // after the start of the days; 0 for what was there before
	Database   Database
	What       string // for people: "invoice B500001 released"
	Statements []Statement
}

// Place is where a mishap is mended.
type Place string

// The places.
const (
	InBilling Place = "billing"
	InMapping Place = "mapping" // by its second version
	InERP     Place = "erp"     // by the accountant; then a person asks Waybill to try again
)

// Repair is what people do about one mishap.
type Repair struct {
	Code    string   // the exception that the mishap makes: UNKNOWN_CUSTOMER
	Story   string   // one sentence
	Waiting []string // the documents, or the customer, that wait for it
	Where   Place
	// Transactions mend the source when that is the place.
	Transactions []Transaction
}

// Script is a carrier's days: what is there before them, what happens in them, and what must come out.
type Script struct {
	Before   []Transaction // in order
	Days     []Transaction // in order of At
	Repairs  []Repair
	Released []string // numbers of the documents that the days release, in no particular order; the ERP must hold all of them once
	Rebilled []string // numbers of the credits that come with a replacement
	Loads    int      // moved during the days
}

func (s *Script) sort() {
	slices.SortStableFunc(s.Days, func(a, b Transaction) int { return cmp.Compare(a.At, b.At) })
}
