package businesscentral

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"waybill/sinks/sinktest"
)

// maxBatch is the most operations of one batch.
const maxBatch = 100

// batch does the parts of a JSON batch in order: each for itself, or with Isolation: snapshot all in one transaction, which a posting commits. The
// envelope is 200 whatever became of the parts.
func (s *Simulator) batch(req request) (int, any) {
	var b struct {
		Requests []struct {
			ID      any
			Method  string
			URL     string
			Headers map[string]string
			Body    json.RawMessage
		}
	}
	if req.method != http.MethodPost || json.Unmarshal(req.body, &b) != nil {
		out := bad("BadRequest", "Invalid Request Body")
		return out.status, out.body()
	}
	if len(b.Requests) == 0 || len(b.Requests) > maxBatch {
		out := bad("BadRequest", "The batch has %d operations; 1 to %d are allowed.", len(b.Requests), maxBatch)
		return out.status, out.body()
	}
	together := strings.EqualFold(req.header.Get("Isolation"), "snapshot")
	all := &transaction{s: s}
	responses := []any{}
	failed := false
	for _, p := range b.Requests {
		part := request{method: strings.ToUpper(p.Method), query: url.Values{}, header: http.Header{}, body: p.Body}
		part.path = segments("")
		if u, err := url.Parse(p.URL); err == nil {
			path := u.Path
			if _, behind, ok := strings.Cut(path, "/api/v2.0/"); ok {
				path = behind
			}
			part.path, part.query = segments(path), u.Query()
		}
		for name, value := range p.Headers {
			part.header.Set(name, value)
		}
		if co := part.header.Get("Company"); co != "" && len(part.path) > 0 && part.path[0].name != "companies" {
			part.path = append([]segment{{"companies", co}}, part.path...)
		}
		t := all
		if !together {
			t = &transaction{s: s}
		}
		status, body, tag, out := s.part(t, part)
		if out != nil {
			status, body, failed = out.status, out.body(), true
			t.rollback()
		} else if !together {
			t.commit()
		}
		answer := map[string]any{"id": p.ID, "status": status, "headers": map[string]string{"content-type": "application/json; odata.metadata=minimal", "odata-version": "4.0"}}
		if tag != "" {
			answer["headers"].(map[string]string)["etag"] = tag
		}
		if body != nil {
			answer["body"] = body
		}
		responses = append(responses, answer)
		if failed && (together || !strings.Contains(req.header.Get("Prefer"), "continue-on-error")) {
			break // what comes behind a failure is not done, unless the client prefers it
		}
	}
	if together && !failed {
		all.commit()
	}
	return http.StatusOK, map[string]any{"responses": responses}
}

func (s *Simulator) part(t *transaction, req request) (int, any, string, *refusal) {
	entity, step := about(req.method, req.path)
	if _, hit := s.Sim.Struck(sinktest.PartialBatch, entity, step); hit {
		return 0, nil, "", refuse(http.StatusInternalServerError, "Internal_ServerError", "An internal error occurred.")
	}
	return s.do(t, req)
}
