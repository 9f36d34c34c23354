package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"waybill/pipeline"
)

// historian is what the API needs to answer questions about the history in side states, and to decide about mappings. A question
// may take long: it says how far it is, and ends with its request.
type historian interface {
	VerifyState(ctx context.Context, since time.Time, progress func(pipeline.Progress)) (pipeline.StateProof, error)
	DiffMappings(ctx context.Context, q pipeline.DiffRequest, progress func(pipeline.Progress)) (pipeline.MappingDiff, error)
	Explain(ctx context.Context, q pipeline.ExplainRequest, progress func(pipeline.Progress)) (pipeline.ExplainView, error)
	ActivateMapping(ctx context.Context, q pipeline.ActivateRequest) (pipeline.Activated, error)
	Shadows(ctx context.Context, limit int) (pipeline.ShadowView, error)
	SwitchShadow(ctx context.Context, q pipeline.ShadowRequest) (pipeline.ShadowView, error)
}

const (
	maxMappings = 8 << 20          // bytes of a request that carries two mappings
	lineTimeout = 30 * time.Second // for one line of an answer to be taken

	progressEvery = 500 * time.Millisecond // least time between two lines about one step
)

// verification asks for a proof of the state, made from the state snapshot before a time; zero: from the earliest place there is.
type verification struct {
	Since time.Time `json:"since,omitzero"`
}

// line is one line of a long answer: progress while it is made, and in the end the result or an error.
type line struct {
	Progress *pipeline.Progress `json:"progress,omitempty"`
	Result   json.RawMessage    `json:"result,omitempty"`
	Error    *Error             `json:"failed,omitempty"`
	Status   int                `json:"status,omitempty"`
}

// longRoutes are the questions that are answered line by line, in JSON.
func (s *Server) longRoutes(mux *http.ServeMux, guard func(http.Handler) http.Handler) {
	d := s.daemon
	mux.Handle("POST /api/checkpoint/verify", guard(long(s, func(ctx context.Context, q verification, say func(pipeline.Progress)) (pipeline.StateProof, error) {
		return d.VerifyState(ctx, q.Since, say)
	})))
	mux.Handle("POST /api/mapping/diff", guard(long(s, d.DiffMappings)))
	mux.Handle("POST /api/mapping/explain", guard(long(s, d.Explain)))
	mux.Handle("POST /api/mapping/activate", guard(long(s, func(ctx context.Context, q pipeline.ActivateRequest, _ func(pipeline.Progress)) (pipeline.Activated, error) {
		return d.ActivateMapping(ctx, q)
	})))
}

// long serves a question whose answer may take minutes. It ends when the caller goes.
func long[Q, V any](s *Server, answer func(context.Context, Q, func(pipeline.Progress)) (V, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn := http.NewResponseController(w)
		if err := conn.SetReadDeadline(time.Time{}); err != nil { // the caller waits longer than a request may take to come
			writeError(w, err)
			return
		}
		var q Q
		r.Body = http.MaxBytesReader(w, r.Body, maxMappings)
		if err := decodeBody(r, &q); err != nil {
			writeError(w, err)
			return
		}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.Header().Set("Cache-Control", "no-store")
		write := func(l line) {
			err := conn.SetWriteDeadline(time.Now().Add(lineTimeout))
			if err == nil {
				err = json.NewEncoder(w).Encode(l)
			}
			if err == nil {
				err = conn.Flush()
			}
			if err != nil {
				s.log.Debug("answer not taken", "path", r.URL.Path, "error", err)
				cancel()
			}
		}
		step, told := "", time.Time{}
		v, err := answer(ctx, q, func(p pipeline.Progress) {
			if now := time.Now(); p.Step != step || now.Sub(told) >= progressEvery {
				step, told = p.Step, now
				write(line{Progress: &p})
			}
		})
		last := line{}
		if err == nil {
			last.Result, err = json.Marshal(v)
		}
		if err != nil {
			last.Error = errorOf(err)
			last.Status = last.Error.Status
		}
		write(last)
	})
}

func (s *Server) shadows(ctx context.Context, r *http.Request) (any, error) {
	v := values{Values: r.URL.Query()}
	limit := v.limit(100, maxEvents)
	if err := v.check("limit"); err != nil {
		return nil, err
	}
	return s.daemon.Shadows(ctx, limit)
}

func (s *Server) switchShadow(ctx context.Context, r *http.Request) (any, error) {
	var q pipeline.ShadowRequest
	if err := decodeBody(r, &q); err != nil {
		return nil, err
	}
	if q.Mapping == "" || q.By == "" || q.Why == "" {
		return nil, badRequest(`Give "mapping", "by" and "why".`, "the decision is not complete")
	}
	v, err := s.daemon.SwitchShadow(ctx, q)
	return v, missing(err, "nothing of "+strings.TrimSpace(q.Mapping+" "+q.Target)+" is in shadow", "Mark the mapping, or one of its posts, with shadow: true.")
}

// VerifyState proves that the state is what the journal makes.
func (c *Client) VerifyState(ctx context.Context, since time.Time, progress func(pipeline.Progress)) (pipeline.StateProof, error) {
	return askLong[pipeline.StateProof](ctx, c, "/api/checkpoint/verify", verification{since}, progress)
}

// DiffMappings asks what would be otherwise under another version of a mapping.
func (c *Client) DiffMappings(ctx context.Context, q pipeline.DiffRequest, progress func(pipeline.Progress)) (pipeline.MappingDiff, error) {
	return askLong[pipeline.MappingDiff](ctx, c, "/api/mapping/diff", q, progress)
}

// Explain asks why a change became an event, or did not.
func (c *Client) Explain(ctx context.Context, q pipeline.ExplainRequest, progress func(pipeline.Progress)) (pipeline.ExplainView, error) {
	return askLong[pipeline.ExplainView](ctx, c, "/api/mapping/explain", q, progress)
}

// ActivateMapping lets a mapping hold from now on; it returns when what was held has been looked at again.
func (c *Client) ActivateMapping(ctx context.Context, q pipeline.ActivateRequest) (pipeline.Activated, error) {
	return askLong[pipeline.Activated](ctx, c, "/api/mapping/activate", q, nil)
}

// Shadows asks for what is kept in shadow.
func (c *Client) Shadows(ctx context.Context, limit int) (pipeline.ShadowView, error) {
	return ask[pipeline.ShadowView](ctx, c, "GET", "/api/shadow?"+url.Values{"limit": {strconv.Itoa(limit)}}.Encode(), nil)
}

// SwitchShadow sends what is in shadow, or keeps it again; it returns when that is queued.
func (c *Client) SwitchShadow(ctx context.Context, q pipeline.ShadowRequest) (pipeline.ShadowView, error) {
	return ask[pipeline.ShadowView](ctx, c, "POST", "/api/shadow", q)
}

// askLong asks a question that is answered line by line.
func askLong[T any](ctx context.Context, c *Client, path string, body any, progress func(pipeline.Progress)) (answer T, err error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return answer, fmt.Errorf("encoding the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader(raw))
	if err != nil {
		return answer, fmt.Errorf("making the request: %w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return answer, c.failed(err)
	}
	defer res.Body.Close()
	read := json.NewDecoder(io.LimitReader(res.Body, maxAnswer))
	if res.StatusCode != http.StatusOK {
		e := &Error{Status: res.StatusCode}
		if err := read.Decode(e); err != nil || e.Message == "" {
			e.Message = fmt.Sprintf("the daemon at %s answered %s", c.socket, res.Status)
		}
		return answer, e
	}
	for {
		var l line
		if err := read.Decode(&l); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errors.New("the daemon ended before it had answered")
			}
			return answer, fmt.Errorf("reading the daemon's answer: %w", err)
		}
		switch {
		case l.Error != nil:
			l.Error.Status = l.Status
			return answer, l.Error
		case l.Result != nil:
			if err := json.Unmarshal(l.Result, &answer); err != nil {
				return answer, fmt.Errorf("reading the daemon's answer: %w", err)
			}
			return answer, nil
		case l.Progress != nil && progress != nil:
			progress(*l.Progress)
		}
	}
}
