package kafka

import (
	"context"
	"fmt"
	"sync"

	"waybill/sinks"
)

// maxEvent bounds a record: brokers end the connection of a request that they find too large to read (100 MiB).
const maxEvent = 64 << 20

// Publish implements sinks.Publisher. Partitions are sent to at the same time. Events of one order key that are in several partitions go one
// partition behind the other, in rounds.
func (p *Publisher) Publish(ctx context.Context, events []sinks.Publication) []sinks.Outcome {
	out := make([]sinks.Outcome, len(events))
	records, stopped := p.records(ctx, events, out)
	for _, round := range rounds(records) {
		var wg sync.WaitGroup
		for where, list := range round {
			list = stopped.pass(list, out)
			if len(list) == 0 {
				continue
			}
			wg.Go(func() { p.at(where).send(ctx, list, out) }) // each to places of its own in out
		}
		wg.Wait()
		for _, list := range round {
			for _, r := range list {
				if !out[r.at].Done() {
					stopped.at(r)
				}
			}
		}
	}
	return out
}

// stops are the places in the call behind which nothing is sent of an order key.
type stops map[string]int

// at stops what stands behind a record.
func (s stops) at(r record) {
	if first, set := s[r.orderKey]; !set || r.at < first {
		s[r.orderKey] = r.at
	}
}

// pass leaves those that may be sent.
func (s stops) pass(records []record, out []sinks.Outcome) []record {
	if len(s) == 0 {
		return records
	}
	left := make([]record, 0, len(records))
	for _, r := range records {
		if first, set := s[r.orderKey]; set && first < r.at {
			out[r.at] = behind
			continue
		}
		left = append(left, r)
	}
	return left
}

// records are the events that can be sent, in their order. What cannot has its outcome.
func (p *Publisher) records(ctx context.Context, events []sinks.Publication, out []sinks.Outcome) ([]record, stops) {
	stopped := stops{}
	topics := map[string]int{}
	wrong := map[string]sinks.Outcome{}
	records := make([]record, 0, len(events))
	for i, e := range events {
		r := record{at: i, id: e.Event.ID, orderKey: orderKey(e), topic: p.topic.of(e)}
		if fault := illegalTopic(r.topic); fault != "" {
			out[i] = sinks.Outcome{Class: sinks.Rejected, Code: "TOPIC", Field: "topic", Message: fmt.Sprintf("a topic cannot be named %q", r.topic),
				Hint: "Correct topic in the sink's configuration, or what publish names in the mapping: " + fault + "."}
			stopped.at(r)
			continue
		}
		if o, known := wrong[r.topic]; known {
			out[i] = o
			stopped.at(r)
			continue
		}
		n, known := topics[r.topic]
		if !known {
			var err error
			if n, err = p.cluster.partitions(ctx, r.topic); err != nil {
				out[i] = topicOutcome(r.topic, err)
				wrong[r.topic] = out[i]
				stopped.at(r)
				continue
			}
			topics[r.topic] = n
		}
		key := recordKey(e, p.config.Key)
		r.part, r.body = partitionOf([]byte(key), n), recordBody(e, key)
		if len(r.body) > maxEvent {
			out[i] = sinks.Outcome{Class: sinks.Rejected, Code: "TOO_LARGE", Message: fmt.Sprintf("an event of %d bytes", len(r.body)), Hint: hintBig}
			stopped.at(r)
			continue
		}
		records = append(records, r)
	}
	return records, stopped
}

// orderKey is what must stay in order; an event without one is in order with its subject.
func orderKey(e sinks.Publication) string {
	if e.Event.OrderKey != "" {
		return e.Event.OrderKey
	}
	return subject(e)
}

// topicOutcome is what an error of looking for a topic means.
func topicOutcome(topic string, err error) sinks.Outcome {
	if err == errNoTopic {
		return sinks.Outcome{Class: sinks.Setup, Code: "TOPIC", Message: fmt.Sprintf("topic %s is not there", topic), Hint: hintTopic}
	}
	return classify(err).outcome(fmt.Errorf("looking for topic %s: %w", topic, err))
}

// rounds part the records so that within a round the records of an order key are in one partition, and that neither an order key nor a partition
// sees a later record in an earlier round.
func rounds(records []record) []map[place][]record {
	type last struct {
		round int
		where place
	}
	keys, parts := map[string]last{}, map[place]int{}
	var all []map[place][]record
	for _, r := range records {
		where := place{r.topic, r.part}
		round := parts[where]
		if before, known := keys[r.orderKey]; known {
			if before.where != where {
				before.round++
			}
			round = max(round, before.round)
		}
		keys[r.orderKey], parts[where] = last{round, where}, round
		for len(all) <= round {
			all = append(all, map[place][]record{})
		}
		all[round][where] = append(all[round][where], r)
	}
	return all
}
