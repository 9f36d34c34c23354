package web

import "context"

// attempt is one sending of a request, as its Auth follows it.
type attempt struct {
	with string              // the credentials that it carries, by a name that is no secret or a token that is
	done func(accepted bool) // is told once what became of them; nil when nobody asks

	conns int // connections that it was given: with a second one net/http has sent a read again whose connection ended

	session string // that it belongs to: the token of csrf
}

type attemptKey struct{}

// attemptOf is the attempt that a request is part of; never nil.
func attemptOf(ctx context.Context) *attempt {
	if t, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return t
	}
	return &attempt{}
}

func (t *attempt) settle(accepted bool) {
	if t.done != nil {
		t.done(accepted)
		t.done = nil
	}
}
