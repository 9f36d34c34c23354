package sinktest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const ledgerEnv = "WAYBILL_LEDGER_ERP" // addr|file: be the simulator

// ServeLedgerERP runs the simulator at addr until the process ends. Its first line on standard output is its URL.
func ServeLedgerERP(addr, file string) error {
	erp, err := NewLedgerERP(file)
	if err != nil {
		return err
	}
	defer erp.Close()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listening for the simulated ERP: %w", err)
	}
	fmt.Printf("http://%s\n", l.Addr())
	return http.Serve(l, erp)
}

// ServeLedgerIfAsked makes this process the simulator when StartLedgerERP started it. Call it first in TestMain.
func ServeLedgerIfAsked() {
	addr, file, ok := strings.Cut(os.Getenv(ledgerEnv), "|")
	if !ok {
		return
	}
	fmt.Fprintln(os.Stderr, ServeLedgerERP(addr, file))
	os.Exit(1)
}

// LedgerProcess is a simulator in a process of its own: it lives on when the daemon under test is killed.
type LedgerProcess struct {
	URL  string
	File string

	tb     testing.TB
	cmd    *exec.Cmd
	killed sync.Once
}

// StartLedgerERP starts the simulator by running this test binary again; TestMain must begin with ServeLedgerIfAsked.
func StartLedgerERP(tb testing.TB, file string) *LedgerProcess {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), ledgerEnv+"=127.0.0.1:0|"+file)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatalf("starting the simulated ERP: %v", err)
	}
	p := &LedgerProcess{File: file, tb: tb, cmd: cmd}
	tb.Cleanup(p.Kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || !strings.HasPrefix(line, "http://") {
		tb.Fatalf("starting the simulated ERP: it said %q (%v); does TestMain begin with sinktest.ServeLedgerIfAsked()?", line, err)
	}
	p.URL = strings.TrimSpace(line)
	return p
}

// Kill ends the simulator with kill -9; its ledger stays.
func (p *LedgerProcess) Kill() {
	p.killed.Do(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait() // killed: it says so
	})
}

// SetFault switches a fault.
func (p *LedgerProcess) SetFault(o FaultOrder) {
	p.tb.Helper()
	p.tell("/control", o)
}

// tell sends an order to the simulator.
func (p *LedgerProcess) tell(path string, order any) {
	p.tb.Helper()
	raw, err := json.Marshal(order)
	if err != nil {
		p.tb.Fatalf("ordering %s: %v", path, err)
	}
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Post(p.URL+path, "application/json", bytes.NewReader(raw))
	if err != nil {
		p.tb.Fatalf("ordering %s: %v", path, err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		p.tb.Fatalf("ordering %s: HTTP %d", path, resp.StatusCode)
	}
}
