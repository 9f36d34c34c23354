package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
	"unsafe"

	"github.com/jackc/pglogrepl"

	"waybill/cdc"
)

// step says what a message meant for the transaction.
type step uint8

const (
	stepNone   step = iota // nothing that concerns the batch
	stepChange             // a change was framed
	stepCommit             // the transaction is complete
)

// stream is the state of pgoutput (protocol version 1, text) between messages: relations, and the transaction at hand. It
// frames rows straight from the socket's bytes; nothing is allocated for a change.
type stream struct {
	enc       cdc.Encoder
	relations map[uint32]*wireRelation
	messages  map[string]*wireRelation  // of selected prefixes; nil before the first message
	loose     func(cdc.Table)           // told once of selected messages that are in no transaction; may be nil
	resolve   func(*wireRelation) error // chooses columns and finds the Schema of a relation

	open   bool // between Begin and Commit
	framed bool // the transaction at hand has a 'B' in enc
	commit pglogrepl.LSN
	end    pglogrepl.LSN // behind the last commit record
	at     time.Time
	xid    uint32
	text   [48]byte
}

// wireRelation is a relation as the stream announced it.
type wireRelation struct {
	oid      uint32
	table    cdc.Table
	identity byte // replica identity: d, n, f or i
	partial  bool // FULL, but not in every partition: an old row may hold the key alone
	loose    bool // of messages: one outside a transaction has come
	columns  []wireColumn
	schema   *cdc.Schema // nil if the table is not selected
	take     []bool      // for each column: it is in the schema
}

type wireColumn struct {
	name     string
	identity bool // part of the replica identity
	typ      typeRef
}

var errShort = errors.New("message cut short")

// message handles one pgoutput message.
func (s *stream) message(b []byte) (step, error) {
	if len(b) == 0 {
		return stepNone, errShort
	}
	kind, b := b[0], b[1:]
	switch kind {
	case 'B':
		return stepNone, s.begin(b)
	case 'C':
		return stepCommit, s.committed(b)
	case 'R':
		return stepNone, s.relation(b)
	case 'I', 'U', 'D':
		return s.row(kind, b)
	case 'T':
		return s.truncate(b)
	case 'M':
		return s.logicalMessage(b)
	case 'Y', 'O': // type, origin: nothing of ours
		return stepNone, nil
	}
	return stepNone, fmt.Errorf("pgoutput message %q is not part of protocol version 1", kind)
}

func (s *stream) begin(b []byte) error {
	if len(b) < 20 {
		return fmt.Errorf("begin: %w", errShort)
	}
	if s.open {
		return errors.New("begin inside a transaction")
	}
	s.open, s.framed = true, false
	s.commit = pglogrepl.LSN(binary.BigEndian.Uint64(b))
	s.at = serverTime(b[8:])
	s.xid = binary.BigEndian.Uint32(b[16:])
	return nil
}

func (s *stream) committed(b []byte) error {
	if len(b) < 25 {
		return fmt.Errorf("commit: %w", errShort)
	}
	if !s.open {
		return errors.New("commit outside a transaction")
	}
	s.open = false
	s.end = pglogrepl.LSN(binary.BigEndian.Uint64(b[9:]))
	return nil
}

// frameTx writes the transaction's 'B' before its first change, or before the first change of its next part. A
// transaction that touched no selected table leaves no trace.
func (s *stream) frameTx() {
	if s.framed {
		return
	}
	s.framed = true
	text := appendLSN(s.text[:0], s.commit)
	n := len(text)
	text = strconv.AppendUint(text, uint64(s.xid), 10)
	// The encoder copies both texts at once, so they may share the scratch array; a small transaction allocates nothing.
	s.enc.Begin(cdc.Tx{Commit: unsafe.String(&text[0], n), XID: unsafe.String(&text[n], len(text)-n), CommitAt: s.at})
}

// appendLSN is LSN.String without the allocation.
func appendLSN(b []byte, lsn pglogrepl.LSN) []byte {
	const digits = "0123456789ABCDEF"
	put := func(b []byte, v uint32) []byte {
		started := false
		for shift := 28; shift >= 0; shift -= 4 {
			d := v >> shift & 15
			if d != 0 || started || shift == 0 {
				b, started = append(b, digits[d]), true
			}
		}
		return b
	}
	return put(append(put(b, uint32(lsn>>32)), '/'), uint32(lsn))
}

func (s *stream) relation(b []byte) error {
	r, err := parseRelation(b)
	if err != nil {
		return fmt.Errorf("relation: %w", err)
	}
	if err := s.resolve(r); err != nil {
		return err
	}
	s.relations[r.oid] = r
	return nil
}

func parseRelation(b []byte) (*wireRelation, error) {
	if len(b) < 4 {
		return nil, errShort
	}
	r := &wireRelation{oid: binary.BigEndian.Uint32(b)}
	b = b[4:]
	var ok bool
	if r.table.Schema, b, ok = cstring(b); !ok {
		return nil, errShort
	}
	if r.table.Schema == "" {
		r.table.Schema = "pg_catalog" // the protocol's abbreviation
	}
	if r.table.Name, b, ok = cstring(b); !ok || len(b) < 3 {
		return nil, errShort
	}
	r.identity = b[0]
	n := int(binary.BigEndian.Uint16(b[1:]))
	b = b[3:]
	for range n {
		if len(b) == 0 {
			return nil, errShort
		}
		c := wireColumn{identity: b[0]&1 != 0}
		if c.name, b, ok = cstring(b[1:]); !ok || len(b) < 8 {
			return nil, errShort
		}
		c.typ = typeRef{binary.BigEndian.Uint32(b), int32(binary.BigEndian.Uint32(b[4:]))}
		b = b[8:]
		r.columns = append(r.columns, c)
	}
	return r, nil
}

func cstring(b []byte) (text string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, false
	}
	return string(b[:i]), b[i+1:], true
}

// find returns the relation of a change; its schema is nil if the table is not selected.
func (s *stream) find(b []byte) (*wireRelation, []byte, error) {
	if !s.open {
		return nil, nil, errors.New("change outside a transaction")
	}
	if len(b) < 4 {
		return nil, nil, errShort
	}
	oid := binary.BigEndian.Uint32(b)
	r := s.relations[oid]
	if r == nil {
		return nil, nil, fmt.Errorf("change of relation %d, which the stream did not announce", oid)
	}
	return r, b[4:], nil
}

func (s *stream) row(kind byte, b []byte) (step, error) {
	r, b, err := s.find(b)
	if err != nil {
		return stepNone, err
	}
	if r.schema == nil {
		return stepNone, nil
	}
	s.frameTx()
	switch {
	case len(b) == 0:
		err = errShort
	case kind == 'I' && b[0] == 'N':
		s.enc.Change(cdc.Insert, r.schema)
		_, err = s.tuple(r, b[1:], false)
	case kind == 'U' && b[0] == 'N':
		s.enc.Change(cdc.Update, r.schema)
		_, err = s.tuple(r, b[1:], false)
	case kind == 'U' && (b[0] == 'K' || b[0] == 'O'):
		s.enc.UpdateOld(r.schema)
		if b, err = s.tuple(r, b[1:], b[0] == 'K' || r.partial); err == nil {
			if len(b) == 0 || b[0] != 'N' {
				err = errShort
			} else {
				_, err = s.tuple(r, b[1:], false)
			}
		}
	case kind == 'D' && (b[0] == 'K' || b[0] == 'O'):
		s.enc.Change(cdc.Delete, r.schema)
		_, err = s.tuple(r, b[1:], b[0] == 'K' || r.partial)
	default:
		err = fmt.Errorf("tuple kind %q does not follow the protocol", b[0])
	}
	if err != nil {
		return stepNone, fmt.Errorf("%s of %s: %w", cdc.Op(kind), r.table, err)
	}
	return stepChange, nil
}

// tuple frames the captured columns of one row and returns what follows it. Of a row that holds the key alone, the other
// columns, which the protocol sends as nulls, are absent. So is a key that is null: no key can be, but a partition may
// have another identity than the root in whose name it comes.
func (s *stream) tuple(r *wireRelation, b []byte, keyOnly bool) ([]byte, error) {
	if len(b) < 2 {
		return nil, errShort
	}
	if n := int(binary.BigEndian.Uint16(b)); n != len(r.columns) {
		return nil, fmt.Errorf("row of %d columns in a relation of %d", n, len(r.columns))
	}
	b = b[2:]
	for i, take := range r.take {
		if len(b) == 0 {
			return nil, errShort
		}
		kind := b[0]
		b = b[1:]
		var value []byte
		if kind == 't' {
			if len(b) < 4 {
				return nil, errShort
			}
			n := uint64(binary.BigEndian.Uint32(b))
			if uint64(len(b)-4) < n {
				return nil, errShort
			}
			value, b = b[4:4+n], b[4+n:]
		}
		if !take {
			continue // Invariant 12: a column that was not chosen is not even copied
		}
		switch {
		case kind == 'u' || keyOnly && (kind == 'n' || !r.columns[i].identity):
			s.enc.Absent()
		case kind == 'n':
			s.enc.Null()
		case kind == 't':
			s.enc.Value(value)
		default:
			return nil, fmt.Errorf("column kind %q does not follow protocol version 1 in text", kind)
		}
	}
	return b, nil
}

// truncate frames one change for each selected table.
func (s *stream) truncate(b []byte) (step, error) {
	if !s.open {
		return stepNone, errors.New("truncate outside a transaction")
	}
	if len(b) < 5 {
		return stepNone, fmt.Errorf("truncate: %w", errShort)
	}
	n := binary.BigEndian.Uint32(b)
	b = b[5:]
	did := stepNone
	for range n {
		r, rest, err := s.find(b)
		if err != nil {
			return stepNone, fmt.Errorf("truncate: %w", err)
		}
		b = rest
		if r.schema != nil {
			s.frameTx()
			s.enc.Change(cdc.Truncate, r.schema)
			did = stepChange
		}
	}
	return did, nil
}
