package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// daemon is `waybill run` as a child process in a group of its own, and the commands that people give it.
type daemon struct {
	binary string
	dir    string // holds waybill.yaml and the logs

	mu   sync.Mutex // held while a child is started or ended
	cmd  *exec.Cmd
	done chan struct{} // closed when the child has ended
}

func (d *daemon) logFile() string { return filepath.Join(d.dir, "waybill.log") }

// start starts a child. It does not wait until it is ready.
func (d *daemon) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	log, err := os.OpenFile(d.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("opening Waybill's log: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(d.binary, "run", "-c", filepath.Join(d.dir, "waybill.yaml"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting waybill run: %w", err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended is in its log
		close(done)
	}()
	d.cmd, d.done = cmd, done
	return nil
}

// kill ends the child as a crash does, and its group with it.
func (d *daemon) kill() { d.end(syscall.SIGKILL, 0) }

// stop ends the child in order; after 30 s, not so.
func (d *daemon) stop() { d.end(syscall.SIGTERM, 30*time.Second) }

func (d *daemon) end(signal syscall.Signal, patience time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return
	}
	_ = syscall.Kill(-d.cmd.Process.Pid, signal) // an error means that it has ended
	if patience > 0 {
		over := time.NewTimer(patience)
		defer over.Stop()
		select {
		case <-d.done:
		case <-over.C:
			_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
		}
	}
	<-d.done
	d.cmd = nil
}

// ended reports whether the child has ended without being told to.
func (d *daemon) ended() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cmd == nil {
		return false
	}
	select {
	case <-d.done:
		return true
	default:
		return false
	}
}

// command runs a command of the same binary to its end and returns what it printed; all of it is kept in commands.log too.
func (d *daemon) command(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	log, err := os.OpenFile(filepath.Join(d.dir, "commands.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return "", fmt.Errorf("opening the log of commands: %w", err)
	}
	defer log.Close()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, d.binary, append(args, "-c", filepath.Join(d.dir, "waybill.yaml"))...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, io.MultiWriter(&out, log), io.MultiWriter(&errs, log)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	fmt.Fprintf(log, "\n$ waybill %s\n", strings.Join(args, " "))
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return out.String(), fmt.Errorf("running waybill %s: %w\n%s", strings.Join(args, " "), err, tailOf(out.String()+errs.String()))
	}
	return out.String(), nil
}

// ask runs a command with --json and reads its answer.
func ask[T any](ctx context.Context, d *daemon, args ...string) (T, error) {
	var answer T
	text, err := d.command(ctx, append(args, "--json")...)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return answer, fmt.Errorf("reading the answer of waybill %s: %w", strings.Join(args, " "), err)
	}
	return answer, nil
}

// logTail is the end of the child's log.
func (d *daemon) logTail() string {
	text, err := os.ReadFile(d.logFile())
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	return tailOf(string(text))
}

func tailOf(text string) string {
	const most = 3000
	if len(text) > most {
		text = "…" + text[len(text)-most:]
	}
	return strings.TrimSpace(text)
}
