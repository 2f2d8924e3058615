package harness

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Switch is an address behind which one server can take the place of another.
type Switch struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu    sync.Mutex
	to    string
	conns map[net.Conn]struct{}
}

// StartSwitch passes connections to a port of its own on to the address until the
// end of the test.
func StartSwitch(t testing.TB, to string) *Switch {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Switch{listener: l, to: to, conns: map[net.Conn]struct{}{}}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = l.Close()
		s.To("")
		s.wg.Wait()
	})
	return s
}

// Addr is where to connect to.
func (s *Switch) Addr() string { return s.listener.Addr().String() }

// ToNew passes later connections on to another address and leaves those that are.
func (s *Switch) ToNew(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = address
}

// To breaks all connections and passes later ones on to another address.
func (s *Switch) To(address string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = address
	for c := range s.conns {
		_ = c.Close()
	}
	clear(s.conns)
}

func (s *Switch) accept() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		server, err := net.Dial("tcp", s.to)
		if err != nil {
			_ = client.Close()
			s.mu.Unlock()
			continue
		}
		s.conns[client], s.conns[server] = struct{}{}, struct{}{}
		s.mu.Unlock()
		pass := func(to, from net.Conn) {
			_, _ = io.Copy(to, from)
			_ = to.Close()
			_ = from.Close()
		}
		s.wg.Go(func() { pass(client, server) })
		s.wg.Go(func() { pass(server, client) })
	}
}
