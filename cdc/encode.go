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

// AppendBinary appends the batch in its stored form: version byte 1, uvarint length, JSON header, Data.
func (b *Batch) AppendBinary(buf []byte) ([]byte, error) {
	h := batchHeader{b.Source, b.Identity, b.Snapshot, b.Tx, b.Part, b.More, b.Schemas, b.Changes, b.Position, 0, b.Chunk}
	if !b.CommitAt.IsZero() {
		h.CommitAt = b.CommitAt.UnixMicro()
	}
	head, err := json.Marshal(h)
	if err != nil {
		return buf, fmt.Errorf("encoding batch header: %w", err)
	}
	buf = append(buf, 1)
	buf = binary.AppendUvarint(buf, uint64(len(head)))
	buf = append(buf, head...)
	return append(buf, b.Data...), nil
}

// DecodeBatch reads what AppendBinary wrote. The batch's Data shares the memory of raw.
func DecodeBatch(raw []byte) (Batch, error) {
	if len(raw) == 0 || raw[0] != 1 {
		return Batch{}, fmt.Errorf("%w: batch version", ErrCorrupt)
	}
	n, k := binary.Uvarint(raw[1:])
	if k <= 0 || uint64(len(raw)-1-k) < n {
		return Batch{}, fmt.Errorf("%w: batch header cut short", ErrCorrupt)
	}
	var h batchHeader
	if err := json.Unmarshal(raw[1+k:1+k+int(n)], &h); err != nil {
		return Batch{}, fmt.Errorf("%w: batch header: %v", ErrCorrupt, err)
	}
	b := Batch{Source: h.Source, Identity: h.Identity, Snapshot: h.Snapshot, Tx: h.Tx, Part: h.Part, More: h.More,
		Schemas: h.Schemas, Data: raw[1+k+int(n):], Changes: h.Changes, Position: h.Position, Chunk: h.Chunk}
	if h.CommitAt != 0 {
		b.CommitAt = time.UnixMicro(h.CommitAt).UTC()
	}
	return b, nil
}
