package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"waybill/checkpoint"
)

func (r *rig) lines(q AuditQuery) []AuditLine {
	r.t.Helper()
	list, err := AuditOf(r.store, q)
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}

func (r *rig) proof(expect string) AuditProof {
	r.t.Helper()
	p, err := VerifyAuditOf(r.store, expect)
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func comment(text string) decisionEntry {
	return decisionEntry{Action: "comment", IDs: []string{"X-000001"}, Exception: &exceptionWords{Text: text}, By: "ann@desk", Why: "asked", Salt: newSalt()}
}

// Every decision is a line that holds the one before it; what is changed, cut or put between is named, and a redaction is none of it.
func TestTheAuditIsAChain(t *testing.T) {
	r := newRig(t)
	for i := range 5 {
		r.decide(comment(fmt.Sprint("call ", i)))
	}
	if p := r.proof(""); p.Bad != 0 || p.Lines != 5 || p.Checked != 5 || p.Redacted != 0 {
		t.Fatalf("%+v", p)
	}
	third := r.lines(AuditQuery{After: 2, Limit: 1})[0]
	if third.Seq != 3 || third.Note != "call 2" || third.By != "ann@desk" || third.Why != "asked" || third.Target != "X-000001" || len(third.Hash) != 64 {
		t.Fatalf("%+v", third)
	}
	head := r.proof("").Head

	r.decide(decisionEntry{Action: "redact", Redact: &RedactRequest{Line: 3, Fields: []string{"by", "note"}}, By: "bob@desk", Why: "erasure", Salt: newSalt()})
	if p := r.proof(head); p.Bad != 0 || p.Lines != 6 || p.Redacted != 2 {
		t.Errorf("after a redaction: %+v", p)
	}
	line := r.lines(AuditQuery{After: 2, Limit: 1})[0]
	if line.By != "" || line.Note != "" || line.Seals["by"].Salt != "" || line.Seals["by"].Redacted != 6 || line.Why != "asked" || line.Hash != third.Hash {
		t.Errorf("%+v", line)
	}
	if raw, err := json.Marshal(line); err != nil || strings.Contains(string(raw), "ann@desk") || strings.Contains(string(raw), "call 2") {
		t.Errorf("the line still says %s", raw)
	}

	var export bytes.Buffer
	for _, l := range r.lines(AuditQuery{Oldest: true}) {
		if err := json.NewEncoder(&export).Encode(l); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := VerifyAuditFile(&export, head); err != nil || p.Bad != 0 || p.Lines != 6 || p.Redacted != 2 {
		t.Errorf("the export: %+v, %v", p, err)
	}
	for name, bad := range map[string]struct {
		line   uint64
		reason string
		tamper func(s *state, l *AuditLine) error
	}{
		"a field":   {2, `its field "why" is not what was sealed`, func(s *state, l *AuditLine) error { l.Why = "never asked"; return s.save(bucketChain, hexKey(2), l) }},
		"an action": {2, "its hash is not that of its content", func(s *state, l *AuditLine) error { l.Action = "waive"; return s.save(bucketChain, hexKey(2), l) }},
		"a new hash": {3, "it does not follow the line before it", func(s *state, l *AuditLine) error {
			l.Target = "X-2"
			l.Hash = l.digest()
			return s.save(bucketChain, hexKey(2), l)
		}},
		"a cut":   {2, "line 3 stands here", func(s *state, l *AuditLine) error { return s.Delete(bucketChain, hexKey(2)) }},
		"the end": {6, "the chain ends here, but its head says 6 lines", func(s *state, l *AuditLine) error { return s.Delete(bucketChain, hexKey(6)) }},
		"an entry": {2, "its journal entry 2 is another one", func(s *state, l *AuditLine) error {
			l.Entry = digest("other")
			l.Hash = l.digest()
			return s.save(bucketChain, hexKey(2), l)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			was := r.lines(AuditQuery{Oldest: true})
			second := was[1]
			r.do(func(s *state, _ *output) error { return bad.tamper(s, &second) })
			if p := r.proof(""); p.Bad != bad.line || p.Reason != bad.reason || p.Lines != bad.line-1 {
				t.Errorf("%+v", p)
			}
			r.do(func(s *state, _ *output) error {
				for _, l := range was {
					if err := s.save(bucketChain, hexKey(l.Seq), l); err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	if p := r.proof(""); p.Bad != 0 {
		t.Fatalf("not mended: %+v", p)
	}
	if p := r.proof("3:" + digest("other")); p.Bad != 3 || p.Reason != "it is not the line that the earlier proof saw" {
		t.Errorf("%+v", p)
	}
	if p := r.proof("9:" + digest("other")); p.Bad != 7 || p.Reason != "the chain ends here, but an earlier proof saw line 9" {
		t.Errorf("%+v", p)
	}
	if _, err := VerifyAuditOf(r.store, "3:short"); err == nil {
		t.Error("a head without a hash was taken")
	}
}

// Lines that an earlier release wrote come first in the chain, before anything new.
func TestAnOlderAuditMovesIntoTheChain(t *testing.T) {
	r := newRig(t)
	at := time.Date(2026, 3, 8, 14, 5, 0, 0, time.UTC)
	r.do(func(s *state, _ *output) error {
		for i := range uint64(700) {
			old := map[string]any{"at": at, "by": "ann@desk", "action": "retry", "target": fmt.Sprintf("X-%06d", i), "why": "fixed", "index": 10 + i}
			if err := s.save(bucketAudit, hexKey(10+i), old); err != nil {
				return err
			}
		}
		return nil
	})
	r.decide(comment("after the update"))
	p := r.proof("")
	if p.Bad != 0 || p.Lines != 701 {
		t.Fatalf("%+v", p)
	}
	list := r.lines(AuditQuery{Oldest: true, Limit: 1000})
	if first, last := list[0], list[700]; first.Target != "X-000000" || first.By != "ann@desk" || first.Index != 10 || first.Entry != "" || last.Note != "after the update" || last.Entry == "" {
		t.Errorf("%+v\n%+v", first, last)
	}
	err := r.store.View(func(tx *checkpoint.Txn) error {
		k, _, err := newState(tx).first(bucketAudit, "")
		if k != "" {
			t.Errorf("an old line is left: %q", k)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
