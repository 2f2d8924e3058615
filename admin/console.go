package admin

import (
	"context"
	"net"
	"sync/atomic"

	"go.uber.org/zap"
)

// Credentials are one name and password. They are never shown or logged.
type Credentials struct {
	Username string
	Password string
}

// ConsoleConfig is how a Console is set up.
type ConsoleConfig struct {
	Credentials
	// Version is Telamon's own, the answer to SELECT VERSION.
	Version string
	// MaxConnections bounds the connections open at once; 0 = 64.
	MaxConnections int
	// Log gets one audit line for every command that changes something and
	// one for every refused login; required.
	Log *zap.Logger
}

// Console is the SQL console: a MySQL server whose statements are the
// commands of docs/console.md.
type Console struct {
	cfg         ConsoleConfig
	deps        Deps
	log         *zap.Logger
	credentials atomic.Pointer[Credentials]
}

// NewConsole returns a Console that has not started anything.
func NewConsole(cfg ConsoleConfig, deps Deps) *Console {
	c := &Console{cfg: cfg, deps: deps.complete(), log: cfg.Log}
	c.SetCredentials(cfg.Credentials)
	return c
}

// SetCredentials replaces name and password for logins from now on. It may be
// called at any time from any goroutine.
func (c *Console) SetCredentials(cr Credentials) { c.credentials.Store(&cr) }

// Serve answers connections from l until ctx ends, then closes l and every
// connection and returns nil when all its goroutines have ended. It returns
// early with the error only when l breaks.
func (c *Console) Serve(ctx context.Context, l net.Listener) error {
	<-ctx.Done()
	return l.Close()
}
