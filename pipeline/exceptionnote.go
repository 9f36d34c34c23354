package pipeline

import (
	"encoding/json"
	"time"
)

// maxNotes bounds the history of one exception. Later notes are counted, not kept; a comment beyond it is refused.
const maxNotes = 1000

// exceptionNote is one line of an exception's own history. What a person said stands in the audit's line alone.
type exceptionNote struct {
	At    time.Time  `json:"at"`
	What  string     `json:"what"`            // assigned, comment, waiting, woken, edited, resubmitted, reopened, overdue, or the end's state
	State string     `json:"state,omitempty"` // afterwards
	Line  uint64     `json:"line,omitempty"`  // of the audit
	Until *time.Time `json:"until,omitempty"`
	Text  string     `json:"text,omitempty"` // of the daemon itself
}

// note adds to the history. The caller saves the exception.
func (s *state) note(x *exception, n exceptionNote) error {
	if x.Notes >= maxNotes {
		x.Lost++
		return nil
	}
	if n.Text == "" {
		n.Line = s.at.Line
	}
	x.Notes++
	return s.save(bucketHistory, key(x.ID, hexKey(uint64(x.Notes))), n)
}

// history is the story of an exception for people, oldest first.
func (s *state) history(x *exception) ([]ExceptionNote, error) {
	list := []ExceptionNote{{At: x.OpenedAt, What: "opened", State: ExceptionOpen, By: daemon}}
	err := s.Scan(bucketHistory, x.ID+sep, "", func(_ string, raw []byte) (bool, error) {
		var n exceptionNote
		if err := json.Unmarshal(raw, &n); err != nil {
			return false, err
		}
		list = append(list, ExceptionNote{At: n.At, What: n.What, State: n.State, By: daemon, Text: n.Text, Until: n.Until, Line: n.Line})
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Line == 0 {
			continue
		}
		line, err := s.auditLine(list[i].Line)
		if err != nil {
			return nil, err
		}
		if line != nil {
			list[i].By, list[i].Text = line.shown("by", line.By), line.said()
		}
	}
	if x.ClosedAt != nil && (len(list) == 1 || list[len(list)-1].State != x.State) {
		by, why, err := s.closed(x)
		if err != nil {
			return nil, err
		}
		list = append(list, ExceptionNote{At: *x.ClosedAt, What: x.State, State: x.State, By: by, Text: why, Line: x.ClosedLine})
	}
	return list, nil
}
