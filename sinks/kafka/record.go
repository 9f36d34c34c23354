package kafka

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"time"

	"github.com/segmentio/kafka-go/compress"

	"waybill/sinks"
	"waybill/transform"
)

// headerID is the header that carries the event's id.
const headerID = "ce_id"

// record is an event as it stands in a partition.
type record struct {
	at       int    // its place in the call
	id       string // of the event
	orderKey string
	topic    string
	part     int
	body     []byte // key, value and headers, as in a batch
}

// recordKey is what an event's partition is chosen by.
func recordKey(p sinks.Publication, by string) string {
	if by == keyOrderKey && p.Event.OrderKey != "" {
		return p.Event.OrderKey
	}
	return subject(p)
}

func subject(p sinks.Publication) string {
	return transform.Ref(p.Event.Company, p.Event.Entity, p.Event.Key)
}

// recordBody is an event in the binary binding. A value is never null: on a compacted topic that would delete the key.
func recordBody(p sinks.Publication, key string) []byte {
	attributes := p.Event.CloudAttributes()
	size := len(key) + len(p.Event.Data) + 64
	for _, a := range attributes {
		size += len(a.Name) + len(a.Value) + 8
	}
	b := make([]byte, 0, size)
	b = appendText(b, key)
	b = binary.AppendVarint(b, int64(len(p.Event.Data)))
	b = append(b, p.Event.Data...)
	b = binary.AppendVarint(b, int64(len(attributes)+2))
	for _, a := range attributes {
		if a.Name == "datacontenttype" { // the binding's own name for it
			b = appendText(appendText(b, "content-type"), a.Value)
			continue
		}
		b = binary.AppendVarint(b, int64(len("ce_")+len(a.Name)))
		b = append(append(b, "ce_"...), a.Name...)
		b = appendText(b, a.Value)
	}
	b = appendText(appendText(b, "ce_partitionkey"), orderKey(p)) // what the sequence counts in
	return appendText(appendText(b, "ce_sequence"), fmt.Sprintf("%020d", p.Sequence))
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendVarint(b, int64(len(text))), text...)
}

// varintSize is how many bytes binary.AppendVarint takes for a number that is not negative.
func varintSize(n int) int { return (bits.Len64(uint64(n)<<1|1) + 6) / 7 }

// size is how many bytes the record takes behind n others of a batch.
func (r *record) size(n int) int {
	length := 2 + varintSize(n) + len(r.body) // attributes, time, place
	return varintSize(length) + length
}

// batchHead is how long a batch is without its records, and where its fields are (Kafka protocol, record batch, magic 2).
const batchHead = 61

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode makes a batch, with its length before it, as a produce request wants it. All records carry the time of the batch.
func encode(records []record, compression compress.Compression, by producer, sequence int32, at time.Time) ([]byte, error) {
	size := 4 + batchHead
	for i := range records {
		size += records[i].size(i)
	}
	b := make([]byte, 4+batchHead, size)
	b = appendRecords(b, records)
	if codec := compression.Codec(); codec != nil {
		var packed bytes.Buffer
		packed.Grow(size / 3)
		packed.Write(b[:4+batchHead])
		w := codec.NewWriter(&packed)
		if _, err := io.Copy(w, bytes.NewReader(b[4+batchHead:])); err != nil {
			return nil, fmt.Errorf("compressing a batch: %w", err)
		}
		if err := w.Close(); err != nil {
			return nil, fmt.Errorf("compressing a batch: %w", err)
		}
		b = packed.Bytes()
	}
	big, head := binary.BigEndian, b[4:]
	big.PutUint32(b, uint32(len(head)))
	big.PutUint32(head[8:], uint32(len(head)-12))
	big.PutUint32(head[12:], ^uint32(0)) // the leader's epoch, which the broker writes
	head[16] = 2
	big.PutUint16(head[21:], uint16(compression))
	big.PutUint32(head[23:], uint32(len(records)-1))
	big.PutUint64(head[27:], uint64(at.UnixMilli()))
	big.PutUint64(head[35:], uint64(at.UnixMilli()))
	big.PutUint64(head[43:], uint64(by.id))
	big.PutUint16(head[51:], uint16(by.epoch))
	big.PutUint32(head[53:], uint32(sequence))
	big.PutUint32(head[57:], uint32(len(records)))
	big.PutUint32(head[17:], crc32.Checksum(head[21:], castagnoli))
	return b, nil
}

func appendRecords(b []byte, records []record) []byte {
	for i := range records {
		r := &records[i]
		b = binary.AppendVarint(b, int64(2+varintSize(i)+len(r.body)))
		b = append(b, 0, 0) // no attributes; at the time of the batch
		b = binary.AppendVarint(b, int64(i))
		b = append(b, r.body...)
	}
	return b
}
