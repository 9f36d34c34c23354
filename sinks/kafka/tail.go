package kafka

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"waybill/sinks"
)

const (
	// settle is how long after our start a request of the process before may still wait in a broker.
	settle = time.Second
	// skew is by how much the clocks of brokers and of ours may differ, where a topic carries the brokers' time.
	skew = 5 * time.Minute
	// lookAgain is the pause between two looks at what a leader has replicated.
	lookAgain = 25 * time.Millisecond
	// maxFetch bounds an answer with records, in bytes.
	maxFetch = 8 << 20
	// scans is how many partitions are read back at the same time.
	scans = 4
)

// Seen implements sinks.Publisher: it reads the end of each partition that the events would go to, back to when the oldest of them was taken.
func (p *Publisher) Seen(ctx context.Context, events []sinks.Publication) ([]bool, error) {
	if err := sleep(ctx, settle-time.Since(p.born)); err != nil {
		return nil, err
	}
	asked, since, err := p.asked(ctx, events)
	if err != nil {
		return nil, err
	}
	seen := make([]bool, len(events))
	errs := make(chan error, len(asked))
	slots := make(chan struct{}, scans)
	var wg sync.WaitGroup
	for where, list := range asked {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs <- p.see(ctx, where, list, since[where], seen)
		})
	}
	wg.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	if err != nil {
		return nil, err
	}
	return seen, nil
}

// asked parts the events by partition, and says for each partition when the oldest was taken. What is of a topic that is not there, or cannot
// be, was never sent.
func (p *Publisher) asked(ctx context.Context, events []sinks.Publication) (map[place][]record, map[place]time.Time, error) {
	asked, since := map[place][]record{}, map[place]time.Time{}
	topics := map[string]int{}
	for i, e := range events {
		topic := p.topic.of(e)
		if illegalTopic(topic) != "" {
			continue
		}
		n, known := topics[topic]
		if !known {
			var err error
			if n, err = p.cluster.partitions(ctx, topic); err != nil && err != errNoTopic {
				return nil, nil, fmt.Errorf("looking for topic %s: %w", topic, err)
			}
			topics[topic] = n
		}
		if n == 0 {
			continue
		}
		where := place{topic, partitionOf([]byte(recordKey(e, p.config.Key)), n)}
		asked[where] = append(asked[where], record{at: i, id: e.Event.ID})
		if oldest, known := since[where]; !known || e.Event.Observed.Before(oldest) {
			since[where] = e.Event.Observed
		}
	}
	return asked, since, nil
}

// see reads one partition back; seen has a place for each event.
func (p *Publisher) see(ctx context.Context, where place, list []record, since time.Time, seen []bool) error {
	ids := make([]string, len(list))
	for i, r := range list {
		ids[i] = r.id
	}
	found, err := p.scan(ctx, where.topic, where.part, ids, since)
	if err != nil {
		return fmt.Errorf("reading back partition %d of %s: %w", where.part, where.topic, err)
	}
	for _, r := range list {
		seen[r.at] = found[r.id]
	}
	return nil
}

// scan reads the end of a partition, back to a time and at most `tail` messages, and returns which of the ids are there.
func (p *Publisher) scan(ctx context.Context, topic string, part int, ids []string, since time.Time) (map[string]bool, error) {
	end, err := p.replicated(ctx, topic, part)
	if err != nil {
		return nil, err
	}
	first, err := p.cluster.offset(ctx, topic, part, kafkago.FirstOffset, consumer)
	if err != nil {
		return nil, err
	}
	from, err := p.cluster.offset(ctx, topic, part, max(0, since.Add(-skew).UnixMilli()), consumer)
	if err != nil {
		return nil, err
	}
	if from < 0 { // nothing is as young
		from = end
	}
	from = max(from, first, end-int64(p.config.Tail))
	want := make(map[string]struct{}, len(ids))
	for _, id := range ids {
		want[id] = struct{}{}
	}
	found := map[string]bool{}
	for from < end && len(want) > 0 {
		next, err := p.fetch(ctx, topic, part, from, time.Second, func(id string) {
			if _, asked := want[id]; asked {
				found[id] = true
				delete(want, id)
			}
		})
		if err != nil {
			return nil, err
		}
		if next <= from {
			break // the rest was compacted away
		}
		from = next
	}
	return found, nil
}

// replicated waits until consumers see all that the leader has now, and returns its end. What an answer was lost of may stand there and yet be
// invisible until it is replicated; a leader that comes may cut it off.
func (p *Publisher) replicated(ctx context.Context, topic string, part int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	target, err := p.cluster.offset(ctx, topic, part, kafkago.LastOffset, onlooker)
	for err == nil {
		var visible, now int64
		if visible, err = p.cluster.offset(ctx, topic, part, kafkago.LastOffset, consumer); err != nil {
			break
		}
		if visible >= target {
			return visible, nil
		}
		if err = sleep(ctx, lookAgain); err != nil {
			return 0, fmt.Errorf("waiting until offset %d is replicated, %d is: %w", target, visible, err)
		}
		now, err = p.cluster.offset(ctx, topic, part, kafkago.LastOffset, onlooker)
		target = min(target, now)
	}
	return 0, err
}

// fetch reads messages from an offset on, for which it waits, calls each with their ids, and returns the offset behind them.
func (p *Publisher) fetch(ctx context.Context, topic string, part int, from int64, wait time.Duration, each func(id string)) (next int64, err error) {
	client := p.cluster.ask()
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	answer, err := client.Fetch(ctx, &kafkago.FetchRequest{Topic: topic, Partition: part, Offset: from, MinBytes: 1, MaxBytes: maxFetch,
		MaxWait: wait})
	if err == nil {
		err = answer.Error
	}
	if err != nil {
		p.cluster.moved(client)
		return 0, err
	}
	next = from
	for {
		r, err := answer.Records.ReadRecord()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		for _, h := range r.Headers {
			if h.Key == headerID {
				each(string(h.Value))
			}
		}
		next = max(next, r.Offset+1)
		for _, held := range []protocol.Bytes{r.Key, r.Value} {
			if held != nil {
				if err := held.Close(); err != nil {
					return 0, err
				}
			}
		}
	}
	if stream, ok := answer.Records.(*protocol.RecordStream); ok { // markers of others' transactions hold a place, too
		for _, batch := range stream.Records {
			if marker, ok := batch.(*protocol.ControlBatch); ok {
				next = max(next, marker.BaseOffset+1)
			}
		}
	}
	return next, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(max(d, 0))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
