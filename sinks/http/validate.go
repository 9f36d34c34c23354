package http

import (
	"errors"
	"fmt"
	"maps"
	nethttp "net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"waybill/sinks/web"
)

// fault reports what is wrong with a field.
type fault func(field, found, want string)

// Validate reports all faults at once, one a line, each beginning with the field's name.
func (c Config) Validate() error {
	var errs []error
	bad := func(field, found, want string) {
		errs = append(errs, fmt.Errorf("%s: found %q, expected %s", field, found, want))
	}
	c.validateURL(bad)
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
	if c.Secret.Multiline() {
		bad("secret", "several lines", "one line: what the header says")
	}
	if kind := c.Auth.Kind(); kind != "" && c.Secret.Set() {
		bad("secret", "both secret and auth."+kind, "one of them")
	}
	if c.SecretHeader != "" && !web.HeaderName(c.SecretHeader) {
		bad("secret_header", c.SecretHeader, "the name of an HTTP header, such as X-Api-Key")
	}
	errs = append(errs, c.Auth.Validate("auth."))
	badHeaders(c.Headers, "headers", bad)
	if len(c.Entities) == 0 {
		bad("entities", "", "at least one, by the name that the mapping's posts give it")
	}
	for _, name := range slices.Sorted(maps.Keys(c.Entities)) {
		c.Entities[name].validate("entities."+name+".", bad)
	}
	c.Probe.validate(c.Entities, bad)
	return errors.Join(errs...)
}

func (c Config) validateURL(bad fault) {
	u, err := url.Parse(c.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		bad("url", redacted(c.URL), "http(s)://host:port of the service")
	case u.User != nil:
		bad("url", redacted(c.URL), "no credentials in the address; set secret_file")
	case u.RawQuery != "" || u.Fragment != "":
		bad("url", c.URL, "an address without ? and #; they belong to the paths of the entities")
	}
}

func (p Probe) validate(entities map[string]Entity, bad fault) {
	if p == (Probe{}) {
		return
	}
	if _, ok := entities[p.Entity]; !ok {
		bad("probe.entity", p.Entity, "one of the sink's entities")
	}
	if body, err := decode([]byte(p.Body)); err != nil {
		bad("probe.body", p.Body, "a JSON object, marked as a test")
	} else if _, ok := body.(map[string]any); !ok {
		bad("probe.body", p.Body, "a JSON object, marked as a test")
	}
}

var stepName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,31}$`)

func (e Entity) validate(at string, bad fault) {
	if len(e.Steps) == 0 {
		e.validateRequest(at, bad)
		if e.Name != "" {
			bad(at+"name", e.Name, "no name but of a step")
		}
		return
	}
	if e.Path != "" || e.Body != "" || e.Verify.Path != "" || e.Method != "" {
		bad(at+"steps", "both a request and steps", "one of them")
	}
	names := map[string]bool{}
	for i, s := range e.Steps {
		at := fmt.Sprintf("%ssteps[%d].", at, i)
		if !stepName.MatchString(s.Name) || names[s.Name] {
			bad(at+"name", s.Name, "a name of its own, of lower-case letters, digits and _")
		}
		names[s.Name] = true
		if len(s.Steps) > 0 {
			bad(at+"steps", "steps in a step", "one list of steps")
		}
		if (s.Verify.Path == "") != (e.Steps[0].Verify.Path == "") {
			bad(at+"verify.path", s.Verify.Path, "a path in each step, or in none")
		}
		s.validateRequest(at, bad)
	}
}

func (e Entity) validateRequest(at string, bad fault) {
	if !slices.Contains([]string{"", nethttp.MethodPost, nethttp.MethodPut, nethttp.MethodPatch, nethttp.MethodDelete}, e.Method) {
		bad(at+"method", e.Method, "POST, PUT, PATCH or DELETE")
	}
	if err := checkTemplate(e.Path); err != nil {
		bad(at+"path", e.Path, err.Error())
	}
	if e.KeyHeader != "" && !web.HeaderName(e.KeyHeader) {
		bad(at+"key_header", e.KeyHeader, "the name of an HTTP header, or none")
	}
	e.validateBody(at, bad)
	e.validateVerify(at, bad)
	badHeaders(e.Headers, at+"headers", bad)
	badStatus(e.Status, at+"status", sendWords, bad)
	for i, line := range e.Outcomes {
		line.validate(fmt.Sprintf("%soutcomes[%d].", at, i), sendWords, bad)
		if line.Is == "already_applied" && e.Verify.Path == "" {
			bad(fmt.Sprintf("%soutcomes[%d].is", at, i), line.Is, "a verify block beside it: what is there already is compared before it is believed")
		}
	}
}

func (e Entity) validateBody(at string, bad fault) {
	if !slices.Contains([]string{"", formatJSON, formatXML, formatForm, formatNone}, e.Format) {
		bad(at+"format", e.Format, "json, xml, form or none")
		return
	}
	switch {
	case e.Body == "" && (e.Format == formatXML || e.Format == formatForm):
		bad(at+"body", "", "a body in "+e.Format)
	case e.Body != "" && e.Format == formatNone:
		bad(at+"body", "a body", "none, as format says")
	case e.Body != "":
		if _, err := parseBody(e.Body, e.withDefaults().Format); err != nil {
			bad(at+"body", clip(e.Body, 60), err.Error())
		}
	}
}

func (e Entity) validateVerify(at string, bad fault) {
	v := e.Verify
	if v.Path == "" {
		if v.Found != "" || v.Body != "" || v.Ref != "" || len(v.Compare)+len(v.Done)+len(v.Status)+len(v.Outcomes) > 0 {
			bad(at+"verify.path", "", "the path by which the service is asked")
		}
		return
	}
	if err := checkTemplate(v.Path); err != nil {
		bad(at+"verify.path", v.Path, err.Error())
	}
	if !slices.Contains([]string{"", nethttp.MethodGet, nethttp.MethodPost}, v.Method) {
		bad(at+"verify.method", v.Method, "GET or POST")
	}
	if strings.HasPrefix(e.Ref, headerRef) && v.Ref == "" {
		bad(at+"verify.ref", "", "the member that is the id, which a header says after the request")
	}
	if v.Body != "" {
		if v.Method != nethttp.MethodPost {
			bad(at+"verify.body", "a body", "method: POST beside it")
		}
		if _, err := parseBody(v.Body, e.withDefaults().Format); err != nil {
			bad(at+"verify.body", clip(v.Body, 60), err.Error())
		}
	}
	badStatus(v.Status, at+"verify.status", verifyWords, bad)
	for i, line := range v.Outcomes {
		line.validate(fmt.Sprintf("%sverify.outcomes[%d].", at, i), verifyWords, bad)
	}
}

func badStatus(table map[string]string, at string, words map[string]verdict, bad fault) {
	for _, code := range slices.Sorted(maps.Keys(table)) {
		if len(code) != 3 || code < "200" || code > "599" {
			bad(at+"."+code, code, "a status of HTTP from 200 to 599")
		} else if _, ok := words[table[code]]; !ok {
			bad(at+"."+code, table[code], listed(words))
		}
	}
}

func (l Line) validate(at string, words map[string]verdict, bad fault) {
	from, to, err := l.statuses()
	if err != nil {
		bad(at+"status", l.Status, err.Error())
	}
	if l.Status == "" && l.Code == "" {
		bad(at+"status", "", "a status or a code: a line for every answer would hide what nobody knows")
	}
	if _, ok := words[l.Is]; !ok {
		bad(at+"is", l.Is, listed(words))
	}
	switch {
	case l.Is == "applied" && (from != to || from < 200 || from > 299):
		bad(at+"status", l.Status, "one status from 200 to 299 beside is: applied")
	case l.Is == "absent" && (l.Status == "" || from >= 500):
		bad(at+"status", l.Status, "a status below 500 beside is: absent")
	}
	if l.As != "" && !outcomeCode.MatchString(l.As) {
		bad(at+"as", l.As, "capital letters, digits and _, such as PERIOD_CLOSED")
	}
}

var outcomeCode = regexp.MustCompile(`^[A-Z][A-Z0-9_]{0,39}$`)

func listed(words map[string]verdict) string {
	return strings.Join(slices.Sorted(maps.Keys(words)), ", ")
}

// badHeaders refuses headers that would carry a secret in the open or that belong to the adapter.
func badHeaders(headers map[string]string, at string, bad fault) {
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
