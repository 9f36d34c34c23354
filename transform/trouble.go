package transform

import (
	"encoding/json"
	"fmt"
)

// trouble is why a rule cannot go on now. It travels as an error through expressions and becomes a Problem.
type trouble struct {
	class, code string
	cause       string // with class and code the fingerprint: the same cause is one exception
	title, hint string
	owner       string
	evidence    map[string]any
	quiet       bool      // nothing to tell a person yet: a wait
	ask         *Question // whose answer ends it
}

// Error implements error.
func (t *trouble) Error() string { return t.code + ": " + t.title }

func (t *trouble) fingerprint() string { return t.class + "/" + t.code + "/" + clip(t.cause, 200) }

// owners of a class of trouble, unless the mapping names one.
var owners = map[string]string{"MASTER": "master data", "MAPPING": "integration", "DATA": "source data", "POLICY": "finance",
	"WAITING": "billing", "BUG": "integration"}

// problem tells a person about the trouble of a subject.
func (t *trouble) problem(subject, orderKey, rule string, amount *Money) Problem {
	p := Problem{Fingerprint: t.fingerprint(), Class: t.class, Code: t.code, Title: clip(t.title, 500), Hint: t.hint, Owner: t.owner,
		Subject: subject, OrderKey: orderKey, Rule: rule, Amount: amount}
	if p.Owner == "" {
		p.Owner = owners[t.class]
	}
	if len(t.evidence) > 0 {
		p.Evidence, _ = json.Marshal(t.evidence) // strings and numbers only: cannot fail
	}
	return p
}

// brokenRule is the trouble of an expression that cannot be evaluated for this row.
func brokenRule(what, where string, err error) *trouble {
	return &trouble{class: "MAPPING", code: "EXPRESSION", cause: where + "/" + what,
		title: fmt.Sprintf("%s cannot be evaluated: %v.", what, err),
		hint:  "Correct the expression at " + where + " and activate the mapping."}
}
