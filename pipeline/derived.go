package pipeline

import (
	"encoding/json"
	"fmt"

	"waybill/checkpoint"
	"waybill/sinks"
	"waybill/transform"
)

// outcomeData is the data of an event that follows from an outcome. erp.posted has the ERP's number and what was read back of the document,
// erp.rejected what the ERP said and what a person should do. What the ERP did not say is left out.
func outcomeData(typ string, d *delivery, o outcomeEntry) json.RawMessage {
	data := map[string]any{"sink": d.Post.Sink, "entity": d.Post.Entity, "external_id": d.Post.ExternalID}
	if len(o.Outcome.Facts) > 0 {
		data["facts"] = o.Outcome.Facts
	}
	said := map[string]string{"number": o.Outcome.Number}
	for _, fact := range []string{"posting_date", "currency", "net", "tax", "total"} {
		said[fact] = o.Outcome.Facts[fact]
	}
	if typ == "erp.rejected" {
		data["step"], data["class"], data["code"], data["message"] = o.Step, string(o.Outcome.Class), refusal(o.Outcome), o.Outcome.Message
		said = map[string]string{"field": o.Outcome.Field, "hint": o.Outcome.Hint}
	}
	for name, text := range said {
		if text != "" {
			data[name] = text
		}
	}
	raw, _ := json.Marshal(data) // texts only: cannot fail
	return raw
}

// refusal is the code of a refusal, which not every target gives.
func refusal(o sinks.Outcome) string {
	if o.Code != "" {
		return o.Code
	}
	return map[sinks.Class]string{sinks.Rejected: "REJECTED", sinks.Conflict: "POST_CONFLICT"}[o.Class]
}

// rejected tells everyone who follows the events that the ERP refuses a document. Each refusal is an event of its own: its id hashes the
// delivery and the journal entry of the outcome.
func (s *state) rejected(d *delivery, o outcomeEntry, e checkpoint.Entry) error {
	if d.Post.Amount == nil {
		return nil
	}
	ev := derived("erp.rejected", d, o, e)
	ev.ID = hashID(ev.Type, d.Post.ID, fmt.Sprint(e.Index))
	out := &output{s: s, entry: transform.Entry{Index: e.Index, Observed: e.At}}
	return out.Event(ev)
}
