package kafka

import (
	"context"
	"slices"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
)

// A broker is killed, a leader moves and the daemon is killed twice, all under load: nothing is lost, each key stands in its order, each event is in
// its partition once.
func TestNothingIsLostOrDoubledWhileBrokersFail(t *testing.T) {
	k := brokers(t)
	topic(t, k, "faults", 6, map[string]string{"min.insync.replicas": "2"})
	topic(t, k, "strict", 1, map[string]string{"min.insync.replicas": "3"})
	f := newFeed(t, k, "faults", 30)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		f.run(stop)
	}()
	began := time.Now()
	at := func(what string) { t.Logf("%5.1f s: %s", time.Since(began).Seconds(), what) }
	progress := func(what string) {
		at(what)
		_, before, _, _ := f.counts()
		until(t, time.Minute, "no event was delivered after "+what, func() bool {
			_, done, _, _ := f.counts()
			return done > before+500
		})
	}
	progress("the start")
	victim := leader(t, k, 0)
	k.Kill(victim)
	strict := open(t, k, nil)
	until(t, 20*time.Second, "two brokers of three are enough for a topic that wants three", func() bool {
		o := strict.Publish(t.Context(), to("strict", 1, 1))[0]
		return o.Class == sinks.RetryLater && o.Code == "REPLICAS" && o.Outage
	})
	progress("a broker's death")
	f.crash()
	progress("a restart while a broker is away")
	moveLeader(t, k, 1, victim)
	progress("a leader's move")
	if err := k.Restart(victim); err != nil {
		t.Fatal(err)
	}
	if err := k.AwaitReplicas("faults", 3); err != nil {
		t.Fatal(err)
	}
	if err := k.MoveLeader("faults", 0, victim); err != nil {
		t.Fatal(err)
	}
	f.crash()
	progress("a second restart")
	at("all brokers take what three must hold")
	all(t, strict, to("strict", 1, 1))
	at("the end")
	close(stop)
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Fatal("the feed does not end")
	}
	sent, done, after, failed := f.counts()
	t.Logf("%d events, %d done, %d of them found after a restart; not done at first: %v", sent, done, after, failed)
	if len(failed) == 0 || done != sent {
		t.Errorf("%d of %d events are done; the faults made %v", done, sent, failed)
	}
	at("what is there")
	faults := checkLedger(consume(t, k.Brokers(), "faults"), f.sent)
	at("is read")
	for i, fault := range faults {
		if i < 20 {
			t.Error(fault)
		}
	}
	if len(faults) > 0 {
		t.Errorf("%d faults", len(faults))
	}
}

func leader(t *testing.T, k *sinktest.Kafka, partition int) int {
	t.Helper()
	broker, err := k.Leader("faults", partition)
	if err != nil {
		t.Fatal(err)
	}
	return broker
}

// moveLeader gives a partition another leader than it has, which is not the broker that is away.
func moveLeader(t *testing.T, k *sinktest.Kafka, partition, away int) {
	t.Helper()
	now := leader(t, k, partition)
	for broker := 1; broker <= 3; broker++ {
		if broker != away && broker != now {
			if err := k.MoveLeader("faults", partition, broker); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

// While a follower stands still the leader holds events that it cannot acknowledge and that no consumer sees. They are neither sent anew by the
// process that sent them, nor by one that starts meanwhile.
func TestWhatWaitsForAReplicaIsNotSentTwice(t *testing.T) {
	k := brokers(t)
	for _, restarted := range []bool{false, true} {
		name := map[bool]string{false: "waits", true: "waits-restarted"}[restarted]
		t.Run(name, func(t *testing.T) {
			topic(t, k, name, 1, map[string]string{"min.insync.replicas": "2"})
			p := open(t, k, func(c *Config) { c.Timeout = time.Second })
			events := to(name, 3, 4)
			all(t, p, events[:3])
			still := follower(t, k, name)
			k.Pause(still)
			defer k.Resume(still)
			out := p.Publish(t.Context(), events[3:6])
			if o := out[0]; o.Class != sinks.RetryLater || !o.Outage {
				t.Fatalf("with a follower that stands still: %+v", o)
			}
			if restarted {
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				p = open(t, k, func(c *Config) { c.Brokers = slices.Delete(k.Brokers(), still-1, still) })
				var seen []bool
				until(t, 45*time.Second, "the end of the topic cannot be read", func() bool {
					var err error
					if seen, err = p.Seen(t.Context(), events[:9]); err != nil {
						t.Log(err)
					}
					return err == nil
				})
				for i, there := range seen {
					if there != (i < 6) {
						t.Errorf("event %d is there: %t", i, there)
					}
				}
				all(t, p, events[6:])
			} else {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				left := events[3:]
				for len(left) > 0 && ctx.Err() == nil {
					var open []sinks.Publication
					for i, o := range p.Publish(ctx, left) {
						if !o.Done() {
							open = append(open, left[i])
						}
					}
					left = open
				}
			}
			k.Resume(still)
			for _, fault := range checkLedger(consume(t, k.Brokers(), name), wanted(events)) {
				t.Error(fault)
			}
		})
	}
}

// follower is a broker that does not lead the topic's only partition.
func follower(t *testing.T, k *sinktest.Kafka, topic string) int {
	t.Helper()
	broker, err := k.Leader(topic, 0)
	if err != nil {
		t.Fatal(err)
	}
	return broker%3 + 1
}

func TestTailIsBounded(t *testing.T) {
	k := brokers(t)
	topic(t, k, "tail", 1, nil)
	events := to("tail", 1, 50)
	all(t, open(t, k, func(c *Config) { c.Batch = 10 }), events)
	seen, err := open(t, k, func(c *Config) { c.Tail = 20 }).Seen(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	for i, there := range seen {
		if there != (i >= 30) {
			t.Errorf("event %d is there: %t", i, there)
		}
	}
	for i := range events { // taken long before the topic's first message, or not at all
		events[i].Event.Observed = time.Now().Add(-24 * time.Hour)
	}
	if seen, err = open(t, k, nil).Seen(t.Context(), append(events, some(5, 1))); err != nil {
		t.Fatal(err)
	}
	for i, there := range seen {
		if there != (i < 50) {
			t.Errorf("event %d is there: %t", i, there)
		}
	}
}

// A leader that has lost what the producer wrote last refuses what follows. The partition goes on under a new producer's id, and what an answer was
// lost of is looked for in the log.
func TestASeveredProducerBeginsAnew(t *testing.T) {
	k := brokers(t)
	topic(t, k, "severed", 1, nil)
	p := open(t, k, nil)
	events := to("severed", 1, 6)
	all(t, p, events[:2])
	part := p.at(place{"severed", 0})
	before := *part.by
	part.next += 3 // as if three records had been acknowledged that the leader does not know
	if o := p.Publish(t.Context(), events[2:3])[0]; o.Class != sinks.RetryLater || o.Code != "SEQUENCE" {
		t.Fatalf("behind a gap: %+v", o)
	}
	all(t, p, events[2:4])
	if *part.by == before {
		t.Error("the producer is the same")
	}
	// The last event again, as a batch whose answer was lost and whose number the leader does not take.
	records := recordsOf(events[3:4])
	wire, err := encode(records, p.compression, *part.by, part.next+5, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	part.waiting = &batch{ids: []string{records[0].id}, wire: wire, at: time.Now(), doubted: true}
	if o := p.Publish(t.Context(), events[3:])[0]; o.Class != sinks.RetryLater || o.Code != "SEQUENCE" {
		t.Fatalf("of a batch in doubt: %+v", o)
	}
	all(t, p, events[3:])
	for _, fault := range checkLedger(consume(t, k.Brokers(), "severed"), wanted(events)) {
		t.Error(fault)
	}
}
