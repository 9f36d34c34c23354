package web

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// File is a path in a configuration, relative to it; the configuration makes it absolute.
type File string

// AuthConfig is how a target lets us in: one of basic, bearer, api_key, oauth2, oauth1 and signature, or a client certificate alone; csrf and
// tls stand beside it.
type AuthConfig struct {
	// A user and a password, with each request.
	Basic *Basic `yaml:"basic"`
	// A token that somebody made, with each request.
	Bearer *Bearer `yaml:"bearer"`
	// A key in a header.
	APIKey *APIKey `yaml:"api_key"`
	// Tokens of a token server, by client credentials or a signed assertion.
	OAuth2 *OAuth2 `yaml:"oauth2"`
	// Each request is signed by OAuth 1.0a: NetSuite's token-based authentication.
	OAuth1 *OAuth1 `yaml:"oauth1"`
	// Each request is signed as Standard Webhooks says.
	Signature *Signature `yaml:"signature"`
	// SAP's token against forged requests, which each write needs beside basic, oauth2, bearer or a client certificate.
	CSRF *CSRF `yaml:"csrf"`
	// Certificates: whom we believe, and who we are.
	TLS TLS `yaml:"tls"`
}

// The kinds of credentials, as an adapter names those that its target takes.
const (
	KindBasic     = "basic"
	KindBearer    = "bearer"
	KindAPIKey    = "api_key"
	KindOAuth2    = "oauth2"
	KindOAuth1    = "oauth1"
	KindSignature = "signature"
	KindTLS       = "tls" // a client certificate and nothing else
)

// fault reports what is wrong with a field.
type fault func(field, found, want string)

// Kind is the kind of credentials that is set: one of the Kind constants, or "" for none.
func (c AuthConfig) Kind() string {
	if kinds := c.kinds(); len(kinds) > 0 {
		return kinds[0]
	}
	if c.TLS.Cert != "" {
		return KindTLS
	}
	return ""
}

func (c AuthConfig) kinds() (set []string) {
	for _, k := range []struct {
		name string
		set  bool
	}{{KindBasic, c.Basic != nil}, {KindBearer, c.Bearer != nil}, {KindAPIKey, c.APIKey != nil}, {KindOAuth2, c.OAuth2 != nil},
		{KindOAuth1, c.OAuth1 != nil}, {KindSignature, c.Signature != nil}} {
		if k.set {
			set = append(set, k.name)
		}
	}
	return set
}

// Validate reports all faults at once, one a line, each beginning with at ("auth.") and the field's name. kinds are those of which the target
// needs one; none: every kind will do, and no credentials at all. Nothing is read but certificates.
func (c AuthConfig) Validate(at string, kinds ...string) error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	block, set := strings.TrimSuffix(at, "."), c.kinds()
	switch kind := c.Kind(); {
	case len(set) > 1:
		bad(block, strings.Join(set, ", "), "one kind of credentials")
	case len(kinds) > 0 && !slices.Contains(kinds, kind):
		bad(block, kind, "one of "+strings.Join(kinds, ", "))
	}
	if c.Basic != nil {
		c.Basic.validate(at+"basic.", bad)
	}
	if c.Bearer != nil {
		c.Bearer.validate(at+"bearer.", bad)
	}
	if c.APIKey != nil {
		c.APIKey.validate(at+"api_key.", bad)
	}
	if c.OAuth2 != nil {
		c.OAuth2.validate(at+"oauth2.", bad)
	}
	if c.OAuth1 != nil {
		c.OAuth1.validate(at+"oauth1.", bad)
	}
	if c.Signature != nil {
		c.Signature.validate(at+"signature.", bad)
	}
	if c.CSRF != nil {
		c.CSRF.validate(at+"csrf.", c.Kind(), bad)
	}
	c.TLS.validate(at+"tls.", bad)
	return errors.Join(errs...)
}

// Client makes a client with these credentials, which must be valid. target is the address of the target, behind which csrf fetches its
// token; o.TLS is set by it, and o.Auth where the block has credentials.
func (c AuthConfig) Client(o Options, target string) (*Client, error) {
	var err error
	if o.TLS, err = c.TLS.config(); err != nil {
		return nil, err
	}
	if auth := c.open(o.TLS); auth != nil {
		o.Auth = auth
	}
	if c.CSRF != nil {
		o.Auth = c.CSRF.auth(o, target)
	}
	return New(o), nil
}

// open is nil when the block has no credentials.
func (c AuthConfig) open(t *tls.Config) Auth {
	switch {
	case c.Basic != nil:
		return c.Basic.auth()
	case c.Bearer != nil:
		return c.Bearer.auth()
	case c.APIKey != nil:
		return c.APIKey.auth()
	case c.OAuth2 != nil:
		return c.OAuth2.auth(t)
	case c.OAuth1 != nil:
		return c.OAuth1.auth()
	case c.Signature != nil:
		return c.Signature.auth()
	}
	return nil
}

// needs reports a secret that is missing, or cannot stand in a header.
func needs(field string, s Secret, bad fault) {
	switch {
	case !s.Set():
		bad(field, "", "the secret, or "+field[strings.LastIndexByte(field, '.')+1:]+"_file")
	case s.Multiline():
		bad(field, "several lines", "one line")
	}
}

// badURL says what is wrong with the address of a service; "" when nothing is. It shows no password.
func badURL(raw string) (found, want string) {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		return "", "an address"
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "text that is no address", "http(s)://host/path"
	case u.User != nil:
		return u.Redacted(), "no credentials in the address"
	}
	return "", ""
}

// HeaderName reports whether a text can name a header (RFC 9110, 5.1).
func HeaderName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

// oneLine reports whether a text can be the value of a header (RFC 9110, 5.5).
func oneLine(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
