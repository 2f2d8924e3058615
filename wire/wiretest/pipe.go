package wiretest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// PipeSize is how many bytes each direction of a Pipe holds before writes
// block, as a socket buffer would.
const PipeSize = 256 << 10

// Pipe returns the two ends of an in-memory connection. Unlike those of
// net.Pipe its writes do not wait for the reader until PipeSize bytes are
// unread. Deadlines work, all methods may be used concurrently, and nothing
// needs to be closed for the sake of goroutines: there are none.
func Pipe() (client, server net.Conn) {
	a, b := newStream(), newStream()
	return &pipeConn{in: a, out: b, name: "client"}, &pipeConn{in: b, out: a, name: "server"}
}

// stream is one direction. Every change closes and replaces changed, so that
// whoever waits looks again.
type stream struct {
	mu            sync.Mutex
	data          []byte
	writeClosed   bool // the writer is gone: EOF once data is read
	readClosed    bool // the reader is gone: writes fail
	readDeadline  time.Time
	writeDeadline time.Time
	changed       chan struct{}
}

func newStream() *stream { return &stream{changed: make(chan struct{})} }

// change runs f under the lock and wakes everybody who waits.
func (s *stream) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.wake()
}

func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wait unlocks s.mu, waits for a change or the deadline and locks again.
func (s *stream) wait(deadline time.Time) {
	changed := s.changed
	s.mu.Unlock()
	defer s.mu.Lock()
	if deadline.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

func expired(deadline time.Time) bool {
	return !deadline.IsZero() && !time.Now().Before(deadline)
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case expired(s.readDeadline):
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case len(s.data) > 0:
			n := copy(p, s.data)
			s.data = s.data[n:]
			s.wake()
			return n, nil
		case s.writeClosed:
			return 0, io.EOF
		}
		s.wait(s.readDeadline)
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writeClosed:
			return n, net.ErrClosed
		case s.readClosed:
			return n, io.ErrClosedPipe
		case expired(s.writeDeadline):
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if room := PipeSize - len(s.data); room > 0 {
			m := min(room, len(p))
			s.data = append(s.data, p[:m]...)
			p, n = p[m:], n+m
			s.wake()
			continue
		}
		s.wait(s.writeDeadline)
	}
}

// pipeConn is one end.
type pipeConn struct {
	in, out *stream
	name    string
}

func (c *pipeConn) Read(p []byte) (int, error)  { return c.in.read(p) }
func (c *pipeConn) Write(p []byte) (int, error) { return c.out.write(p) }

func (c *pipeConn) Close() error {
	c.in.change(func() { c.in.readClosed, c.in.data = true, nil })
	c.out.change(func() { c.out.writeClosed = true })
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr  { return pipeAddr(c.name) }
func (c *pipeConn) RemoteAddr() net.Addr { return pipeAddr("peer of " + c.name) }

func (c *pipeConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.in.change(func() { c.in.readDeadline = t })
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.out.change(func() { c.out.writeDeadline = t })
	return nil
}

type pipeAddr string

func (a pipeAddr) Network() string { return "pipe" }
func (a pipeAddr) String() string  { return string(a) }
