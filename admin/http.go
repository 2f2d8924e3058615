package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.uber.org/zap"
)

// HTTPConfig is how an HTTP is set up.
type HTTPConfig struct {
	// Credentials guard the status page and the API. While Password is
	// empty both are closed.
	Credentials
	// Instance names this process on the status page.
	Instance string
	Version  string
	// Gatherer supplies /metrics; register a Collector with it. Required.
	Gatherer prometheus.Gatherer
	Log      *zap.Logger // required
}

// HTTP is the HTTP port: /healthz and /readyz for everybody, /metrics for this
// machine and for who has the password, the status page and /api/v1 only with
// the password. All of it only reads.
type HTTP struct {
	cfg      HTTPConfig
	deps     Deps
	log      *zap.Logger
	handler  http.Handler
	started  time.Time
	login    atomic.Pointer[basicLogin]
	throttle *throttle
}

// basicLogin is Credentials hashed, so that comparing takes the same time
// whatever was given.
type basicLogin struct {
	name, password [sha256.Size]byte
	open           bool
}

// NewHTTP returns an HTTP that has not started anything.
func NewHTTP(cfg HTTPConfig, deps Deps) *HTTP {
	h := &HTTP{cfg: cfg, deps: deps.complete(), log: cfg.Log, started: time.Now(), throttle: newThrottle()}
	h.SetCredentials(cfg.Credentials)
	h.cfg.Credentials = Credentials{}
	h.handler = h.routes()
	return h
}

// SetCredentials replaces name and password from now on. It may be called at
// any time from any goroutine.
func (h *HTTP) SetCredentials(cr Credentials) {
	h.login.Store(&basicLogin{sha256.Sum256([]byte(cr.Username)), sha256.Sum256([]byte(cr.Password)), cr.Password != ""})
}

func (l *basicLogin) matches(user, password string) bool {
	u, p := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
	return subtle.ConstantTimeCompare(u[:], l.name[:])&subtle.ConstantTimeCompare(p[:], l.password[:]) == 1 && l.open
}

// routes is the whole URL space.
func (h *HTTP) routes() http.Handler {
	metrics := promhttp.HandlerFor(h.cfg.Gatherer, promhttp.HandlerOpts{
		ErrorLog: zap.NewStdLog(h.log), ErrorHandling: promhttp.ContinueOnError,
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", h.healthz)
	mux.HandleFunc("GET /readyz", h.readyz)
	mux.Handle("GET /metrics", h.guarded(metrics, isLoopback))
	mux.Handle("GET /{$}", h.guarded(http.HandlerFunc(h.statusPage), nobody))
	mux.Handle("GET /style.css", h.guarded(http.HandlerFunc(stylesheet), nobody))
	mux.Handle("GET /api/v1/backends", h.guarded(h.apiTable(backendsExt), nobody))
	mux.Handle("GET /api/v1/pools", h.guarded(h.apiTable(pools), nobody))
	mux.Handle("GET /api/v1/routes", h.guarded(h.apiTable(routes), nobody))
	mux.Handle("GET /api/v1/sessions", h.guarded(h.apiTable(processlist), nobody))
	return secured(mux)
}

// secured sets the headers that keep a browser from doing anything with what
// we send except show it.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; frame-ancestors 'none'")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// guarded asks for the password unless exempt says otherwise.
func (h *HTTP) guarded(next http.Handler, exempt func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if exempt(r) {
			next.ServeHTTP(w, r)
			return
		}
		host := remoteHost(r)
		if wait, blocked := h.throttle.blocked(host); blocked {
			w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
			http.Error(w, "too many failed logins", http.StatusTooManyRequests)
			return
		}
		user, password, given := r.BasicAuth()
		if given && h.login.Load().matches(user, password) {
			next.ServeHTTP(w, r)
			return
		}
		if given {
			h.refused(user, r, host)
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="telamon", charset="UTF-8"`)
		http.Error(w, "name and password required", http.StatusUnauthorized)
	})
}

func (h *HTTP) refused(user string, r *http.Request, host string) {
	h.log.Warn("http login refused", zap.String("user", shorten(user, 80)), zap.String("from", r.RemoteAddr))
	if h.throttle.failed(host) {
		h.log.Warn("http port blocks an address: too many failed logins",
			zap.String("address", host), zap.Duration("for", blockTime))
	}
}

func nobody(*http.Request) bool { return false }

// isLoopback looks at the connection itself, never at forwarding headers.
func isLoopback(r *http.Request) bool {
	addr, err := netip.ParseAddr(remoteHost(r))
	return err == nil && addr.Unmap().IsLoopback()
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "localhost" // a UNIX socket
	}
	return host
}

// healthz says that the process answers.
func (h *HTTP) healthz(w http.ResponseWriter, _ *http.Request) {
	writeText(w, http.StatusOK, "ok")
}

// readyz says whether clients should be sent here.
func (h *HTTP) readyz(w http.ResponseWriter, _ *http.Request) {
	if reason := h.notReady(); reason != "" {
		writeText(w, http.StatusServiceUnavailable, reason)
		return
	}
	writeText(w, http.StatusOK, "ready")
}

// notReady is empty when a primary takes writes and the process wants clients.
func (h *HTTP) notReady() string {
	if err := h.deps.Readiness.Ready(); err != nil {
		return err.Error()
	}
	reason := "no primary is configured"
	for _, b := range h.deps.Backends.List() {
		switch {
		case b.Type != TypePrimary:
		case b.State == StateUp:
			return ""
		default:
			reason = "primary " + b.Address + " is " + b.State
			if b.Reason != "" {
				reason += ": " + b.Reason
			}
		}
	}
	return reason
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client may be gone
}

// Serve answers requests on l until ctx ends, lets those under way finish
// within two seconds, and returns when all its goroutines have ended. The error
// is nil unless l breaks.
func (h *HTTP) Serve(ctx context.Context, l net.Listener) error {
	var connections sync.WaitGroup
	server := &http.Server{
		Handler:           h.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          zap.NewStdLog(h.log),
		ConnState: func(_ net.Conn, s http.ConnState) {
			switch s {
			case http.StateNew:
				connections.Add(1)
			case http.StateClosed, http.StateHijacked:
				connections.Done()
			}
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var err error
	select {
	case err = <-served:
		server.Close()
	case <-ctx.Done():
		grace, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if server.Shutdown(grace) != nil {
			server.Close()
		}
		<-served
	}
	connections.Wait()
	return err
}
