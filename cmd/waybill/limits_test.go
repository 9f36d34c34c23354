package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"waybill/cmd/internal/config"
)

// The priority of the process that runs the tests is lower from here on, which none of them notices.
func TestLimits(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS"} {
		t.Setenv(name, "")
	}
	percent, memory, procs := debug.SetGCPercent(-1), debug.SetMemoryLimit(-1), runtime.GOMAXPROCS(0)
	t.Cleanup(func() { debug.SetGCPercent(percent); debug.SetMemoryLimit(memory); runtime.GOMAXPROCS(procs) })
	if err := limit(config.Limits{CPUs: 1, Memory: 1 << 30, Nice: 1}); err != nil {
		t.Fatal(err)
	}
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("memory limit %d", got)
	}
	if got := runtime.GOMAXPROCS(0); got != 1 {
		t.Errorf("%d processors", got)
	}
	made := make(chan struct{})
	go func() { // on a thread that is made now, and ends with it
		runtime.LockOSThread()
		made <- struct{}{}
		<-made
	}()
	<-made
	defer func() { made <- struct{}{} }()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		id, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, id)
		if err == nil && 20-raw < 1 {
			t.Errorf("thread %d of %d has priority %d, want 1", id, len(tasks), 20-raw)
		}
	}
}

// A service manager that has set a lower priority is not overruled, nor may a user do that.
func TestGiveWayOnlyLowers(t *testing.T) {
	if err := giveWay(2); err != nil {
		t.Fatal(err)
	}
	if err := giveWay(1); err != nil {
		t.Fatal(err)
	}
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, os.Getpid())
	if err != nil || 20-raw != 2 {
		t.Errorf("priority %d, %v; want 2", 20-raw, err)
	}
}
