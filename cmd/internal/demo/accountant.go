package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// group is the company of the ERP that all carriers' books are in: acquired carriers of one group, apart by their accounts.
const group = "Northstar Freight Group"

// openAccounts does what the accountant of the group did when two more carriers were acquired: accounts, products, taxes and terms that their
// documents need. The state's fuel tax is booked as a line, which Tryton wants on an account of type revenue.
func (s *show) openAccounts(ctx context.Context) error {
	var found []struct {
		ID int64 `json:"id"`
	}
	domain := []any{[]any{"code", "in", []string{"2200", "4000"}}}
	if err := s.admin(ctx, &found, "model.account.account.search_read", domain, 0, 2, [][]string{{"code", "ASC"}}, []string{"code"}); err != nil {
		return err
	}
	if len(found) != 2 {
		return fmt.Errorf("opening the accounts: the ERP has %d of 2200 and 4000", len(found))
	}
	tax, sales := found[0].ID, found[1].ID
	for _, a := range [][2]string{{"4100", "Bulk haulage"}, {"4110", "Bulk fuel surcharge"}, {"4120", "Bulk waiting time"}, {"2210", "State fuel tax"},
		{"4200", "LTL freight"}, {"4210", "LTL fuel surcharge"}, {"4220", "LTL accessorials"}} {
		if err := s.admin(ctx, new([]int64), "model.account.account.copy", []int64{sales}, map[string]any{"code": a[0], "name": a[1]}); err != nil {
			return err
		}
	}
	for _, x := range [][2]string{{"HST 13%", "0.13"}, {"Zero-rated", "0"}} {
		if err := s.admin(ctx, new([]int64), "model.account.tax.create", []any{map[string]any{"name": x[0], "description": x[0], "company": 1, "type": "percentage",
			"rate": map[string]string{"__class__": "Decimal", "decimal": x[1]}, "invoice_account": tax, "credit_note_account": tax}}); err != nil {
			return err
		}
	}
	if err := s.admin(ctx, new([]int64), "model.account.invoice.payment_term.create", []any{map[string]any{"name": "NET 10",
		"lines": []any{[]any{"create", []any{map[string]any{"type": "remainder", "relativedeltas": []any{[]any{"create", []any{map[string]any{"days": 10}}}}}}}}}}); err != nil {
		return err
	}
	return s.openProducts(ctx)
}

// openProducts makes a product for each kind of charge that only the acquired carriers have.
func (s *show) openProducts(ctx context.Context) error {
	var units, category []struct {
		ID int64 `json:"id"`
	}
	if err := s.admin(ctx, &units, "model.product.uom.search_read", []any{[]any{"name", "=", "Unit"}}, 0, 1, nil, []string{"name"}); err != nil {
		return err
	}
	if err := s.admin(ctx, &category, "model.product.category.search_read", []any{[]any{"name", "=", "Revenue 4020"}}, 0, 1, nil, []string{"name"}); err != nil {
		return err
	}
	if len(units) != 1 || len(category) != 1 {
		return fmt.Errorf("opening the products: the ERP has %d units and %d categories", len(units), len(category))
	}
	for _, p := range [][2]string{{"LFT", "Liftgate"}, {"INS", "Inside delivery"}, {"RES", "Residential delivery"}, {"LTD", "Limited access"}, {"SFT", "State fuel tax"}} {
		zero := map[string]string{"__class__": "Decimal", "decimal": "0"}
		if err := s.admin(ctx, new([]int64), "model.product.template.create", []any{map[string]any{"name": p[1], "code": "", "type": "service",
			"default_uom": units[0].ID, "list_price": zero, "account_category": category[0].ID,
			"products": []any{[]any{"create", []any{map[string]any{"suffix_code": p[0]}}}}}}); err != nil {
			return err
		}
	}
	return nil
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
