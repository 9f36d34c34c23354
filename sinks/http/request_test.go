package http

import (
	"encoding/json"
	"fmt"
	"io"
	nethttp "net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/sinks/web"
)

func TestBodies(t *testing.T) {
	body, err := decode([]byte(`{"no":"A\"1","total":1150.00,"paid":false,"note":"a<b&c","lines":[{"item":"LH","amount":1000.00,"tags":["x","y"]},{"item":"FSC","amount":150.00,"tags":[]}],"empty":[],"none":null,"bill_to":{"code":"C1"},"bad":"a\u0001b"}`))
	if err != nil {
		t.Fatal(err)
	}
	s := scope{op: sinks.Operation{ExternalID: "x/1", Company: "N&S"}, body: body, ref: "77"}
	for _, c := range []struct{ format, text, want string }{
		{"json", `{"key": {external_id}, "no": "INV-{no}", "total": {total}, "paid": {paid}, "to": {bill_to}, "note": {note?}, "gone": {gone?}}`,
			`{"key": "x/1", "no": "INV-A\"1", "total": 1150.00, "paid": false, "to": {"code":"C1"}, "note": "a<b&c", "gone": null}`},
		{"json", `{"lines": [{each lines}{"sku": {item}, "doc": {no}, "tags": [{each tags}{value}{end}]}{end}], "n": [{each empty}{x}{end}], "m": [{each gone?}{x}{end}], "ref": {ref}}`,
			`{"lines": [{"sku": "LH", "doc": "A\"1", "tags": ["x","y"]},{"sku": "FSC", "doc": "A\"1", "tags": []}], "n": [], "m": [], "ref": "77"}`},
		{"json", `{"text": "a \"{bill_to.code}\" {gone?}", "plain": "{not a name}"}`, `{"text": "a \"C1\" ", "plain": "{not a name}"}`},
		{"xml", `<i no="{no}"><t>{total}</t>{each lines}<l>{item}</l>{end}<n>{note}</n><g>{gone?}</g></i>`,
			`<i no="A&#34;1"><t>1150.00</t><l>LH</l><l>FSC</l><n>a&lt;b&amp;c</n><g></g></i>`},
		{"form", `no={no}&company={company}&total={total}`, `no=A%221&company=N%26S&total=1150.00`},
	} {
		tpl, err := parseBody(c.text, c.format)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if got, err := tpl.fill(s); err != nil || got != c.want {
			t.Errorf("%s\n got %s %v\nwant %s", c.text, got, err, c.want)
		}
	}
	for format, texts := range map[string][]string{
		"json": {`{"a": {gone}}`, `{"a": "{bill_to}"}`, `{"a": [{each no}{x}{end}]}`, `{"a": {none}}`, `[{each lines}{gone}{end}]`},
		"xml":  {`<a>{bill_to}</a>`, `<a>{bad}</a>`, `<a>{gone}</a>`},
		"form": {`a={lines}`},
	} {
		for _, text := range texts {
			tpl, err := parseBody(text, format)
			if err != nil {
				t.Errorf("%s: %v", text, err)
				continue
			}
			if got, err := tpl.fill(s); err == nil {
				t.Errorf("%s gives %s", text, got)
			}
		}
	}
	for format, texts := range map[string][]string{
		"json": {`{"a": }`, `{"a": {b}`, `[{each l}{a}]`, `{end}`, `{"a": "{each l}x{end}"}`, `[{each l}"x{end}"]`, `{a}{b}`},
		"xml":  {`<a>`, `<a/><b/>`, `text`, `<a>{each x}<b>{end}</a>`},
	} {
		for _, text := range texts {
			if _, err := parseBody(text, format); err == nil {
				t.Errorf("%s is accepted as %s", text, format)
			}
		}
	}
}

// erp is a service that speaks XML, creates in one step and posts in another.
type erp struct {
	mu      sync.Mutex
	made    map[string]*record
	posts   int
	lose    bool // the next answer, after it was done
	t       *testing.T
	headers nethttp.Header
}

type record struct{ id, no, total, status string }

func (e *erp) serve(w nethttp.ResponseWriter, r *nethttp.Request) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w.Header().Set("Content-Type", "application/xml")
	if user, password, _ := r.BasicAuth(); user != "sync" || password != "pa55" {
		w.WriteHeader(401)
		return
	}
	raw, _ := io.ReadAll(r.Body)
	e.headers = r.Header
	key := strings.TrimPrefix(r.URL.Path, "/invoice/")
	switch rec := e.made[key]; {
	case r.Method == "GET" && r.URL.Path == "/invoices":
		var b strings.Builder
		for k, rec := range e.made {
			if k == r.URL.Query().Get("key") {
				fmt.Fprintf(&b, `<inv id="%s"><no>%s</no><total cur="USD">%s</total><status>%s</status></inv>`, rec.id, rec.no, rec.total, rec.status)
			}
		}
		fmt.Fprintf(w, `<result>%s</result>`, b.String())
	case r.Method == "PUT" && rec != nil:
		w.WriteHeader(400)
		fmt.Fprint(w, `<fault><code>DUP-17</code><text>exists</text></fault>`)
	case r.Method == "PUT":
		d, err := readXML(raw)
		if err != nil {
			e.t.Error(err)
		}
		total, _ := member(d.v, "total")
		if total == "0.00" {
			w.WriteHeader(200)
			fmt.Fprint(w, `<fault><code>VAL-3</code><text>nothing to bill</text><at>total</at></fault>`)
			return
		}
		e.made[key] = &record{fmt.Sprint(100 + len(e.made)), "N" + key, total, "draft"}
		e.answer(w, e.made[key])
	case r.Method == "POST" && strings.HasSuffix(key, "/post"):
		id := strings.TrimSuffix(key, "/post")
		for _, rec := range e.made {
			if rec.id == id {
				rec.status = "posted"
				e.posts++
				e.answer(w, rec)
			}
		}
	case r.Method == "DELETE":
		if rec == nil {
			w.WriteHeader(404)
			fmt.Fprint(w, `<fault/>`)
			return
		}
		delete(e.made, key)
		w.WriteHeader(204)
	}
}

func (e *erp) answer(w nethttp.ResponseWriter, r *record) {
	if e.lose {
		e.lose = false
		c, _, err := nethttp.NewResponseController(w).Hijack()
		if err != nil {
			e.t.Error(err)
			return
		}
		c.Close()
		return
	}
	fmt.Fprintf(w, `<inv id="%s"><no>%s</no></inv>`, r.id, r.no)
}

func xmlSteps() Entity {
	found := Verify{Path: "/invoices?key={external_id}", Found: "result.inv", Ref: "@id", Compare: map[string]string{"total": "total"}}
	posted := found
	posted.Done = map[string]string{"status": "posted"}
	outcomes := []Line{{Status: "400", Code: "DUP-*", Is: "already_applied"}, {Status: "2xx", Code: "VAL-*", Is: "rejected", As: "INVALID", Hint: "Correct it."}}
	at := ErrorAt{Code: "code", Message: "text", Field: "at"}
	return Entity{Steps: []Entity{
		{Name: "create", Method: "PUT", Path: "/invoice/{external_id}", Format: "xml", Body: `<inv><total>{total}</total>{each lines}<l>{item}</l>{end}</inv>`, Ref: "@id", Number: "no", KeyHeader: "none",
			Outcomes: outcomes, Error: at, Verify: found},
		{Name: "post", Path: "/invoice/{ref}/post", Format: "none", Ref: "@id", Number: "no", Outcomes: outcomes, Error: at, Verify: posted},
	}}
}

func operation(entity, key, total string) sinks.Operation {
	return sinks.Operation{Entity: entity, ExternalID: key, Company: "N", OrderKey: "o", Body: json.RawMessage(fmt.Sprintf(`{"total":%q,"lines":[{"item":"LH"}]}`, total))}
}

func TestStepsInXML(t *testing.T) {
	e := &erp{made: map[string]*record{}, t: t}
	server := answering(t, e.serve)
	s := newSink(t, server.URL, func(c *Config) {
		c.Auth = web.AuthConfig{Basic: &web.Basic{User: "sync", Password: web.Plain("pa55")}}
		c.Entities = map[string]Entity{"invoice": xmlSteps(), "void": {Method: "DELETE", Path: "/invoice/{external_id}", Verify: Verify{Path: "/invoices?key={external_id}", Found: "result.inv"},
			Format: "none", Outcomes: []Line{{Status: "404", Is: "already_applied"}}}}
	})
	d, err := s.Entity("invoice")
	if err != nil || strings.Join(d.Steps, " ") != "create post" || !d.CanVerify {
		t.Fatalf("%+v %v", d, err)
	}
	prior := map[string]sinks.Outcome{}
	prepare := func(op sinks.Operation, step string) sinks.Intent {
		t.Helper()
		in, out := s.Prepare(t.Context(), op, step, prior, time.Now())
		if out != nil {
			t.Fatal(*out)
		}
		return in
	}
	is := func(o sinks.Outcome, class sinks.Class, code string) {
		t.Helper()
		if o.Class != class || o.Code != code {
			t.Fatalf("%+v, want %s %s", o, class, code)
		}
	}
	op := operation("invoice", "k1", "1150.00")
	in := prepare(op, "create")
	is(s.Verify(t.Context(), in), sinks.Absent, "")
	e.lose = true
	is(s.Deliver(t.Context(), in), sinks.Unknown, codeOutage)
	v := s.Verify(t.Context(), in)
	if is(v, sinks.AlreadyApplied, ""); v.Ref != "100" || v.Number != "Nk1" {
		t.Errorf("%+v", v)
	}
	if e.headers.Get("Accept") != "application/xml" || e.headers.Get("Idempotency-Key") != "" {
		t.Errorf("%v", e.headers)
	}
	is(s.Deliver(t.Context(), in), sinks.Unknown, "ALREADY_THERE") // and so it is looked for
	prior["create"] = v
	post := prepare(op, "post")
	if post.Ref != "100" {
		t.Errorf("%+v", post)
	}
	is(s.Verify(t.Context(), post), sinks.Absent, "") // there, but a draft
	is(s.Deliver(t.Context(), post), sinks.Applied, "")
	if v := s.Verify(t.Context(), post); v.Class != sinks.AlreadyApplied || v.Ref != "100" || e.posts != 1 {
		t.Errorf("%+v", v)
	}
	other := prepare(operation("invoice", "k1", "9.00"), "create")
	is(s.Verify(t.Context(), other), sinks.Conflict, "DIFFERENT")
	refused := s.Deliver(t.Context(), prepare(operation("invoice", "k2", "0.00"), "create"))
	if is(refused, sinks.Rejected, "INVALID"); refused.Field != "total" || !strings.Contains(refused.Message, "nothing to bill") || refused.Hint != "Correct it." {
		t.Errorf("%+v", refused)
	}
	void := prepare(operation("void", "k1", "0"), "send")
	is(s.Verify(t.Context(), void), sinks.Absent, "") // it is there: not done
	is(s.Deliver(t.Context(), void), sinks.Applied, "")
	is(s.Verify(t.Context(), void), sinks.AlreadyApplied, "")
	is(s.Deliver(t.Context(), void), sinks.Unknown, "ALREADY_THERE")
}

// A page in XML that is not the service's list is no absence.
func TestAnotherPageInXMLIsNoAbsence(t *testing.T) {
	for _, page := range []string{`<error>down</error>`, `<result>maintenance</result>`, `<html><result/></html>`, `<result`, ``} {
		server := answering(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
			w.Header().Set("Content-Type", "text/xml")
			fmt.Fprint(w, page)
		})
		s := newSink(t, server.URL, func(c *Config) { c.Entities = map[string]Entity{"invoice": xmlSteps()} })
		in, out := s.Prepare(t.Context(), operation("invoice", "k", "1"), "create", nil, time.Now())
		if out != nil {
			t.Fatal(*out)
		}
		if o := s.Verify(t.Context(), in); o.Class != sinks.Setup {
			t.Errorf("%s: %+v", page, o)
		}
	}
}

// What a table of the configuration does not know stays unknown: a code of an error in a 200 is never applied.
func TestOutcomesByCode(t *testing.T) {
	var status int
	var body string
	server := answering(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
	s := newSink(t, server.URL, func(c *Config) {
		e := generate()
		e.Error = ErrorAt{Code: "error.code", Message: "error.text"}
		e.Outcomes = []Line{{Status: "409", Code: "DUPLICATE", Is: "already_applied"}, {Code: "PERIOD_*", Is: "rejected", As: "PERIOD_CLOSED"}, {Status: "500-503", Code: "LOCKED", Is: "retry"},
			{Status: "200", Code: "OK", Is: "applied"}}
		e.Verify.Outcomes = []Line{{Status: "400", Code: "NO_SUCH", Is: "absent"}}
		c.Entities = map[string]Entity{"generate": e}
	})
	in, out := s.Prepare(t.Context(), request1(1, "C1"), stepSend, nil, time.Now())
	if out != nil {
		t.Fatal(*out)
	}
	for _, c := range []struct {
		status int
		body   string
		class  sinks.Class
		code   string
		verify sinks.Class
	}{
		{200, `{"id":"I1","items":[]}`, sinks.Applied, "", sinks.Absent},
		{200, `{"id":"I1","error":{"code":"OK"},"items":[]}`, sinks.Applied, "", sinks.Absent},
		{200, `{"id":"I1","error":{"code":"E99"}}`, sinks.Unknown, codeAnswer, sinks.Setup},
		{200, `{"error":{"code":"PERIOD_LOCKED","text":"closed"}}`, sinks.Rejected, "PERIOD_CLOSED", sinks.Setup},
		{409, `{"error":{"code":"DUPLICATE"}}`, sinks.Unknown, "ALREADY_THERE", sinks.Setup},
		{409, `{"error":{"code":"OTHER"}}`, sinks.Conflict, "CONFLICT", sinks.Setup},
		{500, `{"error":{"code":"LOCKED"}}`, sinks.RetryLater, codeAnswer, sinks.RetryLater},
		{500, `{"error":{"code":"E1"}}`, sinks.Unknown, codeOutage, sinks.RetryLater},
		{400, `{"error":{"code":"NO_SUCH"}}`, sinks.Rejected, codeRefused, sinks.Absent},
		{418, `{}`, sinks.Unknown, codeAnswer, sinks.Setup},
	} {
		status, body = c.status, c.body
		if o := s.Deliver(t.Context(), in); o.Class != c.class || o.Code != c.code {
			t.Errorf("%d %s: %+v, want %s %s", c.status, c.body, o, c.class, c.code)
		}
		if o := s.Verify(t.Context(), in); o.Class != c.verify {
			t.Errorf("verify %d %s: %+v, want %s", c.status, c.body, o, c.verify)
		}
	}
}

func TestConfigOfRequestsIsChecked(t *testing.T) {
	bad := Config{URL: "http://x", Secret: web.Plain("abcd"), Auth: web.AuthConfig{Bearer: &web.Bearer{}}, Probe: Probe{Entity: "none", Body: "[]"}, Entities: map[string]Entity{
		"a": {Name: "x", Path: "/a", Format: "yaml", KeyHeader: "a b", Outcomes: []Line{{Is: "applied"}, {Status: "4xx", Is: "applied"}, {Status: "409", Is: "already_applied"}, {Status: "700", Is: "fine", As: "x"}}},
		"b": {Path: "/b", Format: "xml", Ref: "header:Location", Verify: Verify{Path: "/v", Method: "PUT", Body: "{", Outcomes: []Line{{Status: "5xx", Is: "absent"}}}},
		"c": {Path: "/c", Format: "none", Body: "{}"},
		"d": {Path: "/d", Steps: []Entity{{Name: "one", Path: "/1", Body: "{x"}, {Name: "one", Path: "/2", Verify: Verify{Path: "/v"}, Steps: []Entity{{}}}}},
	}}
	err := bad.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"secret", "auth.bearer.token", "entities.a.name", "entities.a.format", "entities.a.key_header", "entities.a.outcomes[0].status", "entities.a.outcomes[1].status",
		"entities.a.outcomes[2].is", "entities.a.outcomes[3].status", "entities.a.outcomes[3].is", "entities.a.outcomes[3].as", "entities.b.body", "entities.b.verify.method", "entities.b.verify.ref",
		"entities.b.verify.body", "entities.b.verify.outcomes[0].status", "entities.c.body", "entities.d.steps", "entities.d.steps[0].body", "entities.d.steps[1].name", "entities.d.steps[1].steps",
		"entities.d.steps[1].verify.path", "probe.entity", "probe.body"} {
		if !strings.Contains(err.Error(), field+": found ") {
			t.Errorf("nothing about %s in\n%v", field, err)
		}
	}
}

// The id of what was made may stand in a header alone.
func TestTheIDInAHeader(t *testing.T) {
	server := answering(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == "GET" {
			fmt.Fprint(w, `{"items":[{"id":"I7"}]}`)
			return
		}
		w.Header().Set("Location", "/v1/invoices/I7")
		w.WriteHeader(201)
	})
	s := newSink(t, server.URL, func(c *Config) {
		c.Entities = map[string]Entity{"generate": {Path: "/v1/invoices", Ref: "header:Location", Verify: Verify{Path: "/v1/invoices?key={external_id}", Found: "items", Ref: "id"}}}
	})
	in, _ := s.Prepare(t.Context(), request1(1, "C1"), stepSend, nil, time.Now())
	if o := s.Deliver(t.Context(), in); o.Class != sinks.Applied || o.Ref != "I7" {
		t.Errorf("%+v", o)
	}
	if o := s.Verify(t.Context(), in); o.Class != sinks.AlreadyApplied || o.Ref != "I7" {
		t.Errorf("%+v", o)
	}
}

// An intent that an older release has journalled is delivered as it is.
func TestAnIntentOfAnOlderRelease(t *testing.T) {
	var body, kind string
	server := answering(t, func(w nethttp.ResponseWriter, r *nethttp.Request) {
		raw, _ := io.ReadAll(r.Body)
		body, kind = string(raw), r.Header.Get("Content-Type")
		fmt.Fprint(w, `{"id":"I1"}`)
	})
	s := newSink(t, server.URL, nil)
	in := sinks.Intent{Operation: request1(1, "C1"), Step: "send", Request: json.RawMessage(`{"method":"POST","path":"/v1/invoices","headers":{"Idempotency-Key":"k"},"body":{"shipment":"1"}}`)}
	if o := s.Deliver(t.Context(), in); o.Class != sinks.Applied || body != `{"shipment":"1"}` || kind != "application/json" {
		t.Errorf("%+v %s %s", o, body, kind)
	}
}

// A wrong secret is one refusal for the check and for all postings.
func TestAWrongSecretIsOneMatter(t *testing.T) {
	var heard int
	var mu sync.Mutex
	server := answering(t, func(w nethttp.ResponseWriter, _ *nethttp.Request) {
		mu.Lock()
		defer mu.Unlock()
		heard++
		w.WriteHeader(401)
	})
	s := newSink(t, server.URL, func(c *Config) { c.Secret = web.Plain("Bearer wr0ng") })
	in, _ := s.Prepare(t.Context(), request1(1, "C1"), stepSend, nil, time.Now())
	for range 10 {
		if o := s.Deliver(t.Context(), in); o.Class != sinks.Setup || o.Code != codeAuth || o.Hint == "" {
			t.Errorf("%+v", o)
		}
		if o := s.Verify(t.Context(), in); o.Class != sinks.Setup || o.Code != codeAuth {
			t.Errorf("%+v", o)
		}
		if found, err := s.Check(t.Context()); err != nil || len(cdc.Concerns(found...)) != 1 {
			t.Errorf("%v %v", found, err)
		}
	}
	if heard != 1 {
		t.Errorf("%d requests with a wrong secret", heard)
	}
}

// The suite of all sinks, in XML, in two steps, with a password, and by keys that lie in the path.
func TestSinkInXML(t *testing.T) {
	e := &erp{made: map[string]*record{}, t: t}
	server := answering(t, e.serve)
	proxy := sinktest.StartFaultProxy(t, strings.TrimPrefix(server.URL, "http://"), 1)
	with := func(password string) *Sink {
		return newSink(t, proxy.URL(), func(c *Config) {
			c.Auth = web.AuthConfig{Basic: &web.Basic{User: "sync", Password: web.Plain(password)}}
			c.Entities = map[string]Entity{"invoice": xmlSteps()}
		})
	}
	sinktest.TestSink(t, sinktest.Harness{
		Sink: with("pa55"),
		Operations: map[string]func(*testing.T, int) sinks.Operation{"invoice": func(_ *testing.T, n int) sinks.Operation {
			return operation("invoice", fmt.Sprintf("inv:%d/a", n), "1150.00")
		}},
		Altered: func(op sinks.Operation) sinks.Operation { return operation("invoice", op.ExternalID, "9.00") },
		Refused: func(_ *testing.T, n int) sinks.Operation { return operation("invoice", fmt.Sprint("none", n), "0.00") },
		LoseAnswer: func(_, step string) {
			proxy.Set(sinktest.ProxyFault{Fault: sinktest.DropAnswer, Match: map[string]string{"create": "PUT /invoice", "post": "POST /invoice"}[step]})
		},
		Unreachable: func() { proxy.Set(sinktest.ProxyFault{Fault: sinktest.Refuse}) },
		Heal:        func() { proxy.Set(sinktest.ProxyFault{Fault: sinktest.Pass}) },
	})
}
