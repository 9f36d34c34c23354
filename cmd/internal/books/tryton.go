package books

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Tryton reads the books of a Tryton 6.0 server by its JSON-RPC.
type Tryton struct {
	URL      string // of the server, without the database: http://127.0.0.1:8000
	Database string
	User     string
	Password string
	Company  int // its id; 0 is the first one, 1

	session string
	calls   int
}

// page is how many invoices one call reads; bodyLimit bounds an answer that is read.
const (
	page      = 500
	bodyLimit = 64 << 20
)

// Invoices reads every customer invoice of the company, in any state. It logs in at the first call.
func (t *Tryton) Invoices(ctx context.Context) ([]Invoice, error) {
	if t.session == "" {
		if err := t.login(ctx); err != nil {
			return nil, err
		}
	}
	var all []Invoice
	for {
		found, err := t.read(ctx, len(all))
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			i, err := f.invoice()
			if err != nil {
				return nil, fmt.Errorf("invoice id %d: %w", f.ID, err)
			}
			all = append(all, i)
		}
		if len(found) < page {
			return all, nil
		}
	}
}

func (t *Tryton) login(ctx context.Context) error {
	var answer []json.RawMessage // user id, session key
	t.session = ""
	if err := t.call(ctx, "common.db.login", []any{t.User, map[string]string{"password": t.Password}}, &answer); err != nil {
		return fmt.Errorf("logging in as %s: %w", t.User, err)
	}
	if len(answer) != 2 {
		return fmt.Errorf("logging in as %s: the ERP did not accept the password", t.User)
	}
	var key string
	if err := json.Unmarshal(answer[1], &key); err != nil {
		return fmt.Errorf("logging in as %s: reading the session key: %w", t.User, err)
	}
	t.session = base64.StdEncoding.EncodeToString([]byte(t.User + ":" + string(answer[0]) + ":" + key))
	return nil
}

// found is an invoice as Tryton answers it.
type found struct {
	ID        int64   `json:"id"`
	Reference *string `json:"reference"`
	Number    *string `json:"number"`
	State     string  `json:"state"`
	Move      *int64  `json:"move"`
	Net       decimal `json:"untaxed_amount"`
	Tax       decimal `json:"tax_amount"`
	Total     decimal `json:"total_amount"`
	Party     struct {
		Code *string `json:"code"`
		Name *string `json:"name"`
	} `json:"party."`
	Currency struct {
		Code string `json:"code"`
	} `json:"currency."`
}

type decimal struct {
	Value string `json:"decimal"`
}

var invoiceFields = []string{"reference", "number", "state", "move", "untaxed_amount", "tax_amount", "total_amount",
	"party.code", "party.name", "currency.code"}

func (t *Tryton) read(ctx context.Context, offset int) ([]found, error) {
	company := max(t.Company, 1)
	domain := []any{[]any{"type", "=", "out"}, []any{"company", "=", company}}
	params := []any{domain, offset, page, [][]string{{"id", "ASC"}}, invoiceFields, map[string]any{"company": company, "active_test": false}}
	var answer []found
	if err := t.call(ctx, "model.account.invoice.search_read", params, &answer); err != nil {
		return nil, err
	}
	return answer, nil
}

// call makes one request. Tryton answers most of its faults with HTTP 200, so both are looked at.
func (t *Tryton) call(ctx context.Context, method string, params []any, into any) error {
	t.calls++
	body, err := json.Marshal(map[string]any{"id": t.calls, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("writing the call of %s: %w", method, err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(t.URL, "/")+"/"+t.Database+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	if t.session != "" {
		request.Header.Set("Authorization", "Session "+t.session)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, bodyLimit))
	if err != nil {
		return fmt.Errorf("reading the answer of %s: %w", method, err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("calling %s: the ERP answered HTTP %d", method, response.StatusCode)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", method, err)
	}
	if len(answer.Error) > 0 && string(answer.Error) != "null" {
		return fmt.Errorf("calling %s: the ERP says %.300s", method, answer.Error)
	}
	if err := json.Unmarshal(answer.Result, into); err != nil {
		return fmt.Errorf("reading the answer of %s: %w", method, err)
	}
	return nil
}

func (f found) invoice() (Invoice, error) {
	i := Invoice{ID: f.ID, Reference: deref(f.Reference), Number: deref(f.Number), State: f.State, Move: deref(f.Move),
		PartyCode: deref(f.Party.Code), PartyName: deref(f.Party.Name), Currency: f.Currency.Code}
	var err error
	for _, m := range []struct {
		into *Cents
		text string
	}{{&i.Net, f.Net.Value}, {&i.Tax, f.Tax.Value}, {&i.Total, f.Total.Value}} {
		if *m.into, err = ParseCents(m.text); err != nil {
			return i, err
		}
	}
	return i, nil
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
