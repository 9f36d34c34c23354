package web

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// OAuth1 signs each request by OAuth 1.0a (RFC 5849) with HMAC-SHA256, as NetSuite's token-based authentication wants it.
type OAuth1 struct {
	// Of the integration record.
	ConsumerKey string `yaml:"consumer_key"`
	// Of the integration record; or consumer_secret_file, consumer_secret_command.
	ConsumerSecret Secret `yaml:"consumer_secret"`
	// Id of the access token.
	TokenID string `yaml:"token_id"`
	// Of the access token; or token_secret_file, token_secret_command.
	TokenSecret Secret `yaml:"token_secret"`
	// NetSuite: the account, in upper case and with _: 1234567_SB1.
	Realm string `yaml:"realm"`
}

func (o OAuth1) validate(at string, bad fault) {
	if o.ConsumerKey == "" {
		bad(at+"consumer_key", "", "the key of the integration record")
	}
	if o.TokenID == "" {
		bad(at+"token_id", "", "the id of the access token")
	}
	if strings.ContainsAny(o.Realm, "\"\\\r\n") {
		bad(at+"realm", o.Realm, "a text without quotes")
	}
	needs(at+"consumer_secret", o.ConsumerSecret, bad)
	needs(at+"token_secret", o.TokenSecret, bad)
}

func (o OAuth1) auth() Auth {
	s := &signer{OAuth1: o, now: time.Now}
	return &static{secrets: []Secret{o.ConsumerSecret, o.TokenSecret}, let: s.sign, anew: true}
}

// signer signs requests; its timestamps never go back, whatever the clock does (RFC 5849, 3.3).
type signer struct {
	OAuth1
	now func() time.Time

	mu   sync.Mutex
	last int64 // seconds
}

func (s *signer) sign(r *http.Request, _ []byte, texts []string) error {
	s.mu.Lock()
	s.last = max(s.last, s.now().Unix())
	stamp := s.last
	s.mu.Unlock()
	params := [][2]string{{"oauth_consumer_key", s.ConsumerKey}, {"oauth_nonce", rand.Text()}, {"oauth_signature_method", "HMAC-SHA256"},
		{"oauth_timestamp", strconv.FormatInt(stamp, 10)}, {"oauth_token", s.TokenID}, {"oauth_version", "1.0"}}
	mac := hmac.New(sha256.New, []byte(percent(texts[0])+"&"+percent(texts[1])))
	mac.Write([]byte(baseString(r.Method, r.URL, params)))
	params = append(params, [2]string{"oauth_signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))})
	var b strings.Builder
	b.WriteString("OAuth ")
	if s.Realm != "" {
		b.WriteString(`realm="` + s.Realm + `", `)
	}
	for i, p := range params {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p[0] + `="` + percent(p[1]) + `"`)
	}
	r.Header.Set("Authorization", b.String())
	return nil
}

// baseString is what is signed (RFC 5849, 3.4.1): method, address, and all parameters in order. The parameters of a form in the body are
// not among them: what we sign has none.
func baseString(method string, u *url.URL, oauth [][2]string) string {
	params := slices.Clone(oauth)
	for name, values := range u.Query() {
		for _, value := range values {
			params = append(params, [2]string{name, value})
		}
	}
	encoded := make([]string, len(params))
	for i, p := range params {
		encoded[i] = percent(p[0]) + "=" + percent(p[1])
	}
	// By the encoded name, and names alike by the encoded value.
	slices.SortFunc(encoded, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return strings.ToUpper(method) + "&" + percent(strings.ToLower(u.Scheme)+"://"+host+path) + "&" + percent(strings.Join(encoded, "&"))
}

// percent encodes as RFC 5849, 3.6 says: everything but letters, digits and -._~
func percent(text string) string {
	var b strings.Builder
	for i := range len(text) {
		c := text[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			const hex = "0123456789ABCDEF"
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
		}
	}
	return b.String()
}
