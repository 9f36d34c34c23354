package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/shopspring/decimal"
)

// invoice is a draft that was asked for.
type invoice struct {
	ID       string          `json:"id"`
	Key      string          `json:"key"` // by which it was asked for
	Number   string          `json:"number"`
	Shipment string          `json:"shipment"`
	Customer string          `json:"customer"`
	Total    string          `json:"total"`
	Lines    []line          `json:"lines"`
	Asked    json.RawMessage `json:"asked"` // the request as it came
}

type line struct {
	Charge string `json:"charge"`
	Amount string `json:"amount"`
}

// lineHaul is the price of every shipment here: this is a simulator.
const lineHaul = "1000.00"

// fault is what the next requests suffer.
type fault struct {
	Fault string `json:"fault"`
	Count int    `json:"count"` // requests; 0 until it is switched off
	Delay int    `json:"delay_ms"`
}

// service keeps what it made by the keys of the requests.
type service struct {
	token     string
	forgetful bool // it knows no keys: what is asked twice is made twice
	books     *books

	mu       sync.Mutex
	file     *os.File
	made     map[string][]*invoice
	count    int
	received int // requests for an invoice
	order    fault
}

// open reads what an earlier run made, and goes on behind it.
func (s *service) open(name string) error {
	if name == "" {
		return nil
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var inv invoice
		if err := json.Unmarshal(lines.Bytes(), &inv); err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		s.made[inv.Key] = append(s.made[inv.Key], &inv)
		s.count++
	}
	s.file = f
	return lines.Err()
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the caller is gone
	}
	route := r.Method + " " + r.URL.Path
	if route == "POST /control" {
		var f fault
		if err := json.Unmarshal(body, &f); err != nil {
			problem(w, http.StatusBadRequest, err.Error(), "")
			return
		}
		s.mu.Lock()
		s.order = f
		s.mu.Unlock()
		return
	}
	if route == "GET /control" {
		s.mu.Lock()
		defer s.mu.Unlock()
		reply(w, http.StatusOK, map[string]int{"received": s.received, "made": s.count})
		return
	}
	if s.token != "" && r.Header.Get("Authorization") != "Bearer "+s.token {
		problem(w, http.StatusUnauthorized, "the token is not known", "")
		return
	}
	switch route {
	case "GET /health":
		reply(w, http.StatusOK, map[string]string{"status": "ok"})
	case "GET /v1/invoices":
		s.find(w, r.URL.Query().Get("key"))
	case "POST /v1/invoices":
		s.ask(w, r.Header.Get("Idempotency-Key"), body)
	default:
		problem(w, http.StatusNotFound, "there is nothing at "+r.URL.Path, "")
	}
}

func (s *service) find(w http.ResponseWriter, key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := s.made[key]
	if items == nil {
		items = []*invoice{}
	}
	reply(w, http.StatusOK, map[string]any{"items": items})
}

// draw takes the fault of one request.
func (s *service) draw() fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.order
	s.received++
	if f.Count > 0 {
		if s.order.Count--; s.order.Count == 0 {
			s.order = fault{}
		}
	}
	return f
}

// ask makes an invoice, and plays the fault of the moment.
func (s *service) ask(w http.ResponseWriter, key string, body []byte) {
	f := s.draw()
	switch f.Fault {
	case "throttle":
		w.Header().Set("Retry-After", fmt.Sprint(max(1, f.Delay/1000)))
		problem(w, http.StatusTooManyRequests, "too many requests", "")
		return
	case "down":
		problem(w, http.StatusServiceUnavailable, "down for maintenance", "")
		return
	case "slow":
		time.Sleep(time.Duration(f.Delay) * time.Millisecond) // the caller may be gone by then; it is done all the same
	}
	inv, status, err := s.make(key, body)
	switch {
	case err != nil:
		var wrong *refusal
		field := ""
		if errors.As(err, &wrong) {
			field = wrong.field
		}
		problem(w, status, err.Error(), field)
	case f.Fault == "drop":
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetLinger(0) // an error for the caller, not the end of an answer
			}
			c.Close()
		}
	case f.Fault == "error":
		problem(w, http.StatusInternalServerError, "internal error", "")
	default:
		reply(w, status, inv)
	}
}

// refusal is a request that the service does not take.
type refusal struct{ field, text string }

func (r *refusal) Error() string { return r.text }

// make makes the invoice of a key, once.
func (s *service) make(key string, body []byte) (*invoice, int, error) {
	var asked struct {
		Shipment string `json:"shipment"`
		Customer string `json:"customer"`
		Charges  []line `json:"charges"`
	}
	if err := json.Unmarshal(body, &asked); err != nil {
		return nil, http.StatusBadRequest, err
	}
	if key == "" {
		return nil, http.StatusBadRequest, errors.New("the header Idempotency-Key is missing")
	}
	if asked.Shipment == "" || asked.Customer == "" {
		return nil, http.StatusUnprocessableEntity, &refusal{"shipment", "shipment and customer are needed"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.made[key]; known != nil && !s.forgetful {
		if !bytes.Equal(known[0].Asked, body) {
			return nil, http.StatusConflict, errors.New("the key was used for another request")
		}
		return known[0], http.StatusOK, nil
	}
	n := s.count + 1
	inv := &invoice{ID: fmt.Sprintf("I%05d", n), Key: key, Number: fmt.Sprintf("G%05d", n), Shipment: asked.Shipment, Customer: asked.Customer, Asked: body,
		Lines: append([]line{{"LINEHAUL", lineHaul}}, asked.Charges...)}
	total := decimal.Zero
	for _, l := range inv.Lines {
		amount, err := decimal.NewFromString(l.Amount)
		if err != nil {
			return nil, http.StatusUnprocessableEntity, &refusal{"charges", fmt.Sprintf("the amount %q", l.Amount)}
		}
		total = total.Add(amount)
	}
	inv.Total = total.StringFixed(2)
	if s.books != nil {
		if err := s.books.write(inv); err != nil {
			return nil, http.StatusInternalServerError, err
		}
	}
	if s.file != nil {
		raw, err := json.Marshal(inv)
		if err == nil {
			_, err = s.file.Write(append(raw, '\n'))
		}
		if err != nil {
			return nil, http.StatusInternalServerError, err
		}
	}
	s.made[key] = append(s.made[key], inv)
	s.count = n
	if s.books != nil {
		if err := s.books.released(inv); err != nil {
			return nil, http.StatusInternalServerError, err
		}
	}
	return inv, http.StatusCreated, nil
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller is gone if this fails
}

func problem(w http.ResponseWriter, status int, text, field string) {
	v := map[string]string{"message": text}
	if field != "" {
		v["field"] = field
	}
	reply(w, status, v)
}
