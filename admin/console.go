package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Credentials are one name and password. They are never shown or logged.
type Credentials struct {
	Username string
	Password string // empty = nobody gets in
}

// ConsoleConfig is how a Console is set up.
type ConsoleConfig struct {
	Credentials
	Encryption Encryption
	// Version is Telamon's own, the answer to SELECT VERSION.
	Version string
	// MaxConnections bounds the connections open at once; 0 = 64.
	MaxConnections int
	// Log gets one audit line for every command that changes something and
	// one for every refused login; required.
	Log *zap.Logger
}

const defaultMaxConnections = 64

// Console is the SQL console: a MySQL server whose statements are the
// commands of docs/console.md. It is a prometheus.Collector of its own figures.
type Console struct {
	cfg        ConsoleConfig
	deps       Deps
	log        *zap.Logger
	grammar    grammar
	account    atomic.Pointer[account]
	encryption atomic.Pointer[Encryption]
	started    time.Time

	throttle *throttle
	lastID   atomic.Uint32
	stats    consoleStats
}

// consoleStats are the figures of metrics_console.go.
type consoleStats struct {
	open          atomic.Int64
	loginFailures atomic.Uint64
	blocked       atomic.Uint64
	commands      atomic.Uint64
	commandErrors atomic.Uint64
	panics        atomic.Uint64
}

// NewConsole returns a Console that has not started anything.
func NewConsole(cfg ConsoleConfig, deps Deps) *Console {
	c := &Console{
		cfg:      cfg,
		deps:     deps.complete(),
		log:      cfg.Log,
		grammar:  newGrammar(commands()),
		started:  time.Now(),
		throttle: newThrottle(),
	}
	if c.cfg.MaxConnections <= 0 {
		c.cfg.MaxConnections = defaultMaxConnections
	}
	c.SetCredentials(cfg.Credentials)
	c.SetEncryption(cfg.Encryption)
	c.cfg.Credentials = Credentials{}
	return c
}

// SetCredentials replaces name and password for logins from now on. It may be
// called at any time from any goroutine.
func (c *Console) SetCredentials(cr Credentials) { c.account.Store(newAccount(cr)) }

// account is Credentials in the form logins are checked against.
type account struct {
	name     [sha256.Size]byte
	verifier auth.Verifier
	open     bool // there is a password
}

func newAccount(cr Credentials) *account {
	return &account{sha256.Sum256([]byte(cr.Username)), auth.NewPasswordVerifier(cr.Password), cr.Password != ""}
}

// find returns what to check a login as user against; nil when there is no
// such user, which the exchange treats like a wrong password.
func (a *account) find(user string) auth.Verifier {
	name := sha256.Sum256([]byte(user))
	if subtle.ConstantTimeCompare(name[:], a.name[:]) == 1 && a.open {
		return a.verifier
	}
	return nil
}

// Serve answers connections from l until ctx ends, then closes l and every
// connection and returns nil when all its goroutines have ended. It returns
// early with the error only when l breaks.
func (c *Console) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	running.Go(func() {
		<-ctx.Done()
		l.Close()
	})
	return acceptLoop(ctx, l, func(nc net.Conn) {
		if c.stats.open.Add(1) > int64(c.cfg.MaxConnections) {
			c.stats.open.Add(-1)
			refuse(nc, wire.NewErr(wire.CodeConCount, "Too many connections"))
			return
		}
		running.Go(func() {
			defer c.stats.open.Add(-1)
			c.serve(ctx, nc)
		})
	})
}

// acceptLoop calls handle for every connection until ctx ends or l breaks. A
// passing failure (out of descriptors) is waited out, ever longer.
func acceptLoop(ctx context.Context, l net.Listener, handle func(net.Conn)) error {
	const longest = time.Second
	delay := 5 * time.Millisecond
	for {
		nc, err := l.Accept()
		if err == nil {
			delay = 5 * time.Millisecond
			handle(nc)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		var temporary interface{ Temporary() bool }
		if !errors.As(err, &temporary) || !temporary.Temporary() {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
			delay = min(2*delay, longest)
		}
	}
}

// refuse answers a connection with an error in the place of the greeting. One
// small packet always fits into the buffer of a new socket.
func refuse(nc net.Conn, e *wire.Err) {
	defer nc.Close()
	_ = nc.SetWriteDeadline(time.Now().Add(time.Second))
	packet, _ := wire.AppendPacket(nil, 0, e.Append(nil))
	_, _ = nc.Write(packet) // the client may be gone already
}

// serve is one connection from accept to close.
func (c *Console) serve(ctx context.Context, nc net.Conn) {
	host := hostOf(nc)
	if wait, blocked := c.throttle.blocked(host); blocked {
		c.stats.blocked.Add(1)
		refuse(nc, wire.NewErr(wire.CodeHostBlocked,
			"Host '%s' is blocked for %d seconds because of too many failed logins", host, int(wait.Seconds())+1))
		return
	}
	conn := wire.NewConn(nc)
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	defer stop()

	s := &session{console: c, ctx: ctx, conn: conn, id: c.lastID.Add(1), host: host, from: nc.RemoteAddr().String()}
	defer s.recover()
	if s.handshake() {
		s.run()
	}
}

// hostOf is the address without the port; all UNIX sockets are one host.
func hostOf(nc net.Conn) string {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil {
		return "localhost"
	}
	return host
}
