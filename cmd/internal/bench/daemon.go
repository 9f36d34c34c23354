package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const daemonConfig = `data: data
mapping: mapping.yaml
sources:
  bench:
    type: postgres
    host: %s
    port: %d
    database: %s
    user: %s
    password: %s
    ssl_mode: disable
    slot: waybill_daemon
    publication: waybill_bench
sinks:
  null:
    type: ledger
    url: http://127.0.0.1:9
`

// daemon measures the program itself: from exec to streaming, and what it holds when nothing happens.
func (b *pgBench) daemon(r *report) error {
	dir := filepath.Join(b.dir, "daemon")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config := fmt.Sprintf(daemonConfig, b.Host, b.Port, b.Database, b.User, b.Password)
	for name, text := range map[string]string{"waybill.yaml": config, "mapping.yaml": benchMapping} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	binary, err := filepath.Abs(b.s.Waybill)
	if err != nil {
		return err
	}
	if _, err := b.start(binary, dir, 0); err != nil { // makes the slot and reads the snapshot
		return err
	}
	var began []time.Duration
	for range b.s.Runs {
		took, err := b.start(binary, dir, 0)
		if err != nil {
			return err
		}
		began = append(began, took.took)
	}
	r.add("daemon: exec to streaming", fmt.Sprintf("%.0f ms", float64(began[len(began)/2].Microseconds())/1000), "< 1 s", sample{})
	idle, err := b.start(binary, dir, 15*time.Second)
	if err != nil {
		return err
	}
	r.add("daemon: idle after 15 s", fmt.Sprintf("RSS %.0f MB", idle.rss), "anon < 60 MB", sample{RSS: idle.rss, Anon: idle.anon})
	return b.drop("waybill_daemon")
}

type started struct {
	took      time.Duration
	rss, anon float64
}

// start runs the daemon until it streams, for the time given, and stops it.
func (b *pgBench) start(binary, dir string, linger time.Duration) (s started, err error) {
	cmd := exec.Command(binary, "run")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	logs, err := cmd.StderrPipe()
	if err != nil {
		return s, err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return s, err
	}
	streaming := make(chan time.Duration, 1)
	var text strings.Builder
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(logs); lines.Scan(); {
			text.WriteString(lines.Text() + "\n")
			if strings.Contains(lines.Text(), "msg=streaming") {
				streaming <- time.Since(began)
			}
		}
	}()
	select {
	case s.took = <-streaming:
	case <-read:
		return s, fmt.Errorf("waybill run ended: %w\n%s", cmd.Wait(), text.String())
	case <-time.After(30 * time.Second):
		return s, errors.Join(errors.New("waybill run did not stream within 30 s"), cmd.Process.Kill())
	}
	time.Sleep(linger)
	pid := strconv.Itoa(cmd.Process.Pid)
	anon, err := anonymous(pid)
	if err != nil {
		return s, err
	}
	rss, err := field("/proc/"+pid+"/status", "VmRSS:")
	if err != nil {
		return s, err
	}
	s.rss, s.anon = rss/1024, anon/1024
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return s, err
	}
	<-read
	if err := cmd.Wait(); err != nil {
		return s, fmt.Errorf("waybill run ended: %w\n%s", err, text.String())
	}
	return s, nil
}

// measureBinary looks at the program's size.
func measureBinary(s settings, _ string, r *report) error {
	info, err := os.Stat(s.Waybill)
	if err != nil {
		return fmt.Errorf("looking at the program: %w", err)
	}
	r.add("binary: size", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "< 40 MB", sample{})
	return nil
}
