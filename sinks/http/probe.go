package http

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
	"waybill/sinks/web"
)

var _ sinks.Prober = (*Sink)(nil)

// Probe implements sinks.Prober: it sends the configured test record twice with one key, and looks what became of it.
func (s *Sink) Probe(ctx context.Context) ([]cdc.Finding, error) {
	kind := s.cfg.Auth.Kind()
	switch {
	case s.cfg.Secret.Set():
		kind = "the secret in " + s.cfg.SecretHeader
	case kind == "":
		kind = "nothing"
	}
	all := []cdc.Finding{{Check: "let in by", Level: cdc.LevelOK, Found: kind}}
	p := s.cfg.Probe
	if p.Entity == "" {
		return append(all, cdc.Finding{Check: "key", Level: cdc.LevelWarn, Found: "not tried", Want: "a record, marked as a test, that may be written twice",
			Why: "Whether the service does once what it is sent twice shows with the first lost answer only.", Fix: `probe: { entity: …, body: '{…}' }`}), nil
	}
	op := sinks.Operation{ID: "probe", Entity: p.Entity, Company: p.Company, ExternalID: p.ExternalID, OrderKey: "probe", Body: json.RawMessage(p.Body)}
	first := s.entities[p.Entity][0]
	in, out := s.Prepare(ctx, op, first.Name, nil, time.Now())
	if out != nil {
		return append(all, wrote("record", *out)), nil
	}
	var r request
	if err := json.Unmarshal(in.Request, &r); err != nil {
		return nil, fmt.Errorf("probing with entity %s: %w", p.Entity, err)
	}
	var outcomes [2]sinks.Outcome
	var limits []string
	for i := range outcomes {
		a := s.client.Do(ctx, web.Request{Method: r.Method, URL: s.cfg.URL + r.Path, Header: s.headers(first, r.payload(), r.Headers), Body: r.payload()})
		outcomes[i] = first.delivered(a, in)
		limits = limitsOf(a)
		if i == 0 {
			all = append(all, wrote("record", outcomes[0]))
			if !outcomes[0].Done() {
				return append(all, told(limits)), nil
			}
		}
	}
	return append(all, s.honoured(ctx, first, in, outcomes), told(limits)), nil
}

// wrote says what became of the record.
func wrote(check string, o sinks.Outcome) cdc.Finding {
	if o.Done() {
		return cdc.Finding{Check: check, Level: cdc.LevelOK, Found: strings.TrimSpace("written as " + o.Ref + " " + o.Number)}
	}
	return cdc.Finding{Check: check, Level: cdc.LevelFail, Found: strings.TrimSpace(string(o.Class) + " " + o.Code + ": " + o.Message), Want: "written",
		Why: "The key could not be tried.", Fix: o.Hint}
}

// honoured says what the service made of the second request with the same key.
func (s *Sink) honoured(ctx context.Context, st step, in sinks.Intent, o [2]sinks.Outcome) cdc.Finding {
	f := cdc.Finding{Check: "key", Level: cdc.LevelOK}
	twice := func(found string) cdc.Finding {
		f := cdc.Finding{Check: "key", Level: cdc.LevelWarn, Found: found, Want: "one record of two requests with one key",
			Why: "A request whose answer is lost is looked for before it is sent again; only that keeps it from being made twice.",
			Fix: "Correct key_header, or name the natural key in path with PUT. Remove the test records."}
		if st.Verify.Path == "" {
			f.Level, f.Why = cdc.LevelFail, "A request whose answer is lost is sent again, and made twice: nothing looks for it."
		}
		return f
	}
	if st.Verify.Path != "" {
		v := s.Verify(ctx, in)
		switch {
		case v.Code == "DUPLICATE_IN_TARGET":
			return twice("made twice")
		case v.Class != sinks.AlreadyApplied:
			f.Level, f.Found, f.Want = cdc.LevelFail, "verify says "+strings.TrimSpace(string(v.Class)+" "+v.Code+": "+v.Message), "found"
			f.Why, f.Fix = "What is there is not found: a lost answer could not be settled.", v.Hint
			return f
		}
	}
	switch {
	case o[1].Done() && o[1].Ref != o[0].Ref:
		return twice(fmt.Sprintf("made twice, as %s and %s", o[0].Ref, o[1].Ref))
	case o[1].Done() && o[0].Ref == "" && st.Verify.Path == "":
		f.Level, f.Found, f.Want = cdc.LevelWarn, "taken twice, without a reference", "a ref or a verify block"
		f.Why, f.Fix = "Nobody can say whether there are one or two.", "ref: id"
	case o[1].Done():
		f.Found = "honoured: the second request gave the same record"
	case o[1].Class == sinks.Conflict || o[1].Code == "ALREADY_THERE":
		f.Found = "honoured: the second request was refused as " + o[1].Code
	default:
		f.Level, f.Found, f.Want = cdc.LevelWarn, "the second request: "+strings.TrimSpace(string(o[1].Class)+" "+o[1].Code), "the same record, or a refusal as a duplicate"
		f.Why, f.Fix = "It is not known how the service says that it has a record already.", "Add what it answers to outcomes, with is: already_applied."
	}
	return f
}

// limitsOf are the headers by which a service tells its limits.
func limitsOf(a web.Answer) (all []string) {
	for name, values := range a.Header {
		low := strings.ToLower(name)
		if strings.Contains(low, "ratelimit") || strings.Contains(low, "rate-limit") || low == "retry-after" {
			all = append(all, name+" "+clip(strings.Join(values, ", "), 60))
		}
	}
	slices.Sort(all)
	return all
}

func told(limits []string) cdc.Finding {
	if len(limits) == 0 {
		return cdc.Finding{Check: "limits", Level: cdc.LevelOK, Found: "the service tells none"}
	}
	return cdc.Finding{Check: "limits", Level: cdc.LevelOK, Found: strings.Join(limits, "; ")}
}
