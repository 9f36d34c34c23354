package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/checkpoint"
)

// maxWhere bounds a filter in bytes: it is kept in the journal and sent with every chunk.
const maxWhere = 4 << 10

// ReadingError says why a reading is not begun, paused or resumed, and what to do. Nothing was decided.
type ReadingError struct {
	Reason string
	Hint   string
	Absent bool // the source or the table is not there: errors.Is(err, ErrNotFound)
}

func (e *ReadingError) Error() string { return e.Reason + ". " + e.Hint }

// Is lets callers ask for ErrNotFound.
func (e *ReadingError) Is(target error) bool { return target == ErrNotFound && e.Absent }

// ReadPlan is what a reading would do, and what it may cost the database.
type ReadPlan struct {
	Source        string   `json:"source"`
	Table         string   `json:"table"`
	Where         string   `json:"where,omitempty"`
	Rows          int64    `json:"rows"`            // of the table by the server's statistics; -1 unknown
	Workers       int      `json:"workers"`         // tables of the source that are read at once
	ChunkRows     int      `json:"chunk_rows"`      // at most; a chunk also ends at about 2 MiB
	RowsPerSecond int      `json:"rows_per_second"` // of all tables of the source together; 0 is no bound
	Notes         []string `json:"notes"`
}

// DefaultReadings returns what a source's readings are bounded by when nothing is configured.
func DefaultReadings() ReadingOptions { return ReadingOptions{MaxLag: defaultMaxLag}.withDefaults() }

// CheckWhere refuses a filter that cannot be one condition. The database judges the rest: the filter goes to it as written.
func CheckWhere(where string) error {
	if len(where) > maxWhere {
		return &ReadingError{Reason: fmt.Sprintf("the filter has %d bytes, at most %d are taken", len(where), maxWhere),
			Hint: "Select by a range or a subquery instead of a long list"}
	}
	if strings.ContainsAny(where, ";\x00") {
		return &ReadingError{Reason: "the filter holds a semicolon or a zero byte", Hint: "Give one condition, as it would stand after WHERE"}
	}
	return nil
}

// PreviewRead says what Read would do, and refuses what Read would refuse. It asks the server for its estimate of the rows.
func (p *Pipeline) PreviewRead(ctx context.Context, q ReadRequest) (ReadPlan, error) {
	c, err := p.readable(&q)
	if err != nil {
		return ReadPlan{}, err
	}
	if err := p.mayRead(q); err != nil {
		return ReadPlan{}, err
	}
	o := c.tables.options
	v := ReadPlan{Source: q.Source, Table: q.Table.String(), Where: q.Where, Rows: -1, Workers: o.Workers, ChunkRows: o.ChunkRows, RowsPerSecond: o.RowsPerSecond}
	if rows, err := c.src.Estimate(ctx, q.Table); err == nil {
		v.Rows = rows
	} else {
		v.Notes = append(v.Notes, "The server could not be asked how many rows there are: "+clip(err.Error(), 300))
	}
	if o.MaxLag > 0 {
		v.Notes = append(v.Notes, fmt.Sprintf("It waits while the stream, or the slowest replica that the server knows of, is more than %s behind.", o.MaxLag))
	}
	vanished := "Rows that are known here and gone there are deletes."
	if q.Where != "" {
		vanished = "Rows that the filter leaves out are not missed: nothing is taken as deleted."
	}
	held, err := p.heldTable(q)
	if err != nil {
		return ReadPlan{}, err
	}
	if held != "" {
		v.Notes = append(v.Notes, "The table is held: see its exception. Held changes that the log does not tell in full are given up, and what they did is "+
			"found in the comparison; then the table goes on.")
	}
	v.Notes = append(v.Notes, "The stream goes on meanwhile; nothing is written to the source and no transaction stays open between two chunks.",
		"The rows are compared with what is known; only differences go through the rules.", vanished,
		"Nothing is posted twice: what the ledger or the target holds is verified.")
	return v, nil
}

// Read begins a reading of a table's rows beside the stream. It returns when the decision is applied; the reading goes on. The error
// is a *ReadingError when it is refused.
func (p *Pipeline) Read(ctx context.Context, q ReadRequest) (ReadingStatus, error) {
	c, err := p.readable(&q)
	if err != nil {
		return ReadingStatus{}, err
	}
	if err := p.mayRead(q); err != nil {
		return ReadingStatus{}, err
	}
	return p.decideReading(ctx, c, "read", q)
}

// PauseReading lets a reading wait until it is resumed. A chunk that is being read still comes in.
func (p *Pipeline) PauseReading(ctx context.Context, q ReadRequest) (ReadingStatus, error) {
	return p.toggle(ctx, "pause", q, ReadingPending)
}

// ResumeReading lets a paused reading go on behind its last chunk.
func (p *Pipeline) ResumeReading(ctx context.Context, q ReadRequest) (ReadingStatus, error) {
	return p.toggle(ctx, "resume", q, ReadingPaused)
}

func (p *Pipeline) toggle(ctx context.Context, action string, q ReadRequest, from ReadingState) (ReadingStatus, error) {
	c, err := p.readable(&q)
	if err != nil {
		return ReadingStatus{}, err
	}
	r := p.reading(q)
	switch {
	case r != nil && r.State == ReadingFailed:
		hint, err := p.failedHint(q)
		if err != nil {
			return ReadingStatus{}, err
		}
		return ReadingStatus{}, &ReadingError{Reason: fmt.Sprintf("the reading of table %s of %s has failed: %s", q.Table, q.Source, clip(r.Error, 300)), Hint: hint}
	case r == nil || !r.live():
		return ReadingStatus{}, &ReadingError{Reason: fmt.Sprintf("table %s of %s is not being read", q.Table, q.Source),
			Hint: fmt.Sprintf("To read it again: waybill snapshot %s %s", q.Source, q.Table)}
	case r.State != from:
		state, hint := "paused already", fmt.Sprintf("To let it go on: waybill snapshot resume %s %s", q.Source, q.Table)
		if action == "resume" {
			state, hint = "not paused", "waybill snapshot list shows how far it is"
		}
		return ReadingStatus{}, &ReadingError{Reason: fmt.Sprintf("the reading of table %s of %s is %s", q.Table, q.Source, state), Hint: hint}
	}
	return p.decideReading(ctx, c, action, q)
}

// mayRead refuses a second reading of a table, and a filter where all rows are needed.
func (p *Pipeline) mayRead(q ReadRequest) error {
	if err := CheckWhere(q.Where); err != nil {
		return err
	}
	if _, message := q.Table.Prefix(); message {
		return &ReadingError{Reason: fmt.Sprintf("%s of %s are messages: they pass in the log once, and no row of them is kept", q.Table, q.Source),
			Hint: "What was captured of them is in the journal; waybill replay delivers their events again"}
	}
	r := p.reading(q)
	if r != nil && (r.live() || r.State == ReadingRead) {
		return &ReadingError{Reason: fmt.Sprintf("table %s of %s is being read already (%s)", q.Table, q.Source, r.State),
			Hint: "waybill snapshot list shows how far it is; ask again when it has ended"}
	}
	if r != nil && r.holds() && q.Where != "" {
		return &ReadingError{Reason: fmt.Sprintf("table %s of %s was never read in full, so a filter would leave rows unknown", q.Table, q.Source),
			Hint: "Read it without the filter first"}
	}
	if q.Where == "" {
		return nil
	}
	held, err := p.heldTable(q)
	if err == nil && held != "" {
		err = &ReadingError{Reason: fmt.Sprintf("table %s of %s is held, and what changed in it meanwhile may lie in any row", q.Table, q.Source),
			Hint: "Read it without the filter"}
	}
	if err != nil {
		return err
	}
	return nil
}

// readable finds the source and the table that a request names; the table's name is completed.
func (p *Pipeline) readable(q *ReadRequest) (*capture, error) {
	q.Where = strings.TrimSpace(q.Where)
	i := slices.IndexFunc(p.captures, func(c *capture) bool { return c.name == q.Source })
	if i < 0 {
		known := names(p.o.Sources)
		nearest(known, q.Source)
		return nil, &ReadingError{Reason: fmt.Sprintf("there is no source %q", q.Source), Hint: "There are " + strings.Join(known, ", "), Absent: true}
	}
	table, err := p.selected(*q)
	q.Table = table
	return p.captures[i], err
}

// selected finds the table of the mapping that is named in full, or by its name alone.
func (p *Pipeline) selected(q ReadRequest) (cdc.Table, error) {
	var fits []cdc.Table
	var known []string
	for _, sel := range p.o.Carriers.Selections(q.Source) {
		full := sel.Table.String()
		if q.Table.String() == full {
			return sel.Table, nil
		}
		// A mapping may leave the schema out as well; then any that the person gives is the source's own.
		if q.Table.String() == sel.Table.Name || sel.Table.Schema == "" && q.Table.Name == sel.Table.Name {
			fits = append(fits, sel.Table)
		}
		known = append(known, full)
	}
	switch len(fits) {
	case 1:
		return fits[0], nil
	case 0:
		nearest(known, q.Table.String())
		return q.Table, &ReadingError{Reason: fmt.Sprintf("the mapping reads no table %q of source %s", q.Table, q.Source),
			Hint: "It reads " + strings.Join(known[:min(len(known), 20)], ", "), Absent: true}
	}
	both := make([]string, len(fits))
	for i := range fits {
		both[i] = fits[i].String()
	}
	return q.Table, &ReadingError{Reason: fmt.Sprintf("more than one table of source %s is called %q", q.Source, q.Table), Hint: "Name one of " + strings.Join(both, ", ")}
}

// reading returns a copy of the table's reading, or nil.
func (p *Pipeline) reading(q ReadRequest) *reading {
	for _, r := range p.project.current(q.Source) {
		if r.Table == q.Table {
			return &r
		}
	}
	return nil
}

func (p *Pipeline) decideReading(ctx context.Context, c *capture, action string, q ReadRequest) (ReadingStatus, error) {
	by, why := q.By, q.Why
	q.By, q.Why = "", ""
	if err := p.decide(ctx, decisionEntry{Action: action, Read: &q, By: by, Why: why}); err != nil {
		return ReadingStatus{}, err
	}
	for _, st := range c.tables.status(time.Now()) {
		if st.Table == q.Table.String() {
			return st, nil
		}
	}
	// A first reading of a small table can have ended meanwhile, and is not listed then.
	return ReadingStatus{Table: q.Table.String(), State: ReadingDone, Estimate: -1, Percent: 100}, nil
}

// failedHint names the exception of a failed reading.
func (p *Pipeline) failedHint(q ReadRequest) (string, error) {
	var id []byte
	err := p.store.View(func(tx *checkpoint.Txn) (err error) {
		id, err = newState(tx).Get(bucketOpen, readingFingerprint(p.o.Carriers.TableKey(q.Source, q.Table)))
		return err
	})
	if err != nil || id == nil {
		return "To read it from its beginning: waybill snapshot " + q.Source + " " + q.Table.String(), err
	}
	return "Remove the cause, then: waybill exceptions retry " + string(id), nil
}

// nearest sorts names by how little they differ from what was typed.
func nearest(list []string, typed string) {
	slices.SortStableFunc(list, func(a, b string) int { return cmp.Compare(edits(a, typed), edits(b, typed)) })
}

// edits counts the insertions, deletions and replacements that make b of a.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range a {
		before := row[0]
		row[0] = i + 1
		for j := range b {
			replaced := before
			if a[i] != b[j] {
				replaced++
			}
			before = row[j+1]
			row[j+1] = min(row[j+1]+1, row[j]+1, replaced)
		}
	}
	return row[len(b)]
}
