package s4hana

import (
	"context"
	"net/http"
	"sync"

	"waybill/sinks/web"
)

// session is a user with a CSRF token.
type session struct {
	url, user, password string

	mu             sync.Mutex
	token, cookies string
}

func (s *session) Apply(ctx context.Context, r *http.Request, _ []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.SetBasicAuth(s.user, s.password)
	if r.Method == http.MethodGet {
		return nil
	}
	if s.token == "" {
		f, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+partnerService, nil)
		if err != nil {
			return err
		}
		f.SetBasicAuth(s.user, s.password)
		f.Header.Set("X-CSRF-Token", "Fetch")
		f.Header.Set("Accept", "application/json")
		a, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(f)
		if err != nil {
			return &web.AuthError{Err: err, Outage: true}
		}
		a.Body.Close()
		s.token, s.cookies = a.Header.Get("X-CSRF-Token"), ""
		for _, c := range a.Cookies() {
			s.cookies += c.Name + "=" + c.Value + ";"
		}
	}
	r.Header.Set("X-CSRF-Token", s.token)
	r.Header.Set("Cookie", s.cookies)
	return nil
}

func (s *session) Refused(_ context.Context, a web.Answer) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token = ""
	return a.Status == http.StatusForbidden, nil
}

func (s *session) Secrets() []string { return []string{s.password} }
