package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// meter measures this process: CPU seconds since begin, and the peak of its memory.
type meter struct {
	began time.Time
	cpu   float64
	anon  float64
	stop  chan struct{}
	ended chan struct{}
}

func begin() *meter {
	m := &meter{began: time.Now(), cpu: cpuSeconds(), stop: make(chan struct{}), ended: make(chan struct{})}
	go m.watch()
	return m
}

func (m *meter) watch() {
	defer close(m.ended)
	tick := time.NewTicker(500 * time.Millisecond) // a look costs milliseconds
	defer tick.Stop()
	for {
		if kb, err := anonymous("self"); err == nil {
			m.anon = max(m.anon, kb/1024)
		}
		select {
		case <-tick.C:
		case <-m.stop:
			return
		}
	}
}

// end returns the sample of what went on since begin.
func (m *meter) end(changes int) (sample, error) {
	s := sample{Changes: changes, Seconds: time.Since(m.began).Seconds(), CPU: cpuSeconds() - m.cpu}
	close(m.stop)
	<-m.ended
	kb, err := peakRSS("self")
	s.RSS, s.Anon = kb/1024, m.anon
	return s, err
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return seconds(u.Utime) + seconds(u.Stime)
}

func seconds(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }

// anonymous is the anonymous memory of a process in kB: what it holds beside the pages of files that the kernel may drop.
func anonymous(pid string) (float64, error) { return field("/proc/"+pid+"/smaps_rollup", "Anonymous:") }

func peakRSS(pid string) (float64, error) { return field("/proc/"+pid+"/status", "VmHWM:") }

func field(file, name string) (float64, error) {
	f, err := os.Open(file)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), name); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, fmt.Errorf("reading %s: no line %s", file, name)
}
