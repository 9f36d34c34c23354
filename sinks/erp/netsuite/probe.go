package netsuite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/transform"
)

var _ sinks.Prober = (*Sink)(nil)

// Probe implements sinks.Prober: as whom we are let in, the account's limits, today's period, and, where the configuration names a customer that
// may be written, whether NetSuite does once what it is sent twice under one idempotency key.
func (s *Sink) Probe(ctx context.Context) ([]cdc.Finding, error) {
	x, cancel := s.begin(ctx)
	defer cancel()
	limits, out := x.get(limitsPath, nil)
	if out != nil && out.Outage {
		return nil, fmt.Errorf("asking %s: %w", redacted(s.cfg.URL), errOf(out))
	}
	found := []cdc.Finding{{Check: "let in by", Level: cdc.LevelOK, Found: s.cfg.Auth.Kind()}, x.checkLimits(limits, out)}
	return append(found, x.probePeriod(), x.probeKey()), nil
}

func (x *exchange) probePeriod() cdc.Finding {
	day := time.Now().UTC().Format(dateForm)
	p, out := x.askPeriod(&transform.Question{Name: "period", AsOf: day})
	f := outcomeFinding("period of "+day, out, fmt.Sprintf("%v is open for documents of customers", p["name"]))
	if out == nil && p["open"] != true {
		f = cdc.Finding{Check: f.Check, Level: cdc.LevelFail, Found: fmt.Sprintf("%v is not open", p["name"]), Want: "an open period", Why: "Documents dated today cannot be posted.", Fix: hintPeriod}
	}
	return f
}

// probeKey sends one customer twice under one key, and waits for what became of it.
func (x *exchange) probeKey() cdc.Finding {
	f := cdc.Finding{Check: "idempotency key", Level: cdc.LevelWarn, Found: "not tried", Want: "a customer, marked as a test, that may be written",
		Why: "Whether NetSuite does once what it is sent twice shows with the first lost answer only.", Fix: "probe: WAYBILL-PROBE, the code of the customer"}
	if x.cfg.Probe == "" {
		return f
	}
	fail := func(said string) cdc.Finding {
		f.Level, f.Found, f.Want, f.Fix = cdc.LevelFail, said, "the same job for both requests", "Use mode: sync; each create is preceded by a search in either mode."
		return f
	}
	key, err := encodeKey(x.cfg.Prefix, "", x.cfg.Probe)
	if err != nil {
		return fail(err.Error())
	}
	body := record{"isPerson": false, "companyName": "Waybill probe " + x.cfg.Probe}
	subsidiary, out := x.subsidiary("")
	if out != nil {
		return fail(out.Code + ": " + out.Message)
	}
	if subsidiary != "" {
		body["subsidiary"] = refer(subsidiary)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return fail(err.Error())
	}
	headers := map[string]string{"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": uuid.NewString()}
	var jobs [2]string
	for i := range jobs {
		a := x.put(request{Type: "customer", Key: key}, raw, "", headers)
		jobs[i] = jobPath(a.Header.Get("Location"))
		again := a.Status == http.StatusBadRequest && said(a).Code == submitted
		if a.Err != nil || jobs[i] == "" || a.Status != http.StatusAccepted && !(i == 1 && again) {
			o := classify(a)
			return fail(fmt.Sprintf("request %d: HTTP %d, %s %s", i+1, a.Status, o.Code, o.Message))
		}
	}
	if jobs[0] != jobs[1] {
		return fail("not honoured: two jobs, " + jobs[0] + " and " + jobs[1])
	}
	if out := x.follow("probe", job{At: jobs[0]}, false); out != nil {
		return fail(fmt.Sprintf("honoured, and the job %s: %s %s", jobs[0], out.Code, out.Message))
	}
	return cdc.Finding{Check: f.Check, Level: cdc.LevelOK, Found: "honoured: the second request was shown the first one's job"}
}
