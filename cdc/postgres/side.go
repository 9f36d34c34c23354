package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// side is an ordinary connection beside the stream. It is opened when it is first needed and again after it broke.
// One goroutine uses it.
type side struct {
	source *Source
	conn   *pgx.Conn
}

func (s *side) open(ctx context.Context) (*pgx.Conn, error) {
	if s.conn != nil && !s.conn.IsClosed() {
		return s.conn, nil
	}
	conn, err := s.source.cfg.connect(ctx)
	if err != nil {
		return nil, err
	}
	s.conn = conn
	return conn, nil
}

func (s *side) close() {
	if s.conn != nil {
		closeConn(s.conn)
		s.conn = nil
	}
}

// closeConn ends a connection politely, but does not wait long for it.
func closeConn(conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn.Close(ctx)
}
