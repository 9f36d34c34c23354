package pipeline

import (
	"encoding/json"
	"fmt"
	"time"

	"waybill/checkpoint"
	"waybill/transform"
)

// answerEntry is the payload of a checkpoint.Answer entry: what came of one question, or what is known of a service as a whole.
type answerEntry struct {
	Answer *transform.Answer `json:"answer,omitempty"`
	Silent *silence          `json:"silent,omitempty"` // it has not answered for so long that people must know
	Idle   string            `json:"idle,omitempty"`   // a silent service that nobody needs to ask any more
}

// silence is why a service does not answer, as the state keeps it.
type silence struct {
	Service string    `json:"service"`
	Since   time.Time `json:"since"` // by the clock of who asked
	Code    string    `json:"code"`
	Message string    `json:"message,omitempty"`
	Hint    string    `json:"hint,omitempty"`
}

// answer applies an Answer entry. Nothing is asked here: the same journal gives the same state.
func (p *projector) answer(s *state, e checkpoint.Entry) error {
	var a answerEntry
	if err := json.Unmarshal(e.Payload, &a); err != nil {
		return fmt.Errorf("reading answer %d: %w", e.Index, err)
	}
	switch {
	case a.Silent != nil:
		return s.silent(a.Silent, e)
	case a.Idle != "":
		return s.heard(a.Idle, "nothing is asked of it any more", e.At)
	case a.Answer == nil || p.mapper == nil:
		return nil
	}
	if a.Answer.Status != transform.AnswerDropped {
		if err := s.heard(a.Answer.Service, "the service answers again", e.At); err != nil {
			return err
		}
	}
	marks, now, err := p.now(s)
	if err != nil {
		return err
	}
	at := transform.Entry{Index: e.Index, Observed: e.At, Now: now, Marks: marks}
	if err := p.mapper.Answered(s, &output{s: s, entry: at}, at, a.Answer); err != nil {
		return err
	}
	return s.addWork(work{Kind: workTimers}) // the rest of many who waited goes on by a timer
}

// silent notes that a service does not answer, tells people once, and lets go what has something to fall back on.
func (s *state) silent(n *silence, e checkpoint.Entry) error {
	raw, err := json.Marshal(n)
	if err != nil {
		return err
	}
	if err := transform.Silence(s, n.Service, raw); err != nil {
		return err
	}
	evidence, err := json.Marshal(map[string]any{"service": n.Service, "since": n.Since.UTC().Format(time.RFC3339), "code": n.Code, "message": n.Message})
	if err != nil {
		return err
	}
	hint := n.Hint
	if hint == "" {
		hint = "Is it running and reachable?"
	}
	prob := transform.Problem{Fingerprint: silenceOf(n.Service), Class: "TRANSIENT", Code: "LOOKUP_FAILED", Owner: "integration", Subject: serviceSubject(n.Service),
		Title: clip(fmt.Sprintf("%s has not answered since %s: %s %s", n.Service, n.Since.UTC().Format("2006-01-02 15:04:05Z"), n.Code, n.Message), 300),
		Hint:  hint + " What needs its answers waits, or falls back as the mapping says; it is asked until it answers, and all goes on by itself.", Evidence: evidence}
	if _, err := s.openException(originService, prob, "", e.At); err != nil {
		return err
	}
	return s.addWork(work{Kind: workFallBack, Key: n.Service})
}

// heard ends the silence of a service.
func (s *state) heard(service, why string, at time.Time) error {
	raw, err := transform.Silent(s, service)
	if err != nil || raw == nil {
		return err
	}
	if err := transform.Heard(s, service); err != nil {
		return err
	}
	return s.resolve(silenceOf(service), serviceSubject(service), "waybill", why, at)
}

func silenceOf(service string) string { return "TRANSIENT/LOOKUP_FAILED/" + service }

func serviceSubject(service string) string { return "service/" + service }

// fallBackLimit bounds the questions that one call looks at.
const fallBackLimit = 20

// fallBack looks again at what waits for a silent service and has something to fall back on, some questions at a time.
func (p *projector) fallBack(s *state, out *output, w *work, at transform.Entry) (done bool, err error) {
	var batch []*transform.Question
	next := ""
	err = transform.Questions(s, w.Key, w.Cursor, func(id string, q *transform.Question) (bool, error) {
		if len(batch) == fallBackLimit {
			next = id
			return false, nil
		}
		batch = append(batch, q)
		return true, nil
	})
	for _, q := range batch {
		if err == nil {
			err = p.mapper.FallBack(s, out, at, q)
		}
	}
	if w.Cursor = next; err != nil || next != "" {
		return false, err
	}
	return true, s.addWork(work{Kind: workTimers})
}

// codePeriod is what adapters call a refusal because of a closed period.
const codePeriod = "PERIOD_CLOSED"

// doubtPeriods makes older answers about periods worthless when a target says that one is closed: its word comes last.
func (p *projector) doubtPeriods(s *state, d *delivery, code string, e checkpoint.Entry) error {
	if code != codePeriod || p.mapper == nil {
		return nil
	}
	return p.mapper.Doubt(s, transform.Entry{Index: e.Index, Observed: e.At}, &d.Post)
}
