package web

import (
	"errors"
	"strings"

	"waybill/sinks"
)

// Case is one line of a target's table of outcomes: what an answer means. It is data, and each line has a golden case.
type Case struct {
	From, To int         // status of HTTP, both included; 0 and 0: any
	Code     string      // what the body says, as the adapter reads it; "" any, and a * at its end any that begin so
	Class    sinks.Class // never Absent of a write
	As       string      // code of the outcome: PERIOD_CLOSED, UNKNOWN_CUSTOMER, AUTH, RATE, OUTAGE, LOCKED, REFUSED, ADDRESS …
	Outage   bool        // counts for the breaker
	Hint     string      // what a person should do
}

// Said is an answer as the adapter reads it.
type Said struct {
	Status  int
	Code    string // of the body; "" when it names none
	Message string // for a person
	Field   string // that it complains about
}

// HintUnknown is said of an outcome that is not known.
const HintUnknown = "It is not known whether it was done; it is looked for before it is sent again."

// Classify finds the first line that fits. What no line knows is unknown, never refused and never applied.
func Classify(table []Case, said Said) sinks.Outcome {
	o := sinks.Outcome{Class: sinks.Unknown, Code: "ANSWER", Hint: HintUnknown}
	for _, c := range table {
		if c.fits(said) {
			o = sinks.Outcome{Class: c.Class, Code: c.As, Outage: c.Outage, Hint: c.Hint}
			break
		}
	}
	if !o.Done() && o.Class != sinks.Absent {
		o.Message, o.Field = Clip(said.Message, 500), Clip(said.Field, 100)
	}
	return o
}

func (c Case) fits(said Said) bool {
	if (c.From != 0 || c.To != 0) && (said.Status < c.From || said.Status > c.To) {
		return false
	}
	prefix, open := strings.CutSuffix(c.Code, "*")
	return c.Code == "" || c.Code == said.Code || open && strings.HasPrefix(said.Code, prefix)
}

// Unanswered is the outcome of a request without a whole answer, nil when there is one. What certainly never left is tried again later; what
// may have arrived is unknown, or, when it only reads, tried again.
func Unanswered(a Answer, reads bool) *sinks.Outcome {
	if a.Err == nil {
		return nil
	}
	o := &sinks.Outcome{Class: sinks.Unknown, Code: "OUTAGE", Outage: true, Message: Clip(a.Err.Error(), 500), Hint: HintUnknown, Took: a.Took}
	var refused *AuthError
	switch {
	case errors.As(a.Err, &refused) && refused.Outage:
		o.Class, o.Hint, o.Wait = sinks.RetryLater, "", refused.Wait
	case refused != nil && refused.Unread:
		o.Class, o.Code, o.Outage, o.Hint = sinks.Setup, "SECRET", false, "Make the secret readable again: its file, or the command that gives it."
	case refused != nil:
		o.Class, o.Code, o.Outage, o.Hint = sinks.Setup, "AUTH", false, "Correct the credentials in the sink's configuration."
	case !a.Sent || reads:
		o.Class, o.Hint = sinks.RetryLater, ""
	}
	return o
}
