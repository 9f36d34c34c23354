package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"waybill/cmd/internal/admin"
	"waybill/pipeline"
	"waybill/sinks/sinktest"
)

// stories is the folder of the stories, of their carrier and of their golden files.
const stories = "../../../testdata/stories"

// world is what all stories share: dispatch, billing, a pricing service, Waybill and a Tryton behind a proxy.
type world struct {
	*site
	api     *admin.Client
	proxy   *sinktest.FaultProxy
	hurt    int64 // requests that suffered before the fault that holds
	erp     *sinktest.Tryton
	rpc     *sinktest.TrytonRPC
	pricing *billingService
	now     clock
	masks   *disguise
}

// newWorld makes the databases of the stories' carrier, starts Tryton and the daemon.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{site: newSiteOf(t, stories), now: clock{time.Now().Truncate(time.Minute)}}
	w.cutover = w.now.Add(-time.Hour)
	w.erp = sinktest.StartTryton(t, sinktest.TrytonOptions{})
	w.proxy = sinktest.StartFaultProxy(t, w.erp.Addr(), 1)
	w.rpc = w.erp.RPC(t, "admin")
	w.sink = fmt.Sprintf("  erp:\n    type: tryton\n    url: %s\n    database: %s\n    user: %s\n    password: %s\n    company: %s\n"+
		"    time_zone: America/Phoenix\n    timeout: 15s\n    horizon: 1s\n    policy: { backoff_cap: 1s, breaker_cooldown: 1s }\n",
		w.proxy.URL(), w.erp.Database(), w.erp.User(), w.erp.Password(), w.erp.Company())
	w.pricing = newBillingService(t)
	w.extra += fmt.Sprintf("services:\n  pricing: { type: http, url: %s, secret: Bearer e2e, patience: 10s, policy: { backoff_base: 50ms, backoff_cap: 200ms, breaker_cooldown: 200ms } }\n", w.pricing.URL)
	w.write()
	w.api = admin.Dial(filepath.Join(w.dir, "data", "waybill.sock"), "waybill.yaml")
	t.Cleanup(w.api.Close)
	w.start()
	return w
}

// run runs a command of the program.
func (w *world) run(args []string) (out, errs string, code int) { return w.waybill(args...) }

// captured reports whether everything that was committed before is known and applied.
func (w *world) captured(mark time.Time) (bool, error) {
	st, err := w.api.Status(context.Background())
	if err != nil || st.Journal.Applied != st.Journal.Last {
		return false, err
	}
	for _, src := range st.Sources {
		if src.Watermark.Before(mark) && len(src.Held) == 0 || slices.ContainsFunc(src.Readings, func(r pipeline.ReadingStatus) bool {
			return r.State != pipeline.ReadingDone && r.State != pipeline.ReadingFailed
		}) {
			return false, nil
		}
	}
	return true, nil
}

// idle reports whether nothing is on its way to the ERP; what waits for something, waits.
func (w *world) idle() (bool, error) {
	st, err := w.api.Status(context.Background())
	return err == nil && !slices.ContainsFunc(st.Lanes, func(l pipeline.LaneStatus) bool { return l.Ready+l.InFlight+l.Unknown > 0 }), err
}

// quiet waits until the daemon has nothing to do.
func (w *world) quiet() {
	w.t.Helper()
	mark := time.Now()
	w.until(patience, "there is nothing to do", func() bool {
		is, err := w.captured(mark)
		if err == nil && is {
			is, err = w.idle()
		}
		if err != nil {
			w.t.Fatal(err)
		}
		return is
	})
}

// remap makes the next version of the mapping: each line of the text is OLD => NEW, of which OLD must be there.
func (w *world) remap(text string) error {
	path := filepath.Join(w.dir, "mapping.yaml")
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		was, is, ok := strings.Cut(strings.TrimSpace(line), " => ")
		if !ok || !strings.Contains(string(raw), was) {
			return fmt.Errorf("the mapping has no %q", was)
		}
		raw = []byte(strings.ReplaceAll(string(raw), was, is))
	}
	return os.WriteFile(path, raw, 0o600)
}

// erpDoes is what happens in the ERP, or on the way to it: down, up, limited, lose METHOD TEXT, close DATE, reopen DATE, hand REFERENCE
// PARTY NET, unhand REFERENCE.
func (w *world) erpDoes(what []string) error {
	switch what[0] {
	case "down":
		w.proxy.Set(sinktest.ProxyFault{Fault: sinktest.Refuse})
	case "limited":
		w.proxy.Set(sinktest.ProxyFault{Fault: sinktest.TooMany})
	case "up":
		w.proxy.Set(sinktest.ProxyFault{Fault: sinktest.Pass})
		if _, hurt := w.proxy.Requests(); hurt == w.hurt {
			return errors.New("no request suffered")
		} else {
			w.hurt = hurt
		}
	case "lose":
		w.proxy.Set(sinktest.ProxyFault{Fault: sinktest.DropAnswer, Match: what[1], Count: 1})
	case "close", "reopen":
		return w.period(what[0], what[1])
	case "hand":
		return w.byHand(what[1], what[2], what[3])
	case "unhand":
		rows := w.rpc.Rows("account.invoice", []any{[]any{"reference", "=", what[1]}}, "id")
		return w.rpc.Call(nil, "account.invoice.delete", []any{rows[0]["id"]})
	default:
		return fmt.Errorf("the ERP cannot %q", what[0])
	}
	return nil
}

// pricingDoes is what people do in the pricing service: sign CUSTOMER RATE makes a contract, end CUSTOMER ends it.
func (w *world) pricingDoes(what []string) error {
	switch {
	case len(what) == 3 && what[0] == "sign":
		w.pricing.contract(what[1], what[2])
	case len(what) == 2 && what[0] == "end":
		w.pricing.contract(what[1], "")
	default:
		return fmt.Errorf("the pricing service cannot %q", what)
	}
	return nil
}

// period closes or reopens the accounting period of a day.
func (w *world) period(do, date string) error {
	day, err := wireDay(date)
	if err != nil {
		return err
	}
	rows := w.rpc.Rows("account.period", []any{[]any{"start_date", "<=", day}, []any{"end_date", ">=", day}}, "id")
	return w.rpc.Call(nil, "account.period."+do, []any{rows[0]["id"]})
}

// byHand makes a draft as a person does in the ERP's client.
func (w *world) byHand(reference, party, net string) error {
	var p struct {
		id, account, address any
	}
	rows := w.rpc.Rows("party.party", []any{[]any{"code", "=", party}}, "id", "addresses", "account_receivable")
	if len(rows) != 1 {
		return fmt.Errorf("the ERP has no party %s", party)
	}
	p.id, p.address = rows[0]["id"], rows[0]["addresses"].([]any)[0]
	account := func(code string) any {
		return w.rpc.Rows("account.account", []any{[]any{"code", "=", code}}, "id")[0]["id"]
	}
	journal := w.rpc.Rows("account.journal", []any{[]any{"type", "=", "revenue"}}, "id")[0]["id"]
	amount := map[string]any{"__class__": "Decimal", "decimal": net}
	line := map[string]any{"type": "line", "description": "by hand", "quantity": 1, "unit_price": amount, "account": account("4000")}
	day, err := wireDay(w.now.In(phoenix).Format(time.DateOnly))
	if err != nil {
		return err
	}
	return w.rpc.Call(nil, "account.invoice.create", []any{map[string]any{"type": "out", "party": p.id, "invoice_address": p.address, "account": account("1200"),
		"journal": journal, "reference": reference, "invoice_date": day, "lines": []any{[]any{"create", []any{line}}}}})
}

func wireDay(date string) (map[string]any, error) {
	t, err := time.Parse(time.DateOnly, date)
	return sinktest.WireDate(t.Year(), int(t.Month()), t.Day()), err
}

var phoenix = func() *time.Location {
	l, err := time.LoadLocation("America/Phoenix")
	if err != nil {
		panic(err)
	}
	return l
}()

// clock is the minute in which the stories begin; their times are told from it.
type clock struct{ time.Time }

var moment = regexp.MustCompile(`\{(now|today|last year)(?:-([0-9]+)(h|m|d)|-([0-9]{2}-[0-9]{2}))?\}`)

// fill puts times into a step: {now-2h} is a local time, {today-3d} a day, {last year-12-15} a day of the year before.
func (c clock) fill(text string) string {
	return moment.ReplaceAllStringFunc(text, func(m string) string {
		p := moment.FindStringSubmatch(m)
		t := c.In(phoenix)
		if p[1] == "last year" {
			return fmt.Sprintf("%d-%s", t.Year()-1, p[4])
		}
		var n int
		if p[2] != "" {
			_, _ = fmt.Sscan(p[2], &n) // digits, by the pattern
		}
		switch p[3] {
		case "h":
			t = t.Add(-time.Duration(n) * time.Hour)
		case "m":
			t = t.Add(-time.Duration(n) * time.Minute)
		case "d":
			t = t.AddDate(0, 0, -n)
		}
		if p[1] == "today" {
			return t.Format(time.DateOnly)
		}
		return t.Format(time.DateTime)
	})
}
