package checkpoint

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft-wal/segment"
	"github.com/hashicorp/raft-wal/types"
)

// filer makes the segments of the journal. raft-wal goes on to read a full segment through its writer, which keeps the buffer of its
// largest group, 8 MiB under load, for as long as the segment is there: gigabytes in a long journal (Invariant 7). Here a full
// segment is opened again for reading, and its writer is given up.
type filer struct {
	*segment.Filer
	log *slog.Logger
}

// Create makes a new segment.
func (f *filer) Create(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.Filer.Create(info)
	return f.writer(info, w, err)
}

// RecoverTail opens the segment that was being written.
func (f *filer) RecoverTail(info types.SegmentInfo) (types.SegmentWriter, error) {
	w, err := f.Filer.RecoverTail(info)
	return f.writer(info, w, err)
}

func (f *filer) writer(info types.SegmentInfo, w types.SegmentWriter, err error) (types.SegmentWriter, error) {
	if err != nil {
		return nil, err
	}
	return &segmentWriter{filer: f, info: info, writer: w}, nil
}

// segmentWriter is a segment: its writer until it is full, then its reader.
type segmentWriter struct {
	filer *filer
	info  types.SegmentInfo

	mu     sync.RWMutex // held to read while a log is read, to write while one takes the other's place
	writer types.SegmentWriter
	reader types.SegmentReader // nil until the segment is full
}

// Append adds a group. It is called by the committer alone.
func (s *segmentWriter) Append(entries []types.LogEntry) error {
	if s.reader != nil {
		return types.ErrSealed
	}
	if err := s.writer.Append(entries); err != nil {
		return err
	}
	sealed, index, err := s.writer.Sealed()
	if err != nil || !sealed {
		return err
	}
	if err := s.turn(index); err != nil { // the group is synced, and the writer can be read as well
		s.filer.log.Warn("a full journal segment may keep its buffer", "segment", segment.FileName(s.info), "err", err)
	}
	return nil
}

// turn opens the full segment for reading.
func (s *segmentWriter) turn(index uint64) error {
	info := s.info
	info.IndexStart, info.MaxIndex, info.SealTime = index, s.writer.LastIndex(), time.Now()
	r, err := s.filer.Open(info)
	if err != nil {
		return fmt.Errorf("opening it for reading: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	err = s.writer.Close()
	s.info, s.writer, s.reader = info, nil, r
	return err
}

// Sealed reports whether the segment is full, and where in the file its index begins.
func (s *segmentWriter) Sealed() (bool, uint64, error) {
	if s.reader != nil {
		return true, s.info.IndexStart, nil
	}
	return s.writer.Sealed()
}

// LastIndex returns the last synced index.
func (s *segmentWriter) LastIndex() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.reader != nil {
		return s.info.MaxIndex
	}
	return s.writer.LastIndex()
}

// GetLog reads an entry.
func (s *segmentWriter) GetLog(index uint64) (*types.PooledBuffer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.reader != nil {
		return s.reader.GetLog(index)
	}
	return s.writer.GetLog(index)
}

// Close closes the file.
func (s *segmentWriter) Close() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.reader != nil {
		return s.reader.Close()
	}
	return s.writer.Close()
}
