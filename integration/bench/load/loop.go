package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// loop drives all connections from one thread: per answer one epoll_wait shared
// by all that are ready, one read and one write.
type loop struct {
	cfg     Config
	epoll   int
	conns   []*driven
	byFD    map[int32]*driven
	input   []byte
	latency *Histogram

	busy     int       // connections whose operation is under way
	begun    uint64    // operations begun
	deadline time.Time // no operation begins after it; zero means no such bound
}

// driven is one connection and its place in its operations.
type driven struct {
	sock  *socket
	scan  scanner
	ops   []operation
	op    int
	step  int
	begin time.Time
}

// open connects, prepares and warms up every connection.
func (l *loop) open() (err error) {
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return fmt.Errorf("epoll_create1: %w", err)
	}
	l.byFD = map[int32]*driven{}
	for i := range l.cfg.Connections {
		if err := l.openOne(l.cfg.FirstConnection + i); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

func (l *loop) openOne(number int) error {
	sock, err := dial(l.cfg.Addr)
	if err != nil {
		return err
	}
	d := &driven{sock: sock}
	l.conns = append(l.conns, d)
	c, err := handshake(sock, l.cfg.Login)
	if err != nil {
		return err
	}
	if d.ops, err = l.cfg.Workload.prepare(c, number); err != nil {
		return err
	}
	for _, op := range d.ops {
		for _, r := range op {
			if err := c.do(r); err != nil {
				return err
			}
		}
	}
	d.scan.deprecateEOF = c.deprecateEOF
	if err := unix.SetNonblock(sock.fd, true); err != nil {
		return fmt.Errorf("set non-blocking: %w", err)
	}
	l.byFD[int32(sock.fd)] = d
	ev := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(sock.fd)}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, sock.fd, &ev); err != nil {
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	return nil
}

func (l *loop) close() {
	for _, d := range l.conns {
		d.sock.close()
	}
	if l.epoll > 0 {
		_ = unix.Close(l.epoll)
	}
}

func (l *loop) run(ctx context.Context) (*Result, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := time.Now()
	if l.cfg.Duration > 0 {
		l.deadline = start.Add(l.cfg.Duration)
	}
	for _, d := range l.conns {
		if err := l.begin(d, start); err != nil {
			return nil, err
		}
	}
	events := make([]unix.EpollEvent, 256)
	for l.busy > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := unix.EpollWait(l.epoll, events, int(quietLimit/time.Millisecond))
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return nil, fmt.Errorf("epoll_wait: %w", err)
		case n == 0:
			return nil, fmt.Errorf("no answer on %d connections within %s", l.busy, quietLimit)
		}
		for _, ev := range events[:n] {
			if err := l.ready(l.byFD[ev.Fd]); err != nil {
				return nil, err
			}
		}
	}
	return &Result{
		Operations: l.latency.Count(),
		Statements: l.latency.Count() * uint64(l.cfg.Workload.Statements),
		Elapsed:    time.Since(start),
		Latency:    l.latency,
	}, nil
}

// begin starts the next operation of an idle connection unless the load is over.
func (l *loop) begin(d *driven, now time.Time) error {
	if l.cfg.Operations > 0 && l.begun >= l.cfg.Operations || !l.deadline.IsZero() && now.After(l.deadline) {
		return nil
	}
	l.begun++
	l.busy++
	d.begin, d.step = now, 0
	return d.send()
}

func (d *driven) current() request { return d.ops[d.op][d.step] }

func (d *driven) send() error {
	r := d.current()
	d.scan.start(r.want)
	n, err := unix.Write(d.sock.fd, r.packet)
	if err != nil || n != len(r.packet) {
		// The socket is empty: requests are small and one is under way.
		return fmt.Errorf("send %s: %d of %d bytes written: %w", r.name, n, len(r.packet), err)
	}
	return nil
}

func (l *loop) ready(d *driven) error {
	n, err := unix.Read(d.sock.fd, l.input)
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("answer to %s: %w", d.current().name, err)
	case n == 0:
		return fmt.Errorf("answer to %s: %w", d.current().name, errNoMore)
	}
	done, err := d.scan.feed(l.input[:n])
	if err != nil {
		return fmt.Errorf("answer to %s: %w", d.current().name, err)
	}
	if !done {
		return nil
	}
	if d.step++; d.step < len(d.ops[d.op]) {
		return d.send()
	}
	now := time.Now()
	l.latency.Add(now.Sub(d.begin))
	l.busy--
	d.step = 0
	d.op = (d.op + 1) % len(d.ops)
	return l.begin(d, now)
}
