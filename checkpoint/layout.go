package checkpoint

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/hashicorp/raft"
)

// An entry lies in the journal as a raft.Log in raft-wal's binary encoding:
//
//	Index       the entry's index
//	Type        its kind
//	AppendedAt  its time, UTC, whole µs
//	Data        its payload
//	Extensions  5 bytes: the layout's version, 1, and the CRC-32C (little endian) of version, kind, index, time in µs since
//	            1970 (each little endian) and payload
//
// The checksum of raft-wal covers what one sync wrote and is read by recovery alone; this one is checked by every Read.
const (
	layoutVersion = 1
	layoutSeal    = 5

	// maxPayload bounds one entry; raft-wal's own bound is 64 MiB.
	maxPayload = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal makes the record of an entry. The seal's memory is appended to buf.
func seal(e *Entry, index uint64, buf []byte) (raft.Log, []byte) {
	l := raft.Log{Index: index, Type: raft.LogType(e.Kind), Data: e.Payload, AppendedAt: e.At.UTC().Truncate(time.Microsecond)}
	start := len(buf)
	buf = append(buf, layoutVersion)
	buf = binary.LittleEndian.AppendUint32(buf, recordSum(&l))
	l.Extensions = buf[start:len(buf):len(buf)]
	return l, buf
}

// unseal checks a record and returns its entry.
func unseal(l *raft.Log, index uint64) (Entry, error) {
	switch {
	case l.Index != index:
		return Entry{}, fmt.Errorf("%w: found entry %d in its place", ErrCorrupt, l.Index)
	case len(l.Extensions) != layoutSeal:
		return Entry{}, fmt.Errorf("%w: a seal of %d bytes", ErrCorrupt, len(l.Extensions))
	case l.Extensions[0] != layoutVersion:
		return Entry{}, fmt.Errorf("%w: layout version %d, this release reads %d", ErrCorrupt, l.Extensions[0], layoutVersion)
	case binary.LittleEndian.Uint32(l.Extensions[1:]) != recordSum(l):
		return Entry{}, fmt.Errorf("%w: its checksum does not fit", ErrCorrupt)
	}
	return Entry{Index: index, Kind: Kind(l.Type), At: l.AppendedAt.UTC(), Payload: l.Data}, nil
}

func recordSum(l *raft.Log) uint32 {
	var head [18]byte
	head[0], head[1] = layoutVersion, byte(l.Type)
	binary.LittleEndian.PutUint64(head[2:], l.Index)
	binary.LittleEndian.PutUint64(head[10:], uint64(l.AppendedAt.UnixMicro()))
	return crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, l.Data)
}
