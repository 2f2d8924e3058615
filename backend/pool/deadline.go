package pool

import "time"

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
