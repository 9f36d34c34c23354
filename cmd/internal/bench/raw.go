package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	driver "github.com/go-mysql-org/go-mysql/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// rawPostgres counts the changes of the stream and reads nothing else. A small receive buffer and a pause of at most a
// millisecond between reads let the kernel merge the walsender's many small sends: twice what pg_recvlogical gets.
func rawPostgres(ctx context.Context, j job) error {
	cfg, err := pgconn.ParseConfig(fmt.Sprintf("host=%s port=%d dbname=%s user=%s password=%s sslmode=disable replication=database",
		j.Host, j.Port, j.Database, j.User, j.Password))
	if err != nil {
		return err
	}
	cfg.DialFunc = (&net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 32<<10)
		})
		return errors.Join(err, failed)
	}}).DialContext
	pc, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	pc.Frontend().Send(&pgproto3.Query{String: fmt.Sprintf("START_REPLICATION SLOT %s LOGICAL 0/0 (proto_version '1', publication_names 'waybill_bench')", j.Slot)})
	if err := pc.Frontend().Flush(); err != nil {
		return err
	}
	for started := false; !started; {
		msg, err := pc.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			return pgconn.ErrorResponseToPgError(msg)
		case *pgproto3.CopyBothResponse:
			started = true
		}
	}
	hijacked, err := pc.Hijack()
	if err != nil {
		return err
	}
	defer hijacked.Conn.Close()
	return countChanges(hijacked.Conn, j.Changes)
}

func countChanges(conn net.Conn, changes int) error {
	buf := make([]byte, 1<<20)
	r, w := 0, 0
	for last := time.Now(); changes > 0; {
		if wait := time.Millisecond - time.Since(last); wait > 0 {
			time.Sleep(wait)
		}
		last = time.Now()
		n, err := conn.Read(buf[w:])
		if err != nil {
			return err
		}
		w += n
		for w-r >= 5 {
			size := int(binary.BigEndian.Uint32(buf[r+1:])) + 1
			if w-r < size {
				break
			}
			// CopyData, XLogData with its 24 bytes of header, and an insert, update or delete in it.
			if buf[r] == 'd' && size > 30 && buf[r+5] == 'w' {
				switch buf[r+30] {
				case 'I', 'U', 'D':
					changes--
				}
			}
			r += size
		}
		w = copy(buf, buf[r:w])
		r = 0
	}
	return nil
}

// rawMariaDB reads the packets of the binary log from the job's position to its end.
func rawMariaDB(ctx context.Context, j job) error {
	c, err := client.ConnectWithContext(ctx, net.JoinHostPort(j.Host, strconv.Itoa(j.Port)), j.User, j.Password, "", 10*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	for _, set := range []string{"SET @master_binlog_checksum = @@global.binlog_checksum", "SET @mariadb_slave_capability = 4"} {
		if _, err := c.Execute(set); err != nil {
			return err
		}
	}
	file, at, _ := strings.Cut(j.Position, ":")
	pos, err := strconv.ParseUint(at, 10, 32)
	if err != nil {
		return fmt.Errorf("reading position %q: %w", j.Position, err)
	}
	const dontBlock = 1 // the server ends the dump at the end of its log
	dump := append(make([]byte, 4), driver.COM_BINLOG_DUMP)
	dump = binary.LittleEndian.AppendUint32(dump, uint32(pos))
	dump = binary.LittleEndian.AppendUint16(dump, dontBlock)
	dump = binary.LittleEndian.AppendUint32(dump, 4711)
	c.ResetSequence()
	if err := c.WritePacket(append(dump, file...)); err != nil {
		return err
	}
	return readPackets(c.Conn.Conn)
}

func readPackets(conn net.Conn) error {
	r := bufio.NewReaderSize(conn, 1<<20)
	for {
		head, err := r.Peek(5)
		if err != nil {
			return err
		}
		size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
		switch head[4] {
		case 0xfe: // end
			return nil
		case 0xff:
			text := make([]byte, 4+size)
			_, err := r.Read(text)
			return errors.Join(fmt.Errorf("the server says %q", text[min(13, len(text)):]), err)
		}
		if _, err := r.Discard(4 + size); err != nil {
			return err
		}
	}
}
