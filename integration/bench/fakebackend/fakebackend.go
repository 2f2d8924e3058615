package fakebackend

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Flavour is which server the fake pretends to be.
type Flavour int

// The flavours.
const (
	MySQL   Flavour = iota // 8.4.3
	MariaDB                // 10.11.6
)

func (f Flavour) String() string {
	if f == MariaDB {
		return "mariadb"
	}
	return "mysql"
}

// Options describe one server. The zero value is a MySQL primary on a free port
// of 127.0.0.1 that accepts every account.
type Options struct {
	// Addr is the IP address and port to listen on; empty means 127.0.0.1:0.
	Addr string
	// Flavour decides version, greeting and replication vocabulary.
	Flavour Flavour
	// Version replaces the flavour's version in the greeting and @@version.
	Version string
	// Password, when set, is what every account must prove to know by
	// mysql_native_password. Otherwise any answer is accepted.
	Password string
	// Source, when set, makes the server a replica of that one: it has applied
	// whatever the source has committed.
	Source *Server
	// ServerID is @@server_id; 0 means 1.
	ServerID uint32
}

// Counts are totals since Start.
type Counts struct {
	Connections uint64 // accepted
	Reads       uint64 // statements that returned rows
	Writes      uint64 // statements that count as a commit of their own
	Others      uint64 // all other commands
	Unknown     uint64 // statements answered with error 1064
}

// Server is one running fake. Its methods may be called from any goroutine.
type Server struct {
	opt     Options
	epoll   int
	listen  int
	wake    int
	addr    netip.AddrPort
	replies *[4]replies
	done    chan struct{}
	closing sync.Once

	replica     atomic.Pointer[ReplicaStatus] // nil for a primary
	commits     atomic.Uint64
	connections atomic.Uint64
	reads       atomic.Uint64
	writes      atomic.Uint64
	others      atomic.Uint64
	unknown     atomic.Uint64

	// What follows belongs to the loop alone.
	sessions map[int32]*session
	input    []byte // shared by all sessions; what is incomplete is copied out
	nextID   uint32
	failure  error
}

// Start listens and serves until Close.
func Start(opt Options) (*Server, error) {
	if opt.Addr == "" {
		opt.Addr = "127.0.0.1:0"
	}
	if opt.ServerID == 0 {
		opt.ServerID = 1
	}
	addr, err := netip.ParseAddrPort(opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("fake backend: listen address %q: %w", opt.Addr, err)
	}
	s := &Server{
		opt:      opt,
		replies:  allReplies(),
		done:     make(chan struct{}),
		sessions: map[int32]*session{},
		input:    make([]byte, 64<<10),
		epoll:    -1, listen: -1, wake: -1,
	}
	if opt.Source != nil {
		s.replica.Store(&ReplicaStatus{IORunning: "Yes", SQLRunning: "Yes"})
	}
	if err := s.open(addr); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("fake backend: %w", err)
	}
	go s.loop()
	return s, nil
}

// Addr is the address the server listens on, "127.0.0.1:4711".
func (s *Server) Addr() string { return s.addr.String() }

// Counts returns the totals so far.
func (s *Server) Counts() Counts {
	return Counts{
		Connections: s.connections.Load(),
		Reads:       s.reads.Load(),
		Writes:      s.writes.Load(),
		Others:      s.others.Load(),
		Unknown:     s.unknown.Load(),
	}
}

// SetReplica changes what SHOW REPLICA STATUS and @@read_only say; nil makes the
// server a primary.
func (s *Server) SetReplica(status *ReplicaStatus) { s.replica.Store(status) }

// Close ends every connection and waits for the loop.
func (s *Server) Close() error {
	s.closing.Do(func() {
		one := [8]byte{1}
		_, _ = unix.Write(s.wake, one[:])
	})
	<-s.done
	return s.failure
}

func (s *Server) open(addr netip.AddrPort) (err error) {
	family := unix.AF_INET
	if addr.Addr().Is6() {
		family = unix.AF_INET6
	}
	if s.listen, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	if err = unix.SetsockoptInt(s.listen, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("SO_REUSEADDR: %w", err)
	}
	if err = unix.Bind(s.listen, sockaddr(addr)); err != nil {
		return fmt.Errorf("bind %s: %w", addr, err)
	}
	if err = unix.Listen(s.listen, 4096); err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	bound, err := unix.Getsockname(s.listen)
	if err != nil {
		return fmt.Errorf("getsockname: %w", err)
	}
	s.addr = netip.AddrPortFrom(addr.Addr(), port(bound))
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	for _, fd := range []int{s.listen, s.wake} {
		if err = s.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN); err != nil {
			return err
		}
	}
	return nil
}

func sockaddr(addr netip.AddrPort) unix.Sockaddr {
	if addr.Addr().Is6() {
		return &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	return &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}
}

func port(sa unix.Sockaddr) uint16 {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return uint16(sa.Port)
	case *unix.SockaddrInet6:
		return uint16(sa.Port)
	}
	return 0
}

func (s *Server) watch(fd, op int, events uint32) error {
	if err := unix.EpollCtl(s.epoll, op, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

// loop owns every session. It keeps its thread, so that a wait in the kernel
// costs no hand-over to another one.
func (s *Server) loop() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(s.done)
	defer s.closeFiles()
	events := make([]unix.EpollEvent, 256)
	for {
		n, err := unix.EpollWait(s.epoll, events, -1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			s.failure = fmt.Errorf("fake backend: epoll_wait: %w", err)
			return
		}
		for _, ev := range events[:n] {
			switch int(ev.Fd) {
			case s.wake:
				return
			case s.listen:
				s.accept()
			default:
				s.ready(ev)
			}
		}
	}
}

func (s *Server) accept() {
	for {
		fd, _, err := unix.Accept4(s.listen, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			// EAGAIN: none left. Out of descriptors: the peer waits in the
			// backlog until a session ends; the loop must not spin on it, but
			// a fake has nothing better to do.
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		if err := s.watch(fd, unix.EPOLL_CTL_ADD, unix.EPOLLIN); err != nil {
			_ = unix.Close(fd)
			return
		}
		s.connections.Add(1)
		s.nextID++
		c := &session{server: s, fd: fd, id: s.nextID, status: statusAutocommit}
		s.sessions[int32(fd)] = c
		c.greet()
	}
}

func (s *Server) ready(ev unix.EpollEvent) {
	c := s.sessions[ev.Fd]
	if c == nil {
		return // dropped by an earlier event of the same batch
	}
	if ev.Events&unix.EPOLLOUT != 0 && !c.flush() {
		return
	}
	if ev.Events&(unix.EPOLLIN|unix.EPOLLHUP|unix.EPOLLERR) == 0 || len(c.pending) > 0 {
		return
	}
	n, err := unix.Read(c.fd, s.input)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
	case err != nil, n == 0:
		c.drop()
	default:
		c.receive(s.input[:n])
	}
}

func (s *Server) closeFiles() {
	for _, c := range s.sessions {
		_ = unix.Close(c.fd)
	}
	for _, fd := range []int{s.listen, s.wake, s.epoll} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// Host and port of the address, for the columns of the replication status.
func splitHostPort(addr string) (host, port string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr, ""
	}
	return host, port
}
