//go:build killpoint

package checkpoint

import (
	"bytes"
	"os"
	"strings"
	"syscall"
)

// A program that is built with the tag killpoint ends itself with SIGKILL before or after the sync of the journal entry that
// WAYBILL_KILL describes: "before I text text" is the first intent whose payload holds both texts. The tests that kill a daemon at
// each step of a saga are built so; what is shipped is not.
var killAt = strings.Fields(os.Getenv("WAYBILL_KILL"))

// killpoint is called by the committer around each sync.
func killpoint(when string, batch []*request) {
	if len(killAt) < 2 || killAt[0] != when {
		return
	}
	for _, r := range batch {
		for _, e := range r.entries {
			found := string(e.Kind) == killAt[1]
			for _, text := range killAt[2:] {
				found = found && bytes.Contains(e.Payload, []byte(text))
			}
			if found {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // does not return
				select {}
			}
		}
	}
}
