package web

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// static lets requests in by secrets that each of them carries, or is signed with: there is no login.
type static struct {
	seen
	door    door
	secrets []Secret                                                 // read anew for each request
	let     func(r *http.Request, body []byte, texts []string) error // adds them to a request
	derived func(texts []string) []string                            // what else is secret; nil: nothing
	anew    bool                                                     // each request is signed anew, so that one that was refused is another when it is sent again
}

var errLines = errors.New("the secret has several lines; it must stand in a header")

func (s *static) Apply(ctx context.Context, r *http.Request, body []byte) error {
	texts, err := s.read()
	if err != nil {
		return err
	}
	if err := s.door.enter(ctx, named(texts)); err != nil {
		return err
	}
	return s.let(r, body, texts)
}

func (s *static) read() ([]string, error) {
	texts, err := readAll(s.secrets)
	if err != nil {
		return nil, err
	}
	s.seen.add(texts...)
	if s.derived != nil {
		s.seen.add(s.derived(texts)...)
	}
	for _, text := range texts {
		if strings.ContainsAny(text, "\r\n\x00") {
			return nil, &AuthError{Err: errLines, Unread: true}
		}
	}
	return texts, nil
}

// Refused shuts the door, unless the secret was rotated meanwhile. A signed request is sent again where the target has accepted the secret before:
// two requests may have overtaken each other. What Go's transport sends twice is the client's to know.
func (s *static) Refused(ctx context.Context, _ Answer) (again bool, err error) {
	with := attemptOf(ctx).with
	accepted := s.door.refuse(with)
	texts, err := s.read()
	if err != nil {
		return false, err
	}
	return named(texts) != with || s.anew && accepted, nil
}

// Header lets requests in by a header whose whole value is secret.
func Header(name string, value Secret) Auth {
	return &static{secrets: []Secret{value}, let: func(r *http.Request, _ []byte, texts []string) error {
		r.Header.Set(name, texts[0])
		return nil
	}, derived: func(texts []string) []string {
		if _, token, ok := strings.Cut(texts[0], " "); ok { // Bearer abc
			return []string{token}
		}
		return nil
	}}
}
