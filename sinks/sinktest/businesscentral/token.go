package businesscentral

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill/sinks/sinktest"
)

// Scope is what a token for the API must be asked for.
const Scope = "https://api.businesscentral.dynamics.com/.default"

// login answers a request for a token as Entra does: client credentials alone, as a form. Texts begin with the codes by which people find
// them [K].
func (s *Simulator) login(w http.ResponseWriter, r *http.Request, body []byte) {
	fail := func(status int, kind string, code int, text string) {
		s.answer(w, status, map[string]any{"error": kind, "error_description": fmt.Sprintf("AADSTS%d: %s", code, text), "error_codes": []int{code}, "correlation_id": uuid.NewString()})
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		fail(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the parameters as a form.")
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	switch {
	case form.Get("grant_type") != "client_credentials":
		fail(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
	case id != s.options.ClientID:
		fail(http.StatusBadRequest, "unauthorized_client", 700016, "The application was not found in the directory.")
	case secret != s.secret():
		fail(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided.")
	case form.Get("scope") != Scope:
		fail(http.StatusBadRequest, "invalid_scope", 70011, "The provided value for the input parameter 'scope' is not valid.")
	default:
		s.mu.Lock()
		token := "eyJ0eXAi." + uuid.NewString()
		s.tokens[token] = time.Now().Add(s.options.TokenLife)
		s.logins++
		s.mu.Unlock()
		s.answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": int(s.options.TokenLife.Seconds()), "ext_expires_in": int(s.options.TokenLife.Seconds()), "access_token": token})
	}
}

func (s *Simulator) secret() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.options.ClientSecret
}

// Rotate changes the client's secret; tokens that are out live on.
func (s *Simulator) Rotate(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.ClientSecret = secret
}

// Logins is how often a token was given out.
func (s *Simulator) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// admitted looks at the token of a request.
func (s *Simulator) admitted(r *http.Request, entity, step string) bool {
	_, expire := s.Sim.Struck(sinktest.ExpireTokens, entity, step)
	s.mu.Lock()
	defer s.mu.Unlock()
	if expire {
		clear(s.tokens)
	}
	until, known := s.tokens[sinktest.Bearer(r)]
	return known && time.Now().Before(until)
}
