package mysql

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"waybill/cdc"
)

func frames(payload []byte) []byte {
	var out []byte
	for seq := byte(0); ; seq++ {
		n := min(len(payload), maxFrame)
		out = append(out, byte(n), byte(n>>8), byte(n>>16), seq)
		out = append(out, payload[:n]...)
		if payload = payload[n:]; n < maxFrame {
			return out
		}
	}
}

// TestWire sends packets of all sizes, in pieces, and expects them whole.
func TestWire(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	sizes := []int{0, 1, 100, 70_000, wireBuffer - 4, wireBuffer, 3 << 20, maxFrame - 1, maxFrame, maxFrame + 1, 2 * maxFrame, 5}
	go func() {
		defer server.Close()
		for i, n := range sizes {
			if _, err := server.Write(frames(bytes.Repeat([]byte{byte(i + 1)}, n))); err != nil {
				t.Error(err)
			}
		}
	}()
	w := newWire(client, time.Minute)
	for i, n := range sizes {
		packet, err := w.packet(t.Context(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		if len(packet) != n || bytes.Count(packet, []byte{byte(i + 1)}) != n {
			t.Fatalf("packet %d has %d bytes, want %d", i, len(packet), n)
		}
	}
	if _, err := w.packet(t.Context(), time.Time{}); !errors.Is(err, cdc.ErrDisconnected) {
		t.Errorf("at the end: %v", err)
	}
	if len(w.buf) > wireBuffer {
		t.Errorf("the buffer keeps %d bytes", len(w.buf))
	}
}

func TestWireTimes(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	w := newWire(client, 300*time.Millisecond)
	if _, err := w.packet(t.Context(), time.Now().Add(20*time.Millisecond)); err != errDue {
		t.Errorf("when due: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := w.packet(ctx, time.Time{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("when ctx ends: %v", err)
	}
	go io.WriteString(server, "\x01\x00\x00\x00x") // read below
	if p, err := w.packet(t.Context(), time.Time{}); err != nil || string(p) != "x" {
		t.Errorf("%q %v", p, err)
	}
	if _, err := w.packet(t.Context(), time.Time{}); !errors.Is(err, cdc.ErrDisconnected) {
		t.Errorf("dead link: %v", err)
	}
}
