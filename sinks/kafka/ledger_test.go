package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// entry is a message as a consumer reads it.
type entry struct {
	partition int
	offset    int64
	key       string
	value     string
	headers   map[string]string
}

// consume reads a whole topic with kafka-go's Reader: it shares nothing with what publishes. Within a partition the entries stand in order.
func consume(t *testing.T, brokers []string, topic string) []entry {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := kafkago.DialContext(ctx, "tcp", brokers[0])
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil { // kafka-go's connections know of no context
		t.Fatal(err)
	}
	partitions, err := conn.ReadPartitions(topic)
	if err != nil {
		t.Fatal(err)
	}
	lists := make([][]entry, len(partitions))
	var wg sync.WaitGroup
	for i, p := range partitions {
		wg.Go(func() {
			var err error
			if lists[i], err = consumePartition(ctx, brokers, topic, p.ID); err != nil {
				t.Errorf("reading partition %d of %s: %v", p.ID, topic, err)
			}
		})
	}
	wg.Wait()
	var all []entry
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

func consumePartition(ctx context.Context, brokers []string, topic string, partition int) ([]entry, error) {
	leader, err := kafkago.DialLeader(ctx, "tcp", brokers[0], topic, partition)
	if err != nil {
		return nil, err
	}
	err = leader.SetDeadline(time.Now().Add(30 * time.Second))
	end, e := leader.ReadLastOffset()
	if err = errors.Join(err, e, leader.Close()); err != nil {
		return nil, err
	}
	r := kafkago.NewReader(kafkago.ReaderConfig{Brokers: brokers, Topic: topic, Partition: partition, MaxBytes: 10 << 20, MaxWait: 100 * time.Millisecond})
	defer r.Close()
	var list []entry
	for next := int64(0); next < end; {
		m, err := r.ReadMessage(ctx)
		if err != nil {
			return nil, err
		}
		headers := map[string]string{}
		for _, h := range m.Headers {
			headers[h.Key] = string(h.Value)
		}
		list = append(list, entry{m.Partition, m.Offset, string(m.Key), string(m.Value), headers})
		next = m.Offset + 1
	}
	return list, nil
}

// checkLedger counts what is wrong with a topic: ids that are not there, that are there more than once, keys out of order or in two partitions.
func checkLedger(all []entry, wanted map[string]bool) (faults []string) {
	seen := map[string]int{}
	at := map[string]int{}   // key → its partition
	last := map[string]int{} // key → sequence of its last message
	for _, e := range all {
		id := e.headers["ce_id"]
		if seen[id]++; seen[id] == 2 {
			faults = append(faults, fmt.Sprintf("%s is there twice, the second at %d/%d", id, e.partition, e.offset))
		}
		if !wanted[id] {
			faults = append(faults, fmt.Sprintf("%s was never sent", id))
		}
		if p, known := at[e.key]; known && p != e.partition {
			faults = append(faults, fmt.Sprintf("%s is in partitions %d and %d", e.key, p, e.partition))
		}
		sequence, err := strconv.Atoi(e.headers["ce_sequence"])
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: sequence %q", id, e.headers["ce_sequence"]))
		}
		if before := last[e.key]; sequence != before+1 {
			faults = append(faults, fmt.Sprintf("%s: sequence %d behind %d at %d/%d", e.key, sequence, before, e.partition, e.offset))
		}
		at[e.key], last[e.key] = e.partition, sequence
	}
	for id := range wanted {
		if seen[id] == 0 {
			faults = append(faults, id+" is not there")
		}
	}
	return faults
}

func TestTheCheckerSees(t *testing.T) {
	message := func(partition int, key string, sequence int) entry {
		return entry{partition: partition, key: key, headers: map[string]string{"ce_id": fmt.Sprintf("%s-%d", key, sequence), "ce_sequence": strconv.Itoa(sequence)}}
	}
	wanted := map[string]bool{"a-1": true, "a-2": true}
	for _, c := range []struct {
		name   string
		all    []entry
		faults int
	}{
		{"all is well", []entry{message(0, "a", 1), message(0, "a", 2)}, 0},
		{"lost", []entry{message(0, "a", 1)}, 1},
		{"twice", []entry{message(0, "a", 1), message(0, "a", 2), message(0, "a", 2)}, 2},
		{"order", []entry{message(0, "a", 2), message(0, "a", 1)}, 2},
		{"elsewhere", []entry{message(0, "a", 1), message(1, "a", 2)}, 1},
		{"strange", []entry{message(0, "a", 1), message(0, "a", 2), message(0, "a", 3)}, 1},
	} {
		if got := checkLedger(c.all, wanted); len(got) != c.faults {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
