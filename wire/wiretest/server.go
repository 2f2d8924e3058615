package wiretest

import (
	"net"
	"sync"
	"testing"
)

// Server is a fake server on a loopback port.
type Server struct {
	t        testing.TB
	listener net.Listener
	options  Options
	serve    Step

	running sync.WaitGroup
	mu      sync.Mutex
	closed  bool
	open    map[net.Conn]bool // false: closed by us, what follows is no error
	logins  int
}

// NewServer starts a server that lets clients in as o says and then does serve
// on each connection, which it closes afterwards. An error of serve fails
// the test, a login that does not come about does not. The server ends with the
// test, closing what is open.
func NewServer(t testing.TB, o Options, serve Step) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{t: t, listener: l, options: o, serve: serve, open: make(map[net.Conn]bool)}
	s.running.Add(1)
	go s.accept()
	t.Cleanup(s.Close)
	return s
}

// Addr returns the address, host:port.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Logins returns how many clients have logged in so far.
func (s *Server) Logins() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logins
}

// Open returns how many connections are open.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open)
}

// Close stops listening, closes all connections, as a server that dies does,
// and waits for their goroutines. It may be called more than once.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	_ = s.listener.Close()
	s.Kick()
	s.running.Wait()
}

// Kick closes all connections and goes on listening.
func (s *Server) Kick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.open {
		s.open[nc] = false
		_ = nc.Close()
	}
}

func (s *Server) accept() {
	defer s.running.Done()
	for {
		nc, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			_ = nc.Close()
			return
		}
		s.open[nc] = true
		s.running.Add(1)
		s.mu.Unlock()
		go s.handle(nc)
	}
}

func (s *Server) handle(nc net.Conn) {
	defer s.running.Done()
	p, err := Accept(nc, s.options)
	loggedIn := err == nil
	if loggedIn {
		s.mu.Lock()
		s.logins++
		s.mu.Unlock()
		err = s.serve(p)
	}
	// Before the client sees the end and may call Close.
	s.mu.Lock()
	untouched := s.open[nc]
	delete(s.open, nc)
	s.mu.Unlock()
	_ = nc.Close()
	if err != nil && loggedIn && untouched {
		s.t.Errorf("fake server: %v", err)
	}
}
