package netsuite

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"testing"
	"time"
)

// assertionOf signs claims as a client would.
func assertionOf(t *testing.T, head, claims map[string]any, key crypto.Signer) string {
	t.Helper()
	encode := func(v any) string {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := encode(head) + "." + encode(claims)
	sum := sha256.Sum256([]byte(text))
	var signature []byte
	var err error
	switch key := key.(type) {
	case *rsa.PrivateKey:
		signature, err = rsa.SignPSS(rand.Reader, key, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case *ecdsa.PrivateKey:
		r, s, signErr := ecdsa.Sign(rand.Reader, key, sum[:])
		err, signature = signErr, make([]byte, 64)
		r.FillBytes(signature[:32])
		s.FillBytes(signature[32:])
	}
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func claimsOf(s *Server) map[string]any {
	now := time.Now().Unix()
	return map[string]any{"iss": ClientID, "scope": []string{"rest_webservices"}, "aud": s.URL + tokenPath, "iat": now, "exp": now + 3600}
}

func ask(c *client, assertion string) said {
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}}
	return c.do("POST", tokenPath, form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
}

// login maps a certificate and gets a token for it.
func login(t *testing.T, s *Server) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.MapCertificate("cert-1", &key.PublicKey)
	a := ask(&client{t: t, s: s}, assertionOf(t, map[string]any{"typ": "JWT", "alg": "ES256", "kid": "cert-1"}, claimsOf(s), key))
	if a.status != 200 || str(a.body, "expires_in") != "3600" {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	return str(a.body, "access_token")
}

func TestTokens(t *testing.T) {
	s := Start(t, Options{})
	c := &client{t: t, s: s}
	pss, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.MapCertificate("rsa", &pss.PublicKey)
	head := map[string]any{"typ": "JWT", "alg": "PS256", "kid": "rsa"}
	with := func(base map[string]any, name string, value any) map[string]any {
		m := maps.Clone(base)
		m[name] = value
		return m
	}
	claims := claimsOf(s)
	for name, x := range map[string]struct {
		head, claims map[string]any
		key          crypto.Signer
		status       int
	}{
		"good": {head, claims, pss, 200}, "scope as text": {head, with(claims, "scope", "restlets,rest_webservices"), pss, 200},
		"another key": {head, claims, other, 401}, "not mapped": {with(head, "kid", "x"), claims, pss, 401}, "RS256": {with(head, "alg", "RS256"), claims, pss, 401},
		"audience": {head, with(claims, "aud", "https://other"), pss, 401}, "issuer": {head, with(claims, "iss", "x"), pss, 401}, "ended": {head, with(claims, "exp", time.Now().Unix()-1), pss, 401},
		"too long": {head, with(claims, "exp", time.Now().Unix()+3700), pss, 401}, "scope": {head, with(claims, "scope", []string{"restlets"}), pss, 401},
	} {
		if a := ask(c, assertionOf(t, x.head, x.claims, x.key)); a.status != x.status || x.status != 200 && str(a.body, "error") == "" {
			t.Errorf("%s: %d %s", name, a.status, a.raw)
		}
	}
	s.MapCertificate("rsa", nil)
	if a := ask(c, assertionOf(t, head, claims, pss)); a.status != 401 {
		t.Errorf("a certificate that is mapped no more: %s", a.raw)
	}
	c.want(c.do("GET", "currency/1", "", nil), 401, "INVALID_LOGIN")
}

// TestSignatures signs by hand, in other words than the server does.
func TestSignatures(t *testing.T) {
	s := Start(t, Options{})
	c := &client{t: t, s: s}
	nonce := 0
	header := func(change func(map[string]string), method, path, query string) map[string]string {
		nonce++
		p := map[string]string{"oauth_consumer_key": Default.ConsumerKey, "oauth_token": Default.TokenID, "oauth_signature_method": "HMAC-SHA256", "oauth_timestamp": fmt.Sprint(time.Now().Unix()),
			"oauth_nonce": fmt.Sprintf("nonce%020d", nonce), "oauth_version": "1.0", "realm": s.options.Account}
		if change != nil {
			change(p)
		}
		esc := func(v string) string { return strings.ReplaceAll(url.QueryEscape(v), "+", "%20") }
		signed := url.Values{}
		for name, value := range p {
			if name != "realm" {
				signed.Set(name, value)
			}
		}
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		for name, values := range q {
			signed[name] = values
		}
		base := method + "&" + esc(s.URL+path) + "&" + esc(strings.ReplaceAll(signed.Encode(), "+", "%20"))
		mac := hmac.New(sha256.New, []byte(esc(Default.ConsumerSecret)+"&"+esc(Default.TokenSecret)))
		mac.Write([]byte(base))
		p["oauth_signature"] = base64.StdEncoding.EncodeToString(mac.Sum(nil))
		var pairs []string
		for name, value := range p {
			pairs = append(pairs, fmt.Sprintf("%s=%q", name, esc(value)))
		}
		return map[string]string{"Authorization": "OAuth " + strings.Join(pairs, ", ")}
	}
	path, query := recordPath+"account", "q=acctNumber%20IS%20%224000%22&limit=10"
	good := header(nil, "GET", path, query)
	c.want(c.do("GET", path+"?"+query, "", good), 200, "")
	c.want(c.do("GET", path+"?"+query, "", good), 401, "INVALID_LOGIN") // the nonce is used
	for name, change := range map[string]func(map[string]string){
		"realm":     func(p map[string]string) { p["realm"] = "1234567-sb1" },
		"sha1":      func(p map[string]string) { p["oauth_signature_method"] = "HMAC-SHA1" },
		"timestamp": func(p map[string]string) { p["oauth_timestamp"] = fmt.Sprint(time.Now().Unix() - 400) },
		"token":     func(p map[string]string) { p["oauth_token"] = "x" },
	} {
		if a := c.do("GET", path+"?"+query, "", header(change, "GET", path, query)); a.status != 401 {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	c.want(c.do("GET", path+"?"+query, "", header(nil, "GET", path, "q=other")), 401, "INVALID_LOGIN")
}
