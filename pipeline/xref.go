package pipeline

import (
	"fmt"
	"strings"

	"waybill/transform"
)

// The registry of cross-references says what the keys of the sources mean: which customer of the company, which account of the ERP.
// Its rows lie in the state, made by decisions of people alone (xrefapply.go); the mapper looks them up.

// XrefRequest is what a person decides about the registry. By and Why are needed for each.
type XrefRequest struct {
	Action XrefAction `json:"action"`
	// Row is what is proposed.
	Row *transform.RegistryRow `json:"row,omitempty"`
	// IDs are the rows that are approved, rejected, closed or split off; at most xrefRows.
	IDs []string `json:"ids,omitempty"`
	// On is the last day of what is closed; of a merge or split the first day of what follows.
	On string `json:"on,omitempty"`
	// Succeed closes what a row that is approved follows, on the day before it begins.
	Succeed bool `json:"succeed,omitempty"`
	// Kind and Canonical are what a merge ends; Into is who it means from then on, and Attributes what its rows say instead.
	Kind       string            `json:"kind,omitempty"`
	Canonical  string            `json:"canonical,omitempty"`
	Into       string            `json:"into,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`
	// File and Text are an import.
	File string `json:"file,omitempty"`
	Text string `json:"text,omitempty"`
	By   string `json:"by"`
	Why  string `json:"why,omitempty"`
}

// XrefAction is a kind of decision about the registry.
type XrefAction string

// The decisions. A row's meaning is never overwritten: a merge and a split end rows and begin others.
const (
	XrefPropose XrefAction = "propose"
	XrefApprove XrefAction = "approve"
	XrefReject  XrefAction = "reject"
	XrefClose   XrefAction = "close"
	XrefMerge   XrefAction = "merge"
	XrefSplit   XrefAction = "split"
	XrefImport  XrefAction = "import"
)

// Bounds of the registry (Invariant 7).
const (
	xrefMost     = 999_999 // rows ever
	xrefRows     = 200     // rows of one decision but an import
	xrefImport   = 5_000   // rows of an import
	XrefMaxBytes = 768 << 10
	xrefWeight   = 512 << 10 // bytes of the state that one decision but an import writes, of the 600 KiB that a unit may
	xrefDoubts   = 20        // notes of a preview
	xrefShown    = 100       // rows, keys and faults that a preview lists
)

// text names the decision in the audit.
func (r *XrefRequest) text() string {
	switch r.Action {
	case XrefPropose:
		return r.Row.RegistryKey.String() + " is " + r.Row.Canonical
	case XrefMerge:
		return r.Kind + " " + r.Canonical + " into " + r.Into + " from " + r.On
	case XrefSplit:
		return strings.Join(r.IDs, " ") + " into " + r.Into + " from " + r.On
	case XrefClose:
		return strings.Join(r.IDs, " ") + " on " + r.On
	case XrefImport:
		return r.File
	}
	return strings.Join(r.IDs, " ")
}

// XrefQuery selects rows of the registry, in the order of their ids; or one row by ID, or one key by Kind, System and Key.
type XrefQuery struct {
	ID        string `json:"id,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Company   string `json:"company,omitempty"`
	System    string `json:"system,omitempty"`
	Role      string `json:"role,omitempty"`
	Key       string `json:"key,omitempty"`
	Canonical string `json:"canonical,omitempty"`
	State     string `json:"state,omitempty"`
	After     string `json:"after,omitempty"` // id: only rows after it
	Limit     int    `json:"limit,omitempty"` // default 100, at most 10,000
}

func (q *XrefQuery) selects(r *transform.RegistryRow) bool {
	for _, f := range [][2]string{{q.Kind, r.Kind}, {q.Company, r.Company}, {q.System, r.System}, {q.Role, r.Role}, {q.Key, r.Key},
		{q.Canonical, r.Canonical}, {q.State, string(r.State)}} {
		if f[0] != "" && f[0] != f[1] {
			return false
		}
	}
	return r.ID > q.After
}

// XrefView is a row, or a key that perhaps has none, with all that helps to judge it.
type XrefView struct {
	Key        transform.RegistryKey   `json:"key"`
	Row        *transform.RegistryRow  `json:"row,omitempty"` // asked for by its id
	Rows       []transform.RegistryRow `json:"rows"`          // every row of the key
	Same       []transform.RegistryRow `json:"same"`          // other keys that mean the same; at most 100
	Waiting    *XrefWaiting            `json:"waiting,omitempty"`
	Facts      map[string]string       `json:"facts,omitempty"` // what the source says of the key
	Candidates []transform.Candidate   `json:"candidates,omitempty"`
}

// XrefWaiting is what waits on a key.
type XrefWaiting struct {
	Key       string            `json:"key"`
	Exception string            `json:"exception"`
	Waiting   int               `json:"waiting"`
	Money     map[string]string `json:"money,omitempty"`
}

// XrefStep is one row as a decision would leave it.
type XrefStep struct {
	Change string                `json:"change"` // propose, approve, reject, close, new
	Row    transform.RegistryRow `json:"row"`    // a new row has no id before it is there
}

// XrefPreview is what a decision would do, or did.
type XrefPreview struct {
	Action   string        `json:"action"`
	Rows     int           `json:"rows"`           // rows that change or come
	Steps    []XrefStep    `json:"steps"`          // at most 100 of them
	Same     int           `json:"same,omitempty"` // rows of an import that are there already
	Releases []XrefWaiting `json:"releases"`       // what waits and is looked at again; at most 100 keys
	Waiting  int           `json:"waiting"`        // of all keys
	Notes    []string      `json:"notes,omitempty"`
	last     uint64        // number of the newest row when the plan was made
}

// XrefFault is one reason why a decision about the registry is refused.
type XrefFault struct {
	Line     int    `json:"line,omitempty"`   // of an import
	Column   string `json:"column,omitempty"` // of an import, or the member of a row
	Found    string `json:"found"`
	Expected string `json:"expected,omitempty"`
}

func (f XrefFault) String() string {
	at := ""
	if f.Line > 0 {
		at = fmt.Sprintf("line %d", f.Line)
	}
	if f.Column != "" {
		if at != "" {
			at += ", "
		}
		at += "column " + f.Column
	}
	if at != "" {
		at += ": "
	}
	text := at + "found " + f.Found
	if f.Expected != "" {
		text += ", expected " + f.Expected
	}
	return text
}

// XrefError says why a decision about the registry is refused, every reason at once. Nothing was decided.
type XrefError struct {
	What   string // "the import customers.csv"
	Faults []XrefFault
	Absent bool // a row is not there: errors.Is(err, ErrNotFound)
}

// Error lists the faults, one a line.
func (e *XrefError) Error() string {
	if len(e.Faults) == 1 {
		return e.What + " is refused: " + e.Faults[0].String()
	}
	lines := []string{fmt.Sprintf("%s is refused, for %d reasons:", e.What, len(e.Faults))}
	for i, f := range e.Faults {
		if i == xrefShown {
			lines = append(lines, fmt.Sprintf("  and %d more", len(e.Faults)-i))
			break
		}
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}

// Is lets callers ask for ErrNotFound.
func (e *XrefError) Is(target error) bool { return target == ErrNotFound && e.Absent }
