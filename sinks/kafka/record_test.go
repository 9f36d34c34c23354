package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/compress"
	"github.com/segmentio/kafka-go/protocol"
	"pgregory.net/rapid"

	"waybill/sinks"
	"waybill/transform"
)

// The vectors are those of Kafka's own test of its hash (org.apache.kafka.common.utils.UtilsTest).
func TestPartitionIsThatOfTheJavaClient(t *testing.T) {
	for key, hash := range map[string]int32{"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536,
		"a-little-bit-longer-string": -1486304829, "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971, "abc": 479470107} {
		for _, n := range []int{1, 3, 12, 1_000_003} {
			if got, want := partitionOf([]byte(key), n), int(hash&0x7fffffff)%n; got != want {
				t.Errorf("%s among %d: %d, expected %d", key, n, got, want)
			}
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOf(rapid.Byte()).Draw(t, "key")
		list := make([]int, rapid.IntRange(1, 100).Draw(t, "partitions"))
		for i := range list {
			list[i] = i
		}
		if got, want := partitionOf(key, len(list)), (kafkago.Murmur2Balancer{Consistent: true}).Balance(kafkago.Message{Key: key}, list...); got != want {
			t.Fatalf("%q: %d, expected %d", key, got, want)
		}
	})
}

func TestVarintSize(t *testing.T) {
	for _, c := range []struct{ n, want int }{{0, 1}, {63, 1}, {64, 2}, {8191, 2}, {8192, 3}, {1 << 26, 4}} {
		if got := varintSize(c.n); got != c.want {
			t.Errorf("%d: %d bytes, expected %d", c.n, got, c.want)
		}
	}
}

// some makes an event of a shipment.
func some(shipment, n int) sinks.Publication {
	key := fmt.Sprint(88000 + shipment)
	at := time.Date(2026, 11, 23, 9, 0, n%60, 0, time.UTC)
	return sinks.Publication{Topic: "milestones", Sequence: uint64(n), Event: &transform.Event{ID: fmt.Sprintf("%s-%06d", key, n), Type: "shipment.arrived",
		Source: "/northstar/dispatch/public.stops", Entity: "shipment", Key: key, Company: "NSTR", Lane: transform.LaneTransactional,
		OrderKey: "shipment/" + key, Occurred: at, Recorded: at, Observed: time.Now(), Correlation: "shipment/" + key, MapVersion: "northstar/7",
		Position: fmt.Sprintf("0/%X", n), Data: fmt.Appendf(nil, `{"shipment":"%s","stop":"%d"}`, key, n)}}
}

func recordsOf(events []sinks.Publication) []record {
	var all []record
	for i, e := range events {
		all = append(all, record{at: i, id: e.Event.ID, orderKey: e.Event.OrderKey, body: recordBody(e, recordKey(e, keySubject))})
	}
	return all
}

// kafka-go reads what we write, whatever the compression.
func TestBatchIsReadBack(t *testing.T) {
	for code, name := range compressions {
		t.Run(name, func(t *testing.T) {
			var events []sinks.Publication
			for i := range 300 {
				events = append(events, some(i%7, i))
			}
			events[5].Event.Data = nil
			at := time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
			raw, err := encode(recordsOf(events), compress.Compression(code), producer{id: 4711, epoch: 3}, 70, at)
			if err != nil {
				t.Fatal(err)
			}
			var set protocol.RecordSet
			if _, err := set.ReadFrom(bytes.NewBuffer(raw)); err != nil {
				t.Fatal(err)
			}
			batch := set.Records.(*protocol.RecordStream).Records[0].(*protocol.RecordBatch)
			if batch.ProducerID != 4711 || batch.ProducerEpoch != 3 || batch.BaseSequence != 70 {
				t.Errorf("producer %d, epoch %d, sequence %d", batch.ProducerID, batch.ProducerEpoch, batch.BaseSequence)
			}
			n := 0
			for ; ; n++ {
				r, err := batch.ReadRecord()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				sameRecord(t, r, events[n], at)
			}
			if n != len(events) {
				t.Errorf("%d records, expected %d", n, len(events))
			}
		})
	}
}

func sameRecord(t *testing.T, r *protocol.Record, e sinks.Publication, at time.Time) {
	t.Helper()
	key, err := protocol.ReadAll(r.Key)
	if err != nil {
		t.Fatal(err)
	}
	value, err := protocol.ReadAll(r.Value)
	if err != nil {
		t.Fatal(err)
	}
	if string(key) != subject(e) || string(value) != string(e.Event.Data) || r.Value == nil || !r.Time.Equal(at) {
		t.Errorf("key %q, value %q, time %s", key, value, r.Time)
	}
	want := map[string]string{"content-type": "application/json", "ce_id": e.Event.ID, "ce_specversion": "1.0", "ce_sequence": fmt.Sprintf("%020d", e.Sequence), "ce_partitionkey": e.Event.OrderKey}
	for _, h := range r.Headers {
		if w, known := want[h.Key]; known && w != string(h.Value) {
			t.Errorf("%s: %q, expected %q", h.Key, h.Value, w)
		}
		if h.Key != "content-type" && !strings.HasPrefix(h.Key, "ce_") || h.Key == "ce_datacontenttype" {
			t.Errorf("a header %s", h.Key)
		}
		delete(want, h.Key)
	}
	if len(want) > 0 {
		t.Errorf("headers that are missing: %v", want)
	}
}

func TestSizeIsThatOfTheBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var records []record
		for range rapid.IntRange(1, 200).Draw(t, "records") {
			records = append(records, record{body: make([]byte, rapid.IntRange(3, 9000).Draw(t, "bytes"))})
		}
		raw, err := encode(records, compress.None, producer{}, 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if got := size(records); got != len(raw)-4 {
			t.Fatalf("%d bytes, expected %d", got, len(raw)-4)
		}
	})
}
