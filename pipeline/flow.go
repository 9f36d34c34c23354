package pipeline

import (
	"fmt"
	"strings"
	"time"

	"waybill/sinks"
)

// A flow is what goes to one sink, or what goes to it of one entity. A person may pause it (a kill switch): nothing new of it is sent, no step
// that has not begun is begun, and what is unknown is verified. What waits meanwhile stays in its order, over restarts too.

// The decisions about flows.
const (
	actionPauseFlow  = "pause sink"
	actionResumeFlow = "resume sink"
	actionReload     = "reload"
)

// FlowRequest pauses or resumes a flow.
type FlowRequest struct {
	Sink   string `json:"sink"`
	Entity string `json:"entity,omitempty"` // empty: all that goes to the sink
	By     string `json:"by"`
	Why    string `json:"why"`
}

func (r *FlowRequest) text() string { return strings.TrimSuffix(r.Sink+"."+r.Entity, ".") }

// FlowError says why a flow was neither paused nor resumed.
type FlowError struct {
	Reason string
	Hint   string
	Absent bool // there is no such flow
}

func (e *FlowError) Error() string { return e.Reason }

// SinkView is how what goes to one sink stands.
type SinkView struct {
	Sink    string              `json:"sink"`
	Paused  *sinks.Reason       `json:"paused,omitempty"` // all of it
	DryRun  bool                `json:"dry_run,omitempty"`
	Shut    string              `json:"shut,omitempty"` // why nothing is written now, beside a pause
	Until   *time.Time          `json:"until,omitempty"`
	Account *sinks.AccountStand `json:"account,omitempty"`
	Flows   []FlowView          `json:"flows"` // entities that the mappings post, or that are paused
}

// FlowView is how what goes to a sink of one entity stands.
type FlowView struct {
	Entity string        `json:"entity"`
	Paused *sinks.Reason `json:"paused,omitempty"`
}

// switchFlow applies the decision to pause or to resume a flow.
func (s *state) switchFlow(d decisionEntry, at time.Time) error {
	k := key(d.Flow.Sink, d.Flow.Entity)
	if d.Action == actionResumeFlow {
		return s.Delete(bucketPaused, k)
	}
	return s.save(bucketPaused, k, sinks.Reason{By: d.By, Why: d.Why, At: at.UTC()})
}

// paused lists the paused flows of a sink, by entity; "" is all of it.
func (s *state) paused(sink string) (map[string]sinks.Reason, error) {
	flows := map[string]sinks.Reason{}
	var entities []string
	err := s.Scan(bucketPaused, sink+sep, "", func(k string, _ []byte) (bool, error) {
		entities = append(entities, strings.TrimPrefix(k, sink+sep))
		return true, nil
	})
	for _, entity := range entities {
		var r sinks.Reason
		if err == nil {
			_, err = s.load(bucketPaused, key(sink, entity), &r)
		}
		flows[entity] = r
	}
	return flows, err
}

// Reload is what a running daemon took of its configuration, read again.
type Reload struct {
	File    string   `json:"file"`
	Changes []string `json:"changes"` // field: old → new
}

// noteChanges bounds the changes that a line of the audit names; the journal entry has all.
const noteChanges = 50

func (r *Reload) note() string {
	list := r.Changes
	if more := len(list) - noteChanges; more > 0 {
		list = append(list[:noteChanges:noteChanges], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, "; ")
}
