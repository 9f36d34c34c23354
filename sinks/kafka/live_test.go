package kafka

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/sinks/web"
)

// open makes a publisher on the plain listeners.
func open(t *testing.T, k *sinktest.Kafka, change func(*Config)) *Publisher {
	t.Helper()
	c := Config{Brokers: k.Brokers(), Timeout: 10 * time.Second}
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	p := New(c)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func topic(t *testing.T, k *sinktest.Kafka, name string, partitions int, settings map[string]string) {
	t.Helper()
	if err := k.CreateTopic(name, partitions, 3, settings); err != nil {
		t.Fatal(err)
	}
}

// to makes events for a topic: so many of each of so many shipments.
func to(topic string, shipments, each int) []sinks.Publication {
	var all []sinks.Publication
	for n := range each {
		for s := range shipments {
			e := some(s, n+1)
			e.Topic = topic
			all = append(all, e)
		}
	}
	return all
}

func classes(out []sinks.Outcome) map[string]int {
	n := map[string]int{}
	for _, o := range out {
		n[string(o.Class)+" "+o.Code]++
	}
	return n
}

func wanted(events []sinks.Publication) map[string]bool {
	all := map[string]bool{}
	for _, e := range events {
		all[e.Event.ID] = true
	}
	return all
}

func until(t *testing.T, most time.Duration, what string, fn func() bool) {
	t.Helper()
	for deadline := time.Now().Add(most); !fn(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", most, what)
		}
	}
}

// all publishes until all events are there, as the feed does: brokers that hold a new topic need a moment.
func all(t *testing.T, p *Publisher, events []sinks.Publication) []sinks.Outcome {
	t.Helper()
	out := p.Publish(t.Context(), events)
	until(t, 30*time.Second, "not all events are there", func() bool {
		var left []sinks.Publication
		var at []int
		for i, o := range out {
			if o.Done() {
				continue
			}
			if o.Class != sinks.RetryLater {
				t.Fatalf("event %d of %d: %+v; all: %v", i, len(out), o, classes(out))
			}
			left, at = append(left, events[i]), append(at, i)
		}
		if len(left) == 0 {
			return true
		}
		t.Logf("%d of %d events come again: %v", len(left), len(events), classes(out))
		for i, o := range p.Publish(t.Context(), left) {
			out[at[i]] = o
		}
		return false
	})
	return out
}

func TestEventsAreReadBack(t *testing.T) {
	k := brokers(t)
	for _, compression := range compressions {
		t.Run(compression, func(t *testing.T) {
			t.Parallel()
			name := "read-" + compression
			topic(t, k, name, 3, nil)
			p := open(t, k, func(c *Config) { c.Compression, c.BatchBytes = compression, 20_000 })
			events := to(name, 10, 30)
			out := all(t, p, events)
			if !strings.HasPrefix(out[0].Ref, name+"/") {
				t.Errorf("ref %q", out[0].Ref)
			}
			read := consume(t, k.Brokers(), name)
			for _, fault := range checkLedger(read, wanted(events)) {
				t.Error(fault)
			}
			if compression == "none" {
				at := slices.IndexFunc(read, func(e entry) bool { return e.headers["ce_id"] == events[0].Event.ID })
				golden(t, "testdata/message.golden", describe(read[max(0, at)]))
			}
		})
	}
}

// describe is a message as text, without what the clock says.
func describe(e entry) string {
	var b strings.Builder
	fmt.Fprintf(&b, "key %s\nvalue %s\n", e.key, e.value)
	for _, name := range slices.Sorted(maps.Keys(e.headers)) {
		value := e.headers[name]
		if name == "ce_observedat" {
			value = "…"
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	return b.String()
}

func TestTooLargeIsRefusedAndStopsItsKeyOnly(t *testing.T) {
	k := brokers(t)
	topic(t, k, "large", 1, map[string]string{"max.message.bytes": "20000"})
	p := open(t, k, nil)
	events := to("large", 5, 40) // 200 events of 500 bytes: more than the topic takes at once
	events[7].Event.Data = fmt.Appendf(nil, `{"text":%q}`, strings.Repeat("x", 30_000))
	out := p.Publish(t.Context(), events)
	for i, o := range out {
		switch {
		case i == 7:
			if o.Class != sinks.Rejected || o.Code != "TOO_LARGE" || o.Hint == "" {
				t.Errorf("the large one: %+v", o)
			}
		case i > 7 && i%5 == 2: // of its key
			if o.Class != sinks.RetryLater || o.Code != sinks.CodeBehind {
				t.Errorf("event %d, behind the large one: %+v", i, o)
			}
		case !o.Done():
			t.Errorf("event %d: %+v", i, o)
		}
	}
	events[7].Event.Data = []byte(`{"text":"short"}`) // a person has shortened it
	var left []sinks.Publication
	for i, o := range out {
		if !o.Done() {
			left = append(left, events[i])
		}
	}
	all(t, p, left)
	for _, fault := range checkLedger(consume(t, k.Brokers(), "large"), wanted(events)) {
		t.Error(fault)
	}
}

func TestMissingTopics(t *testing.T) {
	k := brokers(t)
	p := open(t, k, nil)
	if o := p.Publish(t.Context(), to("nowhere", 1, 2)); o[0].Class != sinks.Setup || o[0].Code != "TOPIC" || o[1].Done() {
		t.Errorf("without create: %+v", o)
	}
	seen, err := p.Seen(t.Context(), to("nowhere", 1, 1))
	if err != nil || len(seen) != 1 || seen[0] {
		t.Errorf("seen %v: %v", seen, err)
	}
	maker := open(t, k, func(c *Config) {
		c.Topic, c.Create = "made.{company}.{topic}", Create{Partitions: 4, Replication: 3, Config: map[string]string{"retention.ms": "86400000"}}
	})
	all(t, maker, to("stops", 3, 2))
	findings := found(t, open(t, k, func(c *Config) { c.Topics = []string{"made.NSTR.stops"} }))
	for check, want := range map[string]string{"topic made.NSTR.stops": "4 partitions, 3 copies", "min.insync.replicas of made.NSTR.stops": "2",
		"retention.ms of made.NSTR.stops": "86400000"} {
		if findings[check].Found != want {
			t.Errorf("%s: %+v", check, findings[check])
		}
	}
	if o := open(t, k, func(c *Config) { c.Create = Create{Partitions: 1, Replication: 9} }).Publish(t.Context(), to("wide", 1, 1)); o[0].Class != sinks.Setup {
		t.Errorf("nine copies on three brokers: %+v", o)
	}
	if o := open(t, k, nil).Publish(t.Context(), to("not a name", 1, 1)); o[0].Class != sinks.Rejected || o[0].Field != "topic" {
		t.Errorf("a name that is none: %+v", o)
	}
}

func found(t *testing.T, p *Publisher) map[string]cdc.Finding {
	t.Helper()
	list, err := p.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]cdc.Finding{}
	for _, f := range list {
		all[f.Check] = f
	}
	return all
}

func TestCheck(t *testing.T) {
	k := brokers(t)
	topic(t, k, "good", 3, map[string]string{"min.insync.replicas": "2"})
	if err := k.CreateTopic("bad", 1, 1, map[string]string{"min.insync.replicas": "1", "unclean.leader.election.enable": "true", "max.message.bytes": "1000",
		"retention.ms": "1000", "cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	p := open(t, k, func(c *Config) { c.Topic, c.Topics = "good", []string{"bad", "missing"} })
	list, err := p.Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, f := range list {
		if f.Check == "cluster" {
			f.Found = "…"
		}
		fmt.Fprintf(&b, "%-4s %s: %s\n", f.Level, f.Check, f.Found)
		if f.Level != cdc.LevelOK {
			fmt.Fprintf(&b, "     want %s\n     why  %s\n     fix  %s\n", f.Want, f.Why, f.Fix)
		}
	}
	golden(t, "testdata/check.golden", b.String())
	id, err := p.Identity(t.Context())
	if err != nil || !strings.HasPrefix(id, "kafka/") || len(id) != len("kafka/")+22 {
		t.Errorf("identity %q: %v", id, err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	p := New(Config{Brokers: []string{"127.0.0.1:1"}, Timeout: time.Second})
	defer p.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if o := p.Publish(ctx, to("t", 1, 2)); o[0].Class != sinks.RetryLater || !o[0].Outage || o[1].Done() {
		t.Errorf("%+v", o)
	}
	if _, err := p.Check(ctx); err == nil {
		t.Error("a cluster that does not answer passes the check")
	}
	if _, err := p.Seen(ctx, to("t", 1, 1)); err == nil {
		t.Error("a cluster that does not answer is said to hold nothing")
	}
}

func TestLogins(t *testing.T) {
	k := brokers(t)
	topic(t, k, "secured", 1, nil)
	const user, password = "waybill-scram", "secret-of-scram"
	if err := k.AddUser(user, password); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{user, plainUser} {
		if err := k.Allow(name, "secured", kafkago.ACLOperationTypeWrite, kafkago.ACLOperationTypeRead, kafkago.ACLOperationTypeDescribeConfigs); err != nil {
			t.Fatal(err)
		}
	}
	secure := func(mechanism, user string, password web.Secret) func(*Config) {
		return func(c *Config) {
			c.Brokers, c.Topic = k.Secure(), "secured"
			c.TLS = TLS{Enabled: true, CA: web.File(shared.authority)}
			c.SASL = SASL{Mechanism: mechanism, User: user, Password: password}
		}
	}
	events := to("secured", 2, 3)
	current := "wrong"
	rotated := open(t, k, secure("scram-sha-512", user, web.From(func() (string, error) { return current, nil })))
	if o := rotated.Publish(t.Context(), events[:2]); o[0].Class != sinks.Setup || o[0].Code != "AUTH" || strings.Contains(fmt.Sprint(o), "wrong") {
		t.Errorf("with a wrong password: %+v", o)
	}
	if f := found(t, rotated)["login"]; f.Level != cdc.LevelFail {
		t.Errorf("with a wrong password: %+v", f)
	}
	current = password
	all(t, rotated, events[:2])
	all(t, open(t, k, secure("scram-sha-256", user, web.Plain(password))), events[2:4])
	plain := open(t, k, secure("plain", plainUser, web.Plain(plainPassword)))
	all(t, plain, events[4:])
	for check, f := range found(t, plain) {
		if f.Level == cdc.LevelFail {
			t.Errorf("%s: %+v", check, f)
		}
	}
	for _, fault := range checkLedger(consume(t, k.Brokers(), "secured"), wanted(events)) {
		t.Error(fault)
	}
	topic(t, k, "private", 1, nil)
	deny(t, k, secure)
}

// deny tries what is not allowed.
func deny(t *testing.T, k *sinktest.Kafka, secure func(mechanism, user string, password web.Secret) func(*Config)) {
	t.Helper()
	for name, change := range map[string]func(*Config){
		"a broker that nobody vouches for": func(c *Config) { c.TLS.CA = "" },
		"a topic without the right":        func(c *Config) { c.Topic = "private" },
	} {
		p := open(t, k, func(c *Config) {
			secure("plain", plainUser, web.Plain(plainPassword))(c)
			change(c)
		})
		if o := p.Publish(t.Context(), to("x", 1, 1)); o[0].Class != sinks.Setup {
			t.Errorf("%s: %+v", name, o)
		}
	}
}
