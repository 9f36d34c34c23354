package netsuite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "crypto/sha512" // the algorithms 384 and 512
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"waybill/sinks/sinktest"
)

// logins are who may come in.
type logins struct {
	certificates map[string]crypto.PublicKey // mapped, by their id
	tokens       map[string]time.Time        // given out, and when they end
	nonces       map[string]bool             // of TBA, with their timestamp
}

func newLogins() logins {
	return logins{map[string]crypto.PublicKey{}, map[string]time.Time{}, map[string]bool{}}
}

// MapCertificate maps a certificate to the integration; nil takes it away. key is an *rsa.PublicKey or an *ecdsa.PublicKey.
func (s *Server) MapCertificate(id string, key crypto.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key == nil {
		delete(s.logins.certificates, id)
		return
	}
	s.logins.certificates[id] = key
}

// ExpireTokens refuses the tokens given out so far.
func (s *Server) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.logins.tokens)
}

// token answers the token endpoint: a signed assertion against a token (RFC 6749 4.4, RFC 7523 2.2). Refusals are those of RFC 6749 5.2.
func (s *Server) token(c *call) answer {
	refuse := func(status int, code, why string) answer {
		return answer{status: status, body: map[string]string{"error": code, "error_description": why},
			header: map[string]string{"Content-Type": "application/json;charset=UTF-8"}}
	}
	if c.r.Method != http.MethodPost || !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return refuse(http.StatusBadRequest, "invalid_request", "a form is posted")
	}
	form, err := url.ParseQuery(string(c.body))
	if err != nil {
		return refuse(http.StatusBadRequest, "invalid_request", "no form")
	}
	if form.Get("grant_type") != "client_credentials" {
		return refuse(http.StatusBadRequest, "unsupported_grant_type", "grant_type is client_credentials")
	}
	if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return refuse(http.StatusBadRequest, "invalid_request", "client_assertion_type is that of a JWT")
	}
	if err := s.assertion(form.Get("client_assertion"), c.base+tokenPath, time.Now()); err != nil {
		return refuse(http.StatusUnauthorized, "invalid_client", err.Error())
	}
	raw := make([]byte, 24)
	_, _ = rand.Read(raw) // never fails
	token := base64.RawURLEncoding.EncodeToString(raw)
	s.logins.tokens[token] = time.Now().Add(s.options.TokenLife)
	return answer{status: http.StatusOK, header: map[string]string{"Content-Type": "application/json;charset=UTF-8"},
		body: map[string]string{"access_token": token, "expires_in": strconv.Itoa(int(s.options.TokenLife.Seconds())), "token_type": "bearer"}}
}

// assertion looks at a signed JWT.
func (s *Server) assertion(jwt, audience string, now time.Time) error {
	parts := strings.Split(jwt, ".")
	if len(parts) != 3 {
		return errors.New("the assertion is no JWT")
	}
	var head struct{ Typ, Alg, Kid string }
	var claims struct {
		Iss, Aud string
		Scope    any
		Iat, Exp json.Number
	}
	if err := errors.Join(part(parts[0], &head), part(parts[1], &claims)); err != nil {
		return err
	}
	key, mapped := s.logins.certificates[head.Kid]
	if !mapped {
		return fmt.Errorf("no certificate %q is mapped", head.Kid)
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || head.Typ != "JWT" || !signed(key, head.Alg, parts[0]+"."+parts[1], signature) {
		return fmt.Errorf("the assertion is not signed with certificate %q by PS256 or ES256, or their longer forms", head.Kid)
	}
	issued, err1 := claims.Iat.Int64()
	ends, err2 := claims.Exp.Int64()
	const skew = 60
	switch {
	case errors.Join(err1, err2) != nil || ends <= now.Unix() || issued > now.Unix()+skew || ends-issued > 3600:
		return errors.New("the assertion has ended, is from the future, or lives longer than 60 minutes")
	case claims.Iss != ClientID:
		return errors.New("iss is not the client ID of an integration")
	case claims.Aud != audience:
		return fmt.Errorf("aud is not %s", audience)
	case !scoped(claims.Scope):
		return errors.New("scope has no rest_webservices")
	}
	return nil
}

func part(text string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = decode(raw, into)
	}
	if err != nil {
		return fmt.Errorf("a part of the assertion: %w", err)
	}
	return nil
}

func scoped(scope any) bool {
	switch scope := scope.(type) {
	case string:
		return slices.Contains(strings.FieldsFunc(scope, func(r rune) bool { return r == ',' || r == ' ' }), "rest_webservices")
	case []any:
		return slices.Contains(scope, any("rest_webservices"))
	}
	return false
}

// signed verifies a JWS by PS* or ES* (RFC 7518 3.4, 3.5).
func signed(key crypto.PublicKey, algorithm, text string, signature []byte) bool {
	if len(algorithm) != 5 {
		return false
	}
	hash, ok := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	if !ok {
		return false
	}
	h := hash.New()
	h.Write([]byte(text))
	switch key := key.(type) {
	case *rsa.PublicKey:
		return algorithm[:2] == "PS" && rsa.VerifyPSS(key, hash, h.Sum(nil), signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
	case *ecdsa.PublicKey:
		half := (key.Curve.Params().BitSize + 7) / 8
		if algorithm[:2] != "ES" || len(signature) != 2*half {
			return false
		}
		return ecdsa.Verify(key, h.Sum(nil), new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	}
	return false
}

// admitted reports whether a request comes in: with a token that lives, or with a signature of TBA.
func (s *Server) admitted(c *call) bool {
	if token := sinktest.Bearer(c.r); token != "" {
		ends, known := s.logins.tokens[token]
		return known && time.Now().Before(ends)
	}
	params, ok := oauthParams(c.r.Header.Get("Authorization"))
	return ok && s.signedTBA(c, params, time.Now())
}

// oauthParams reads an Authorization header of OAuth 1.0 (RFC 5849 3.5.1).
func oauthParams(header string) (map[string]string, bool) {
	rest, ok := strings.CutPrefix(header, "OAuth ")
	if !ok {
		return nil, false
	}
	params := map[string]string{}
	for pair := range strings.SplitSeq(rest, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || len(value) < 2 || value[0] != '"' || value[len(value)-1] != '"' {
			return nil, false
		}
		clear, err := url.PathUnescape(value[1 : len(value)-1])
		if _, twice := params[name]; twice || err != nil {
			return nil, false
		}
		params[name] = clear
	}
	return params, true
}

// tbaWindow is how far a timestamp may be from the account's clock.
const tbaWindow = 5 * time.Minute

func (s *Server) signedTBA(c *call, p map[string]string, now time.Time) bool {
	have := s.options.TBA
	at, err := strconv.ParseInt(p["oauth_timestamp"], 10, 64)
	once := p["oauth_timestamp"] + " " + p["oauth_nonce"]
	if err != nil || p["realm"] != s.options.Account || p["oauth_consumer_key"] != have.ConsumerKey || p["oauth_token"] != have.TokenID || p["oauth_signature_method"] != "HMAC-SHA256" ||
		p["oauth_version"] != "" && p["oauth_version"] != "1.0" || len(p["oauth_nonce"]) < 6 || s.logins.nonces[once] || now.Sub(time.Unix(at, 0)).Abs() > tbaWindow {
		return false
	}
	mac := hmac.New(sha256.New, []byte(escape(have.ConsumerSecret)+"&"+escape(have.TokenSecret)))
	mac.Write([]byte(baseString(c, p)))
	given, err := base64.StdEncoding.DecodeString(p["oauth_signature"])
	if err != nil || !hmac.Equal(mac.Sum(nil), given) {
		return false
	}
	s.logins.nonces[once] = true
	return true
}

// baseString is what is signed (RFC 5849 3.4.1). A body of JSON is not part of it.
func baseString(c *call, p map[string]string) string {
	var pairs []string
	for name, value := range p {
		if name != "realm" && name != "oauth_signature" {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	for name, values := range c.r.URL.Query() {
		for _, value := range values {
			pairs = append(pairs, escape(name)+"="+escape(value))
		}
	}
	slices.Sort(pairs)
	return c.r.Method + "&" + escape(c.base+c.r.URL.EscapedPath()) + "&" + escape(strings.Join(pairs, "&"))
}

// escape encodes as RFC 5849 3.6 says.
func escape(text string) string {
	var out strings.Builder
	for _, b := range []byte(text) {
		if 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("-._~", b) >= 0 {
			out.WriteByte(b)
			continue
		}
		fmt.Fprintf(&out, "%%%02X", b)
	}
	return out.String()
}
