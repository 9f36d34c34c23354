package businesscentral

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"waybill/cdc"
	"waybill/sinks"
)

var _ sinks.Prober = (*Sink)(nil)

// probeKey is the external id of the draft that a probe makes.
const probeKey = "WAYBILL-PROBE"

// Probe implements sinks.Prober: it makes a draft without lines twice with one id, sees what the server makes of that, and deletes it. What it
// learns holds until the process ends.
func (s *Sink) Probe(ctx context.Context) ([]cdc.Finding, error) {
	x, cancel := s.begin(ctx)
	defer cancel()
	if out := x.open(); out != nil {
		return nil, fmt.Errorf("probing Business Central: %w", errOf(out))
	}
	if s.cfg.Probe.Customer == "" {
		return []cdc.Finding{{Check: "ids of documents", Level: cdc.LevelOK, Found: "not probed: the configuration names no probe.customer"}}, nil
	}
	const set = "salesInvoices"
	id := idFor(set, "", probeKey)
	values := record{"id": id, "externalDocumentNumber": probeKey, "customerNumber": strings.ToUpper(s.cfg.Probe.Customer)}
	var drafts []string
	var out *sinks.Outcome
	for range 2 {
		var made record
		if out = x.write(&made, http.MethodPost, set, "", values); out != nil && out.Code == codeID {
			delete(values, "id")
			out = x.write(&made, http.MethodPost, set, "", values)
		}
		if out != nil {
			break
		}
		if drafts = append(drafts, made.id()); made.id() != id {
			break
		}
	}
	switch {
	case out != nil && out.Code == codeExists:
		x.learn(true)
		drafts = []string{id} // one that an earlier probe left, too
	case out != nil:
		return []cdc.Finding{outcomeFinding("probe", out, "")}, x.undraft(set, drafts)
	default:
		x.learn(false)
	}
	return []cdc.Finding{{Check: "probe", Level: cdc.LevelOK, Found: "a draft may be made and deleted"}, s.checkIDs()}, x.undraft(set, drafts)
}

// undraft deletes drafts.
func (x *exchange) undraft(set string, ids []string) error {
	for _, id := range ids {
		r, out := x.byID(set, id)
		if out == nil && r != nil {
			out = x.write(nil, http.MethodDelete, set+"("+id+")", r.etag(), nil)
		}
		if out != nil {
			return fmt.Errorf("deleting the draft %s of the probe, which stays in Business Central: %w", id, errOf(out))
		}
	}
	return nil
}
