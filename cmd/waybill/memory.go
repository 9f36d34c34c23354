package main

import (
	"os"
	"runtime/debug"
)

// The daemon is a neighbour of databases: it trades a little CPU for little memory. GOGC and GOMEMLIMIT in the environment win.
const (
	memoryLimit = 128 << 20 // bytes of Go memory from which the collector works harder; a target, not a bound
	memoryGrow  = 50        // per cent that the heap may grow between collections
)

// frugal sets the collector up for the daemon.
func frugal() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(memoryGrow)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(memoryLimit)
	}
}
