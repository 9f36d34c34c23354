package httpjson

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"waybill/sinks/web"
)

// Config is one service.
type Config struct {
	// Address before the question's name, such as https://pricing.example.com/v1.
	URL string `yaml:"url"`
	// For one question. Default 10s, at most 5m.
	Timeout time.Duration `yaml:"timeout"`
	// More headers of every request. What is secret belongs into auth, or secret.
	Headers map[string]string `yaml:"headers"`
	// How the service lets us in.
	Auth web.AuthConfig `yaml:"auth"`
	// In place of auth: the header that carries the secret. Default Authorization.
	SecretHeader string `yaml:"secret_header"`
	// In place of auth: its whole value, such as Bearer and a token; or secret_file, secret_command, which are read anew.
	Secret web.Secret `yaml:"secret"`
}

func (c Config) withDefaults() Config {
	c.URL = strings.TrimRight(c.URL, "/")
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	if c.SecretHeader == "" {
		c.SecretHeader = "Authorization"
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name. It shows no secret.
func (c *Config) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	u, err := url.Parse(c.URL)
	switch {
	case c.URL == "" || err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		shown := "text that is no address"
		if c.URL == "" {
			shown = ""
		}
		bad("url", shown, "the address of the service, such as https://pricing.example.com/v1")
	case u.User != nil:
		bad("url", u.Redacted(), "no credentials in the address; set secret")
	case u.RawQuery != "" || u.Fragment != "":
		bad("url", u.Redacted(), "an address without ? and #; the question is added to it")
	}
	if c.Timeout < 0 || c.Timeout > 5*time.Minute {
		bad("timeout", c.Timeout.String(), "a duration up to 5m, or 0 for the default")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		switch {
		case !web.HeaderName(name) || !oneLine(c.Headers[name]):
			bad("headers", name, "names of HTTP headers, and values on one line")
		case slices.Contains([]string{"Authorization", "Cookie", "Proxy-Authorization"}, http.CanonicalHeaderKey(name)):
			bad("headers", name, "no credentials here; set secret, and secret_header: "+name)
		}
	}
	if c.SecretHeader != "" && !web.HeaderName(c.SecretHeader) {
		bad("secret_header", c.SecretHeader, "the name of an HTTP header, such as X-Api-Key")
	}
	if c.Secret.Multiline() {
		errs = append(errs, errors.New("secret: expected a value on one line"))
	}
	if kind := c.Auth.Kind(); kind != "" && c.Secret.Set() {
		bad("secret", "both secret and auth."+kind, "one of them")
	}
	errs = append(errs, c.Auth.Validate("auth."))
	return errors.Join(errs...)
}

// oneLine reports whether a text can be the value of a header (RFC 9110, 5.5).
func oneLine(value string) bool {
	return !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
