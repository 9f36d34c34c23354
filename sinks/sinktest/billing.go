package sinktest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// BillingOptions say how the simulated billing system runs.
type BillingOptions struct {
	File    string // what it made: a JSON line each
	Token   string // what callers must bear; empty for none
	DSN     string // of the billing database into which it writes; empty for none
	Release bool   // it releases its drafts at once
	// Forgetful makes it know no keys: what is asked twice is made twice.
	Forgetful bool
}

// Billing is the simulator testdata/billing in a process of its own: it lives on when the daemon under test is killed.
type Billing struct {
	URL  string
	File string

	tb  testing.TB
	cmd *exec.Cmd
}

var billingProgram struct {
	sync.Mutex
	file string
}

// buildBilling compiles the simulator once for a test binary.
func buildBilling() (string, error) {
	billingProgram.Lock()
	defer billingProgram.Unlock()
	if billingProgram.file != "" {
		return billingProgram.file, nil
	}
	_, here, _, _ := runtime.Caller(0)
	file := filepath.Join(os.TempDir(), fmt.Sprintf("waybill-billing-%d", os.Getpid()))
	cmd := exec.Command("go", "build", "-o", file, "./testdata/billing")
	cmd.Dir = filepath.Join(filepath.Dir(here), "..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the simulated billing system: %w\n%s", err, out)
	}
	billingProgram.file = file
	return file, nil
}

// RemoveBilling removes the compiled simulator. Call it last in TestMain.
func RemoveBilling() {
	billingProgram.Lock()
	defer billingProgram.Unlock()
	if billingProgram.file != "" {
		_ = os.Remove(billingProgram.file) // a leftover in the temporary folder hurts nobody
		billingProgram.file = ""
	}
}

// StartBilling starts the simulator until the test ends.
func StartBilling(tb testing.TB, o BillingOptions) *Billing {
	tb.Helper()
	program, err := buildBilling()
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), "TZ=America/Chicago", "BILLING_FILE="+o.File, "BILLING_TOKEN="+o.Token, "BILLING_DSN="+o.DSN,
		"BILLING_RELEASE="+map[bool]string{true: "1"}[o.Release],
		"BILLING_FORGETFUL="+map[bool]string{true: "1"}[o.Forgetful])
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatalf("starting the simulated billing system: %v", err)
	}
	b := &Billing{File: o.File, tb: tb, cmd: cmd}
	tb.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: it says so
	})
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(said, "http://") {
		tb.Fatalf("starting the simulated billing system: it said %q (%v)", said, err)
	}
	b.URL = strings.TrimSpace(said)
	return b
}

// Fault switches a fault for so many requests (0: until another is switched): drop, error, slow, throttle, down or pass.
func (b *Billing) Fault(fault string, count int, delay time.Duration) {
	b.tb.Helper()
	raw, err := json.Marshal(map[string]any{"fault": fault, "count": count, "delay_ms": delay.Milliseconds()})
	if err != nil {
		b.tb.Fatal(err)
	}
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(b.URL+"/control", "application/json", bytes.NewReader(raw))
	if err != nil {
		b.tb.Fatalf("switching a fault: %v", err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		b.tb.Fatalf("switching a fault: HTTP %d", resp.StatusCode)
	}
}

// Received is how many requests for an invoice have come.
func (b *Billing) Received() int {
	b.tb.Helper()
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get(b.URL + "/control")
	if err != nil {
		b.tb.Fatal(err)
	}
	defer resp.Body.Close()
	var v struct{ Received int }
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		b.tb.Fatal(err)
	}
	return v.Received
}

// Made reads the keys of what it made, in order: a key that stands there twice was billed twice.
func (b *Billing) Made() []string {
	b.tb.Helper()
	raw, err := os.ReadFile(b.File)
	if err != nil {
		b.tb.Fatal(err)
	}
	var keys []string
	for line := range bytes.Lines(raw) {
		var inv struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal(line, &inv); err != nil {
			b.tb.Fatal(err)
		}
		keys = append(keys, inv.Key)
	}
	return keys
}
