package admin

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
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

// HTTP is the HTTP port: /healthz, /readyz, /metrics, the status page and
// /api/v1.
type HTTP struct {
	cfg         HTTPConfig
	deps        Deps
	log         *zap.Logger
	credentials atomic.Pointer[Credentials]
}

// NewHTTP returns an HTTP that has not started anything.
func NewHTTP(cfg HTTPConfig, deps Deps) *HTTP {
	h := &HTTP{cfg: cfg, deps: deps.complete(), log: cfg.Log}
	h.SetCredentials(cfg.Credentials)
	return h
}

// SetCredentials replaces name and password from now on. It may be called at
// any time from any goroutine.
func (h *HTTP) SetCredentials(cr Credentials) { h.credentials.Store(&cr) }

// Serve answers requests on l until ctx ends and returns when all its
// goroutines have ended.
func (h *HTTP) Serve(ctx context.Context, l net.Listener) error {
	<-ctx.Done()
	return l.Close()
}
