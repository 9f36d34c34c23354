package mysql

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
)

// payload reads a transaction that MySQL compressed (binlog_transaction_compression): its events follow one another without
// checksums. They are opened one by one, so that the memory taken does not grow with the transaction.
func (s *session) payload(ctx context.Context, e *event, start uint64) error {
	in, err := openPayload(e.body)
	if err != nil {
		return fmt.Errorf("opening a compressed transaction: %w", err)
	}
	defer in.Close()
	buffered := bufio.NewReaderSize(in, wireBuffer/16)
	var raw []byte
	for {
		head, err := buffered.Peek(headerSize)
		if errors.Is(err, io.EOF) && len(head) == 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("opening a compressed transaction: %w", err)
		}
		size := binary.LittleEndian.Uint32(head[9:])
		if size < headerSize || size > maxPacket {
			return fmt.Errorf("opening a compressed transaction: an event of %d bytes", size)
		}
		if raw, err = readExactly(buffered, raw[:0], int(size)); err != nil {
			return fmt.Errorf("opening a compressed transaction: %w", err)
		}
		inner, err := parseEvent(raw, checksumNone)
		if err != nil {
			return err
		}
		if err := s.read(ctx, &inner, start); err != nil {
			return err
		}
	}
}

// readExactly reads n bytes. A length that is claimed is believed only as its bytes arrive.
func readExactly(in io.Reader, buf []byte, n int) ([]byte, error) {
	const step = 1 << 20
	for len(buf) < n {
		at := len(buf)
		buf = append(buf, make([]byte, min(step, n-at))...)
		if _, err := io.ReadFull(in, buf[at:]); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// openPayload reads the head, fields of a type, a length and a value, and opens what follows.
func openPayload(body []byte) (io.ReadCloser, error) {
	const end, compression, none = 0, 2, 255
	r := &cursor{b: body}
	kind := uint64(none)
	for field := r.lenenc(); field != end; field = r.lenenc() {
		value := &cursor{b: r.take(int(r.lenenc()))}
		if field == compression {
			kind = value.lenenc()
		}
	}
	switch {
	case r.short:
		return nil, errShort
	case kind == 0:
		in, err := zstd.NewReader(bytes.NewReader(r.b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
		if err != nil {
			return nil, err
		}
		return in.IOReadCloser(), nil
	case kind == none:
		return io.NopCloser(bytes.NewReader(r.b)), nil
	}
	return nil, fmt.Errorf("compression %d is not known", kind)
}
