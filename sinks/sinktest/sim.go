package sinktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The faults of a Sim beside those of the proxy and the ledger.
const (
	ExpireTokens Fault = "expire_tokens" // the tokens given out so far are refused
	PartialBatch Fault = "partial_batch" // one part of a batch fails, the others as the product does with them
	Locked       Fault = "locked"        // the record is held by other work
)

// Sim is what the simulators of cloud ERPs share: an HTTP server on loopback, a ledger of what was committed, faults, limits and counts. It is a
// simulator, written from what the vendors document; what the product really does is asked of the product.
type Sim struct {
	URL string

	product SimProduct
	options SimOptions
	server  *httptest.Server
	gone    chan struct{}

	mu      sync.Mutex
	orders  []FaultOrder
	ledger  []Committed
	file    *os.File
	running int
	waiting int
	peak    int
	calls   []Call
	free    *sync.Cond
}

// SimProduct is one product behind a Sim.
type SimProduct interface {
	// Handle answers a request and commits what it does by Sim.Commit, within the call. Faults that have to do with its own data (StaleReads,
	// ExpireTokens, PartialBatch, Locked, a closed period) it asks of Sim.Struck.
	Handle(s *Sim, w http.ResponseWriter, r *http.Request, body []byte)
	// Names says what a request is about, for faults that choose: an entity of the adapter's words ("sales_invoice") and a step ("create"), or
	// "read" for what changes nothing, or "login".
	Names(r *http.Request, body []byte) (entity, step string)
	// Fail writes the product's error page of a status, with its headers (Retry-After when wait is not zero and the product says it).
	Fail(w http.ResponseWriter, status int, wait time.Duration)
}

// SimOptions bound a simulator.
type SimOptions struct {
	File       string        // the ledger as JSON lines, each written before the answer; "" keeps it in memory
	Concurrent int           // requests that run at the same time; 0 without bound
	Queue      int           // requests that wait silently beyond that; what comes then is answered with 429
	Takes      time.Duration // each request takes so long
}

// Committed is one line of the ledger: something that the simulated product did, in its order.
type Committed struct {
	Seq     int             `json:"seq"`
	At      time.Time       `json:"at"`
	Entity  string          `json:"entity"` // customer, location, item, tax_code, sales_invoice, credit_note, journal_entry
	Step    string          `json:"step"`   // create, update, post
	Key     string          `json:"key"`    // the external key as the product holds it
	ID      string          `json:"id"`     // the product's own
	Number  string          `json:"number,omitempty"`
	Company string          `json:"company,omitempty"`
	Total   string          `json:"total,omitempty"` // a plain decimal
	Body    json.RawMessage `json:"body,omitempty"`  // the document as it is now
}

// Call is one request as it came in.
type Call struct {
	At, Done   time.Time
	Entity     string
	Step       string
	Status     int // 0: no answer was given
	Concurrent int // with this one
}

// StartSim starts a simulator until the test ends.
func StartSim(tb testing.TB, product SimProduct, o SimOptions) *Sim {
	tb.Helper()
	s := &Sim{product: product, options: o, gone: make(chan struct{})}
	s.free = sync.NewCond(&s.mu)
	if o.File != "" {
		var err error
		if s.file, err = os.OpenFile(o.File, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			tb.Fatalf("opening the ledger of the simulator: %v", err)
		}
	}
	s.server = httptest.NewServer(s)
	s.URL = s.server.URL
	tb.Cleanup(func() {
		close(s.gone)
		s.server.CloseClientConnections()
		s.server.Close()
		if s.file != nil {
			_ = s.file.Close() // each line was written in one call
		}
	})
	return s
}

// Commit writes a line of the ledger. It is called with the product's own lock held, so that the lines stand in its order.
func (s *Sim) Commit(c Committed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Seq, c.At = len(s.ledger)+1, time.Now().UTC()
	s.ledger = append(s.ledger, c)
	if s.file == nil {
		return
	}
	raw, err := json.Marshal(c)
	if err == nil {
		_, err = s.file.Write(append(raw, '\n'))
	}
	if err != nil {
		panic(fmt.Sprintf("writing the ledger of the simulator: %v", err))
	}
}

// Ledger is what was committed.
func (s *Sim) Ledger() []Committed {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Committed(nil), s.ledger...)
}

// Calls are the requests so far, and Peak how many of them ran at the same time, at most.
func (s *Sim) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Peak is how many requests were there at the same time, at most, those that waited too.
func (s *Sim) Peak() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peak
}

// SetFault adds a fault; Pass ends all of them.
func (s *Sim) SetFault(o FaultOrder) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.Fault == Pass {
		s.orders = nil
		return
	}
	s.orders = append(s.orders, o)
}

// SetConcurrent changes the hidden limit while it runs.
func (s *Sim) SetConcurrent(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options.Concurrent = n
	s.free.Broadcast()
}

// Struck says whether a fault of this kind hits what is done now, and uses it up once. Share is not looked at.
func (s *Sim) Struck(kind Fault, entity, step string) (FaultOrder, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.orders {
		if o.Fault != kind || o.Entity != "" && o.Entity != entity || o.Step != "" && o.Step != step {
			continue
		}
		if o.Count == 1 {
			s.orders = append(s.orders[:i:i], s.orders[i+1:]...)
		} else if o.Count > 1 {
			s.orders[i].Count--
		}
		return o, true
	}
	return FaultOrder{}, false
}

// ServeHTTP lets a request through its limits and faults to the product.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, 16<<20)); err != nil {
		return // the client is gone
	}
	entity, step := s.product.Names(r, body.Bytes())
	call, ok := s.enter(entity, step)
	out := httptest.NewRecorder()
	answered := true
	if ok {
		answered = s.run(out, r, body.Bytes(), entity, step)
	} else {
		s.product.Fail(out, http.StatusTooManyRequests, 0)
	}
	call.Done = time.Now()
	if answered {
		call.Status = out.Code
	}
	s.leave(call, ok)
	if !answered {
		panic(http.ErrAbortHandler) // the connection ends without an answer
	}
	for name, values := range out.Header() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Length", strconv.Itoa(out.Body.Len()))
	w.WriteHeader(out.Code)
	_, _ = w.Write(out.Body.Bytes()) // a client that has gone does not hear it
}

// enter counts a request and waits for its turn; false when it is one too many.
func (s *Sim) enter(entity, step string) (call Call, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	call = Call{At: time.Now(), Entity: entity, Step: step, Concurrent: s.running + s.waiting + 1}
	s.peak = max(s.peak, call.Concurrent)
	if s.options.Concurrent > 0 && s.running >= s.options.Concurrent && s.waiting >= s.options.Queue {
		return call, false
	}
	s.waiting++
	for s.options.Concurrent > 0 && s.running >= s.options.Concurrent {
		s.free.Wait()
	}
	s.waiting--
	s.running++
	return call, true
}

func (s *Sim) leave(call Call, ran bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ran {
		s.running--
		s.free.Signal()
	}
	s.calls = append(s.calls, call)
}

// run does what the faults leave of a request, and says whether it is answered.
func (s *Sim) run(w http.ResponseWriter, r *http.Request, body []byte, entity, step string) bool {
	struck := func(kind Fault) (FaultOrder, bool) { return s.Struck(kind, entity, step) }
	s.pause(s.options.Takes)
	if _, hit := struck(BlackHole); hit {
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
		return false
	}
	if o, hit := struck(Throttle); hit {
		s.product.Fail(w, http.StatusTooManyRequests, o.Delay)
		return true
	}
	if o, hit := struck(Down); hit {
		s.product.Fail(w, http.StatusServiceUnavailable, o.Delay)
		return true
	}
	if _, hit := struck(Refuse); hit {
		return false
	}
	if o, hit := struck(Delay); hit {
		s.pause(o.Delay) // it is done all the same, whether or not the client still waits
	}
	_, drop := struck(DropAnswer)
	_, broken := struck(ErrorAfter)
	done := w
	if broken {
		done = httptest.NewRecorder()
	}
	s.product.Handle(s, done, r, body)
	if broken {
		s.product.Fail(w, http.StatusInternalServerError, 0)
	}
	return !drop
}

func (s *Sim) pause(d time.Duration) {
	if d == 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-s.gone:
	}
}

// Bearer is the token of a request, "" when it has none.
func Bearer(r *http.Request) string {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return ""
	}
	return token
}
