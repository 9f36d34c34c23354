package sinktest

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// Effect is one line of the ledger: something that the simulated ERP did, in the order in which it did it.
type Effect struct {
	Seq        int             `json:"seq"`
	At         time.Time       `json:"at"`
	Entity     string          `json:"entity"`
	Step       string          `json:"step"`
	ExternalID string          `json:"external_id"`
	OrderKey   string          `json:"order_key,omitempty"`
	Sort       string          `json:"sort,omitempty"`
	Ref        string          `json:"ref"`
	Number     string          `json:"number,omitempty"`
	Digest     string          `json:"digest"` // of the body
	Body       json.RawMessage `json:"body,omitempty"`
}

// The faults that the simulator has beside Pass, DropAnswer, BlackHole and Delay.
const (
	ErrorAfter   Fault = "error_after"  // does it, and answers 500
	StaleReads   Fault = "stale_reads"  // reads do not see what is younger than the fault's delay
	Throttle     Fault = "throttle"     // 429 with Retry-After of the fault's delay, in whole seconds
	Down         Fault = "down"         // 503, nothing done
	Unauthorized Fault = "unauthorized" // 401, nothing done
	Reject       Fault = "reject"       // 422, nothing done
)

// FaultOrder switches a fault of the simulator, by POST /control. Entity "" means all. Delay holds the request up before it
// is done: a client that has given up meanwhile finds nothing at first, and the document later.
type FaultOrder struct {
	Entity string        `json:"entity"`
	Step   string        `json:"step"` // "" all steps
	Fault  Fault         `json:"fault"`
	Share  float64       `json:"share"` // of the requests; 0 means all
	Count  int           `json:"count"` // at most so many requests; 0 without bound
	Delay  time.Duration `json:"delay"`
}

// LedgerERP simulates an ERP without any idempotency: what is asked twice is done twice, and a reference is unique only for
// those who search first. Everything that it does is one line of an append-only file, which a test reads afterwards.
// It is a simulator, for faults and crashes; what a real ERP does is asked of Tryton.
type LedgerERP struct {
	mu       sync.Mutex
	file     *os.File
	identity string
	binding  json.RawMessage
	effects  []Effect
	orders   []FaultOrder
	closed   []Closed
}

type ledgerHead struct {
	Identity string          `json:"identity,omitempty"`
	Binding  json.RawMessage `json:"binding,omitempty"`
}

// NewLedgerERP opens a ledger, which may hold the effects of an earlier run.
func NewLedgerERP(file string) (*LedgerERP, error) {
	l := &LedgerERP{}
	effects, head, err := readLedger(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l.effects, l.identity, l.binding = effects, head.Identity, head.Binding
	if l.file, err = os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return nil, fmt.Errorf("opening the ledger: %w", err)
	}
	if l.identity == "" {
		id := make([]byte, 8)
		_, _ = rand.Read(id) // never fails
		l.identity = "ledger:" + hex.EncodeToString(id)
		return l, l.append(ledgerHead{Identity: l.identity})
	}
	return l, nil
}

// append writes one line, in one write: a killed process leaves whole lines.
func (l *LedgerERP) append(v any) error {
	raw, err := json.Marshal(v)
	if err == nil {
		_, err = l.file.Write(append(raw, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing the ledger: %w", err)
	}
	return nil
}

// readLedger reads a ledger file, whole lines only.
func readLedger(file string) (effects []Effect, head ledgerHead, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, head, fmt.Errorf("reading the ledger: %w", err)
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		var line struct {
			ledgerHead
			Effect
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return nil, head, fmt.Errorf("reading the ledger, line %d: %w", len(effects)+1, err)
		}
		switch {
		case line.Identity != "":
			head.Identity = line.Identity
		case line.Binding != nil:
			head.Binding = line.Binding
		default:
			effects = append(effects, line.Effect)
		}
	}
	return effects, head, s.Err()
}

// Close closes the file.
func (l *LedgerERP) Close() error { return l.file.Close() }

// SetFault switches a fault; Pass ends those of its entity and step, and with both empty all.
func (l *LedgerERP) SetFault(o FaultOrder) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var keep []FaultOrder
	for _, f := range l.orders {
		if (o.Entity != "" && f.Entity != o.Entity) || (o.Step != "" && f.Step != o.Step) {
			keep = append(keep, f)
		}
	}
	if l.orders = keep; o.Fault != Pass {
		l.orders = append(l.orders, o)
	}
}

// draw decides what a request suffers; reads and writes have different faults.
func (l *LedgerERP) draw(entity, step string, read bool) FaultOrder {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.orders {
		f := &l.orders[i]
		stale := f.Fault == StaleReads
		if (f.Entity != "" && f.Entity != entity) || (f.Step != "" && f.Step != step) || stale != (read && stale) {
			continue
		}
		if read && (f.Fault == ErrorAfter || f.Fault == Reject || f.Step != "") {
			continue
		}
		if f.Count < 0 || (f.Share > 0 && mathrand.Float64() >= f.Share) {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				f.Count = -1 // used up
			}
		}
		return *f
	}
	return FaultOrder{Fault: Pass}
}

// ServeHTTP answers POST /do (an Effect without Seq), GET /find?entity=&external_id=, GET /identity, GET and PUT /binding,
// and POST /control.
func (l *LedgerERP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 4<<20))
	if err != nil {
		return // the client is gone
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /control":
		var o FaultOrder
		if err := json.Unmarshal(body, &o); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		l.SetFault(o)
	case "GET /identity":
		reply(w, map[string]string{"identity": l.identity})
	case "GET /binding":
		l.mu.Lock()
		defer l.mu.Unlock()
		reply(w, ledgerHead{Binding: l.binding})
	case "PUT /binding":
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := l.append(ledgerHead{Binding: body}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		l.binding = body
	case "GET /find":
		q := r.URL.Query()
		f := l.draw(q.Get("entity"), "", true)
		if !suffer(w, r, f, func() {}) {
			reply(w, l.find(q.Get("entity"), q.Get("external_id"), f))
		}
	case "GET /ask", "POST /periods":
		l.serveAsk(w, r, body)
	case "POST /do":
		l.serveDo(w, r, body)
	default:
		http.NotFound(w, r)
	}
}

func (l *LedgerERP) serveDo(w http.ResponseWriter, r *http.Request, body []byte) {
	var e Effect
	if err := json.Unmarshal(body, &e); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var done Effect
	var err error
	do := func() { done, err = l.do(e) }
	if suffer(w, r, l.draw(e.Entity, e.Step, false), do) {
		return
	}
	if do(); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	reply(w, done)
}

// suffer plays a fault; it reports whether the request has been answered, or never will be.
func suffer(w http.ResponseWriter, r *http.Request, f FaultOrder, do func()) bool {
	switch f.Fault {
	case DropAnswer:
		do()
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetLinger(0)
			}
			c.Close()
		}
	case BlackHole:
		<-r.Context().Done()
	case Delay:
		time.Sleep(f.Delay) // the client may be gone by then; it is done all the same
		return false
	case ErrorAfter:
		do()
		http.Error(w, "internal error", http.StatusInternalServerError)
	case Throttle:
		w.Header().Set("Retry-After", fmt.Sprint(max(1, int(f.Delay.Seconds()))))
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case Down:
		http.Error(w, "down for maintenance", http.StatusServiceUnavailable)
	case Unauthorized:
		http.Error(w, "unauthorized", http.StatusUnauthorized)
	case Reject:
		http.Error(w, "the document is refused", http.StatusUnprocessableEntity)
	default:
		return false
	}
	return true
}

// do makes an effect, however often it was made before.
func (l *LedgerERP) do(e Effect) (Effect, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.closedOn(e.posted()); c != nil {
		return e, fmt.Errorf("PERIOD_CLOSED: the period %s is closed", c.Name)
	}
	e.Seq, e.At = len(l.effects)+1, time.Now().UTC()
	switch e.Step {
	case "post":
		if e.Ref == "" {
			return e, errors.New("ref: no draft is named")
		}
		e.Number = fmt.Sprintf("N-%05d", e.Seq)
	case "upsert":
		e.Ref = "R-" + e.ExternalID
	default:
		e.Ref = fmt.Sprintf("R-%05d", e.Seq)
	}
	if err := l.append(e); err != nil {
		return e, err
	}
	l.effects = append(l.effects, e)
	return e, nil
}

// find is what was done for an external id, oldest first, as an ERP's search would see it.
func (l *LedgerERP) find(entity, externalID string, f FaultOrder) []Effect {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := []Effect{}
	for _, e := range l.effects {
		if e.Entity != entity || e.ExternalID != externalID || (f.Fault == StaleReads && time.Since(e.At) < f.Delay) {
			continue
		}
		e.Body = nil
		found = append(found, e)
	}
	return found
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}
