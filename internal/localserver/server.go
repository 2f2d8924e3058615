package localserver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/telamondb/telamon/internal/child"
)

// Options describe one server.
type Options struct {
	Flavour  Flavour
	ServerID uint32   // 0 means 1
	Args     []string // further command-line options of the server, kept for every start
	// TLS is what the server encrypts with. Nil leaves MySQL to make its own
	// certificates, and MariaDB 10.11 without TLS.
	TLS *TLS
	// Plain servers are made as anybody's: initialised for the purpose, on disk.
	// The others are for tests, which want many of them soon: they are copies of a
	// data folder that is kept in the user's cache, in memory if MemoryEnv says so
	// and there is room.
	Plain bool
}

// Server is one running or stopped server. Its methods may be called from any
// goroutine, but only one at a time may start, stop or kill it.
type Server struct {
	opts Options
	bin  binaries
	port *Port
	dir  string // data, socket, logs
	db   *sql.DB

	mu      sync.Mutex
	process *child.Process // the last one started
	replica bool           // starts read-only and replicating
}

const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
	// stepPause is the time between two looks at a server that is starting.
	stepPause = 20 * time.Millisecond
)

// Start runs a new server in a temporary directory and waits until it answers
// queries. The caller must Close it.
func Start(ctx context.Context, opts Options) (*Server, error) {
	bin, err := find(opts.Flavour)
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(opts.Plain)
	if err != nil {
		return nil, err
	}
	from, release, err := template(ctx, opts.Flavour, bin, opts.Plain)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := errors.Join(copyData(ctx, from, dir), release()); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s, err := newServer(ctx, opts, bin, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// newServer starts a server on the initialised directory dir, which it owns from
// then on unless it returns an error.
func newServer(ctx context.Context, opts Options, bin binaries, dir string) (*Server, error) {
	if opts.ServerID == 0 {
		opts.ServerID = 1
	}
	if opts.TLS != nil {
		if err := opts.TLS.write(dir); err != nil {
			return nil, err
		}
	}
	s := &Server{opts: opts, bin: bin, dir: dir}
	if err := s.openDB(); err != nil {
		return nil, err
	}
	var err error
	for range 5 {
		if s.port, err = ReservePort(); err != nil {
			break
		}
		err = s.Start(ctx)
		if err == nil {
			return s, nil
		}
		s.port.Release()
		if !strings.Contains(s.logTail(), "Bind on TCP/IP port") {
			break
		}
	}
	return nil, errors.Join(err, s.db.Close())
}

// Start runs the server on its port and data and waits until it answers a
// query. A replica comes back read-only and replicating. extra are further
// command-line options for this run alone.
func (s *Server) Start(ctx context.Context, extra ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil && s.process.Running() {
		return fmt.Errorf("%s is running already", s)
	}
	p, err := child.Start(s.command(extra))
	if err != nil {
		return err
	}
	s.process = p
	if err := s.awaitReady(ctx, p); err != nil {
		p.Kill()
		return err
	}
	return nil
}

func (s *Server) command(extra []string) *exec.Cmd {
	args := arguments(s.opts.Flavour, s.bin.view(s.dir), s.port.Number(), s.opts.ServerID)
	if s.bin.pluginEd25 {
		args = append(args, "--plugin-load-add=auth_ed25519")
	}
	if s.opts.TLS != nil {
		args = append(args, s.opts.TLS.arguments(s.bin.view(s.dir))...)
	}
	if s.replica {
		args = append(args, readOnly(s.opts.Flavour))
	} else {
		args = append(args, skipReplicationStart(s.opts.Flavour))
	}
	args = append(args, s.opts.Args...)
	return s.bin.command(s.dir, s.bin.server, append(args, extra...))
}

// awaitReady returns once a query was answered: a ping is answered too early and
// even to accounts that may not log in.
func (s *Server) awaitReady(ctx context.Context, p *child.Process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		var one int
		err := s.db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
		if err == nil {
			return nil
		}
		select {
		case <-p.Done():
			return fmt.Errorf("%s ended while starting (%v); its log ends with:\n%s", s, p.Err(), s.logTail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer queries: %w (last: %v); its log ends with:\n%s", s, context.Cause(ctx), err, s.logTail())
		case <-time.After(stepPause):
		}
	}
}

// Stop shuts the server down cleanly and waits for it.
func (s *Server) Stop(ctx context.Context) error {
	p := s.current()
	if p == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	return p.Stop(ctx)
}

// Kill ends the server with SIGKILL, as a crash would, and waits until it is gone.
func (s *Server) Kill() {
	if p := s.current(); p != nil {
		p.Kill()
	}
}

// Pause stops the server's process (SIGSTOP): the kernel still accepts its
// connections, nobody answers on them.
func (s *Server) Pause() error { return s.current().Signal(syscall.SIGSTOP) }

// Resume continues a paused server.
func (s *Server) Resume() error { return s.current().Signal(syscall.SIGCONT) }

// Restart stops the server cleanly and starts it on the same port and data.
func (s *Server) Restart(ctx context.Context, extra ...string) error {
	if err := s.Stop(ctx); err != nil {
		return err
	}
	return s.Start(ctx, extra...)
}

// Close kills the server and removes its directory. Its data is of no use
// afterwards, so there is nothing to shut down cleanly for.
func (s *Server) Close() error {
	err := s.db.Close()
	s.Kill()
	s.port.Release()
	return errors.Join(err, os.RemoveAll(s.dir))
}

func (s *Server) current() *child.Process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

func (s *Server) setReplica(replica bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replica = replica
}

// String names flavour, address and server id.
func (s *Server) String() string {
	return fmt.Sprintf("%s %s (server_id %d)", s.opts.Flavour, s.Addr(), s.opts.ServerID)
}

// Flavour is the kind of server.
func (s *Server) Flavour() Flavour { return s.opts.Flavour }

// ServerID is the server's @@server_id.
func (s *Server) ServerID() uint32 { return s.opts.ServerID }

// Addr is "127.0.0.1:PORT"; it stays the same for the server's life.
func (s *Server) Addr() string { return s.port.Addr() }

// Port is the TCP port.
func (s *Server) Port() int { return s.port.Number() }

// Socket is the path of the UNIX socket.
func (s *Server) Socket() string { return filepath.Join(s.dir, socketName) }

// PID is the id of the mysqld or mariadbd process itself, 0 before the first start.
func (s *Server) PID() int {
	if p := s.current(); p != nil {
		return p.PID()
	}
	return 0
}

// logTail is the end of the error log, for messages.
func (s *Server) logTail() string {
	return tail(filepath.Join(s.dir, errorLogName), 20)
}

func tail(file string, lines int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	return string(bytes.Join(all[max(0, len(all)-lines):], []byte("\n")))
}
