package s4hana

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"waybill/cdc"
	"waybill/sinks"
)

var _ sinks.Prober = (*Sink)(nil)

// Probe implements sinks.Prober: what Check finds, and, where the configuration names a search term for them, whether a test partner that is
// created twice with one RequestID is made once. A partner cannot be deleted: it stays blocked.
func (s *Sink) Probe(ctx context.Context) ([]cdc.Finding, error) {
	all, err := s.Check(ctx)
	if err != nil || all[0].Level == cdc.LevelFail {
		return all, err
	}
	all = append([]cdc.Finding{{Check: "let in by", Level: cdc.LevelOK, Found: s.cfg.Auth.Kind()}}, all...)
	if s.cfg.Probe == "" {
		return append(all, cdc.Finding{Check: "RequestID", Level: cdc.LevelWarn, Found: "not tried", Want: "a search term for test partners",
			Why: "Whether the tenant does once what it is sent twice is seen by sending it twice only.", Fix: "probe: PROBE"}), nil
	}
	return append(all, s.probeRepeatability(ctx)), nil
}

func (s *Sink) probeRepeatability(ctx context.Context) cdc.Finding {
	x := &exchange{Sink: s, ctx: ctx, probing: true}
	now := time.Now()
	dead := false
	req := partnerRequest{ID: messageID("probe", now.String()).String(), Field: customerField, Key: s.cfg.Probe + "-" + strings.ToUpper(strconv.FormatInt(now.Unix(), 36)), Name: "Waybill probe, not a customer",
		Roles: []string{"000000"}, Live: &dead, Texts: map[string]string{"country": "US"}}
	f := cdc.Finding{Check: "RequestID", Level: cdc.LevelFail, Want: "one partner of two requests with one RequestID"}
	var ids []string
	for range 2 {
		made, out := x.write(partnerService, []change{{Method: http.MethodPost, Path: "A_BusinessPartner", Body: x.newPartner(req)}}, sinks.Intent{At: now}, req.ID)
		if out != nil {
			f.Found, f.Why, f.Fix = fmt.Sprintf("request %d: %s %s: %s", len(ids)+1, out.Class, out.Code, out.Message), "It could not be tried.", out.Hint
			return f
		}
		ids = append(ids, made.text("BusinessPartner"))
	}
	there, out := x.query(partnerService+"A_BusinessPartner", customerField+" eq "+quoted(req.Key), "", "")
	switch {
	case out != nil:
		f.Found, f.Why, f.Fix = out.Code+": "+out.Message, "It could not be seen.", out.Hint
	case len(there) == 1 && ids[0] == ids[1]:
		f.Level, f.Found = cdc.LevelOK, "honoured: partner "+ids[0]+" was made once"
		if s.cfg.Repeatability != RepeatabilityRequestID {
			f.Level, f.Want, f.Why, f.Fix = cdc.LevelWarn, "used", "It closes the gap between a search and a create.", "repeatability: "+RepeatabilityRequestID
		}
	case s.cfg.Repeatability == RepeatabilityRequestID:
		f.Found, f.Why, f.Fix = "not honoured: made twice, as "+strings.Join(ids, " and "), "A create that comes twice is made twice.", "repeatability: "+RepeatabilityNone
	default:
		f = cdc.Finding{Check: f.Check, Level: cdc.LevelOK, Found: "not honoured: made twice, as " + strings.Join(ids, " and ") + "; creates are preceded by a search"}
	}
	return f
}
