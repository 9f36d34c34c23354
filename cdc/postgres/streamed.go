package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"waybill/cdc"
)

// streamedMost is how many transactions are remembered: some seconds of a busy server.
const streamedMost = 1 << 16

// streamed remembers the transactions that the session has received of late, so that a chunk is not read before the server shows
// them: a commit is in the log before it is seen, and with synchronous replication long before.
type streamed struct {
	mu   sync.Mutex
	xids []uint32
	next int
}

func (s *streamed) add(xid uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.xids) < streamedMost {
		s.xids = append(s.xids, xid)
		return
	}
	s.xids[s.next] = xid
	s.next = (s.next + 1) % streamedMost
}

// unseen returns a transaction that was streamed and is running by the view; 0 for none.
func (s *streamed) unseen(text string) (uint32, error) {
	v, err := parseView(text)
	if err != nil || v.running == "" {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for number := range strings.SplitSeq(v.running, ",") {
		n, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("reading view %q: %w", text, err)
		}
		if slices.Contains(s.xids, uint32(n)) {
			return uint32(n), nil
		}
	}
	return 0, nil
}

// unseenError says that a transaction was streamed which the server does not show yet.
type unseenError struct{ xid uint32 }

func (e *unseenError) Error() string {
	return fmt.Sprintf("transaction %d is in the log and not visible yet; with synchronous replication it waits for a standby", e.xid)
}

func (e *unseenError) Unwrap() error { return cdc.ErrDisconnected }
