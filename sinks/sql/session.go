package sql

import (
	"context"
	db "database/sql"
	"database/sql/driver"
	"fmt"
	"time"
)

// dialect is what one product does in its own way.
type dialect interface {
	// connect opens one connection with a pinned session.
	connect(ctx context.Context, cfg *Config) (driver.Conn, error)
	// primary says in words why the server takes no writes; "" when it does.
	primary(ctx context.Context, x *session) (string, error)
	// identity names the server's data, without the database.
	identity(ctx context.Context, x *session) (string, error)
	// catalogue reads a table; nil when there is none that our role can see.
	catalogue(ctx context.Context, x *session, schema, name string) (*table, error)
	// quote writes a name.
	quote(name string) string
	// read is the expression that shows a column as text; normal makes it canonical.
	read(c *column) string
	// place writes a value into a statement, as a literal or as parameter number n with its argument.
	place(c *column, value string, n int) (text string, args []any)
	// settings are findings of check about the server.
	settings(ctx context.Context, x *session) ([]setting, error)
}

// setting is what check says of a server.
type setting struct {
	check, found, want, why, fix string
	fail, warn                   bool
}

// session is one connection, in the hands of one goroutine.
type session struct {
	dialect
	conn *db.Conn
	open bool // a transaction
}

// begin opens a transaction.
func (x *session) begin(ctx context.Context) error {
	x.open = true // also when its answer is lost
	return x.exec(ctx, "BEGIN")
}

// commit ends it. After an error nobody knows whether it did.
func (x *session) commit(ctx context.Context) error {
	err := x.exec(ctx, "COMMIT")
	if err == nil {
		x.open = false
	}
	return err
}

// close gives the connection back; one whose transaction cannot be ended is thrown away.
func (x *session) close() {
	if x.open {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if x.exec(ctx, "ROLLBACK") != nil {
			_ = x.conn.Raw(func(any) error { return driver.ErrBadConn }) // the error is the wish, not the answer
		}
	}
	_ = x.conn.Close() // a connection that is broken is known to be
}

func (x *session) exec(ctx context.Context, statement string, args ...any) error {
	_, err := x.conn.ExecContext(ctx, statement, args...)
	return err
}

// change runs a statement and returns how many rows it met.
func (x *session) change(ctx context.Context, statement string, args ...any) (int64, error) {
	done, err := x.conn.ExecContext(ctx, statement, args...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// rows returns all rows of a short answer as text; a NULL is nil.
func (x *session) rows(ctx context.Context, statement string, args ...any) ([][]*string, error) {
	list, err := x.conn.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer list.Close()
	names, err := list.Columns()
	if err != nil {
		return nil, err
	}
	var out [][]*string
	for list.Next() {
		row, into := make([]*string, len(names)), make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := list.Scan(into...); err != nil {
			return nil, fmt.Errorf("reading an answer: %w", err)
		}
		out = append(out, row)
	}
	return out, list.Err()
}

// one returns the only value of an answer; "" for none and for NULL.
func (x *session) one(ctx context.Context, statement string, args ...any) (string, error) {
	all, err := x.rows(ctx, statement, args...)
	if err != nil || len(all) == 0 {
		return "", err
	}
	return str(all[0][0]), nil
}

func str(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// connector opens connections for the pool: each reads the password and the certificates anew.
type connector struct {
	cfg     *Config
	dialect dialect
}

var _ driver.Connector = connector{}

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.dialect.connect(ctx, c.cfg)
	if err != nil {
		return nil, &dialError{err}
	}
	return conn, nil
}

// Driver implements driver.Connector; nobody opens by name.
func (c connector) Driver() driver.Driver { return nil }

// dialError is that there is no connection: nothing was sent.
type dialError struct{ err error }

func (e *dialError) Error() string { return e.err.Error() }
func (e *dialError) Unwrap() error { return e.err }
