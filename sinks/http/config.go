package http

import (
	"maps"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"

	"waybill/sinks/web"
)

// Config is one HTTP service with the requests that each entity of the mapping becomes.
type Config struct {
	// Address of the service, with what all paths begin with.
	URL string `yaml:"url"`
	// Sent with each request. No secrets.
	Headers map[string]string `yaml:"headers"`
	// How the service lets us in.
	Auth web.AuthConfig `yaml:"auth"`
	// In place of auth: the header that carries the secret. Default Authorization.
	SecretHeader string `yaml:"secret_header"`
	// In place of auth: what that header says, such as "Bearer abc"; or secret_file, secret_command, which are read anew.
	Secret web.Secret `yaml:"secret"`
	// Of one request with its answer. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// How long after a lost answer a write may still appear. Default 60s.
	Horizon time.Duration `yaml:"horizon"`
	// A path that answers 2xx while the service is well, for waybill check.
	Check string `yaml:"check"`
	// What waybill check --probe may write: left out, nothing.
	Probe Probe `yaml:"probe"`
	// What the mapping's posts may name behind the sink, and the request of each.
	Entities map[string]Entity `yaml:"entities"`
}

// Entity is the request that a posting becomes, or several. Names in braces stand for what the posting says: {external_id}, {company},
// {order_key}, {a.b} a member of its body, and behind the first step {ref} and {number} of what it made. {a?} may be absent.
type Entity struct {
	// Of a step: its name, such as create.
	Name string `yaml:"name"`
	// POST (default), PUT, PATCH or DELETE.
	Method string `yaml:"method"`
	// Behind the sink's url: "/invoices/{external_id}".
	Path string `yaml:"path"`
	// The header that carries the external id, by which the service does nothing twice; or none. Default Idempotency-Key.
	KeyHeader string `yaml:"key_header"`
	// Sent with this request beside the sink's. No secrets.
	Headers map[string]string `yaml:"headers"`
	// What the body is written in: json (default), xml, form, or none for no body.
	Format string `yaml:"format"`
	// The body: a text with names in braces, whose values are escaped for the format. {each lines}…{end} repeats its inside for each of a list.
	// In JSON a name outside of quotes is the value with its type. Default: the posting's body as JSON; of DELETE nothing.
	Body string `yaml:"body"`
	// Member of the answer, and of what verify finds, that is the service's id: "id"; or "header:Location" for the last part of that header.
	Ref string `yaml:"ref"`
	// Member that is the number which people know.
	Number string `yaml:"number"`
	// Members that are kept of the answer.
	Facts []string `yaml:"facts"`
	// Where an answer says what is wrong.
	Error ErrorAt `yaml:"error"`
	// What an answer means, where it differs from the table of the adapter: "409": unknown.
	Status map[string]string `yaml:"status"`
	// The same by status and by what the body says; the first line that fits counts, before status.
	Outcomes []Line `yaml:"outcomes"`
	// How to find out what became of a request; left out, it is at least once.
	Verify Verify `yaml:"verify"`
	// In place of all of the above: several requests, in order, each with a name and the keys above.
	Steps []Entity `yaml:"steps"`
}

// ErrorAt names the members of an answer that say what is wrong.
type ErrorAt struct {
	// Member with the code that the lines of outcomes name: "error.code". Where it is set, an answer of 2xx with a code that no line knows is unknown.
	Code string `yaml:"code"`
	// Member with a text for people. Default: message, detail, title or error.
	Message string `yaml:"message"`
	// Member that names the field which is refused. Default field.
	Field string `yaml:"field"`
}

// Line is one line of a table of outcomes.
type Line struct {
	// Of the answer: "409", "4xx", "500-599"; left out, any.
	Status string `yaml:"status"`
	// Of the body (error.code); a * at its end stands for any that begin so. Left out, any.
	Code string `yaml:"code"`
	// Of a request: applied, already_applied (it is looked for and compared first), retry, rejected, conflict, setup or unknown. Of verify: found,
	// absent, retry or setup.
	Is string `yaml:"is"`
	// Code of the outcome, by which people and rules know it: PERIOD_CLOSED.
	As string `yaml:"as"`
	// What a person should do.
	Hint string `yaml:"hint"`
}

// Verify is the request that looks for what was asked. It must change nothing.
type Verify struct {
	// GET (default) or POST.
	Method string `yaml:"method"`
	// "/invoices?key={external_id}".
	Path string `yaml:"path"`
	// Of POST: as of the request.
	Body string `yaml:"body"`
	// Member with the list of what was found; left out, the answer is the list, or the one thing itself. In XML it begins with the root's name.
	Found string `yaml:"found"`
	// Member of what was found that is the service's id, where it is another than ref.
	Ref string `yaml:"ref"`
	// Members of what was found, and the member of the body that each must equal: { load_no: shipment }.
	Compare map[string]string `yaml:"compare"`
	// Members of what was found that say that this step was done: { status: POSTED }. With other values it is certainly not done.
	Done map[string]string `yaml:"done"`
	// What an answer means, where it differs from the table of the adapter: "404": absent.
	Status map[string]string `yaml:"status"`
	// The same by status and by what the body says.
	Outcomes []Line `yaml:"outcomes"`
}

// Probe is a record, marked as a test, that waybill check --probe may write: twice with the same key, to see what the service makes of that.
type Probe struct {
	// Entity whose first request is sent. Empty: nothing is written.
	Entity string `yaml:"entity"`
	// External id of the record. Default WAYBILL-PROBE.
	ExternalID string `yaml:"external_id"`
	// Company that it is written into.
	Company string `yaml:"company"`
	// The posting's body, in JSON.
	Body string `yaml:"body"`
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
	if c.Probe.ExternalID == "" {
		c.Probe.ExternalID = "WAYBILL-PROBE"
	}
	c.Entities = maps.Clone(c.Entities)
	for name, e := range c.Entities {
		c.Entities[name] = e.withDefaults()
	}
	return c
}

func (e Entity) withDefaults() Entity {
	if e.Method == "" {
		e.Method = nethttp.MethodPost
	}
	if e.KeyHeader == "" {
		e.KeyHeader = "Idempotency-Key"
	}
	if e.Format == "" {
		e.Format = formatJSON
		if e.Method == nethttp.MethodDelete && e.Body == "" {
			e.Format = formatNone
		}
	}
	if e.Verify.Method == "" {
		e.Verify.Method = nethttp.MethodGet
	}
	return e
}

// steps are the requests of an entity, in order: one that has no steps is a step of its own.
func (e Entity) steps() []Entity {
	if len(e.Steps) == 0 {
		e.Name = stepSend
		return []Entity{e.withDefaults()}
	}
	all := make([]Entity, len(e.Steps))
	for i, s := range e.Steps {
		all[i] = s.withDefaults()
	}
	return all
}

// redacted is the address as a message may show it.
func redacted(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return u.Redacted()
	}
	return "(not an address)"
}
