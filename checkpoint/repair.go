package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Frames of a raft-wal segment file (its README, "Storage Format Overview"): an 8-byte header (type, 3 zero bytes,
// length or checksum), the payload, zeros up to a multiple of 8. A commit frame ends what one sync wrote and carries the
// CRC-32C of all bytes since the commit frame before it, or since the file's start.
const (
	frameEntry  = 1
	frameIndex  = 2
	frameCommit = 3
	frameHead   = 8
	fileHead    = 32
	maxFrame    = 64 << 20
)

// tailScan is a walk over the last segment file.
type tailScan struct {
	size   int64
	offset int64 // of the next frame
	good   int64 // end of the last commit whose checksum fits
	index  int64 // offset of the index frame of that commit, 0 if it has none
	// checksum of what the file held before that index frame and since the commit before
	indexSum uint32

	sum        uint32 // since the last commit
	pending    int64  // offset of an index frame since then
	pendingSum uint32
	bad        bool // a commit did not fit
	buf        []byte
}

// repairTail makes the last segment file one that raft-wal v0.4.0 recovers rightly, and returns the end of its data.
//
// raft-wal checks only the last commit and leaves behind it what a torn write left there, which a later, shorter write may
// turn into frames again; and it can't go on after a crash between sealing a file and noting so in its metadata. Here each
// commit is checked, whatever lies behind the last good one is cut off (and kept beside as *.torn), an index frame that
// ends the file is taken off again, and all is synced: what a killed process wrote but had not synced yet becomes durable
// before anyone can read it. A bad commit with good ones behind it is damage, not a torn write, and refused; so is any in
// a journal that was closed in order (clean).
func repairTail(path string, clean bool) (end int64, err error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	scan, err := scanTail(f)
	if err != nil {
		return 0, err
	}
	end = scan.good
	if scan.index != 0 {
		var commit [frameHead]byte
		commit[0] = frameCommit
		binary.LittleEndian.PutUint32(commit[4:], scan.indexSum)
		if _, err := f.WriteAt(commit[:], scan.index); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		end = scan.index + frameHead
	} else {
		torn, err := keepTorn(f, path+".torn", end)
		if err != nil {
			return 0, err
		}
		if torn && clean {
			return 0, fmt.Errorf("%w: the journal was closed in order, but what lies behind byte %d can't be read; "+
				"restore the file from the disk's redundancy or a backup", ErrCorrupt, end)
		}
	}
	if err := f.Truncate(end); err != nil {
		return 0, err
	}
	// Allocated again as far as there is space; without it the file simply grows.
	if err := unix.Fallocate(int(f.Fd()), 0, 0, max(scan.size, 1)); err != nil {
		if err := f.Truncate(end); err != nil {
			return 0, err
		}
	}
	return end, f.Sync()
}

// scanTail walks the frames to the first that is none.
func scanTail(f *os.File) (*tailScan, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	scan := &tailScan{size: info.Size(), offset: fileHead}
	r := bufio.NewReaderSize(f, 1<<20)
	head := make([]byte, fileHead)
	if _, err := io.ReadFull(r, head); err != nil {
		return scan, ignoreEOF(err)
	}
	scan.sum = crc32.Checksum(head, castagnoli)
	head = head[:frameHead]
	for {
		if _, err := io.ReadFull(r, head); err != nil {
			return scan, ignoreEOF(err)
		}
		more := false
		switch head[0] {
		case frameEntry, frameIndex:
			more, err = scan.payload(r, head)
		case frameCommit:
			more, err = true, scan.commit(binary.LittleEndian.Uint32(head[4:]))
		}
		if err != nil || !more {
			return scan, ignoreEOF(err)
		}
	}
}

// payload passes over an entry or an index; false when no such frame can be there.
func (scan *tailScan) payload(r io.Reader, head []byte) (bool, error) {
	n := int64(binary.LittleEndian.Uint32(head[4:]))
	size := (n + 7) &^ 7
	if n > maxFrame || scan.offset+frameHead+size > scan.size {
		return false, nil
	}
	if head[0] == frameIndex {
		scan.pending, scan.pendingSum = scan.offset, scan.sum
	}
	if int64(cap(scan.buf)) < size {
		scan.buf = make([]byte, size)
	}
	if _, err := io.ReadFull(r, scan.buf[:size]); err != nil {
		return false, err
	}
	scan.sum = crc32.Update(crc32.Update(scan.sum, castagnoli, head), castagnoli, scan.buf[:size])
	scan.offset += frameHead + size
	return true, nil
}

// commit checks the checksum of a commit frame. One that does not fit may be the last write, torn; a good one behind it
// says that it is not.
func (scan *tailScan) commit(sum uint32) error {
	scan.offset += frameHead
	switch {
	case sum != scan.sum:
		scan.bad = true
	case scan.bad:
		return fmt.Errorf("%w: the checksum of a write that ends before byte %d does not fit, but later ones do; "+
			"restore the file from the disk's redundancy or a backup", ErrCorrupt, scan.offset)
	default:
		scan.good, scan.index, scan.indexSum = scan.offset, scan.pending, scan.pendingSum
	}
	scan.sum, scan.pending = 0, 0
	return nil
}

// keepTorn saves what lies behind end, if anything, so that nothing is cut off unseen.
func keepTorn(f *os.File, path string, end int64) (torn bool, err error) {
	if _, err := unix.Seek(int(f.Fd()), end, unix.SEEK_DATA); errors.Is(err, unix.ENXIO) {
		return false, nil // nothing was ever written there
	}
	rest := io.NewSectionReader(f, end, 1<<40)
	buf := make([]byte, 1<<20)
	var out *os.File
	defer func() {
		if out != nil {
			err = errors.Join(err, out.Close())
		}
	}()
	for {
		n, err := io.ReadFull(rest, buf)
		chunk := trimZeros(buf[:n])
		if len(chunk) == 0 {
			return torn, ignoreEOF(err)
		}
		if out == nil {
			var cerr error
			if out, cerr = os.Create(path); cerr != nil {
				return torn, cerr
			}
			torn = true
		}
		if _, werr := out.Write(chunk); errors.Is(werr, unix.ENOSPC) {
			return torn, nil // evidence only
		} else if werr != nil {
			return torn, werr
		}
		if err != nil {
			return torn, ignoreEOF(err)
		}
	}
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}
