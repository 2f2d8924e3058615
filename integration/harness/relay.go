package harness

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Relay is a TCP relay in front of a server that can lose an answer: the server
// has done what it was told, and nobody hears of it.
type Relay struct {
	listener net.Listener
	to       string
	wg       sync.WaitGroup

	delay time.Duration // of answers; set before the first connection

	mu     sync.Mutex
	marker []byte
	conns  map[net.Conn]struct{}
}

// StartRelay relays a port of its own to the address until the end of the test.
func StartRelay(t testing.TB, to string) *Relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &Relay{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		_ = l.Close()
		r.mu.Lock()
		for c := range r.conns {
			_ = c.Close()
		}
		r.mu.Unlock()
		r.wg.Wait()
	})
	return r
}

// Addr is where to connect to.
func (r *Relay) Addr() string { return r.listener.Addr().String() }

// Delay makes every piece of an answer come later by d. It is called before
// anybody connects.
func (r *Relay) Delay(d time.Duration) *Relay {
	r.delay = d
	return r
}

// LoseAnswerTo makes the relay close both sides of the connection on which the
// marker is sent next, as soon as the server has begun to answer. Nothing of the
// answer is passed on. The marker has to arrive in one piece.
func (r *Relay) LoseAnswerTo(marker string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.marker = []byte(marker)
}

func (r *Relay) accept() {
	for {
		c, err := r.listener.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", r.to)
		if err != nil {
			_ = c.Close()
			continue
		}
		r.mu.Lock()
		r.conns[c], r.conns[s] = struct{}{}, struct{}{}
		r.mu.Unlock()
		p := &relayed{client: c, server: s}
		r.wg.Go(func() { r.requests(p) })
		r.wg.Go(func() { r.answers(p) })
	}
}

// relayed is one connection through the relay.
type relayed struct {
	client, server net.Conn
	mu             sync.Mutex
	lose           bool
}

func (p *relayed) close() { _ = errors.Join(p.client.Close(), p.server.Close()) }

func (p *relayed) loses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lose
}

func (r *Relay) requests(p *relayed) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.client.Read(buf)
		if r.isMarked(buf[:n]) {
			p.mu.Lock()
			p.lose = true
			p.mu.Unlock()
		}
		if _, writeErr := p.server.Write(buf[:n]); err != nil || writeErr != nil {
			return
		}
	}
}

// isMarked takes the marker out of use when it is found.
func (r *Relay) isMarked(b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.marker) == 0 || !bytes.Contains(b, r.marker) {
		return false
	}
	r.marker = nil
	return true
}

func (r *Relay) answers(p *relayed) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		n, err := io.ReadAtLeast(p.server, buf, 1)
		if err != nil || p.loses() {
			return
		}
		if r.delay > 0 {
			<-time.After(r.delay)
		}
		if _, err := p.client.Write(buf[:n]); err != nil {
			return
		}
	}
}
