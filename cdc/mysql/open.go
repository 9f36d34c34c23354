package mysql

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"waybill/cdc"

	driver "github.com/go-mysql-org/go-mysql/mysql"
)

// open starts a session behind pos, or at the present end of the log when pos is empty.
func (s *Source) open(ctx context.Context, pos cdc.Position) (*session, error) {
	side, err := s.cfg.dial(ctx)
	if err != nil {
		return nil, err
	}
	out := &session{cfg: &s.cfg, log: s.log, side: side, tables: map[cdc.Table]*selected{}, plans: map[uint64]tablePlan{},
		announced: map[uint64]bool{}, used: map[*cdc.Schema]bool{}, emitted: time.Now()}
	for _, sel := range s.tables {
		out.tables[sel.table] = sel
	}
	if err := out.start(ctx, s, pos); err != nil {
		out.close()
		return nil, err
	}
	return out, nil
}

func (s *session) start(ctx context.Context, src *Source, pos cdc.Position) error {
	server, err := s.cfg.inspect(ctx, s.side)
	if err != nil {
		return err
	}
	findings, err := src.check(ctx, s.side, server)
	if err != nil {
		return err
	}
	fresh := pos == ""
	if err := refuse(s.cfg.Name, findings, fresh); err != nil {
		return err
	}
	if err := s.loadCharsets(ctx); err != nil {
		return err
	}
	byGTID := false
	if fresh {
		err = s.tail(ctx, server)
	} else {
		byGTID, err = s.verify(ctx, server, pos)
	}
	if err != nil {
		return err
	}
	if server.gtid {
		if s.gtids, err = parseGTIDSet(s.cfg.Flavor, s.resume.gtids); err != nil {
			return err
		}
	} else {
		s.resume.gtids = ""
	}
	at := s.resume
	if byGTID {
		s.resume.file, s.resume.pos = "", 0 // the server will say where it found them
	}
	s.place = s.resume
	s.ended = groupEnd{file: s.resume.file, pos: s.resume.pos, at: time.Now()}
	s.settle()
	if err := s.remember(ctx, server, at, fresh, src.confirmed); err != nil {
		return err
	}
	if fresh {
		s.emit(cdc.Batch{Position: s.position(), CommitAt: s.commitAt})
	}
	return s.startDump(ctx, server, byGTID)
}

// tail begins at the end of what is visible now. The log may end behind it, with transactions that are not visible yet: a
// chunk might not include them, so the stream must bring them.
func (s *session) tail(ctx context.Context, server *serverInfo) error {
	err := s.side.exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
	if err == nil {
		s.commitAt, err = s.side.clock(ctx)
	}
	if err == nil {
		s.resume, err = s.cfg.see(ctx, s.side, server)
	}
	if err == nil && s.cfg.Flavor == MariaDB {
		var ok bool
		s.resume.gtids, ok, err = s.side.gtidsAt(ctx, s.resume.file, s.resume.pos)
		if err == nil && !ok { // see settle.go
			err = fmt.Errorf("%w: the server does not know its own place %s:%d", cdc.ErrDisconnected, s.resume.file, s.resume.pos)
		}
	}
	if err == nil {
		err = s.side.exec(ctx, "COMMIT")
	}
	if err != nil {
		return fmt.Errorf("looking for the end of the log: %w", err)
	}
	s.resume.opening = openingOf(s.commitAt)
	return nil
}

// loadCharsets learns which charset a collation id of the log means.
func (s *session) loadCharsets(ctx context.Context) error {
	s.resolver = resolver{source: s.cfg.Name, flavor: s.cfg.Flavor, charsets: map[uint32]string{}}
	queries := []string{"SELECT ID, CHARACTER_SET_NAME, COLLATION_NAME FROM information_schema.COLLATIONS WHERE ID IS NOT NULL"}
	if s.cfg.Flavor == MariaDB { // since 10.10 the ids of the newer collations are only there
		has, err := s.side.query(ctx, "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='information_schema' AND TABLE_NAME='COLLATION_CHARACTER_SET_APPLICABILITY' AND COLUMN_NAME='ID'")
		if err != nil {
			return err
		}
		if has.one() != "0" {
			queries = append(queries, "SELECT ID, CHARACTER_SET_NAME, FULL_COLLATION_NAME FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY")
		}
	}
	for _, q := range queries {
		list, err := s.side.query(ctx, q)
		if err != nil {
			return err
		}
		for _, row := range list {
			id, err := strconv.ParseUint(row[0], 10, 32)
			if err != nil {
				return fmt.Errorf("reading the id of collation %s: %w", row[2], err)
			}
			s.resolver.charsets[uint32(id)] = row[1]
			if row[2] == "utf8mb4_bin" {
				s.resolver.bin = uint32(id)
			}
		}
	}
	return nil
}

// silence is how long the server may say nothing.
func (s *session) silence() time.Duration { return max(3*s.cfg.Heartbeat, minSilence) }

// startDump asks for the log and waits for its first events, so that a refusal shows here.
func (s *session) startDump(ctx context.Context, server *serverInfo, byGTID bool) error {
	var err error
	if s.dump, err = s.cfg.dial(ctx); err != nil {
		return err
	}
	nanos := s.cfg.Heartbeat.Nanoseconds()
	set := []string{
		"SET @master_binlog_checksum = @@GLOBAL.binlog_checksum, @source_binlog_checksum = @@GLOBAL.binlog_checksum",
		fmt.Sprintf("SET @master_heartbeat_period = %d, @source_heartbeat_period = %d", nanos, nanos),
		"SET SESSION " + stayOpen,
	}
	if s.cfg.Flavor == MariaDB {
		set = append(set, "SET @mariadb_slave_capability = 4")
		if byGTID {
			set = append(set, "SET @slave_connect_state = "+quote(s.resume.gtids), "SET @slave_gtid_strict_mode = 1")
		}
	}
	for _, statement := range set {
		if err := s.dump.exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := s.register(hostname()); err != nil {
		return err
	}
	if err := s.sendDump(server, byGTID); err != nil {
		return err
	}
	for s.sum == checksumUnknown {
		packet, err := s.wire.packet(ctx, time.Time{})
		if err != nil {
			return fmt.Errorf("starting the stream: %w", err)
		}
		if err := s.packet(ctx, packet); err != nil {
			return err
		}
	}
	return nil
}

// register makes the source visible in SHOW SLAVE HOSTS.
func (s *session) register(host string) error {
	data := binary.LittleEndian.AppendUint32([]byte{0, 0, 0, 0, driver.COM_REGISTER_SLAVE}, s.cfg.ServerID)
	data = append(data, byte(len(host)))
	data = append(data, host...)
	data = append(data, 0, 0)       // no user, no password
	data = append(data, 0, 0)       // no port
	data = append(data, 0, 0, 0, 0) // rank, not used
	data = append(data, 0, 0, 0, 0) // master id, filled in by the server
	s.dump.c.ResetSequence()
	if err := s.dump.c.SetDeadline(time.Now().Add(s.cfg.ConnectTimeout)); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	if err := s.dump.c.WritePacket(data); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	if _, err := s.dump.c.ReadOKPacket(); err != nil {
		return fmt.Errorf("registering as a replica: %w", classifyError(err))
	}
	return nil
}

func (s *session) sendDump(server *serverInfo, byGTID bool) error {
	le := binary.LittleEndian
	var data []byte
	switch {
	case byGTID && s.cfg.Flavor == MySQL:
		set := s.gtids.mysql.Encode()
		data = append([]byte{0, 0, 0, 0, driver.COM_BINLOG_DUMP_GTID}, 0, 0)
		data = le.AppendUint32(data, s.cfg.ServerID)
		data = le.AppendUint32(data, 0) // no file name
		data = le.AppendUint64(data, 4)
		data = le.AppendUint32(data, uint32(len(set)))
		data = append(data, set...)
	default:
		file, pos, flags := s.resume.file, uint32(s.resume.pos), uint16(0)
		if byGTID {
			file, pos = "", 0
		}
		if s.cfg.Flavor == MariaDB && server.atLeast(11, 4) {
			flags = 2 // annotate events too: positions must be added up, and they count
		}
		data = le.AppendUint32([]byte{0, 0, 0, 0, driver.COM_BINLOG_DUMP}, pos)
		data = le.AppendUint16(data, flags)
		data = le.AppendUint32(data, s.cfg.ServerID)
		data = append(data, file...)
	}
	s.dump.c.ResetSequence()
	if err := s.dump.c.WritePacket(data); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	if err := s.dump.c.SetDeadline(time.Time{}); err != nil {
		return fmt.Errorf("%w: %w", cdc.ErrDisconnected, err)
	}
	s.wire = newWire(s.dump.c.Conn.Conn, s.silence())
	return nil
}
