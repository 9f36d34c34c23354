package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// Options say where the API listens.
type Options struct {
	Socket  string // unix socket, mode 0600
	TCP     string // address; empty for none
	Token   string // bearer token over TCP; TCP is refused without it
	Metrics bool   // whether /metrics needs no token over TCP
	Gather  prometheus.Gatherer
	Log     *slog.Logger
}

// Server answers the commands, the dashboard and the monitoring. Listen opens its doors, Run serves until ctx ends.
type Server struct {
	daemon  Daemon
	options Options
	log     *slog.Logger
	unix    net.Listener
	tcp     net.Listener
	busy    chan struct{} // one token for each request under way
}

// minToken is the shortest token that is taken: 16 characters cannot be guessed over a network.
const minToken = 16

// New returns a server that is not yet listening.
func New(d Daemon, o Options) (*Server, error) {
	if o.TCP != "" && len(o.Token) < minToken {
		return nil, fmt.Errorf("refusing to listen on %s without a token of at least %d characters; set admin.token or remove admin.listen",
			o.TCP, minToken)
	}
	return &Server{daemon: d, options: o, log: o.Log, busy: make(chan struct{}, maxRequests)}, nil
}

// Listen opens the socket and the TCP address, so that a caller knows of a taken address before the pipeline starts.
func (s *Server) Listen() error {
	unix, err := listenUnix(s.options.Socket)
	if err != nil {
		return err
	}
	s.unix = unix
	if s.options.TCP == "" {
		return nil
	}
	if s.tcp, err = net.Listen("tcp", s.options.TCP); err != nil {
		return errors.Join(fmt.Errorf("listening on admin.listen %s: %w", s.options.TCP, err), s.unix.Close())
	}
	return nil
}

// Addr returns the TCP address, with the port that :0 became; empty when there is none.
func (s *Server) Addr() string {
	if s.tcp == nil {
		return ""
	}
	return s.tcp.Addr().String()
}

// Close shuts the doors of a server that was never run.
func (s *Server) Close() error {
	var errs []error
	for _, l := range []net.Listener{s.unix, s.tcp} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// Run serves until ctx ends, gives requests under way two seconds, and returns when all have ended.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	serve := func(l net.Listener, h http.Handler) {
		srv := &http.Server{Handler: s.bounded(h), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
			WriteTimeout: writeTimeout + time.Minute, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
		group.Go(func() error {
			if err := srv.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serving the admin API on %s: %w", l.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			if srv.Shutdown(grace) != nil {
				return srv.Close() // requests that outlast the grace are cut
			}
			return nil
		})
	}
	serve(s.unix, s.mux(open))
	if s.tcp != nil {
		serve(s.tcp, s.mux(s.withToken))
	}
	return group.Wait()
}

// mux builds the handler of one door; guard stands before everything but the health pages.
func (s *Server) mux(guard func(http.Handler) http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, rt := range s.routes() {
		mux.Handle(rt.pattern, guard(s.handle(rt)))
	}
	s.longRoutes(mux, guard)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	metrics := promhttp.HandlerFor(s.options.Gather, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
	if !s.options.Metrics {
		metrics = guard(metrics)
	}
	mux.Handle("GET /metrics", metrics)
	mux.Handle("/", guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, &Error{Status: http.StatusNotFound, Message: "no page " + r.Method + " " + r.URL.Path,
			Hint: "The API begins at /api/status."})
	})))
	return mux
}

func open(h http.Handler) http.Handler { return h }

// withToken lets a request through that carries the bearer token. Hashes are compared, so that neither the time nor the
// length tells anything of the token.
func (s *Server) withToken(h http.Handler) http.Handler {
	want := sha256.Sum256([]byte(s.options.Token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		got := sha256.Sum256([]byte(given))
		if !bearer || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="waybill"`)
			writeError(w, &Error{Status: http.StatusUnauthorized, Message: "the token is missing or wrong",
				Hint: "Send the header Authorization: Bearer TOKEN, with admin.token of the configuration."})
			return
		}
		h.ServeHTTP(w, r)
	})
}

// bounded refuses what is more than maxRequests at once.
func (s *Server) bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.busy <- struct{}{}:
			defer func() { <-s.busy }()
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("Retry-After", "1")
			writeError(w, &Error{Status: http.StatusServiceUnavailable, Message: "too many requests at once", Hint: "Ask again in a second."})
		}
	})
}
