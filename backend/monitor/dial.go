package monitor

import (
	"context"
	"net"
	"time"
)

// dialer opens connections to one server and remembers what is needed to
// classify a failure. It keeps the addresses a name had last, so that a
// resolver that fails does not take a living server out.
type dialer struct {
	network, address string
	lookup           func(ctx context.Context, host string) ([]string, error) // tests replace the resolver

	known []string     // addresses of the last successful lookup
	last  *watchedConn // the connection opened last
}

func newDialer(network, address string) *dialer {
	return &dialer{network: network, address: address, lookup: net.DefaultResolver.LookupHost}
}

// dial connects within ctx's deadline.
func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	d.last = nil
	targets, err := d.targets(ctx)
	if err != nil {
		return nil, err
	}
	var nd net.Dialer
	for i, target := range targets {
		// An address that swallows packets must leave time for the next one.
		tctx, cancel := share(ctx, len(targets)-i)
		var c net.Conn
		c, err = nd.DialContext(tctx, d.network, target)
		cancel()
		if err == nil {
			d.last = &watchedConn{Conn: c}
			return d.last, nil
		}
	}
	return nil, err
}

// targets returns the addresses to try, in order.
func (d *dialer) targets(ctx context.Context) ([]string, error) {
	if d.network == "unix" {
		return []string{d.address}, nil
	}
	host, port, err := net.SplitHostPort(d.address)
	if err != nil {
		return nil, err
	}
	if net.ParseIP(host) != nil {
		return []string{d.address}, nil
	}
	lctx, cancel := share(ctx, 2) // a hung resolver leaves time to connect
	defer cancel()
	addrs, err := d.lookup(lctx, host)
	if err == nil && len(addrs) > 0 {
		d.known = addrs
	} else if len(d.known) == 0 {
		return nil, &resolveError{err}
	}
	targets := make([]string, len(d.known))
	for i, a := range d.known {
		targets[i] = net.JoinHostPort(a, port)
	}
	return targets, nil
}

// share returns a context with 1/n of the time ctx has left.
func share(ctx context.Context, n int) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok || n <= 1 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/time.Duration(n))
}

// resolveError is a failed name lookup.
type resolveError struct{ err error }

func (e *resolveError) Error() string {
	if e.err == nil {
		return "name has no address"
	}
	return e.err.Error()
}

func (e *resolveError) Unwrap() error { return e.err }

// watchedConn notes whether anything was received and the first read error,
// which the driver replaces by errors of its own.
type watchedConn struct {
	net.Conn
	received bool
	readErr  error
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.received = true
	}
	if err != nil && c.readErr == nil {
		c.readErr = err
	}
	return n, err
}
