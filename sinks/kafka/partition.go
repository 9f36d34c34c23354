package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"waybill/sinks"
)

// partition is the way to one partition of a topic: one batch at a time, numbered, and none behind one whose fate is not known.
type partition struct {
	of    *Publisher
	topic string
	id    int

	turn chan struct{} // holds one: whoever took it uses what is below

	by      *producer // nil until there is something to send
	next    int32     // sequence of the next record
	waiting *batch    // sent, and not known to be there; it goes first
	landed  map[string]struct{}
	most    int // bytes of a batch, as the topic takes them
}

// maxLanded bounds the ids of events that are in the log without anybody having asked for them again.
const maxLanded = 100_000

// batch is what is sent at once.
type batch struct {
	ids     []string
	wire    []byte
	at      time.Time
	doubted bool // an answer was lost: it may be in the log
}

func newPartition(of *Publisher, topic string, id int) *partition {
	return &partition{of: of, topic: topic, id: id, turn: make(chan struct{}, 1), landed: map[string]struct{}{}, most: of.config.BatchBytes}
}

// send brings records into the partition, in their order, and puts what became of each in its place of out.
func (p *partition) send(ctx context.Context, records []record, out []sinks.Outcome) {
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		fill(records, out, unanswered(ctx.Err()).outcome(ctx.Err()))
		return
	}
	if p.waiting != nil {
		if o := p.push(ctx); p.waiting != nil || !o.Done() && o.Class != sinks.Rejected {
			fill(records, out, o)
			return
		}
	}
	held := map[string]bool{} // order keys of what was refused
	for count := p.of.config.Batch; len(records) > 0; {
		records = p.skip(records, held, out)
		if len(records) == 0 {
			return
		}
		n := p.fit(records, count)
		o := p.first(ctx, records[:n])
		switch {
		case o.Done():
			base := o.Ref
			for i, r := range records[:n] {
				o.Ref = fmt.Sprintf("%s+%d", base, i)
				out[r.at] = o
			}
			records = records[n:]
		case o.Class == sinks.Rejected && n > 1: // which of them it is shows when they go in smaller batches
			if count = (n + 1) / 2; o.Code == "TOO_LARGE" {
				p.most = max(1, min(p.most, size(records[:n]))/2)
			}
		case o.Class == sinks.Rejected:
			out[records[0].at] = o
			held[records[0].orderKey] = true
			records = records[1:]
		default:
			fill(records[:n], out, o)
			fill(records[n:], out, behind)
			return
		}
	}
}

var behind = sinks.Outcome{Class: sinks.RetryLater, Code: sinks.CodeBehind}

func fill(records []record, out []sinks.Outcome, o sinks.Outcome) {
	for _, r := range records {
		out[r.at] = o
	}
}

// skip takes out what is in the log already, and what stands behind something that was refused.
func (p *partition) skip(records []record, held map[string]bool, out []sinks.Outcome) []record {
	if len(held) == 0 && len(p.landed) == 0 {
		return records
	}
	left := make([]record, 0, len(records))
	for _, r := range records {
		if held[r.orderKey] {
			out[r.at] = behind
			continue
		}
		if _, there := p.landed[r.id]; there {
			delete(p.landed, r.id)
			out[r.at] = sinks.Outcome{Class: sinks.Applied, Ref: p.name()}
			continue
		}
		left = append(left, r)
	}
	return left
}

// fit is how many of the records go into one batch: at least one.
func (p *partition) fit(records []record, count int) int {
	total := batchHead
	for i := range records {
		total += records[i].size(i)
		if i > 0 && (i >= count || total > p.most) {
			return i
		}
	}
	return len(records)
}

func size(records []record) int {
	total := batchHead
	for i := range records {
		total += records[i].size(i)
	}
	return total
}

// first sends a batch for the first time.
func (p *partition) first(ctx context.Context, records []record) sinks.Outcome {
	if p.by == nil || p.next > math.MaxInt32-int32(len(records)) {
		by, err := p.of.cluster.producer(ctx)
		if err != nil {
			m := classify(err)
			return m.outcome(fmt.Errorf("asking for a producer's id: %w", err))
		}
		p.by, p.next = &by, 0
	}
	b := &batch{ids: make([]string, len(records)), at: time.Now()}
	for i := range records {
		b.ids[i] = records[i].id
	}
	var err error
	if b.wire, err = encode(records, p.of.compression, *p.by, p.next, b.at); err != nil {
		return sinks.Outcome{Class: sinks.Setup, Code: "COMPRESSION", Message: err.Error(), Hint: "Choose another compression."}
	}
	p.waiting = b
	o := p.push(ctx)
	if o.Done() { // its events are told now
		for _, id := range b.ids {
			delete(p.landed, id)
		}
	}
	return o
}

// push sends the waiting batch once. Behind it none is waiting when the batch is in the log, or certainly is not; its ids are among landed in the
// former case.
func (p *partition) push(ctx context.Context) sinks.Outcome {
	b, client := p.waiting, p.of.cluster.ask()
	began := time.Now()
	offset, err := p.produce(ctx, client, b.wire)
	m := classify(err)
	if m.moved {
		p.of.cluster.moved(client)
	}
	o := m.outcome(err)
	o.Took = time.Since(began)
	switch {
	case m.fate == present:
		p.next += int32(len(b.ids))
		p.waiting = nil
		p.keep(b.ids)
		o.Ref = fmt.Sprintf("%s@%d", p.name(), offset)
	case m.fate == maybe:
		b.doubted = true
	case m.fate == severed, b.doubted && m.class == sinks.Rejected:
		return p.severed(ctx, o)
	case !b.doubted:
		p.waiting = nil
	}
	return o
}

// severed ends the producer: its numbers cannot be gone on with. Whether the waiting batch is in the log is read from the log itself if an answer
// of it was lost.
func (p *partition) severed(ctx context.Context, o sinks.Outcome) sinks.Outcome {
	if b := p.waiting; b.doubted {
		found, err := p.of.scan(ctx, p.topic, p.id, b.ids, b.at)
		if err != nil {
			return classify(err).outcome(fmt.Errorf("reading back %s: %w", p.name(), err))
		}
		p.keep(slices.Collect(maps.Keys(found)))
	}
	p.waiting, p.by = nil, nil
	return o
}

// keep remembers what is in the log until it is asked for.
func (p *partition) keep(ids []string) {
	for _, id := range ids {
		if len(p.landed) >= maxLanded {
			for old := range p.landed {
				delete(p.landed, old)
				break
			}
		}
		p.landed[id] = struct{}{}
	}
}

// produce is one request. The error is one of the protocol, or of the way to the broker.
func (p *partition) produce(ctx context.Context, client *kafkago.Client, wire []byte) (offset int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, p.of.config.Timeout)
	defer cancel()
	answer, err := client.RawProduce(ctx, &kafkago.RawProduceRequest{Topic: p.topic, Partition: p.id, RequiredAcks: kafkago.RequireAll,
		RawRecords: protocol.RawRecordSet{Reader: bytes.NewReader(wire)}})
	if err != nil {
		return 0, err
	}
	if answer.Error != nil && len(answer.RecordErrors) > 0 {
		for _, said := range answer.RecordErrors {
			return 0, errors.Join(answer.Error, said)
		}
	}
	return answer.BaseOffset, answer.Error
}

func (p *partition) name() string { return fmt.Sprintf("%s/%d", p.topic, p.id) }
