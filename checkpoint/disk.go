package checkpoint

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// sampleEvery is how long a measurement of the free disk space is believed.
const sampleEvery = 250 * time.Millisecond

// disk watches the free space under the store. What may still be written depends on what it is (Invariant 7): rows need
// the whole floor, an intent half of it, the state a quarter (Badger writes through memory maps, where a full disk kills
// the process), outcomes, decisions and notes an eighth.
type disk struct {
	dir   string
	floor int64

	mu      sync.Mutex
	free    int64
	sampled time.Time
}

// share of the floor that must stay free for a write.
const (
	shareRows   = 1
	shareIntent = 2
	shareState  = 4
	shareSmall  = 8
)

func shareOf(k Kind) int64 {
	switch k {
	case Rows:
		return shareRows
	case Intent, Mapping:
		return shareIntent
	}
	return shareSmall
}

// available returns the free bytes as of at most sampleEvery ago.
func (d *disk) available() (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.sampled) >= sampleEvery {
		var st unix.Statfs_t
		if err := unix.Statfs(d.dir, &st); err != nil {
			return 0, fmt.Errorf("measuring the free space of %s: %w", d.dir, err)
		}
		d.free, d.sampled = int64(st.Bavail)*int64(st.Bsize), now
	}
	return d.free, nil
}

// allow returns *FloorError if a write of this share would have to wait.
func (d *disk) allow(share int64) error {
	free, err := d.available()
	if err != nil {
		return err
	}
	if need := d.floor / share; free < need {
		return &FloorError{Dir: d.dir, Free: free, Floor: need}
	}
	return nil
}

// full turns the disk's own refusal into a *FloorError and forgets the sample that did not see it coming.
func (d *disk) full(err error) error {
	d.mu.Lock()
	d.sampled = time.Time{}
	d.mu.Unlock()
	free, serr := d.available()
	if serr != nil {
		return serr
	}
	return &FloorError{Dir: d.dir, Free: free, Floor: d.floor, Err: err}
}
