package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	kafkago "github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"

	"waybill/sinks"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update):\n%s", file, got)
	}
}

var fates = map[fate]string{maybe: "may be written", absent: "not written", present: "written", severed: "producer severed"}

// Every line of the table, and what is said by no broker.
func TestClassification(t *testing.T) {
	var b strings.Builder
	line := func(name string, m meaning) {
		text := fmt.Sprintf("%-36s %-11s %-11s outage=%-5t %-16s moved=%-5t %s", name, m.class, m.as, m.outage, fates[m.fate], m.moved, m.hint)
		b.WriteString(strings.TrimRight(text, " ") + "\n")
	}
	codes := []kafkago.Error{}
	for code := range answers {
		codes = append(codes, code)
	}
	slices.Sort(codes)
	for _, code := range codes {
		line(fmt.Sprintf("%d %s", int(code), code.Title()), classify(fmt.Errorf("kafka.(*Client).Produce: %w", code)))
	}
	line("a code that is not known", classify(kafkago.Error(4711)))
	for _, c := range []struct {
		name string
		err  error
	}{
		{"nothing", nil},
		{"no connection", &net.OpError{Op: "dial", Err: errors.New("connection refused")}},
		{"connection ends", io.ErrUnexpectedEOF},
		{"time is over", context.DeadlineExceeded},
		{"we are stopped", context.Canceled},
		{"certificate not trusted", &tls.CertificateVerificationError{Err: errors.New("unknown authority")}},
		{"our certificate refused", &net.OpError{Op: "remote error", Err: tls.AlertError(116)}},
		{"password cannot be read", &loginError{os.ErrNotExist}},
		{"partition without a leader", protocol.NewErrNoLeader("t", 1)},
	} {
		line(c.name, classify(c.err))
	}
	golden(t, "testdata/classify.golden", b.String())
}

func TestOutcomesAreBounded(t *testing.T) {
	err := errors.New(strings.Repeat("x", 10_000))
	if o := classify(err).outcome(err); len(o.Message) > 510 || o.Class != sinks.RetryLater || !o.Outage {
		t.Errorf("%d bytes, %s, outage %t", len(o.Message), o.Class, o.Outage)
	}
}
