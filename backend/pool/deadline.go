package pool

import (
	"context"
	"time"
)

// bounded runs commands of Telamon's own, which take a server no time, under
// the deadline of a login.
func (c *Conn) bounded(run func() error) error {
	if c.pool == nil { // during the login, which has a deadline already
		return run()
	}
	c.setDeadline(time.Now().Add(c.pool.dialer.Load().Timeout))
	err := run()
	c.setDeadline(time.Time{})
	return err
}

// establishIn is establish for req that ctx ends as well; the connection is of
// no use then.
func (c *Conn) establishIn(ctx context.Context, req *Request, timeout time.Duration) (reset bool, err error) {
	if ctx.Done() == nil {
		return c.establish(req.Owner, req.Profile, timeout)
	}
	stop := context.AfterFunc(ctx, c.Interrupt)
	reset, err = c.establish(req.Owner, req.Profile, timeout)
	if !stop() { // it has been interrupted, or is about to be
		err = context.Cause(ctx)
	}
	return reset, err
}
