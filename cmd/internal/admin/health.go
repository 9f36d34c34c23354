package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// health is the answer of /healthz and /readyz. Over TCP it needs no token, so it names no customer and no document.
type health struct {
	Status   string `json:"status"`
	Problems int    `json:"problems,omitempty"`
}

// healthz says that the process lives and its pipeline answers.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) { s.health(w, r, false) }

// readyz says that sources are connected and no lane is stopped.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) { s.health(w, r, true) }

func (s *Server) health(w http.ResponseWriter, r *http.Request, mustBeReady bool) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	answer, code := health{Status: "ok"}, http.StatusOK
	status, err := s.daemon.Status(ctx)
	switch {
	case err != nil:
		answer.Status, code = "not answering", http.StatusServiceUnavailable
		s.log.Warn("health not known", "error", err)
	case mustBeReady && !status.Ready:
		answer, code = health{"not ready", len(status.Problems)}, http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		s.log.Debug("answer not taken", "path", r.URL.Path, "error", err)
	}
}
