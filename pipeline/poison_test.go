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
	poisonKeys   = 60 // order keys, of which every tenth is poisoned
	poisonEach   = 8  // documents of a key
)

// watched is the simulated ERP with a clock: when a document's first step arrived, when its last one was done, and when it was refused.
type watched struct {
	erp http.Handler

	mu      sync.Mutex
	begun   map[string]time.Time
	done    map[string]time.Time
	refused map[string][]time.Time
	poison  func(id string) bool
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
	id := strings.TrimPrefix(e.ExternalID, "x:")
	w.mu.Lock()
	if _, twice := w.begun[id]; !twice {
		w.begun[id] = time.Now()
	}
	if w.poison(id) {
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

// poisonRun sends the documents of all keys through lanes to the simulated ERP, and returns the p99 of the time that documents of clean keys took.
func poisonRun(t *testing.T, poisoned bool) time.Duration {
	r := newRig(t)
	erp, err := sinktest.NewLedgerERP(filepath.Join(t.TempDir(), "ledger"))
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{erp: erp, begun: map[string]time.Time{}, done: map[string]time.Time{}, refused: map[string][]time.Time{},
		poison: func(id string) bool { return poisoned && strings.HasSuffix(id, "0-2") }}
	server := httptest.NewServer(w)
	t.Cleanup(func() {
		server.Close()
		if err := erp.Close(); err != nil {
			t.Error(err)
		}
	})
	r.towards(sinktest.NewLedgerSink(server.URL, 10*time.Second), sinks.Policy{Concurrency: 16})
	var posts []transform.Post
	for n := range poisonEach {
		for k := range poisonKeys {
			posts = append(posts, invoice(fmt.Sprintf("%d-%d", k, n), fmt.Sprintf("invoice/%d", k)))
		}
	}
	r.post(posts...)
	r.start()
	for k := range poisonKeys {
		id := fmt.Sprintf("%d-%d", k, poisonEach-1)
		want := StateDone
		if poisoned && k%10 == 0 {
			id, want = fmt.Sprintf("%d-2", k), StateParked
		}
		r.until(fmt.Sprintf("%s is %s", id, want), func() bool { return r.delivery(id).State == want })
	}
	r.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.parkedAtOnce(t, r)
	var took []time.Duration
	for id, done := range w.done {
		if key, _, _ := strings.Cut(id, "-"); !strings.HasSuffix(key, "0") {
			took = append(took, done.Sub(w.begun[id]))
		}
	}
	slices.Sort(took)
	return took[len(took)*99/100]
}

// parkedAtOnce looks at what was refused: sent once, and an exception within a second.
func (w *watched) parkedAtOnce(t *testing.T, r *rig) {
	for id, at := range w.refused {
		x := r.exception(r.delivery(id).Exception)
		if after := x.OpenedAt.Sub(at[0]); len(at) != 1 || after > time.Second {
			t.Errorf("%s was refused %d times, and an exception after %s", id, len(at), after)
		}
		behind := strings.Replace(id, "-2", "-3", 1)
		if d := r.delivery(behind); d.State != StateWaiting || d.Sends != 0 {
			t.Errorf("%s, behind a poisoned document, is %s", behind, d.State)
		}
	}
}

// A poisoned document is an exception within a second, and other keys do not notice: the p99 of their time at the target stays.
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
