package sinks

import (
	"sync"
	"time"
)

// retries is the budget of retries: a share of first attempts, saved up to a few, and one in ten seconds whatever the traffic.
type retries struct {
	mu    sync.Mutex
	saved float64
	last  time.Time
}

const (
	retriesSaved = 10
	retryEvery   = 10 * time.Second
)

func newRetries(now time.Time) *retries { return &retries{saved: retriesSaved, last: now} }

// earn adds the share of a first attempt.
func (r *retries) earn(share float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = min(r.saved+share, retriesSaved)
}

// spend takes a retry, or says how long until there is one at the latest.
func (r *retries) spend(now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.saved = min(r.saved+max(0, float64(now.Sub(r.last))/float64(retryEvery)), retriesSaved)
	r.last = now
	if r.saved >= 1 {
		r.saved--
		return 0
	}
	return max(time.Duration((1-r.saved)*float64(retryEvery)), 100*time.Millisecond)
}
