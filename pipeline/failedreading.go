package pipeline

import (
	"fmt"
	"strconv"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// noteReadingFailed is the action of the note that a capture appends when a table cannot be read; the identity is the
// reading's id.
const noteReadingFailed = "reading failed"

// readingFailed applies the capture's note that a table cannot be read.
func (p *projector) readingFailed(s *state, n noteEntry, e checkpoint.Entry) error {
	id, err := strconv.ParseUint(n.Identity, 10, 64)
	if err != nil {
		return fmt.Errorf("reading note: %w", err)
	}
	for table, r := range p.readings {
		if r.ID != id || !r.live() {
			continue
		}
		return p.failReading(s, table, r, n.Why, e.At)
	}
	return nil
}

func (p *projector) failReading(s *state, table string, r *reading, why string, at time.Time) error {
	next := *r
	next.State, next.Error, next.Moved = ReadingFailed, why, at
	if err := p.saveReading(s, table, &next); err != nil {
		return err
	}
	problem := transform.Problem{Fingerprint: readingFingerprint(table), Class: "SOURCE", Code: "TABLE_NOT_READ",
		Title: fmt.Sprintf("The rows of table %s of %s cannot be read: %s", r.Table, r.Source, why),
		Hint:  "Remove the cause, then retry this exception: the reading goes on where it stopped. Other tables are not concerned.",
		Owner: "integration", Subject: table}
	if _, err := s.openException(originReading, problem, "", at); err != nil {
		return err
	}
	if r.First {
		return p.firstRun(s, r.Source)
	}
	return nil
}

func readingFingerprint(table string) string { return "SOURCE/TABLE_NOT_READ/" + table }

// retryReading lets a failed reading go on where it stopped, under another id: chunks that came after the failure are not of it.
func (p *projector) retryReading(s *state, table, by, why string, at time.Time) error {
	r := p.readings[table]
	if r == nil || r.State != ReadingFailed {
		return nil
	}
	next := *r
	next.State, next.Error, next.Moved = ReadingPending, "", at
	if next.Number == 0 {
		next.Index = s.at.Index
	}
	var err error
	if next.ID, err = s.next("reading"); err != nil {
		return err
	}
	if err := p.saveReading(s, table, &next); err != nil {
		return err
	}
	return s.resolve(readingFingerprint(table), table, by, why, at)
}
