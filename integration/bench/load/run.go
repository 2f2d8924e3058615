package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Config is one load on one address.
type Config struct {
	Addr        string // IP address and port
	Login       Login
	Workload    Workload
	Connections int
	// FirstConnection numbers the connections, so that several processes do
	// not update the same rows.
	FirstConnection int
	// Duration and Operations end the load, whichever comes first; zero means
	// no such bound, but one must be set. Operations are of all connections
	// together.
	Duration   time.Duration
	Operations uint64
}

// Result is what a load did.
type Result struct {
	Operations uint64        `json:"operations"`
	Statements uint64        `json:"statements"`
	Elapsed    time.Duration `json:"elapsed_ns"`
	Latency    *Histogram    `json:"latency"` // of operations
}

// quietLimit is how long an answer may take before the load gives up.
const quietLimit = 30 * time.Second

// Run connects, lets every connection do each of its operations once, calls
// ready, waits for it to return, and then measures. A wrong answer, an error of
// the server or a lost connection ends it with an error.
func Run(ctx context.Context, cfg Config, ready func() error) (*Result, error) {
	if cfg.Connections < 1 || cfg.Duration <= 0 && cfg.Operations == 0 {
		return nil, errors.New("a load needs connections and a duration or a number of operations")
	}
	if cfg.Workload.connects {
		return runConnects(ctx, cfg, ready)
	}
	l := &loop{cfg: cfg, input: make([]byte, 256<<10), latency: &Histogram{}}
	defer l.close()
	if err := l.open(); err != nil {
		return nil, err
	}
	if err := ready(); err != nil {
		return nil, err
	}
	return l.run(ctx)
}

// dial opens a raw connection that blocks, with quietLimit on every read and
// write.
func dial(addr string) (*socket, error) {
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", addr, err)
	}
	family, sa := unix.AF_INET, unix.Sockaddr(nil)
	if ap.Addr().Is6() {
		family, sa = unix.AF_INET6, &unix.SockaddrInet6{Port: int(ap.Port()), Addr: ap.Addr().As16()}
	} else {
		sa = &unix.SockaddrInet4{Port: int(ap.Port()), Addr: ap.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	s := &socket{fd: fd}
	limit := unix.NsecToTimeval(int64(quietLimit))
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit)
	for {
		switch err := unix.Connect(fd, sa); {
		case err == nil, errors.Is(err, unix.EISCONN):
			return s, nil
		case !errors.Is(err, unix.EINTR) && !errors.Is(err, unix.EALREADY):
			s.close()
			return nil, fmt.Errorf("connect to %s: %w", addr, err)
		}
	}
}

// socket is a descriptor as a stream. Reads at the end of it are errNoMore.
type socket struct{ fd int }

var errNoMore = errors.New("connection closed by the server")

func (s *socket) Read(p []byte) (int, error) {
	for {
		n, err := unix.Read(s.fd, p)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("read: %w", err)
		case n == 0:
			return 0, errNoMore
		default:
			return n, nil
		}
	}
}

func (s *socket) Write(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		n, err := unix.Write(s.fd, p[total:])
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return total, fmt.Errorf("write: %w", err)
		}
		total += n
	}
	return total, nil
}

func (s *socket) close() { _ = unix.Close(s.fd) }

// runConnects measures whole connections: connect, log in, one statement, quit.
// Setting up a connection costs far more than a goroutine's switch, so here the
// driver is the plain one: a goroutine for each.
func runConnects(ctx context.Context, cfg Config, ready func() error) (*Result, error) {
	workers := make([]connector, cfg.Connections)
	for i := range workers {
		ops, err := cfg.Workload.prepare(nil, cfg.FirstConnection+i)
		if err != nil {
			return nil, err
		}
		workers[i] = connector{cfg: cfg, ops: ops}
		if err := workers[i].once(ctx, ops[0]); err != nil {
			return nil, err
		}
	}
	if err := ready(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range workers {
		share := cfg.Operations / uint64(cfg.Connections)
		if uint64(i) < cfg.Operations%uint64(cfg.Connections) {
			share++
		}
		wg.Go(func() {
			if err := workers[i].run(ctx, start, share); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	res := &Result{Elapsed: time.Since(start), Latency: &Histogram{}}
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	for i := range workers {
		res.Latency.Merge(&workers[i].latency)
	}
	res.Operations = res.Latency.Count()
	res.Statements = res.Operations
	return res, nil
}

type connector struct {
	cfg     Config
	ops     []operation
	latency Histogram
}

func (w *connector) run(ctx context.Context, start time.Time, share uint64) error {
	for n := uint64(0); ctx.Err() == nil; n++ {
		if w.cfg.Operations > 0 && n >= share {
			return nil
		}
		begin := time.Now()
		if w.cfg.Duration > 0 && begin.Sub(start) >= w.cfg.Duration {
			return nil
		}
		if err := w.once(ctx, w.ops[n%uint64(len(w.ops))]); err != nil {
			return err
		}
		w.latency.Add(time.Since(begin))
	}
	return nil
}

func (w *connector) once(ctx context.Context, op operation) error {
	d := net.Dialer{Timeout: quietLimit}
	conn, err := d.DialContext(ctx, "tcp", w.cfg.Addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(quietLimit)); err != nil {
		return err
	}
	c, err := handshake(conn, w.cfg.Login)
	if err != nil {
		return err
	}
	for _, r := range op {
		if err := c.do(r); err != nil {
			return err
		}
	}
	return c.quit()
}
