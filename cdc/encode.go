package cdc

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"
)

type batchHeader struct {
	Source   string    `json:"s"`
	Identity string    `json:"i,omitempty"`
	Snapshot bool      `json:"n,omitempty"`
	Tx       string    `json:"t,omitempty"`
	Part     int       `json:"p,omitempty"`
	More     bool      `json:"m,omitempty"`
	Schemas  []*Schema `json:"c,omitempty"`
	Changes  int       `json:"x,omitempty"`
	Position Position  `json:"o,omitempty"`
	CommitAt int64     `json:"a,omitempty"` // µs since 1970
	Chunk    *Chunk    `json:"k,omitempty"`
}

// The stored form is Data, the header as JSON, the header's length in 4 bytes (little endian) and the version byte 2. Version 1, which
// is still read, was the version byte 1, the header's length as a uvarint, the header, Data; no version 2 begins with that byte, because
// Data begins with a record's letter, and an empty one leaves the header's brace.
const (
	storedHeadFirst = 1
	storedHeadLast  = 2
	storedTrailer   = 4 + 1
)

// AppendBinary appends the batch in its stored form.
func (b *Batch) AppendBinary(buf []byte) ([]byte, error) {
	return b.appendHeader(append(buf, b.Data...))
}

// Stored returns the batch in its stored form, which takes Data over where there is room behind it: a batch is megabytes, and most
// of what its way into the journal costs is copies. Data must not be appended to afterwards.
func (b *Batch) Stored() ([]byte, error) { return b.appendHeader(b.Data) }

func (b *Batch) appendHeader(buf []byte) ([]byte, error) {
	h := batchHeader{b.Source, b.Identity, b.Snapshot, b.Tx, b.Part, b.More, b.Schemas, b.Changes, b.Position, 0, b.Chunk}
	if !b.CommitAt.IsZero() {
		h.CommitAt = b.CommitAt.UnixMicro()
	}
	head, err := json.Marshal(h)
	if err != nil {
		return buf, fmt.Errorf("encoding batch header: %w", err)
	}
	buf = append(buf, head...)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(len(head)))
	return append(buf, storedHeadLast), nil
}

// DecodeBatch reads the stored form. The batch's Data shares the memory of raw.
func DecodeBatch(raw []byte) (Batch, error) {
	head, data, err := splitStored(raw)
	if err != nil {
		return Batch{}, err
	}
	var h batchHeader
	if err := json.Unmarshal(head, &h); err != nil {
		return Batch{}, fmt.Errorf("%w: batch header: %v", ErrCorrupt, err)
	}
	b := Batch{Source: h.Source, Identity: h.Identity, Snapshot: h.Snapshot, Tx: h.Tx, Part: h.Part, More: h.More,
		Schemas: h.Schemas, Data: data, Changes: h.Changes, Position: h.Position, Chunk: h.Chunk}
	if h.CommitAt != 0 {
		b.CommitAt = time.UnixMicro(h.CommitAt).UTC()
	}
	return b, nil
}

func splitStored(raw []byte) (head, data []byte, err error) {
	switch {
	case len(raw) > 0 && raw[0] == storedHeadFirst:
		n, k := binary.Uvarint(raw[1:])
		if k <= 0 || uint64(len(raw)-1-k) < n {
			return nil, nil, fmt.Errorf("%w: batch header cut short", ErrCorrupt)
		}
		return raw[1+k : 1+k+int(n)], raw[1+k+int(n):], nil
	case len(raw) >= storedTrailer && raw[len(raw)-1] == storedHeadLast:
		end := len(raw) - storedTrailer
		n := binary.LittleEndian.Uint32(raw[end:])
		if uint64(n) > uint64(end) {
			return nil, nil, fmt.Errorf("%w: batch header cut short", ErrCorrupt)
		}
		at := end - int(n)
		return raw[at:end], raw[:at:at], nil
	}
	return nil, nil, fmt.Errorf("%w: batch version", ErrCorrupt)
}
