package sinktest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
)

// TrytonRPC is a plain client for looking at a Tryton from a test. It shares nothing with the adapter, so that both
// cannot be wrong in the same way.
type TrytonRPC struct {
	tb   testing.TB
	url  string
	auth string
}

// RPC logs in as a user, "admin" or "sync" say.
func (t *Tryton) RPC(tb testing.TB, user string) *TrytonRPC {
	tb.Helper()
	c := &TrytonRPC{tb: tb, url: t.URL() + "/" + t.opts.Database + "/"}
	var login []any
	c.must(&login, "common.db.login", user, map[string]string{"password": t.opts.Password})
	c.auth = "Session " + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s:%v:%v", user, login[0], login[1]))
	return c
}

// Call runs model.<method> with the company in its context, and gives the error as Tryton worded it.
func (c *TrytonRPC) Call(into any, method string, params ...any) error {
	return c.raw(into, "model."+method, append(params, map[string]any{"company": 1, "active_test": false}))
}

// Must is Call that fails the test.
func (c *TrytonRPC) Must(into any, method string, params ...any) {
	c.tb.Helper()
	if err := c.Call(into, method, params...); err != nil {
		c.tb.Fatalf("calling %s: %v", method, err)
	}
}

// Rows reads what matches a domain.
func (c *TrytonRPC) Rows(model string, domain []any, fields ...string) []map[string]any {
	c.tb.Helper()
	var rows []map[string]any
	c.Must(&rows, model+".search_read", domain, 0, 1000, [][]string{{"id", "ASC"}}, fields)
	return rows
}

func (c *TrytonRPC) must(into any, method string, params ...any) {
	c.tb.Helper()
	if err := c.raw(into, method, params); err != nil {
		c.tb.Fatalf("calling %s: %v", method, err)
	}
}

func (c *TrytonRPC) raw(into any, method string, params []any) error {
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": params})
	if err != nil {
		return err
	}
	req, err := http.NewRequest(http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Close = true
	req.Header.Set("Content-Type", "application/json")
	if c.auth != "" {
		req.Header.Set("Authorization", c.auth)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	var env struct{ Result, Error json.RawMessage }
	if err := json.Unmarshal(raw, &env); err != nil || resp.StatusCode != http.StatusOK || env.Error != nil {
		return fmt.Errorf("HTTP %d: %.500s", resp.StatusCode, raw)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(env.Result, into)
}

// WireDate is a date as Tryton wants it.
func WireDate(year, month, day int) map[string]any {
	return map[string]any{"__class__": "date", "year": year, "month": month, "day": day}
}

// Amount reads a Decimal of a row.
func Amount(v any) string {
	m, _ := v.(map[string]any)
	s, _ := m["decimal"].(string)
	return s
}
