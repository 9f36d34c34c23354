package sinktest

import (
	"encoding/json"
	"testing"

	"waybill/sinks"
	"waybill/transform"
)

// Questioned is a question that a sink under test must answer.
type Questioned struct {
	Ask    *transform.Question
	Fields []transform.AnswerField // that the answer must have, exactly readable
	Absent *transform.Question     // a question of the same name to which there is nothing; nil: there always is an answer
}

// questions looks whether a sink answers, says that there is nothing, refuses what it does not know, and is not silent about an outage.
func (s *suite) questions(t *testing.T) {
	a, ok := s.Sink.(sinks.Answerer)
	if !ok {
		t.Fatal("the sink answers no questions")
	}
	if err := a.Answers("no_such_question"); err == nil {
		t.Error("Answers accepts no_such_question")
	}
	if _, out := a.Ask(t.Context(), &transform.Question{Name: "no_such_question"}); out == nil || out.Class != sinks.Rejected {
		t.Errorf("no_such_question: %+v", out)
	}
	for _, q := range s.Questions {
		if err := a.Answers(q.Ask.Name); err != nil {
			t.Error(err)
		}
		answer, out := a.Ask(t.Context(), q.Ask)
		if out != nil || !answer.Found || !json.Valid(answer.Object) {
			t.Fatalf("%s: %+v, %+v", q.Ask.Name, answer, out)
		}
		if _, err := transform.Pick(q.Fields, answer.Object); err != nil {
			t.Errorf("%s: %v: %s", q.Ask.Name, err, answer.Object)
		}
		if q.Absent != nil {
			if answer, out := a.Ask(t.Context(), q.Absent); out != nil || answer.Found {
				t.Errorf("%s of what is not there: %+v, %+v", q.Ask.Name, answer, out)
			}
		}
		s.Unreachable()
		_, out = a.Ask(t.Context(), q.Ask)
		s.Heal()
		if out == nil || out.Class != sinks.RetryLater || !out.Outage {
			t.Errorf("%s in an outage: %+v", q.Ask.Name, out)
		}
	}
}
