package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"

	"waybill/cmd/internal/config"
)

// memoryGrow is how many per cent the heap may grow between collections: the daemon is a neighbour of databases, and trades a
// little CPU for little memory.
const memoryGrow = 50

// limit sets the daemon up to be a small neighbour. GOGC, GOMEMLIMIT and GOMAXPROCS in the environment win.
func limit(l config.Limits) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(memoryGrow)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(l.Memory))
	}
	if l.CPUs > 0 && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(l.CPUs)
	}
	if l.Nice == 0 {
		return nil
	}
	if err := giveWay(l.Nice); err != nil {
		return fmt.Errorf("setting limits.nice to %d: %w", l.Nice, err)
	}
	return nil
}

// giveWay lowers the process's priority to nice; one that is lower already stays. Linux keeps it for each thread, and a new thread
// takes that of the one which makes it: so until no thread is found that was not set (setpriority(2)).
func giveWay(nice int) error {
	set := map[int]bool{}
	for more := true; more; {
		more = false
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(task.Name())
			if err != nil || set[id] {
				continue
			}
			set[id], more = true, true
			if err := lower(id, nice); err != nil && !errors.Is(err, unix.ESRCH) { // it has ended
				return err
			}
		}
	}
	return nil
}

func lower(thread, nice int) error {
	raw, err := unix.Getpriority(unix.PRIO_PROCESS, thread)
	if err != nil {
		return err
	}
	if 20-raw >= nice { // the system call returns 20 less the value, so that it is never negative
		return nil
	}
	return unix.Setpriority(unix.PRIO_PROCESS, thread, nice)
}
