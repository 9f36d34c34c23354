package mysql

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	driver "github.com/go-mysql-org/go-mysql/mysql"

	"waybill/cdc"
)

var _ cdc.Gauged = (*Source)(nil)

// measured is a reading of the gauges, with what the next one is compared with. Its Status is current when our place is in
// the file being written, kept when it is in an older one, unknown while there is no position.
type measured struct {
	cdc.Runway
	file  string // the log's end
	size  uint64
	files int
	total int64
	since time.Time // when our file was left for the next one
}

// runwayEvery is how often the server is asked at most; in between Runway repeats its last answer.
const runwayEvery = time.Minute

// gauge remembers what the rates are reckoned from.
type gauge struct {
	mu     sync.Mutex // held while the server is asked
	last   measured
	read   time.Time
	births map[string]time.Time // of log files; they never change
}

// Runway implements cdc.Gauged.
func (s *Source) Runway(ctx context.Context) (cdc.Runway, error) {
	s.gauge.mu.Lock()
	defer s.gauge.mu.Unlock()
	if !s.gauge.read.IsZero() && time.Since(s.gauge.read) < runwayEvery {
		return s.gauge.last.Runway, nil
	}
	now, err := s.readRunway(ctx)
	return now.Runway, err
}

// readRunway asks the server. The caller holds gauge.mu.
func (s *Source) readRunway(ctx context.Context) (measured, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*s.cfg.ConnectTimeout)
	defer cancel()
	conn, err := s.cfg.dial(ctx)
	if err != nil {
		return measured{}, err
	}
	defer conn.close()
	server, err := s.cfg.inspect(ctx, conn)
	if err != nil {
		return measured{}, err
	}
	now, err := s.gaugeOf(ctx, conn, server)
	if err != nil {
		return measured{}, fmt.Errorf("reading the log's runway: %w", err)
	}
	if now.Oldest, now.OldestPID, err = conn.oldest(ctx); err != nil {
		return measured{}, fmt.Errorf("reading the oldest transaction: %w", err)
	}
	now.Warnings = cdc.Concerns(checkRunway(now), checkOldest(now.Oldest, now.OldestPID))
	s.gauge.last, s.gauge.read = now, time.Now()
	return now, nil
}

// gaugeOf reads the log's files and reckons. The caller holds gauge.mu.
func (s *Source) gaugeOf(ctx context.Context, conn *conn, server *serverInfo) (measured, error) {
	r := measured{Runway: cdc.Runway{Retained: -1, Safe: -1, Left: -1, Status: "unknown"}}
	clock, err := conn.query(ctx, "SELECT UTC_TIMESTAMP(6)")
	if err != nil {
		return r, err
	}
	if r.At, err = time.Parse("2006-01-02 15:04:05.999999", clock.one()); err != nil {
		return r, fmt.Errorf("reading the server's clock: %w", err)
	}
	files, err := conn.logFiles(ctx)
	if err != nil || len(files) == 0 {
		return r, err
	}
	end := files[len(files)-1]
	r.file, r.size, r.files = end.name, end.size, len(files)
	for _, f := range files {
		r.total += int64(f.size)
	}
	if pos, ok := s.needed(server); ok {
		r.place(files, pos)
		if r.Status == "kept" {
			if r.since, err = s.birth(ctx, next(files, pos.file)); err != nil {
				return r, err
			}
		}
	}
	r.compare(s.gauge.last, files)
	r.limit(server, files)
	return r, nil
}

// needed is the place from which we would read on; ok is false when it is not one of this server's log.
func (s *Source) needed(server *serverInfo) (position, bool) {
	s.mu.Lock()
	text := s.lag.Confirmed
	if text == "" {
		text = s.lag.Position
	}
	s.mu.Unlock()
	pos, err := parsePosition(text)
	return pos, err == nil && pos.server == server.id && pos.file != ""
}

func (r *measured) place(files []logFile, pos position) {
	r.Retained = behind(files, pos.file, pos.pos)
	switch {
	case r.Retained < 0:
		r.Status = "purged"
	case pos.file == files[len(files)-1].name:
		r.Status = "current"
	default:
		r.Status = "kept"
	}
}

func next(files []logFile, file string) string {
	for i := range files[:len(files)-1] {
		if files[i].name == file {
			return files[i+1].name
		}
	}
	return ""
}

// compare fills in the rates.
func (r *measured) compare(before measured, files []logFile) {
	seconds := r.At.Sub(before.At).Seconds()
	if before.At.IsZero() || seconds <= 0 {
		return
	}
	if n := behind(files, before.file, before.size); n >= 0 {
		r.Written = float64(n) / seconds
	}
	if r.Retained >= 0 && before.Retained >= 0 {
		r.Growth = float64(r.Retained-before.Retained) / seconds
	}
}

// limit finds out which of the server's rules will remove our file first. A file goes when it is older than the retention,
// counted from when the server left it for the next one; the file being written never goes.
func (r *measured) limit(server *serverInfo, files []logFile) {
	if r.Status == "purged" {
		r.Left, r.Bound = 0, "binlog retention"
		return
	}
	if keep := server.retention(); keep > 0 && r.Status == "kept" {
		r.Left, r.Bound = max(0, keep-r.At.Sub(r.since)), "binlog retention"
	}
	limit, _ := strconv.ParseInt(server.variables["max_binlog_total_size"], 10, 64) // absent before MariaDB 11.4: 0
	if limit == 0 || r.Retained < 0 {
		return
	}
	r.Safe = max(0, limit-r.Retained)
	if r.Growth > 0 {
		if left := time.Duration(min(float64(r.Safe)/r.Growth, 1e9) * float64(time.Second)); r.Left < 0 || left < r.Left { // 30 years are for ever
			r.Left, r.Bound = left, "max_binlog_total_size"
		}
	}
}

// soon is how long the log's runway must be at the present rate.
const soon = 24 * time.Hour

func checkRunway(r measured) cdc.Finding {
	c := &checker{}
	found := fmt.Sprintf("%d files of %d MiB", r.files, r.total>>20)
	if r.Retained >= 0 {
		found += fmt.Sprintf(", %d MiB not read yet", r.Retained>>20)
	}
	if r.Left < 0 || r.Left >= soon {
		c.ok(aboutRunway, found)
		return c.list[0]
	}
	c.warn(aboutRunway, fmt.Sprintf("%s, kept for %s more", found, r.Left.Round(time.Second)), "at least "+soon.String(),
		"when "+r.Bound+" is reached the server removes log that was not read, and a compared snapshot is needed",
		"SET GLOBAL binlog_expire_logs_seconds = 604800; -- expire_logs_days = 7 on older servers; then look why Waybill does not read: waybill status")
	return c.list[0]
}

// runwayCheck is the step of check.
func (s *Source) runwayCheck(c *checker) func(context.Context) error {
	return func(ctx context.Context) error {
		s.gauge.mu.Lock()
		defer s.gauge.mu.Unlock()
		_, seen, err := c.conn.asked(ctx, "SHOW BINARY LOGS")
		if err != nil {
			return err
		}
		if !seen { // log_bin or the grant is missing, which has findings of their own
			c.ok(aboutRunway, "not visible to our user")
			return nil
		}
		r, err := s.gaugeOf(ctx, c.conn, c.server)
		if errors.Is(err, cdc.ErrDisconnected) {
			return err
		}
		if err != nil {
			c.ok(aboutRunway, "not known: "+err.Error())
			return nil
		}
		c.list = append(c.list, checkRunway(r))
		return nil
	}
}

// birth learns when a log file was begun, from its first event: the server does not tell otherwise. It reads as the tool
// mysqlbinlog does, under the id 0 that no replica has, and only what is there.
func (s *Source) birth(ctx context.Context, file string) (time.Time, error) {
	if at, known := s.gauge.births[file]; known {
		return at, nil
	}
	conn, err := s.cfg.dial(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer conn.close()
	if err := conn.exec(ctx, "SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum, @mariadb_slave_capability = 4"); err != nil {
		return time.Time{}, err
	}
	const onlyWhatIsThere = 1
	data := binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0, driver.COM_BINLOG_DUMP}, 4)
	data = binary.LittleEndian.AppendUint16(data, onlyWhatIsThere)
	data = append(binary.LittleEndian.AppendUint32(data, 0), file...)
	conn.c.ResetSequence()
	if err := conn.c.WritePacket(data); err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	w := newWire(conn.c.Conn.Conn, s.cfg.ConnectTimeout)
	for range 4 {
		packet, err := w.packet(ctx, time.Time{})
		if err != nil {
			return time.Time{}, err
		}
		if len(packet) == 0 || packet[0] != driver.OK_HEADER {
			break
		}
		if e, err := parseEvent(packet[1:], checksumUnknown); err == nil && e.kind == evFormat && e.timestamp != 0 {
			if s.gauge.births == nil || len(s.gauge.births) > 100 {
				s.gauge.births = map[string]time.Time{}
			}
			s.gauge.births[file] = e.at()
			return e.at(), nil
		}
	}
	return time.Time{}, fmt.Errorf("log file %s does not begin with a description of its format", file)
}
