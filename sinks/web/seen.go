package web

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// leastHidden is the length from which a text is hidden, in bytes: a shorter one is no secret, and taking it out would spoil every answer.
const leastHidden = 4

// mostSeen bounds the secrets that are remembered. Old ones matter while requests that carry them are under way.
const mostSeen = 32

// seen are the secrets that were used, those of before a rotation too. All methods may be called from several goroutines.
type seen struct {
	mu   sync.Mutex
	list []string
}

// add remembers secrets, in the forms in which a target may send them back.
func (s *seen) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if slices.Contains(s.list, text) {
			continue // with its forms, which came behind it and leave after it
		}
		for _, form := range forms(text) {
			if len(form) >= leastHidden && !slices.Contains(s.list, form) {
				s.list = append(s.list, form)
			}
		}
	}
	if extra := len(s.list) - mostSeen; extra > 0 {
		s.list = slices.Delete(s.list, 0, extra)
	}
}

// Secrets implements Auth for what embeds it.
func (s *seen) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// forms are a text as it is, in an address, and in JSON as the several encoders write it.
func forms(text string) []string {
	all := []string{text, url.QueryEscape(text), url.PathEscape(text)}
	for _, html := range []bool{true, false} {
		var b strings.Builder
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if err := e.Encode(text); err == nil { // a text can always be encoded
			quoted := strings.TrimSuffix(b.String(), "\n")
			quoted = quoted[1 : len(quoted)-1]
			all = append(all, quoted, strings.ReplaceAll(quoted, "/", `\/`))
		}
	}
	return all
}

// hider replaces secrets, longer ones first: one may begin with another. nil when there are none.
func hider(secrets []string) *strings.Replacer {
	if len(secrets) == 0 {
		return nil
	}
	secrets = slices.Clone(secrets)
	slices.SortFunc(secrets, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(secrets))
	for _, secret := range secrets {
		if secret != "" {
			pairs = append(pairs, secret, hidden)
		}
	}
	return strings.NewReplacer(pairs...)
}

func hideHeader(h http.Header, hide *strings.Replacer) http.Header {
	if hide == nil {
		return h
	}
	for _, values := range h {
		for i := range values {
			values[i] = hide.Replace(values[i])
		}
	}
	return h
}
