package cdc

import (
	"encoding/binary"
	"slices"
)

// bufferMax bounds the memory that an Encoder keeps between batches: one huge row must not stay with it for ever.
const bufferMax = 4 << 20

// Mark is a place in an Encoder, between two changes.
type Mark struct {
	size    int
	changes int
	schemas int
}

// Len returns the number of bytes before the mark.
func (m Mark) Len() int { return m.size }

// Mark returns the place behind everything written so far. A source keeps the mark of the last commit, so that it can hand
// on whole transactions although the next one has begun to arrive.
func (e *Encoder) Mark() Mark { return Mark{len(e.buf), e.changes, len(e.schemas)} }

// Cut hands over what was written before m, with its number of changes, and keeps the rest as the beginning of the next
// batch. m must come from this encoder since the last Reset, Take or Cut, and lie between two transactions, or at the end.
// Unlike Take it never hands over much more memory than the data needs.
func (e *Encoder) Cut(m Mark) (data []byte, changes int) {
	changes = m.changes
	if m.size == len(e.buf) {
		data = e.buf
		if cap(data) > 2*len(data) {
			data = slices.Clone(data)
		} else {
			e.buf = buffer(min(cap(data), bufferMax))
		}
		e.Reset()
		if cap(e.buf) > bufferMax {
			e.buf = nil
		}
		return data, changes
	}
	// The rest numbers its schemas as the whole did, so it begins with the relations that the part before it brought. They
	// take less room than what is handed over: each was written there, before at least one change.
	data, tail := e.buf[:m.size], e.buf[m.size:]
	known := e.first(m.schemas)
	if 2*m.size < cap(e.buf) {
		data = slices.Clone(data)
		e.buf = e.buf[:relationSize*len(known)+copy(e.buf[relationSize*len(known):], tail)]
	} else {
		e.buf = append(buffer(min(cap(e.buf), bufferMax))[:relationSize*len(known)], tail...)
	}
	head := e.buf[:0]
	for _, s := range known {
		head = append(head, 'R')
		head = binary.BigEndian.AppendUint64(head, s.ID())
	}
	e.changes -= m.changes
	return data, changes
}

// relationSize is the size of an 'R' record.
const relationSize = 9

// first returns the first n schemas by their local number.
func (e *Encoder) first(n int) []*Schema {
	list := make([]*Schema, n)
	for s, i := range e.schemas {
		if i < uint64(n) {
			list[i] = s
		}
	}
	return list
}
