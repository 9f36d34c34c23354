package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// addSubdivision does what the accountant does in the ERP about the customer of missingState: enters it, as admin.
func (s *show) addSubdivision(ctx context.Context) error {
	var countries []struct {
		ID int64 `json:"id"`
	}
	domain := []any{[]any{"code", "=", "US"}}
	if err := s.admin(ctx, &countries, "model.country.country.search_read", domain, 0, 1, nil, []string{"code"}); err != nil {
		return err
	}
	if len(countries) != 1 {
		return fmt.Errorf("entering a state in the ERP: it has %d countries US", len(countries))
	}
	state := map[string]any{"code": "US-" + missingState, "name": "Puerto Rico", "type": "state", "country": countries[0].ID}
	return s.admin(ctx, new([]int64), "model.country.subdivision.create", []any{state})
}

// admin calls the ERP as its administrator.
func (s *show) admin(ctx context.Context, into any, method string, params ...any) error {
	t := s.servers.tryton
	body, err := json.Marshal(map[string]any{"id": 1, "method": method, "params": append(params, map[string]any{"company": 1})})
	if err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL()+"/"+t.Database()+"/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.SetBasicAuth("admin", t.Password())
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("calling %s: %w", method, err)
	}
	var answer struct{ Result, Error json.RawMessage }
	if err := json.Unmarshal(text, &answer); err != nil || response.StatusCode != http.StatusOK || answer.Error != nil {
		return fmt.Errorf("calling %s: HTTP %d: %.300s", method, response.StatusCode, text)
	}
	return json.Unmarshal(answer.Result, into)
}
