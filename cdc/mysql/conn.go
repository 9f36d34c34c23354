package mysql

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// conn is one connection for statements. It is used by one goroutine.
type conn struct {
	c       *client.Conn
	timeout time.Duration // bound of each statement
}

// dial connects and pins the session: UTC, no change of charset in results, no special SQL mode.
func (c *Config) dial(ctx context.Context) (*conn, error) {
	tlsConfig, err := c.tlsConfig()
	if err != nil {
		return nil, err
	}
	addr := c.Host
	if !strings.Contains(addr, "/") {
		addr = net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
	}
	password := c.Password
	if c.Secret != nil {
		if password, err = c.Secret(); err != nil {
			return nil, fmt.Errorf("%w: reading the password of source %s: %w", cdc.ErrDenied, c.Name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.ConnectTimeout)
	defer cancel()
	dialer := func(ctx context.Context, network, address string) (net.Conn, error) {
		raw, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if deadline, ok := ctx.Deadline(); ok { // the handshake too must end
			err = raw.SetDeadline(deadline)
		}
		return raw, err
	}
	raw, err := client.ConnectWithDialer(ctx, "", addr, c.User, password, "", dialer, func(cc *client.Conn) error {
		cc.SetTLSConfig(tlsConfig)
		// The plain forms of result sets and queries: the rows of tables are read off the wire by hand.
		cc.UnsetCapability(driver.CLIENT_DEPRECATE_EOF)
		cc.UnsetCapability(driver.CLIENT_QUERY_ATTRIBUTES)
		cc.SetAttributes(map[string]string{"program_name": "waybill"})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", addr, classifyError(err))
	}
	out := &conn{raw, c.ConnectTimeout}
	for _, set := range []string{"SET NAMES utf8mb4", "SET SESSION time_zone = '+00:00', sql_mode = '', wait_timeout = 2147483"} {
		if err := out.exec(ctx, set); err != nil {
			out.close()
			return nil, err
		}
	}
	return out, nil
}

func (c *conn) close() {
	if c != nil {
		_ = c.c.Close() // nothing more is expected of it
	}
}

// rows is a result set as text; a NULL is empty.
type rows [][]string

func (r rows) one() string {
	if len(r) == 0 || len(r[0]) == 0 {
		return ""
	}
	return r[0][0]
}

// query runs a statement and returns its rows. Strings in it are quoted by the caller.
func (c *conn) query(ctx context.Context, statement string) (rows, error) {
	out, _, err := c.run(ctx, statement)
	return out, err
}

// run is query with the names of the columns.
func (c *conn) run(ctx context.Context, statement string) (out rows, names []string, err error) {
	deadline := time.Now().Add(c.timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := c.c.SetDeadline(deadline); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.c.SetDeadline(time.Unix(1, 0)) }) // it fails only on a closed connection
	defer stop()
	result, err := c.c.Execute(statement)
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		return nil, nil, fmt.Errorf("running %s: %w", statement, classifyError(err))
	}
	defer result.Close()
	if result.Resultset == nil {
		return nil, nil, nil
	}
	for _, f := range result.Fields {
		names = append(names, string(f.Name))
	}
	out = make(rows, len(result.Values))
	for i, row := range result.Values {
		out[i] = make([]string, len(row))
		for j := range row {
			value, err := result.GetString(i, j)
			if err != nil {
				return nil, nil, fmt.Errorf("reading the answer to %s: %w", statement, err)
			}
			out[i][j] = strings.Clone(value) // it shares memory that Close gives back
		}
	}
	return out, names, nil
}

func (c *conn) exec(ctx context.Context, statement string) error {
	_, err := c.query(ctx, statement)
	return err
}

// variables returns global variables by name; one that the server lacks is absent.
func (c *conn) variables(ctx context.Context, names ...string) (map[string]string, error) {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	list, err := c.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ("+strings.Join(quoted, ",")+")")
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, row := range list {
		out[strings.ToLower(row[0])] = row[1]
	}
	return out, nil
}

// quote makes a string literal; the session has no special SQL mode, so a backslash escapes.
func quote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\x00", `\0`).Replace(s) + "'"
}

// ident makes a quoted name.
func ident(s string) string { return "`" + strings.ReplaceAll(s, "`", "``") + "`" }

func tableIdent(t cdc.Table) string { return ident(t.Schema) + "." + ident(t.Name) }

// classifyError tells an error of the link, after which the session may be opened again, and a refused login from what else the
// server says.
func classifyError(err error) error {
	var my *driver.MyError
	if !errors.As(err, &my) {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	switch my.Code {
	case 1040, 1203, // too many connections
		1053, 1927, 1317, 3169, // shutdown, killed, interrupted
		1129, 1158, 1159, 1160, 1161, // network
		1205, 1213, // lock wait, deadlock
		1412: // the table changed between the snapshot's begin and its reading
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, my)
	case 1045, 1698, // wrong password, or none
		1862, 4151, 3118: // expired; locked in MariaDB, in MySQL
		return fmt.Errorf("%w: %w", cdc.ErrDenied, my)
	}
	return my
}
