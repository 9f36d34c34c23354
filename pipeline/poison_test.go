package pipeline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"waybill/sinks"
	"waybill/sinks/sinktest"
	"waybill/transform"
)

// The bounds of TestPoisonParksAtOnce. The figure that is promised is 1.10; on a machine that does other work the median of five pairs moves by
// more than that, so tests ask for it only when WAYBILL_STRICT is set.
const (
	poisonStrict = 1.10
	poisonLoose  = 1.60
	poisonPairs  = 5
	poisonKeys   = 10 // clean order keys, fewer than the lane sends at the same time
	poisonEach   = 12 // documents of each
	poisonMore   = 12 // documents with a key of their own, which are good or poisoned: either way as many are sent
)

// watched is the simulated ERP with a clock: when a document was done, and when it was refused.
type watched struct {
	erp    http.Handler
	poison bool

	mu      sync.Mutex
	done    map[string]time.Time
	refused map[string][]time.Time
}

func (w *watched) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if r.URL.Path != "/do" {
		w.erp.ServeHTTP(out, r)
		return
	}
	var e sinktest.Effect
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(out, err.Error(), http.StatusBadRequest)
		return
	}
	id := e.ExternalID
	w.mu.Lock()
	if w.poison && strings.HasPrefix(id, "more") {
		w.refused[id] = append(w.refused[id], time.Now())
		w.mu.Unlock()
		http.Error(out, "the document is refused", http.StatusUnprocessableEntity)
		return
	}
	w.mu.Unlock()
	<-time.After(10 * time.Millisecond) // the ERP works
	w.erp.ServeHTTP(out, r)
	w.mu.Lock()
	w.done[id] = time.Now()
	w.mu.Unlock()
}

// poisonRun sends documents through a lane to the simulated ERP. It returns the p99 of the time from one document of a clean key to its next: all that
// a lane does for it, journal and target.
func poisonRun(t *testing.T, poisoned bool) time.Duration {
	r := newRig(t)
	erp, err := sinktest.NewLedgerERP(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{erp: erp, poison: poisoned, done: map[string]time.Time{}, refused: map[string][]time.Time{}}
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		server.Close()
		if err := erp.Close(); err != nil {
			t.Error(err)
		}
	})
	r.towards(sinktest.NewLedgerSink(server.URL, 10*time.Second), sinks.Policy{Concurrency: 16})
	document := func(id, key string) transform.Post {
		p := customer(id)
		p.Lane, p.OrderKey = transform.LaneTransactional, key
		return p
	}
	var posts []transform.Post
	for n := range poisonEach {
		for k := range poisonKeys {
			posts = append(posts, document(fmt.Sprintf("%d-%d", k, n), fmt.Sprintf("key/%d", k)))
		}
		if n < poisonMore {
			posts = append(posts, document(fmt.Sprintf("more%d", n), fmt.Sprintf("key/more%d", n)))
		}
	}
	r.post(posts...)
	r.start()
	for k := range poisonKeys {
		r.state(fmt.Sprintf("%d-%d", k, poisonEach-1), StateDone)
	}
	for n := range poisonMore {
		r.state(fmt.Sprintf("more%d", n), map[bool]DeliveryState{false: StateDone, true: StateParked}[poisoned])
	}
	r.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, at := range w.refused {
		x := r.exception(r.delivery(id).Exception)
		if after := x.OpenedAt.Sub(at[0]); len(at) != 1 || after > time.Second {
			t.Errorf("%s was refused %d times, and an exception after %s", id, len(at), after)
		}
	}
	var took []time.Duration
	for k := range poisonKeys {
		for n := 1; n < poisonEach; n++ {
			took = append(took, w.done[fmt.Sprintf("%d-%d", k, n)].Sub(w.done[fmt.Sprintf("%d-%d", k, n-1)]))
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// A poisoned document is an exception within a second, and other keys do not notice: the p99 of their time stays.
func TestPoisonParksAtOnce(t *testing.T) {
	bound := poisonLoose
	if os.Getenv("WAYBILL_STRICT") != "" {
		bound = poisonStrict
	}
	var ratios []float64
	run := func(poisoned bool) (p99 time.Duration) {
		t.Run(fmt.Sprintf("poisoned=%v", poisoned), func(t *testing.T) { p99 = poisonRun(t, poisoned) })
		return p99
	}
	run(false) // the first run warms up
	for i := range poisonPairs {
		var clean, poisoned time.Duration
		if i%2 == 0 {
			clean = run(false)
			poisoned = run(true)
		} else {
			poisoned = run(true)
			clean = run(false)
		}
		if t.Failed() {
			return
		}
		t.Logf("p99 of clean keys: %s without, %s with poisoned documents", clean, poisoned)
		ratios = append(ratios, float64(poisoned)/float64(clean))
	}
	slices.Sort(ratios)
	if median := ratios[poisonPairs/2]; median > bound {
		t.Errorf("with poisoned documents the p99 of clean keys is %.2f of that without, want at most %.2f: %.2f", median, bound, ratios)
	}
}
