package pool

import (
	"fmt"
	"time"

	"github.com/telamondb/telamon/wire"
)

// Reset makes the server forget what the owner has in the connection and
// returns when it has: the transaction is rolled back, locks are free. The
// connection is of no use to the owner afterwards and has to be discarded; to
// discard it alone would let the server do all that some time later.
func (c *Conn) Reset() error {
	c.Dirt = MustClose
	c.setDeadline(time.Now().Add(c.pool.dialer.Load().Timeout))
	c.queue(wire.ComResetConnection, "")
	if err := c.exchange(1); err != nil {
		return fmt.Errorf("resetting a connection to %s: %w", c.Server, err)
	}
	return nil
}
