package netsuite

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"waybill/sinks"
	"waybill/sinks/web"
)

// job is what is known of a request that NetSuite works on by itself. Round counts the jobs of it that have failed: with it the idempotency
// key changes, for NetSuite would answer the same key with the failed job for ever.
type job struct {
	At    string `json:"at,omitempty"` // path of the job; "" when none runs
	Round int    `json:"round,omitempty"`
}

// jobs remembers the jobs by idempotency identity; one that is done is forgotten.
type jobs struct {
	mu     sync.Mutex
	memory sinks.Memory
	all    map[string]job // nil until it was recalled
}

// jobsNote is the name in the memory.
const jobsNote = "netsuite-jobs"

func newJobs(m sinks.Memory) *jobs { return &jobs{memory: m} }

func (j *jobs) recall() error {
	if j.all != nil {
		return nil
	}
	all := map[string]job{}
	if j.memory != nil {
		text, err := j.memory.Recall(jobsNote)
		if err != nil {
			return fmt.Errorf("recalling the jobs of NetSuite: %w", err)
		}
		if text != "" {
			if err := json.Unmarshal([]byte(text), &all); err != nil {
				return fmt.Errorf("recalling the jobs of NetSuite: %w", err)
			}
		}
	}
	j.all = all
	return nil
}

func (j *jobs) of(id string) (job, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.recall(); err != nil {
		return job{}, err
	}
	return j.all[id], nil
}

// keep remembers a job, and syncs it before it returns; an empty one is forgotten.
func (j *jobs) keep(id string, as job) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.recall(); err != nil {
		return err
	}
	if j.all[id] == as {
		return nil
	}
	if as == (job{}) {
		delete(j.all, id)
	} else {
		j.all[id] = as
	}
	if j.memory == nil {
		return nil
	}
	text, err := json.Marshal(j.all)
	if err == nil {
		err = j.memory.Remember(jobsNote, string(text))
	}
	if err != nil {
		return fmt.Errorf("remembering a job of NetSuite: %w", err)
	}
	return nil
}

// space of the UUIDs that are idempotency keys.
var space = uuid.MustParse("3d3f2c1e-9a55-5c0e-8f4d-6b6c1f0a7e21")

// identity names what is asked: the same record with the same content is the same request, whoever asks again.
func identity(req request, body []byte) string {
	return uuid.NewSHA1(space, []byte(req.Type+"\n"+req.Key+"\n"+string(body))).String()
}

func noMemory(err error) *sinks.Outcome {
	return &sinks.Outcome{Class: sinks.RetryLater, Code: "MEMORY", Message: web.Clip(err.Error(), 500), Hint: "Look at the disk of the data folder."}
}

// send writes the record, by a job or at once. nil: NetSuite says that it is done.
func (x *exchange) send(in sinks.Intent, req request, body []byte, replace string) *sinks.Outcome {
	if x.cfg.Mode != modeAsync {
		a := x.put(req, body, replace, nil)
		if a.Err == nil && a.Status >= 200 && a.Status <= 299 {
			return nil
		}
		o := classify(a)
		return &o
	}
	id := identity(req, in.Request)
	known, err := x.jobs.of(id)
	if err != nil {
		return noMemory(err)
	}
	key := uuid.NewSHA1(space, fmt.Appendf(nil, "%s\n%d", id, known.Round)).String()
	a := x.put(req, body, replace, map[string]string{"Prefer": "respond-async", "X-NetSuite-Idempotency-Key": key})
	again := a.Err == nil && a.Status == http.StatusBadRequest && said(a).Code == submitted
	switch at := jobPath(a.Header.Get("Location")); {
	case a.Err == nil && at != "" && (a.Status == http.StatusAccepted || again):
		known.At = at
	case a.Err == nil && (a.Status == http.StatusOK || a.Status == http.StatusNoContent):
		return nil // it was done at once
	default:
		o := classify(a)
		return &o
	}
	if err := x.jobs.keep(id, known); err != nil {
		// It runs all the same; the key finds it again.
		return &sinks.Outcome{Class: sinks.Unknown, Code: "MEMORY", Message: web.Clip(err.Error(), 500), Hint: web.HintUnknown}
	}
	return x.follow(id, known, again)
}

// jobPath is the path of a job in a Location, "" when it is none.
func jobPath(location string) string {
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(u.Path, "/services/rest/async/v1/job/") {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}

// follow asks for a job until it is over or the time is. again: it was not this call that began it.
func (x *exchange) follow(id string, known job, again bool) *sinks.Outcome {
	for {
		over, out := x.state(known)
		if out == nil && over {
			return x.end(id, known, again)
		}
		if out != nil && out.Class != sinks.RetryLater {
			return out
		}
		pause := time.NewTimer(x.cfg.Poll)
		select {
		case <-pause.C:
		case <-x.ctx.Done():
			pause.Stop()
			return &sinks.Outcome{Class: sinks.Unknown, Code: "JOB_RUNNING", Message: "NetSuite still works on " + known.At + ".", Hint: web.HintUnknown}
		}
	}
}

// state asks whether a job is over; one that NetSuite no longer knows is.
func (x *exchange) state(known job) (over bool, out *sinks.Outcome) {
	r, out := x.get(known.At, nil)
	return out == nil && (r == nil || r.truth("completed")), out
}

// end reads what became of a job.
func (x *exchange) end(id string, known job, again bool) *sinks.Outcome {
	task := known.At + "/task/1"
	if list, out := x.get(known.At+"/task", nil); out == nil {
		for _, t := range list.list() {
			if n := t.text("id"); n != "" {
				task = known.At + "/task/" + url.PathEscape(n)
			}
		}
	}
	t, out := x.get(task, nil)
	if out != nil {
		return unread(*out)
	}
	if t == nil || !strings.EqualFold(t.text("progress"), "failed") {
		if err := x.jobs.keep(id, job{Round: known.Round}); err != nil {
			x.log.Warn("a job of NetSuite is not forgotten", "error", err)
		}
		return nil // succeeded, or no longer known: the record itself says
	}
	if err := x.jobs.keep(id, job{Round: known.Round + 1}); err != nil {
		return noMemory(err)
	}
	if again {
		return &sinks.Outcome{Class: sinks.RetryLater, Code: "JOB_FAILED", Message: "An earlier job of the same request failed; it is sent again under another key."}
	}
	a := x.client.Do(x.ctx, web.Request{Method: http.MethodGet, URL: x.cfg.URL + task + "/result"})
	if a.Err != nil {
		return &sinks.Outcome{Class: sinks.RetryLater, Code: "JOB_FAILED", Message: "The job failed, and its result could not be read."}
	}
	x.answer = web.Clip(string(a.Body), 4000)
	if a.Status < 400 { // the result's own status counts, wherever it stands
		var r record
		if decode(a.Body, &r) == nil {
			if n, ok := r.amount("status"); ok {
				a.Status = int(n.IntPart())
			}
		}
	}
	o := classify(a)
	if o.Class == sinks.Unknown { // the job is over, and it failed: nothing was saved
		o.Class, o.Code, o.Outage, o.Hint = sinks.RetryLater, "JOB_FAILED", false, ""
	}
	return &o
}

// unread is that the end of a job could not be read: what became of the record is not known.
func unread(o sinks.Outcome) *sinks.Outcome {
	if o.Class == sinks.RetryLater {
		o.Class, o.Hint = sinks.Unknown, web.HintUnknown
	}
	return &o
}

// awaits is whether a job of the request still runs: then nothing is known of the record, whatever is there.
func (x *exchange) awaits(in sinks.Intent, req request) *sinks.Outcome {
	if x.cfg.Mode != modeAsync {
		return nil
	}
	id := identity(req, in.Request)
	known, err := x.jobs.of(id)
	if err != nil {
		return noMemory(err)
	}
	if known.At == "" {
		return nil
	}
	over, out := x.state(known)
	switch {
	case out != nil:
		return out
	case !over:
		return &sinks.Outcome{Class: sinks.RetryLater, Code: "JOB_RUNNING", Message: "NetSuite still works on " + known.At + "."}
	}
	if out := x.end(id, known, false); out != nil && out.Class != sinks.Rejected && out.Code != "JOB_FAILED" {
		out.Class = sinks.RetryLater
		return out
	}
	return nil // over: the record says what became of it
}
