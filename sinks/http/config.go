package http

import (
	"errors"
	"fmt"
	"maps"
	nethttp "net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"waybill/sinks"
)

// Config is one HTTP service with the requests that each entity of the mapping becomes.
type Config struct {
	// Address of the service, with what all paths begin with.
	URL string `yaml:"url"`
	// Sent with each request. No secrets.
	Headers map[string]string `yaml:"headers"`
	// The header that carries the secret. Default Authorization.
	SecretHeader string `yaml:"secret_header"`
	// What that header says, such as "Bearer abc"; from secret_file, which is read before each request.
	Secret string `yaml:"secret"`
	// Of one request with its answer. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// How long after a lost answer a write may still appear. Default 60s.
	Horizon time.Duration `yaml:"horizon"`
	// A path that answers 2xx while the service is well, for waybill check.
	Check string `yaml:"check"`
	// What the mapping's posts may name behind the sink, and the request of each.
	Entities map[string]Entity `yaml:"entities"`

	// Reread reads the secret again; nil when it did not come from a file.
	Reread func() (string, error) `yaml:"-"`
}

// Entity is the request that a posting becomes: one, with the posting's body as JSON. Texts in braces stand for what the posting
// says: {external_id}, {company}, {order_key}, and {a.b} a member of its body.
type Entity struct {
	// POST (default), PUT or PATCH.
	Method string `yaml:"method"`
	// Behind the sink's url: "/invoices/{external_id}".
	Path string `yaml:"path"`
	// The header that carries the external id, by which the service does nothing twice. Default Idempotency-Key.
	KeyHeader string `yaml:"key_header"`
	// Sent with this request beside the sink's. No secrets.
	Headers map[string]string `yaml:"headers"`
	// Member of the answer, and of what verify finds, that is the service's id: "id".
	Ref string `yaml:"ref"`
	// Member that is the number which people know.
	Number string `yaml:"number"`
	// Members that are kept of the answer.
	Facts []string `yaml:"facts"`
	// What an answer means, where it differs from the table of the adapter: "409": unknown.
	Status map[string]string `yaml:"status"`
	// How to find out what became of a request; left out, it is at least once.
	Verify Verify `yaml:"verify"`
}

// Verify is the request that looks for what was asked.
type Verify struct {
	// Read by GET: "/invoices?key={external_id}".
	Path string `yaml:"path"`
	// Member with the list of what was found; left out, the answer is the list, or the one thing itself.
	Found string `yaml:"found"`
	// Members of what was found, and the member of the body that each must equal: { load_no: shipment }.
	Compare map[string]string `yaml:"compare"`
	// What an answer means, where it differs from the table of the adapter: "404": absent.
	Status map[string]string `yaml:"status"`
}

func (c Config) withDefaults() Config {
	c.URL = strings.TrimRight(c.URL, "/")
	if c.SecretHeader == "" {
		c.SecretHeader = "Authorization"
	}
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second
	}
	if c.Horizon == 0 {
		c.Horizon = time.Minute
	}
	c.Entities = maps.Clone(c.Entities)
	for name, e := range c.Entities {
		if e.Method == "" {
			e.Method = nethttp.MethodPost
		}
		if e.KeyHeader == "" {
			e.KeyHeader = "Idempotency-Key"
		}
		c.Entities[name] = e
	}
	return c
}

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("url", redacted(c.URL), "http(s)://host:port of the service")
	case u.User != nil:
		bad("url", redacted(c.URL), "no credentials in the address; set secret_file")
	case u.RawQuery != "" || u.Fragment != "":
		bad("url", c.URL, "an address without ? and #; they belong to the paths of the entities")
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"timeout", c.Timeout}, {"horizon", c.Horizon}} {
		if d.value < 0 || d.value > time.Hour {
			bad(d.name, d.value.String(), "a duration between 0 (default) and 1h")
		}
	}
	if c.Check != "" && !strings.HasPrefix(c.Check, "/") {
		bad("check", c.Check, "a path behind url, such as /health")
	}
	if strings.ContainsAny(c.Secret, "\r\n") {
		bad("secret", "several lines", "one line: what the header says")
	}
	badHeaders(c.Headers, "headers", bad)
	if len(c.Entities) == 0 {
		bad("entities", "", "at least one, by the name that the mapping's posts give it")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Entities)) {
		c.Entities[name].validate("entities."+name+".", bad)
	}
	return errors.Join(errs...)
}

func (e Entity) validate(at string, bad func(field, found, want string)) {
	if !slices.Contains([]string{"", nethttp.MethodPost, nethttp.MethodPut, nethttp.MethodPatch}, e.Method) {
		bad(at+"method", e.Method, "POST, PUT or PATCH")
	}
	if err := checkTemplate(e.Path); err != nil {
		bad(at+"path", e.Path, err.Error())
	}
	if e.Verify.Path != "" {
		if err := checkTemplate(e.Verify.Path); err != nil {
			bad(at+"verify.path", e.Verify.Path, err.Error())
		}
	} else if e.Verify.Found != "" || len(e.Verify.Compare) > 0 || len(e.Verify.Status) > 0 {
		bad(at+"verify.path", "", "the path by which the service is asked")
	}
	badHeaders(e.Headers, at+"headers", bad)
	for field, table := range map[string]map[string]string{"status": e.Status, "verify.status": e.Verify.Status} {
		words := sendWords
		if field != "status" {
			words = verifyWords
		}
		for _, code := range slices.Sorted(maps.Keys(table)) {
			if len(code) != 3 || code < "200" || code > "599" {
				bad(at+field+"."+code, code, "a status of HTTP from 200 to 599")
			} else if _, ok := words[table[code]]; !ok {
				bad(at+field+"."+code, table[code], strings.Join(slices.Sorted(maps.Keys(words)), ", "))
			}
		}
	}
}

// badHeaders refuses headers that would carry a secret in the open or that belong to the adapter.
func badHeaders(headers map[string]string, at string, bad func(field, found, want string)) {
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		switch nethttp.CanonicalHeaderKey(name) {
		case "Authorization", "Proxy-Authorization", "Cookie":
			bad(at+"."+name, "a secret in the open", "secret_file, with secret_header when it is another header")
		case "Content-Length", "Host", "Transfer-Encoding", "Connection":
			bad(at+"."+name, headers[name], "no header that the connection sets itself")
		}
		if strings.ContainsAny(name+headers[name], "\r\n\x00") {
			bad(at+"."+name, "several lines", "one line")
		}
	}
}

// The words by which a configuration says what an answer means.
var (
	sendWords = map[string]sinks.Class{"applied": sinks.Applied, "retry": sinks.RetryLater, "rejected": sinks.Rejected, "conflict": sinks.Conflict,
		"setup": sinks.Setup, "unknown": sinks.Unknown}
	verifyWords = map[string]sinks.Class{"found": sinks.AlreadyApplied, "absent": sinks.Absent, "retry": sinks.RetryLater, "setup": sinks.Setup}
)

// redacted is the address as a message may show it.
func redacted(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return "(not an address)"
}
