package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"waybill/cdc"
)

// Logical messages are captured under the prefixes that are selected as cdc.Messages: SELECT pg_logical_emit_message(true,
// 'invoice', '{"no": 7}') comes as an insert in its transaction, at its place among the other changes. Messages of other prefixes are
// dropped here.
//
// A message that is not transactional is not captured: it belongs to no commit, has no time, and may speak of what is rolled back
// afterwards. Under a selected prefix it is warned of. Content is text; what is not UTF-8 fails to decode. The server sends its
// bytes as they are, so a database in another encoding needs ASCII here.

// messagesSince is the server version from which pgoutput sends messages.
const messagesSince = 140000

// messageShape is the Schema of captured messages.
func messageShape(source string, t cdc.Table) *cdc.Schema {
	return &cdc.Schema{Source: source, Table: t, Codec: CodecName,
		Columns: []cdc.Column{{Name: "content", Type: "text", Kind: cdc.KindText, NotNull: true, Meta: "25"}}}
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
	if transactional && !s.open {
		return stepNone, errors.New("a transactional message outside a transaction")
	}
	r, err := s.messagesOf(prefix)
	switch {
	case err != nil:
		return stepNone, err
	case r.schema == nil:
		return stepNone, nil
	case !transactional:
		if s.loose != nil && !r.loose {
			r.loose = true
			s.loose(r.table)
		}
		return stepNone, nil
	}
	s.frameTx()
	s.enc.Change(cdc.Insert, r.schema)
	s.enc.Value(rest[4:])
	return stepChange, nil
}

// messagesOf returns the messages of a prefix as if the stream had announced a relation; without a schema when nobody selects
// them. Only selected ones are remembered: how many others there are is for their writers to say.
func (s *stream) messagesOf(prefix []byte) (*wireRelation, error) {
	if r := s.messages[string(prefix)]; r != nil {
		return r, nil
	}
	r := &wireRelation{table: cdc.Messages(string(prefix)), columns: []wireColumn{{name: "content", typ: typeRef{oid: 25, modifier: -1}}}}
	if err := s.resolve(r); err != nil || r.schema == nil {
		return r, err
	}
	if s.messages == nil {
		s.messages = map[string]*wireRelation{}
	}
	s.messages[r.table.Name] = r
	return r, nil
}

// warnLoose tells once a session of messages that are not events.
func (n *session) warnLoose(t cdc.Table) {
	n.log.Warn("a message outside a transaction is not captured: emit it with pg_logical_emit_message(true, ...)",
		"source", n.source.cfg.Name, "messages", t.String())
}

// options are what START_REPLICATION tells pgoutput.
func (s *Source) options() string {
	text := "proto_version '1', publication_names " + literal(identifier(s.cfg.Publication))
	if len(s.messages) > 0 {
		text += ", messages 'true'"
	}
	return text
}

// checkMessages looks whether the server sends the selected messages.
func (s *Source) checkMessages(version int) (list []cdc.Finding) {
	for _, t := range s.messages {
		check := aboutTable.of(t.String())
		if version >= messagesSince {
			list = append(list, good(check, "logical messages"))
			continue
		}
		list = append(list, fail(check, fmt.Sprintf("the server is PostgreSQL %d", version/10000), "14 or newer",
			"Older servers do not send logical messages.", "Write what the event needs into a table, and read that in the mapping."))
	}
	return list
}

func hasMessages(ctx context.Context, conn *pgx.Conn) (bool, error) {
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return false, fmt.Errorf("asking the server for its version: %w", err)
	}
	return version >= messagesSince, nil
}

const nowSQL = `SELECT %s::text, pg_current_wal_insert_lsn()::text, clock_timestamp()`

// noRows is the only chunk of messages, which cannot be read again: an empty one, that includes what is committed now.
func (s *Source) noRows(ctx context.Context, t cdc.Table) (cdc.ChunkRead, error) {
	reader, err := s.readers.take(ctx)
	if err != nil {
		return cdc.ChunkRead{}, err
	}
	defer s.readers.give(reader)
	var (
		view, end string
		at        time.Time
	)
	if err := reader.conn.QueryRow(ctx, fmt.Sprintf(nowSQL, reader.currentSnapshot())).Scan(&view, &end, &at); err != nil {
		return cdc.ChunkRead{}, s.readError(cdc.ChunkRequest{Table: t}, err)
	}
	high, err := pglogrepl.ParseLSN(end)
	if err != nil {
		return cdc.ChunkRead{}, fmt.Errorf("reading the end of the log: %w", err)
	}
	here := place{reader.place.system, reader.place.timeline, recordEnd(high, pglogrepl.LSN(reader.page))}
	return cdc.ChunkRead{High: here.position(), Batch: cdc.Batch{Source: s.cfg.Name, Identity: here.identity(), Snapshot: true,
		CommitAt: at.UTC(), Chunk: &cdc.Chunk{Table: t, End: true, View: viewText(view)}}}, nil
}
