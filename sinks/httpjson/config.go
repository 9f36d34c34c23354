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
)

// Config is one service.
type Config struct {
	// Address before the question's name, such as https://pricing.example.com/v1.
	URL string `yaml:"url"`
	// For one question. Default 10s, at most 5m.
	Timeout time.Duration `yaml:"timeout"`
	// More headers of every request. What is secret belongs into secret.
	Headers map[string]string `yaml:"headers"`
	// The header that carries the secret. Default Authorization.
	SecretHeader string `yaml:"secret_header"`
	// Its whole value, such as Bearer and a token; or a file that holds it.
	Secret string `yaml:"secret"`
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
		case !validHeader(name, c.Headers[name]):
			bad("headers", name, "names of HTTP headers, and values on one line")
		case slices.Contains([]string{"Authorization", "Cookie", "Proxy-Authorization"}, http.CanonicalHeaderKey(name)):
			bad("headers", name, "no credentials here; set secret, and secret_header: "+name)
		}
	}
	if c.SecretHeader != "" && !validHeader(c.SecretHeader, "") {
		bad("secret_header", c.SecretHeader, "the name of an HTTP header, such as X-Api-Key")
	}
	if strings.ContainsAny(c.Secret, "\r\n") {
		errs = append(errs, errors.New("secret: expected a value on one line"))
	}
	return errors.Join(errs...)
}

// validHeader reports whether a header can be sent (RFC 9110, 5.1 and 5.5).
func validHeader(name, value string) bool {
	ok := name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
	return ok && !strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
