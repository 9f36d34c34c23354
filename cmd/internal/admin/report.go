package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"

	"waybill/pipeline"
)

// streamed is an answer of several JSON objects, a line each, which are sent as they come.
type streamed func(w http.ResponseWriter) error

// reportLine is one line of a streamed report: how far it is, or its end.
type reportLine[R any] struct {
	Done   int64  `json:"done,omitempty"`
	Total  int64  `json:"total,omitempty"`
	Report *R     `json:"report,omitempty"`
	Error  *Error `json:"failed,omitempty"`
}

// reportRoute serves a report of a period: since and until, both optional. With progress=true the answer is a stream of lines.
func reportRoute[R any](report func(context.Context, pipeline.ReportQuery) (R, error)) func(context.Context, *http.Request) (any, error) {
	return func(ctx context.Context, r *http.Request) (any, error) {
		v := values{Values: r.URL.Query()}
		q := pipeline.ReportQuery{Since: v.time("since"), Until: v.time("until")}
		progress := v.flag("progress")
		if err := v.check("since", "until", "progress"); err != nil {
			return nil, err
		}
		if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
			return nil, badRequest("Give since before until.", "the period is empty")
		}
		if !progress {
			return report(ctx, q)
		}
		return streamed(func(w http.ResponseWriter) error { return streamReport(ctx, w, q, report) }), nil
	}
}

func streamReport[R any](ctx context.Context, w http.ResponseWriter, q pipeline.ReportQuery, report func(context.Context, pipeline.ReportQuery) (R, error)) error {
	lines := json.NewEncoder(w)
	var gone error // whoever asked does not read any more
	q.Progress = func(done, total int64) {
		if gone == nil {
			gone = lines.Encode(reportLine[R]{Done: done, Total: total})
		}
		if gone == nil {
			gone = http.NewResponseController(w).Flush()
		}
	}
	answer, err := report(ctx, q)
	switch {
	case gone != nil:
		return gone
	case err != nil:
		return lines.Encode(reportLine[R]{Error: errorOf(err)})
	}
	return lines.Encode(reportLine[R]{Report: &answer})
}

// Reconcile asks for the comparison of source, Waybill and ERP.
func (c *Client) Reconcile(ctx context.Context, q pipeline.ReportQuery) (pipeline.ReconcileReport, error) {
	return askReport[pipeline.ReconcileReport](ctx, c, "/api/report/reconcile", q)
}

// Backlog asks for the work at each stage.
func (c *Client) Backlog(ctx context.Context, q pipeline.ReportQuery) (pipeline.BacklogReport, error) {
	return askReport[pipeline.BacklogReport](ctx, c, "/api/report/backlog", q)
}

func askReport[R any](ctx context.Context, c *Client, path string, q pipeline.ReportQuery) (report R, err error) {
	v := url.Values{}
	setTime(v, "since", q.Since)
	setTime(v, "until", q.Until)
	if q.Progress == nil {
		return ask[R](ctx, c, "GET", path+"?"+v.Encode(), nil)
	}
	v.Set("progress", "true")
	var failed *Error
	err = c.send(ctx, "GET", path+"?"+v.Encode(), nil, func(read *json.Decoder) error {
		for {
			var line reportLine[R]
			if err := read.Decode(&line); err != nil {
				return err
			}
			switch {
			case line.Error != nil:
				failed = line.Error
				return nil
			case line.Report != nil:
				report = *line.Report
				return nil
			}
			q.Progress(line.Done, line.Total)
		}
	})
	if err == nil && failed != nil {
		err = failed
	}
	return report, err
}
