package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/web"
	"waybill/transform"
)

var update = flag.Bool("update", false, "write the golden files")

// got is a request as the receiver saw it.
type got struct {
	header http.Header
	path   string
	body   string
}

// receiver answers as the test says.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	all    []got
	answer func(g got) (status int, body string)
}

func receive(t *testing.T, answer func(got) (int, string)) *receiver {
	r := &receiver{answer: answer}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		g := got{q.Header, q.URL.Path, string(body)}
		r.mu.Lock()
		r.all = append(r.all, g)
		r.mu.Unlock()
		status, text := http.StatusNoContent, ""
		if r.answer != nil {
			status, text = r.answer(g)
		}
		if status == http.StatusTooManyRequests {
			w.Header().Set("Retry-After", "7")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text) // the client may have gone
	}))
	t.Cleanup(r.Close)
	return r
}

func publication(n int) sinks.Publication {
	at := time.Date(2026, 10, 1, 19, 30, 0, 0, time.UTC)
	return sinks.Publication{Topic: "milestones", Sequence: uint64(n), Event: &transform.Event{ID: fmt.Sprintf("e%d", n), Type: "shipment.delivered", Source: "/northstar/dispatch/public.loads",
		Entity: "shipment", Key: "88121", Company: "NSTAR", Lane: transform.LaneTransactional, OrderKey: "shipment/NSTAR:88121", Occurred: at, Recorded: at.Add(time.Second),
		Observed: at.Add(2 * time.Second), MapVersion: "northstar/7", Position: "0/16B3748", Data: json.RawMessage(`{"pieces":20,"receiver":"Günter \"GB\" 100%"}`)}}
}

func publisher(t *testing.T, c Config) *Publisher {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

const (
	oldSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	newSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// The three modes as they stand on the wire. The time of sending is left out.
func TestModesOnTheWire(t *testing.T) {
	for _, mode := range []string{Structured, Binary, Batched} {
		t.Run(mode, func(t *testing.T) {
			r := receive(t, nil)
			c := Config{URL: r.URL + "/hooks/{topic}", Mode: mode, Secret: web.Plain(newSecret), OtherSecret: web.Plain(oldSecret), Headers: map[string]string{"X-Carrier": "northstar"}}
			p := publisher(t, c)
			events := []sinks.Publication{publication(1)}
			if mode == Batched {
				events = append(events, publication(2))
			}
			for _, o := range p.Publish(t.Context(), events) {
				if o.Class != sinks.Applied {
					t.Fatalf("%+v", o)
				}
			}
			if len(r.all) != 1 {
				t.Fatalf("%d requests", len(r.all))
			}
			g := r.all[0]
			var b strings.Builder
			fmt.Fprintln(&b, "POST", g.path)
			for _, name := range slices.Sorted(func(yield func(string) bool) {
				for n := range g.header {
					if n != "Webhook-Timestamp" && n != "Webhook-Signature" && n != "Accept-Encoding" && !yield(n) {
						return
					}
				}
			}) {
				fmt.Fprintf(&b, "%s: %s\n", name, g.header.Get(name))
			}
			fmt.Fprintf(&b, "\n%s\n", g.body)
			golden(t, mode+".golden", b.String())
			verified(t, g, newSecret, oldSecret)
		})
	}
}

func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || string(want) != text {
		t.Errorf("%s: %v\n%s", name, err, text)
	}
}

// verified does what the specification tells a receiver to do, with code of its own.
func verified(t *testing.T, g got, secrets ...string) {
	t.Helper()
	signed := g.header.Get("webhook-id") + "." + g.header.Get("webhook-timestamp") + "." + g.body
	var want []string
	for _, s := range secrets {
		key, err := base64.StdEncoding.DecodeString(s[len("whsec_"):])
		if err != nil {
			t.Fatal(err)
		}
		mac := hmac.New(sha256.New, key)
		io.WriteString(mac, signed)
		want = append(want, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	if is := g.header.Get("webhook-signature"); is != strings.Join(want, " ") {
		t.Errorf("signature %s, want %s", is, want)
	}
}

// The example of the specification's own libraries.
func TestSignatureOfTheSpecification(t *testing.T) {
	key, err := keyOf(oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	if is := sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", []byte(`{"test": 2432232314}`)); is != "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=" {
		t.Error(is)
	}
	for _, bad := range []string{"", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_%%", "whsec_c2hvcnQ="} {
		if _, err := keyOf(bad); err == nil || bad != "" && strings.Contains(err.Error(), strings.TrimPrefix(bad, "whsec_")) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Each line of the table, and what is said of an answer.
func TestOutcomes(t *testing.T) {
	for status, want := range map[int]string{200: "applied", 204: "applied", 301: "setup ADDRESS", 400: "rejected REFUSED", 401: "setup AUTH", 403: "setup AUTH",
		404: "setup ADDRESS", 405: "setup ADDRESS", 408: "retry_later OUTAGE outage", 410: "setup GONE", 413: "rejected TOO_LARGE", 422: "rejected REFUSED", 425: "retry_later TOO_EARLY",
		429: "retry_later RATE 7s", 500: "retry_later FAILED", 501: "retry_later FAILED", 502: "retry_later OUTAGE outage", 503: "retry_later OUTAGE outage", 504: "retry_later OUTAGE outage", 599: "retry_later FAILED"} {
		r := receive(t, func(got) (int, string) { return status, "words" })
		o := publisher(t, Config{URL: r.URL}).Publish(t.Context(), []sinks.Publication{publication(1)})[0]
		text := strings.TrimSpace(string(o.Class) + " " + o.Code)
		if o.Outage {
			text += " outage"
		}
		if o.Wait > 0 {
			text += " " + o.Wait.String()
		}
		if text != want {
			t.Errorf("%d: %s, want %s", status, text, want)
		}
		if !o.Done() && (!strings.Contains(o.Message, fmt.Sprint(status)) || status != 304 && !strings.Contains(o.Request, `"id":"e1"`)) {
			t.Errorf("%d: %+v", status, o)
		}
	}
	gone := receive(t, nil)
	gone.Close()
	if o := publisher(t, Config{URL: gone.URL}).Publish(t.Context(), []sinks.Publication{publication(1)})[0]; o.Class != sinks.RetryLater || !o.Outage {
		t.Errorf("nobody there: %+v", o)
	}
}

// A batch that is refused is sent one by one: the others go, and nothing goes behind the refused one on its order key.
func TestOneRefusedEventOfABatch(t *testing.T) {
	r := receive(t, func(g got) (int, string) {
		if strings.Contains(g.body, `"id":"e2"`) {
			return 422, "no"
		}
		return 200, ""
	})
	p := publisher(t, Config{URL: r.URL, Mode: Batched})
	if terms := p.Terms(); terms.Batch != 100 {
		t.Errorf("%+v", terms)
	}
	other := publication(4)
	other.Event.OrderKey = "shipment/2"
	apart := publication(5)
	apart.Event.OrderKey, apart.Topic = "shipment/3", "archive"
	var is []string
	for _, o := range p.Publish(t.Context(), []sinks.Publication{publication(1), publication(2), publication(3), other, apart}) {
		is = append(is, string(o.Class)+" "+o.Code)
	}
	if want := []string{"applied ", "rejected REFUSED", "retry_later BEHIND", "applied ", "applied "}; !slices.Equal(is, want) {
		t.Errorf("%q, want %q", is, want)
	}
	for _, g := range r.all[1:] {
		if strings.Contains(g.body, `"id":"e3"`) {
			t.Error("e3 was sent behind e2")
		}
	}
}

// A secret that is rotated is found; one that cannot be read sends nothing; none is in a text.
func TestSecrets(t *testing.T) {
	r := receive(t, func(g got) (int, string) {
		return 500, "you sent " + g.header.Get("webhook-signature") + " by " + oldSecret
	})
	now, fail := oldSecret, false
	p := publisher(t, Config{URL: r.URL, Secret: web.From(func() (string, error) {
		if fail {
			return "", os.ErrPermission
		}
		return now, nil
	})})
	o := p.Publish(t.Context(), []sinks.Publication{publication(1)})[0]
	if strings.Contains(fmt.Sprintf("%+v", o), oldSecret[6:]) {
		t.Errorf("the secret is in the outcome: %+v", o)
	}
	now = newSecret
	p.signer.at = time.Time{}
	p.Publish(t.Context(), []sinks.Publication{publication(1)})
	verified(t, r.all[0], oldSecret)
	verified(t, r.all[1], newSecret)
	fail, p.signer.at = true, time.Time{}
	if o := p.Publish(t.Context(), []sinks.Publication{publication(1)})[0]; o.Class != sinks.Setup || o.Code != "AUTH" || len(r.all) != 2 {
		t.Errorf("%+v, %d requests", o, len(r.all))
	}
}

// Credentials stand beside the signature, and are in no text either.
func TestBearerBesideTheSignature(t *testing.T) {
	r := receive(t, func(g got) (int, string) { return 400, "you sent " + g.header.Get("Authorization") })
	p := publisher(t, Config{URL: r.URL, Secret: web.Plain(newSecret), Auth: web.AuthConfig{Bearer: &web.Bearer{Token: web.Plain("token-of-ours")}}})
	o := p.Publish(t.Context(), []sinks.Publication{publication(1)})[0]
	if r.all[0].header.Get("Authorization") != "Bearer token-of-ours" || strings.Contains(fmt.Sprintf("%+v", o), "token-of-ours") {
		t.Errorf("%v %+v", r.all[0].header, o)
	}
	verified(t, r.all[0], newSecret)
}

func TestCheckAndIdentity(t *testing.T) {
	r := receive(t, func(got) (int, string) { return 405, "" })
	p := publisher(t, Config{URL: r.URL + "/in?token=abc", Secret: web.Plain(newSecret), OtherSecret: web.Plain(oldSecret)})
	found, err := p.Check(t.Context())
	if err != nil || len(found) != 3 || found[0].Level != cdc.LevelOK || !strings.Contains(found[0].Found, "2 secrets") || !strings.Contains(found[1].Found, "405") {
		t.Errorf("%v %+v", err, found)
	}
	if id, err := p.Identity(t.Context()); err != nil || id != "webhook/"+strings.TrimPrefix(r.URL, "http://")+"/in" {
		t.Error(id, err)
	}
	r.Close()
	if _, err := p.Check(context.Background()); err == nil || strings.Contains(err.Error(), "abc") {
		t.Error(err)
	}
}

func TestValidate(t *testing.T) {
	c := Config{Auth: web.AuthConfig{Signature: &web.Signature{Secret: web.Plain(newSecret)}}, URL: "ftp://me:pw@host", Mode: "loud", Batch: 5000, Timeout: -1, OtherSecret: web.Plain(oldSecret),
		Headers: map[string]string{"Authorization": "x", "ce-id": "1", "X-A": "a\nb"}}
	want := `url: found "ftp://me:xxxxx@host", expected http(s)://host of the receiver
mode: found "loud", expected structured, binary or batched
batch: found "5000", expected 1 to 1000, or 0 for the default
timeout: found "-1ns", expected a duration between 0 (default) and 1h
other_secret: found "a second secret", expected secret beside it
auth.signature: found "a signature beside the webhook's own", expected secret, and other_secret while it changes
headers.Authorization: found "a secret in the open", expected auth, with the secret in a file
headers.X-A: found "several lines", expected one line
headers.ce-id: found "1", expected no header that the event or the connection sets itself`
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
