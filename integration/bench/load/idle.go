package load

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/telamondb/telamon/integration/bench/dataset"
)

// Idle holds connections that each ran one point select and are quiet since.
type Idle struct {
	addr  string
	login Login
	conns []net.Conn
}

// NewIdle holds no connection yet.
func NewIdle(addr string, login Login) *Idle { return &Idle{addr: addr, login: login} }

// Grow opens connections until there are total. After an error some of the new
// ones are missing.
func (h *Idle) Grow(ctx context.Context, total int) error {
	const atOnce = 16
	fresh := make([]net.Conn, max(total-len(h.conns), 0))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for worker := range atOnce {
		wg.Go(func() {
			for i := worker; i < len(fresh) && ctx.Err() == nil; i += atOnce {
				conn, err := h.connect(ctx, len(h.conns)+i)
				if err != nil {
					cancel(fmt.Errorf("idle client %d: %w", len(h.conns)+i+1, err))
					return
				}
				fresh[i] = conn
			}
		})
	}
	wg.Wait()
	for _, conn := range fresh {
		if conn != nil {
			h.conns = append(h.conns, conn)
		}
	}
	return context.Cause(ctx)
}

func (h *Idle) connect(ctx context.Context, number int) (net.Conn, error) {
	d := net.Dialer{Timeout: quietLimit}
	conn, err := d.DialContext(ctx, "tcp", h.addr)
	if err != nil {
		return nil, err
	}
	if err := h.firstStatement(conn, number); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

func (h *Idle) firstStatement(conn net.Conn, number int) error {
	if err := conn.SetDeadline(time.Now().Add(quietLimit)); err != nil {
		return err
	}
	c, err := handshake(conn, h.login)
	if err != nil {
		return err
	}
	id := 1 + number%dataset.Rows
	if err := c.do(text(dataset.Point(id), pointAnswer(id, false))); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// Ping runs one statement on a fresh connection: a login that works is what
// readiness means.
func Ping(ctx context.Context, addr string, login Login) error {
	h := NewIdle(addr, login)
	defer h.Close()
	return h.Grow(ctx, 1)
}

// Close ends all connections.
func (h *Idle) Close() {
	for _, conn := range h.conns {
		_ = conn.Close()
	}
	h.conns = nil
}
