package s4hana

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"waybill/sinks/sinktest"
)

const sessionCookie = "SAP_SESSIONID_S4H_100"

// letIn looks at the communication user, the token or the certificate.
func (p *Product) letIn(r *http.Request) bool {
	o := p.options
	if user, password, ok := r.BasicAuth(); ok {
		return user == o.User && password == o.Password
	}
	if token := sinktest.Bearer(r); token != "" {
		until, known := p.tokens[token]
		return known && time.Now().Before(until)
	}
	return o.Certificate != "" && r.Header.Get("SSL_CLIENT_CERT") == o.Certificate
}

// token gives out a token for client credentials (RFC 6749, 4.4), which come in the header or in the form.
func (p *Product) token(w http.ResponseWriter, r *http.Request, body []byte) {
	refuse := func(status int, code string) {
		writeJSON(w, status, map[string]string{"error": code})
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		refuse(http.StatusBadRequest, "invalid_request")
		return
	}
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	switch {
	case form.Get("grant_type") != "client_credentials":
		refuse(http.StatusBadRequest, "unsupported_grant_type")
	case p.options.ClientID == "" || id != p.options.ClientID || secret != p.options.ClientSecret:
		refuse(http.StatusUnauthorized, "invalid_client")
	default:
		token := random()
		p.tokens[token] = time.Now().Add(p.options.TokenLife)
		writeJSON(w, http.StatusOK, map[string]any{"access_token": token, "token_type": "Bearer", "expires_in": int(p.options.TokenLife.Seconds())})
	}
}

// session answers a request for a CSRF token, and says whether a write has one.
func (p *Product) session(w http.ResponseWriter, r *http.Request) bool {
	asked := r.Header.Get("X-CSRF-Token")
	cookie := ""
	if c, err := r.Cookie(sessionCookie); err == nil {
		cookie = c.Value
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		if strings.EqualFold(asked, "Fetch") {
			if p.sessions[cookie] == "" {
				cookie = random()
				p.sessions[cookie] = random()
				http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: cookie, Path: "/", HttpOnly: true})
			}
			w.Header().Set("X-CSRF-Token", p.sessions[cookie])
		}
		return true
	}
	if token := p.sessions[cookie]; token != "" && asked == token {
		return true
	}
	w.Header().Set("X-CSRF-Token", "Required")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(http.StatusForbidden)
	_, _ = w.Write([]byte("CSRF token validation failed")) // into memory
	return false
}

func random() string {
	raw := make([]byte, 18)
	_, _ = rand.Read(raw) // never fails
	return base64.RawURLEncoding.EncodeToString(raw)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("writing JSON: " + err.Error()) // of the simulator's own values
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(raw) // into memory
}
