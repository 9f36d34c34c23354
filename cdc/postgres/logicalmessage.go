package postgres

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"waybill/cdc"
)

// messageTable is how a mapping selects logical messages: as the rows of a table that is not there, with the columns prefix
// and content. SELECT pg_logical_emit_message(true, 'invoice', '{"no": 7}') then comes as an insert in its transaction, at its
// place among the other changes: an outbox that leaves nothing in the database. The table has no key, and no rows to
// read beside the stream.
//
// A message that is not transactional is not an event: it belongs to no commit, has no time, and may speak of what was rolled
// back. Content is text; what is not UTF-8 fails to decode. The server sends its bytes as they are, so a database in another
// encoding needs ASCII here. PostgreSQL sends messages from version 14 on.
var messageTable = cdc.Table{Schema: "pg_catalog", Name: "pg_logical_message"}

// messageRelation is messageTable as if the stream had announced it.
func messageRelation() *wireRelation {
	text := typeRef{oid: 25, modifier: -1}
	return &wireRelation{table: messageTable, identity: 'n', columns: []wireColumn{{name: "prefix", typ: text}, {name: "content", typ: text}}}
}

// messageSchema is the shape of the captured messages, and says in r which columns are taken.
func messageSchema(source string, r *wireRelation, keep func(column string) bool) *cdc.Schema {
	s := &cdc.Schema{Source: source, Table: r.table, Codec: CodecName}
	r.take = make([]bool, len(r.columns))
	for i, c := range r.columns {
		if r.take[i] = keep(c.name); r.take[i] {
			s.Columns = append(s.Columns, cdc.Column{Name: c.name, Type: "text", Kind: cdc.KindText, NotNull: true, Meta: "25"})
		}
	}
	return s
}

// logicalMessage frames a message of the transaction at hand.
func (s *stream) logicalMessage(b []byte) (step, error) {
	const fixed = 1 + 8 // flags, and the position of the message
	if len(b) < fixed {
		return stepNone, fmt.Errorf("logical message: %w", errShort)
	}
	transactional := b[0]&1 != 0
	prefix, rest, ok := bytes.Cut(b[fixed:], []byte{0})
	if !ok || len(rest) < 4 || uint64(len(rest)-4) != uint64(binary.BigEndian.Uint32(rest)) {
		return stepNone, fmt.Errorf("logical message: %w", errShort)
	}
	if !transactional {
		return stepNone, nil
	}
	if !s.open {
		return stepNone, errors.New("a transactional message outside a transaction")
	}
	if s.messages == nil {
		r := messageRelation()
		if err := s.resolve(r); err != nil {
			return stepNone, err
		}
		s.messages = r
	}
	r := s.messages
	if r.schema == nil {
		return stepNone, nil
	}
	s.frameTx()
	s.enc.Change(cdc.Insert, r.schema)
	for i, value := range [][]byte{prefix, rest[4:]} {
		if r.take[i] {
			s.enc.Value(value)
		}
	}
	return stepChange, nil
}

// options are what START_REPLICATION tells pgoutput.
func (s *Source) options() string {
	text := "proto_version '1', publication_names " + literal(identifier(s.cfg.Publication))
	if s.choices[messageTable] != nil {
		text += ", messages 'true'"
	}
	return text
}
