package netsuite

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"waybill/sinks/sinktest"
)

// job is a request that was taken to be done later. Each of its tasks is one record.
type job struct {
	id    string
	tasks []*task
	timer *time.Timer // nil: it was done at once
	done  bool
}

type task struct {
	call   *call
	target target
	result *answer // nil: not yet
}

const mostParts = 100

// enqueue takes a request with Prefer: respond-async.
func (s *Server) enqueue(c *call, t target) answer {
	key := c.r.Header.Get("X-NetSuite-Idempotency-Key")
	if key != "" {
		if _, err := uuid.Parse(key); err != nil {
			return badHeader("X-NetSuite-Idempotency-Key", "The key is a UUID.").answer()
		}
		if first := s.keys[key]; first != nil {
			p := refusal(http.StatusBadRequest, detail{Detail: "A request with this idempotency key has been taken.", Code: "IDEMPOTENCY_ERROR", Header: "X-NetSuite-Idempotency-Key"})
			p.location = jobPath + first.id
			return p.answer()
		}
	}
	if t.collected || c.r.Method != http.MethodGet {
		if _, p := c.write(t); p != nil {
			return p.answer()
		}
	}
	tasks, p := s.tasks(c, t)
	if p != nil {
		return p.answer()
	}
	j := &job{id: strconv.Itoa(len(s.jobs) + 1), tasks: tasks}
	s.jobs = append(s.jobs, j)
	if key != "" {
		s.keys[key] = j
	}
	if s.options.JobTakes == 0 {
		s.work(j)
	} else {
		s.running.Add(1)
		j.timer = time.AfterFunc(s.options.JobTakes, func() {
			defer s.running.Done()
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.stopped {
				s.work(j)
			}
		})
	}
	return answer{status: http.StatusAccepted, header: map[string]string{"Preference-Applied": "respond-async", "Location": jobPath + j.id}}
}

// tasks are the parts of a request: those of a collection, or itself.
func (s *Server) tasks(c *call, t target) ([]*task, *problem) {
	// A copy: the request of the caller ends before the job.
	own := &call{server: s, sim: c.sim, r: c.r.Clone(c.r.Context()), body: bytes.Clone(c.body), base: c.base}
	if !t.collected {
		return []*task{{call: own, target: t}}, nil
	}
	if t.id != "" || t.external != "" || c.r.Method == http.MethodGet || c.r.Method == http.MethodDelete {
		return nil, badHeader("Content-Type", "A collection is posted, put or patched to a record type.")
	}
	var body struct{ Items []map[string]any }
	if err := decode(c.body, &body); err != nil || len(body.Items) == 0 {
		return nil, refusal(http.StatusBadRequest, detail{Detail: "The body of a collection has items.", Code: invalidContent, Path: "items"})
	}
	if len(body.Items) > mostParts {
		return nil, refusal(http.StatusBadRequest, detail{Detail: fmt.Sprintf("%d items; at most %d are taken.", len(body.Items), mostParts), Code: invalidContent, Path: "items"})
	}
	var all []*task
	for _, item := range body.Items {
		one := t
		one.collected = false
		if c.r.Method != http.MethodPost {
			one.id, one.external = str(item, "id"), str(item, "externalId")
			if one.id != "" && c.r.Method == http.MethodPatch {
				one.external = "" // the internal id takes precedence
			}
			if c.r.Method == http.MethodPut {
				one.id = ""
			}
			delete(item, "id")
		}
		raw, err := json.Marshal(item)
		if err != nil {
			return nil, refusal(http.StatusBadRequest, detail{Detail: err.Error(), Code: invalidContent})
		}
		all = append(all, &task{call: &call{server: s, sim: c.sim, r: own.r, body: raw, base: c.base}, target: one})
	}
	return all, nil
}

// work does the tasks of a job. The lock is held: "in parallel" means that their order is not known (Options.Parallel).
func (s *Server) work(j *job) {
	for _, i := range s.order(len(j.tasks)) {
		k := j.tasks[i]
		entity := k.target.name
		if k.target.kind.entity != "" {
			entity = k.target.kind.entity
		}
		var a answer
		if _, hit := k.call.sim.Struck(sinktest.PartialBatch, entity, "batch"); hit && len(j.tasks) > 1 {
			a = wrong(userError, "", "This record has been locked by a user defined workflow.").answer()
		} else {
			a = s.perform(k.call, k.target)
		}
		k.result = &a
	}
	j.done = true
}

// readJob answers what became of a job: /job/{id}, /job/{id}/task, /job/{id}/task/{n}, /job/{id}/task/{n}/result.
func (s *Server) readJob(c *call) answer {
	parts := strings.Split(strings.TrimPrefix(c.r.URL.Path, jobPath), "/")
	n, err := strconv.Atoi(parts[0])
	if err != nil || n < 1 || n > len(s.jobs) || c.r.Method != http.MethodGet {
		return notFound(parts[0]).answer()
	}
	j := s.jobs[n-1]
	self := c.base + jobPath + j.id
	if len(parts) == 1 {
		return answer{status: http.StatusOK, body: map[string]any{"links": links(self), "completed": j.done, "id": j.id, "progress": j.progress(), "task": map[string]any{"links": links(self + "/task")}}}
	}
	if parts[1] != "task" || len(parts) > 4 {
		return notFound(strings.Join(parts, "/")).answer()
	}
	if len(parts) == 2 {
		items := []any{}
		for i := range j.tasks {
			items = append(items, map[string]any{"id": fmt.Sprint(i + 1), "links": links(fmt.Sprintf("%s/task/%d", self, i+1))})
		}
		return answer{status: http.StatusOK, body: map[string]any{"links": links(self + "/task"), "items": items, "count": len(items), "hasMore": false, "offset": 0, "totalResults": len(items)}}
	}
	i, err := strconv.Atoi(parts[2])
	if err != nil || i < 1 || i > len(j.tasks) || len(parts) == 4 && parts[3] != "result" {
		return notFound(strings.Join(parts, "/")).answer()
	}
	k := j.tasks[i-1]
	if len(parts) == 3 {
		status := 0
		progress := "pending"
		if k.result != nil {
			status, progress = k.result.status, progressOf(k.result.status)
		}
		here := fmt.Sprintf("%s/task/%d", self, i)
		return answer{status: http.StatusOK, body: map[string]any{"links": links(here), "id": fmt.Sprint(i), "completed": k.result != nil, "progress": progress, "status": status,
			"result": map[string]any{"links": links(here + "/result")}}}
	}
	if k.result == nil {
		return notFound("result").answer()
	}
	return *k.result
}

func progressOf(status int) string {
	if status >= 300 {
		return "failed"
	}
	return "succeeded"
}

func (j *job) progress() string {
	if !j.done {
		return "pending"
	}
	for _, k := range j.tasks {
		if progressOf(k.result.status) == "failed" {
			return "failed"
		}
	}
	return "succeeded"
}
