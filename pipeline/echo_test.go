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
	"waybill/sinks"
	"waybill/transform"
)

// echoRig is a rig whose journal the test writes: changes of customers, and postings that write into their table.
type echoRig struct {
	*rig
	p *Pipeline
	n int
}

func newEchoRig(t *testing.T) *echoRig {
	t.Helper()
	r := newRig(t)
	r.project.codecs["plain/1"] = plainCodec{}
	e := &echoRig{rig: r, p: fleet(r, partsMapping)}
	if err := e.p.configure(t); err != nil {
		t.Fatal(err)
	}
	r.seeded("dispatch")
	if err := r.project.catchUp(context.Background()); err != nil {
		t.Fatal(err)
	}
	return e
}

func (e *echoRig) apply(kind checkpoint.Kind, v any) {
	e.t.Helper()
	payload, err := json.Marshal(v)
	if err != nil {
		e.t.Fatal(err)
	}
	e.journal(kind, payload)
	e.caught()
}

func (e *echoRig) caught() {
	e.t.Helper()
	if err := e.project.catchUp(context.Background()); err != nil {
		e.t.Fatal(err)
	}
}

// intent journals that a name is written to A1.
func (e *echoRig) intent(name string) {
	e.t.Helper()
	e.apply(checkpoint.Intent, sinks.Intent{Operation: sinks.Operation{ID: "d1", Sink: "tms", Entity: "customer", ExternalID: "A1"}, Step: "upsert",
		Writes: &transform.Written{Source: "dispatch", Table: partsSchema.Table, Key: map[string]string{"cust_cd": "A1"}, Columns: map[string]*string{"name": &name}}})
}

func (e *echoRig) outcome(class sinks.Class, verify bool) {
	e.t.Helper()
	e.apply(checkpoint.Outcome, outcomeEntry{Delivery: "d1", Step: "upsert", Verify: verify, Outcome: sinks.Outcome{Class: class}})
}

// changed journals a change of A1, and says whether it was news. late moves its commit away from now.
func (e *echoRig) changed(op cdc.Op, name string, late time.Duration) bool {
	e.t.Helper()
	before := e.events()
	e.n++
	var enc cdc.Encoder
	at := time.Now().Add(late).UTC()
	enc.Begin(cdc.Tx{Commit: fmt.Sprintf("n%d", e.n), CommitAt: at})
	enc.Change(op, partsSchema)
	enc.Value([]byte("A1"))
	enc.Value([]byte(name))
	b := cdc.Batch{Source: "dispatch", Identity: "pg/1/1", Schemas: []*cdc.Schema{partsSchema}, CommitAt: at, Position: cdc.Position(fmt.Sprintf("pg/1/1/n%d", e.n))}
	b.Data, b.Changes = enc.Take()
	e.rows(b)
	e.caught()
	return e.events() > before
}

func (e *echoRig) events() int {
	e.t.Helper()
	list, err := e.p.Events(context.Background(), EventQuery{Limit: 1000})
	if err != nil {
		e.t.Fatal(err)
	}
	return len(list)
}

// Each story begins with a customer named Old. "write X" is an intent and its outcome, "sent X" an intent alone; a word of a class is an outcome,
// with "looked" before it that of a verification; "= X" is a change to X that must be no news, "! X" one that must be, and "later ! X" one of an hour later.
func TestEcho(t *testing.T) {
	for name, story := range map[string]string{
		"what we wrote is no news":                    "write New; = New",
		"and comes before its outcome":                "sent New; = New; applied",
		"what somebody else writes is news":           "write New; ! Other; = New",
		"right behind ours, too":                      "write New; = New; ! Other",
		"a change and its taking back are both news":  "write New; = New; ! Other; ! New",
		"who sets it to what it was before us":        "write New; = New; ! Old; ! New",
		"before its outcome, too":                     "sent New; = New; ! Other; ! New; applied; ! Third; ! New",
		"two of ours":                                 "write New; write Newer; = New; = Newer; ! New",
		"what was there already comes from nobody":    "sent Old; already_applied; ! New; ! Old",
		"what was refused does not come":              "sent New; rejected; ! New",
		"what was certainly not done does not come":   "sent New; retry_later; ! New",
		"what is looked for and absent does not come": "sent New; unknown; looked absent; ! New",
		"what is looked for and found may still come": "sent New; unknown; looked already_applied; = New; ! Other; ! New",
		"or may have been somebody else's":            "sent New; unknown; looked already_applied; ! Other; ! New",
		"a look that cannot be made changes nothing":  "sent New; unknown; looked retry_later; = New",
		"an hour later it is somebody else's":         "write New; later ! New",
	} {
		t.Run(name, func(t *testing.T) {
			e := newEchoRig(t)
			if !e.changed(cdc.Insert, "Old", 0) {
				t.Fatal("the first row is no news")
			}
			for _, line := range strings.Split(story, "; ") {
				late := time.Duration(0)
				rest, later := strings.CutPrefix(line, "later ")
				if later {
					late = time.Hour
				}
				verb, word, _ := strings.Cut(rest, " ")
				switch verb {
				case "write":
					e.intent(word)
					e.outcome(sinks.Applied, false)
				case "sent":
					e.intent(word)
				case "=", "!":
					if news := e.changed(cdc.Update, word, late); news != (verb == "!") {
						t.Errorf("%s: %q: news %v", story, line, news)
					}
				case "looked":
					e.outcome(sinks.Class(word), true)
				default:
					e.outcome(sinks.Class(verb), false)
				}
			}
			// The journal alone makes the same state again, what is still expected too.
			again := &History{e.store, e.project.codecs, slog.New(slog.DiscardHandler), func(Progress) {}}
			if proof, err := again.VerifyState(context.Background(), time.Time{}); err != nil || !proof.Equal {
				t.Errorf("%s: made again: %+v %v", story, proof, err)
			}
		})
	}
}

// An echo is told by trace, and updates row state: the next change is compared with it.
func TestEchoIsNoted(t *testing.T) {
	e := newEchoRig(t)
	e.changed(cdc.Insert, "Old", 0)
	e.intent("New")
	e.outcome(sinks.Applied, false)
	for range 2 {
		if e.changed(cdc.Update, "New", 0) {
			t.Error("an echo, or a change that changes nothing, is news")
		}
	}
	items, err := e.p.Trace(context.Background(), "A1")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, i := range items {
		texts = append(texts, i.Text)
	}
	if all := strings.Join(texts, "\n"); !strings.Contains(all, "made by tms.customer A1, so it is no news") {
		t.Errorf("the story says nothing of it:\n%s", all)
	}
	if len(e.project.echoes[echoTable("dispatch", partsSchema.Table)]) > 0 || e.text(bucketEchoOf, "d1") != "" {
		t.Errorf("something is still expected: %v", e.project.echoes)
	}
}
