package mysql

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"time"
)

// Event types of the binary log that Waybill reads meaning into. MariaDB's own begin at 160.
const (
	evQuery           = 2
	evStop            = 3
	evRotate          = 4
	evFormat          = 15
	evXID             = 16
	evExecuteLoad     = 18
	evTableMap        = 19
	evWriteV1         = 23
	evUpdateV1        = 24
	evDeleteV1        = 25
	evIncident        = 26
	evHeartbeat       = 27
	evWriteV2         = 30
	evUpdateV2        = 31
	evDeleteV2        = 32
	evGTID            = 33
	evAnonymousGTID   = 34
	evXAPrepare       = 38
	evPartialUpdate   = 39
	evPayload         = 40
	evHeartbeatV2     = 41
	evTaggedGTID      = 42
	evMariaGTID       = 162
	evMariaEncryption = 164
	evMariaQuery      = 165 // compressed, as the three below
	evMariaWrite      = 166
	evMariaUpdate     = 167
	evMariaDelete     = 168

	headerSize     = 19
	checksumSize   = 4
	flagArtificial = 0x20 // made up by the server for this connection: not in the file
)

var errShort = errors.New("the event is cut short")

// event is one binlog event. Its body has neither header nor checksum and is valid until the next packet is read.
type event struct {
	kind      byte
	flags     uint16
	timestamp uint32 // seconds; when the statement began
	serverID  uint32
	size      uint32
	end       uint32 // low 32 bits of the position behind the event; 0 when it is not in the file
	body      []byte
}

// artificial reports whether the event is not in the file.
func (e *event) artificial() bool { return e.flags&flagArtificial != 0 }

// checksum is what a stream knows about the checksums of its events.
type checksum byte

const (
	checksumUnknown checksum = iota // no format description yet
	checksumNone
	checksumCRC32
)

// parseEvent reads the header, and verifies and strips the checksum. The format description itself, and a rotate event
// before it, show by themselves whether they carry one.
func parseEvent(raw []byte, sum checksum) (event, error) {
	if len(raw) < headerSize {
		return event{}, errShort
	}
	le := binary.LittleEndian
	e := event{timestamp: le.Uint32(raw), kind: raw[4], serverID: le.Uint32(raw[5:]), size: le.Uint32(raw[9:]),
		end: le.Uint32(raw[13:]), flags: le.Uint16(raw[17:]), body: raw[headerSize:]}
	if int64(e.size) != int64(len(raw)) {
		return event{}, fmt.Errorf("the event says it has %d bytes and has %d", e.size, len(raw))
	}
	if sum == checksumNone {
		return e, nil
	}
	if len(e.body) < checksumSize {
		if sum == checksumUnknown {
			return e, nil
		}
		return event{}, errShort
	}
	body, want := raw[:len(raw)-checksumSize], le.Uint32(raw[len(raw)-checksumSize:])
	switch {
	case crc32.ChecksumIEEE(body) == want:
		e.body = body[headerSize:]
	case e.kind == evFormat && crc32.ChecksumIEEE(inUseCleared(body)) == want:
		e.body = body[headerSize:] // the server sets the in-use flag of a file's first event without a new checksum
	case sum == checksumCRC32:
		return event{}, fmt.Errorf("the checksum of an event of type %d is wrong: the log or the network is damaged", e.kind)
	}
	return e, nil
}

func inUseCleared(raw []byte) []byte {
	out := bytes.Clone(raw)
	out[17] &^= 1
	return out
}

// parseFormat reads from a format description event which checksum the next events carry.
func parseFormat(body []byte, stripped bool) (checksum, error) {
	// 2 version, 50 server version, 4 created, 1 header length, one byte for each event type, 1 algorithm.
	const fixed = 2 + 50 + 4 + 1
	if len(body) < fixed+2 {
		return checksumUnknown, errShort
	}
	if v := binary.LittleEndian.Uint16(body); v != 4 {
		return checksumUnknown, fmt.Errorf("binlog version %d is not supported (4 is)", v)
	}
	if body[fixed-1] != headerSize {
		return checksumUnknown, fmt.Errorf("event headers of %d bytes are not supported", body[fixed-1])
	}
	if !stripped && len(body) < fixed+2+checksumSize {
		return checksumUnknown, errShort
	}
	alg := body[len(body)-1]
	if !stripped {
		alg = body[len(body)-1-checksumSize] // the event has room for a checksum even when none is used
	}
	switch alg {
	case 0:
		return checksumNone, nil
	case 1:
		return checksumCRC32, nil
	}
	return checksumUnknown, fmt.Errorf("checksum algorithm %d is not supported", alg)
}

// parseRotate reads the name and position that the log goes on at.
func parseRotate(body []byte) (file string, pos uint64, err error) {
	if len(body) < 9 {
		return "", 0, errShort
	}
	return string(body[8:]), binary.LittleEndian.Uint64(body), nil
}

// gtidEvent begins an event group.
type gtidEvent struct {
	text       string // as people write it
	domain     uint32 // MariaDB
	server     uint32
	seq        uint64
	uuid       [16]byte // MySQL
	standalone bool     // one query event follows, and no commit
	prepared   bool     // the group ends with XA PREPARE
	unfinished bool     // the statement of the group has only begun, or was rolled back (binlog_alter_two_phase)
	micros     int64    // commit time in µs since 1970, 0 when the event has none
}

func parseMariaGTID(body []byte, serverID uint32) (gtidEvent, error) {
	if len(body) < 13 {
		return gtidEvent{}, errShort
	}
	le := binary.LittleEndian
	g := gtidEvent{seq: le.Uint64(body), domain: le.Uint32(body[8:]), server: serverID,
		standalone: body[12]&1 != 0, prepared: body[12]&64 != 0}
	var buf [44]byte // for each transaction: as cheap as it can be
	text := append(strconv.AppendUint(buf[:0], uint64(g.domain), 10), '-')
	text = append(strconv.AppendUint(text, uint64(g.server), 10), '-')
	g.text = string(strconv.AppendUint(text, g.seq, 10))
	g.unfinished = unfinished(body[12], &cursor{b: body[13:]})
	return g, nil
}

// unfinished reads the further flags behind the first ones, past a commit id and the name of an XA transaction.
func unfinished(flags byte, r *cursor) bool {
	const groupCommit, xaPrepared, xaCompleted, startAlter, rollbackAlter = 2, 64, 128, 2, 8
	if flags&groupCommit != 0 {
		r.take(8)
	}
	if flags&(xaPrepared|xaCompleted) != 0 {
		r.take(4)
		global, branch := int(r.u8()), int(r.u8())
		r.take(global + branch)
	}
	return r.u8()&(startAlter|rollbackAlter) != 0
}

// parseGTID reads MySQL's GTID event: flags, 16 uuid, 8 number, 1+16 logical clock, then 7 bytes commit time.
func parseGTID(body []byte, anonymous bool) (gtidEvent, error) {
	if len(body) < 25 {
		return gtidEvent{}, errShort
	}
	var g gtidEvent
	copy(g.uuid[:], body[1:17])
	g.seq = binary.LittleEndian.Uint64(body[17:])
	if !anonymous {
		g.text = fmt.Sprintf("%s:%d", uuidText(g.uuid[:]), g.seq)
	}
	if len(body) >= 25+17+7 && body[25] == 2 {
		var v [8]byte
		copy(v[:7], body[42:49])
		g.micros = int64(binary.LittleEndian.Uint64(v[:]) &^ (1 << 55))
	}
	return g, nil
}

func uuidText(b []byte) string {
	s := hex.EncodeToString(b)
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// queryEvent is a statement, with what shapes its meaning.
type queryEvent struct {
	database  string
	statement []byte
	mode      uint64 // sql_mode
	collation uint16 // of the statement's own text; 0 when it is not told
}

// parseQuery reads a statement and the settings in front of it.
func parseQuery(body []byte, load bool) (queryEvent, error) {
	head := 13
	if load {
		head += 13 // file id, two offsets, how duplicates are handled
	}
	if len(body) < head {
		return queryEvent{}, errShort
	}
	dbLen, statusLen := int(body[8]), int(binary.LittleEndian.Uint16(body[11:]))
	if len(body) < head+statusLen+dbLen+1 {
		return queryEvent{}, errShort
	}
	rest := body[head+statusLen:]
	q := queryEvent{database: string(rest[:dbLen]), statement: rest[dbLen+1:]}
	q.settings(&cursor{b: body[head : head+statusLen]})
	return q, nil
}

// settings reads those that come first, which are all that is needed: each has a code and a form of its own.
func (q *queryEvent) settings(r *cursor) {
	for len(r.b) > 0 && !r.short {
		switch r.u8() {
		case 0: // flags
			r.take(4)
		case 1:
			if v := r.take(8); v != nil {
				q.mode = binary.LittleEndian.Uint64(v)
			}
		case 2: // catalog, with a zero at its end
			r.take(int(r.u8()) + 1)
		case 3: // auto_increment
			r.take(4)
		case 4:
			if v := r.take(6); v != nil {
				q.collation = binary.LittleEndian.Uint16(v)
			}
		case 5, 6: // time zone, catalog
			r.take(int(r.u8()))
		default:
			return
		}
	}
}

func (e *event) at() time.Time { return time.Unix(int64(e.timestamp), 0).UTC() }
