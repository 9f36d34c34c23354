package webhook

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

// Config is one address that takes events.
type Config struct {
	// Where events are POSTed. {topic} stands for the topic that the mapping's publish names: https://partner.example/hooks/{topic}.
	URL string `yaml:"url"`
	// How an event travels (CloudEvents 1.0, HTTP binding): structured (default), one JSON object; binary, its attributes in headers and its data in
	// the body; batched, a JSON list of up to batch events.
	Mode string `yaml:"mode"`
	// Signs each request as Standard Webhooks say: whsec_ and base64 of 24 to 64 bytes; or secret_file, secret_command. Left out, nothing is signed.
	Secret web.Secret `yaml:"secret"`
	// A second secret that signs, too, while the receiver changes from one to the other.
	OtherSecret web.Secret `yaml:"other_secret"`
	// Credentials beside the signature, and certificates: see auth.
	Auth web.AuthConfig `yaml:"auth"`
	// Sent with each request. No secrets.
	Headers map[string]string `yaml:"headers"`
	// Of one request with its answer. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// Events of one request in mode batched. Default 100, at most 1000.
	Batch int `yaml:"batch"`
}

// The modes.
const (
	Structured = "structured"
	Binary     = "binary"
	Batched    = "batched"
)

const batchMost = 1000

func (c Config) withDefaults() Config {
	if c.Mode == "" {
		c.Mode = Structured
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Batch == 0 {
		c.Batch = 100
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	u, err := url.Parse(strings.ReplaceAll(c.URL, "{topic}", "topic"))
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("url", c.shown(), "http(s)://host of the receiver")
	case u.User != nil:
		bad("url", c.shown(), "no credentials in the address")
	case u.Fragment != "":
		bad("url", c.shown(), "an address without #")
	}
	if !slices.Contains([]string{"", Structured, Binary, Batched}, c.Mode) {
		bad("mode", c.Mode, "structured, binary or batched")
	}
	if c.Batch < 0 || c.Batch > batchMost {
		bad("batch", fmt.Sprint(c.Batch), fmt.Sprintf("1 to %d, or 0 for the default", batchMost))
	}
	if c.Batch > 1 && c.Batch <= batchMost && c.Mode != Batched {
		bad("batch", fmt.Sprint(c.Batch), "mode: batched beside it")
	}
	if c.Timeout < 0 || c.Timeout > time.Hour {
		bad("timeout", c.Timeout.String(), "a duration between 0 (default) and 1h")
	}
	if c.OtherSecret.Set() && !c.Secret.Set() {
		bad("other_secret", "a second secret", "secret beside it")
	}
	if err := c.Auth.Validate("auth."); err != nil {
		errs = append(errs, err)
	}
	if c.Auth.Signature != nil {
		bad("auth.signature", "a signature beside the webhook's own", "secret, and other_secret while it changes")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		switch canonical := http.CanonicalHeaderKey(name); {
		case canonical == "Authorization" || canonical == "Cookie" || canonical == "Proxy-Authorization":
			bad("headers."+name, "a secret in the open", "auth, with the secret in a file")
		case strings.HasPrefix(canonical, "Webhook-") || strings.HasPrefix(canonical, "Ce-") || canonical == "Content-Type" || canonical == "Content-Length" || canonical == "Host":
			bad("headers."+name, c.Headers[name], "no header that the event or the connection sets itself")
		case strings.ContainsAny(name+c.Headers[name], "\r\n\x00"):
			bad("headers."+name, "several lines", "one line")
		}
	}
	return errors.Join(errs...)
}

// shown is the address as a message may show it: without what may be a secret in it.
func (c Config) shown() string {
	u, err := url.Parse(c.URL)
	if err != nil {
		return "(not an address)"
	}
	u.RawQuery = ""
	return u.Redacted()
}
