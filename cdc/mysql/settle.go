package mysql

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

// MariaDB moves the place of the last visible commit when a file of its log begins, although the commit that made it
// begin is not visible yet (found on 10.11 by this package's hammer; MYSQL_BIN_LOG in sql/log.cc does the same for the checkpoint that
// is logged into the file later, and keeps the file's name and the offset apart). So a place is believed only when a commit
// has certainly set it: an Xid event ends there, or the stream has read a whole group that ends there. Where the log
// has gone on without a commit since, the rows are those of its last group, once that must have become visible.

const (
	// settleTime is how long after the stream has read a commit the server may still not show it. Between the two lie
	// microseconds on the server, unless it waits for semi-synchronous replicas.
	settleTime = time.Second
	// settleTries bounds the wait for a place that can be believed.
	settleTries = 5 * time.Second
	settlePause = 10 * time.Millisecond
)

// errUnsettled says that nothing tells yet what the rows include.
var errUnsettled = fmt.Errorf("%w: what is visible now is not certain yet", cdc.ErrDisconnected)

// calm is where the stream was when it had read all that it had received.
type calm struct {
	file string // everything before this place is read
	pos  uint64
	end  groupEnd // of the last group before it
}

// groupEnd is the place behind a group.
type groupEnd struct {
	file  string
	pos   uint64
	whole bool      // the stream has read the group; otherwise it began here
	at    time.Time // not before it was read; zero until settle
}

// settle publishes where the stream is.
func (s *session) settle() {
	if s.ended.at.IsZero() {
		s.ended.at = time.Now()
	}
	if c := s.calm.Load(); c == nil || c.file != s.resume.file || c.pos != s.resume.pos || c.end != s.ended {
		s.calm.Store(&calm{s.resume.file, s.resume.pos, s.ended})
	}
}

// settled reports whether the place of a snapshot is what it includes. calm may be nil.
func (r *reader) settled(ctx context.Context, at *position, c *calm) (bool, error) {
	for _, size := range []uint64{31, 27} { // of an Xid event, with a checksum and without
		if at.pos < size {
			break
		}
		event, err := r.guard.query(ctx, "SHOW BINLOG EVENTS IN "+quote(at.file)+" FROM "+strconv.FormatUint(at.pos-size, 10)+" LIMIT 1")
		var my *driver.MyError
		switch {
		case errors.As(err, &my) && !errors.Is(err, cdc.ErrDisconnected): // no event begins there
		case err != nil:
			return false, err
		case len(event) > 0 && event[0][2] == "Xid":
			return true, nil
		}
	}
	switch {
	case c == nil || before(c.file, c.pos, at.file, at.pos) || before(at.file, at.pos, c.end.file, c.end.pos):
		return false, nil // the stream is not there yet, or the place is none
	case c.end.whole && c.end.file == at.file && c.end.pos == at.pos:
		return true, nil
	}
	wait := settleTime
	semi, err := r.guard.variables(ctx, "rpl_semi_sync_master_enabled", "rpl_semi_sync_master_timeout")
	if err != nil {
		return false, err
	}
	if semi["rpl_semi_sync_master_enabled"] == "ON" {
		ms, err := strconv.ParseInt(semi["rpl_semi_sync_master_timeout"], 10, 64)
		if err != nil {
			return false, fmt.Errorf("reading rpl_semi_sync_master_timeout: %w", err)
		}
		wait += time.Duration(min(ms, 24*time.Hour.Milliseconds())) * time.Millisecond
	}
	return time.Since(c.end.at) > wait, nil
}
