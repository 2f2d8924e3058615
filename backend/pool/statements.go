package pool

import (
	"encoding/binary"
	"time"

	"github.com/telamondb/telamon/wire"
)

// A server counts the prepared statements of all its connections against
// max_prepared_stmt_count, 16382 by default, and refuses every client when it is
// reached. Telamon keeps connections, and with them statements, for longer than
// its clients stay; so there is a limit per connection (Limits.MaxStatements),
// and what nobody can execute any more is closed.

// statementsKept is how long an idle connection keeps the statements of the
// session that has let go of it: it may come back.
const statementsKept = 10 * time.Second

// SetStatement notes that the connection has a statement, under the owner's
// number, and that it has just been used.
func (c *Conn) SetStatement(number uint32, st Statement) {
	c.uses++
	st.used = c.uses
	c.Statements[number] = st
}

// MakeRoom closes statements, the least recently used first, until one more may
// be prepared; not those that spare returns true for. The commands, which have
// no answer, go out with the next one.
func (c *Conn) MakeRoom(spare func(number uint32) bool) {
	limit := c.pool.limits.Load().MaxStatements
	for limit > 0 && len(c.Statements) >= limit {
		oldest, found := uint32(0), false
		for number, st := range c.Statements {
			if (!found || st.used < c.Statements[oldest].used) && !spare(number) {
				oldest, found = number, true
			}
		}
		if !found {
			return
		}
		c.queueClose(oldest)
	}
}

// CloseStatements closes all statements but those that spare returns true for,
// if it is not nil, and returns how many. The commands go out with the next one.
func (c *Conn) CloseStatements(spare func(number uint32) bool) (closed int) {
	for number := range c.Statements {
		if spare == nil || !spare(number) {
			c.queueClose(number)
			closed++
		}
	}
	return closed
}

// CloseStatement closes a prepared statement, if the connection has it. After
// an error the connection must be discarded.
func (c *Conn) CloseStatement(number uint32) error {
	if _, ok := c.Statements[number]; !ok {
		return nil
	}
	c.queueClose(number)
	return c.Wire.Flush()
}

// queueClose queues the COM_STMT_CLOSE for a statement that the connection has.
func (c *Conn) queueClose(number uint32) {
	var p [wire.HeaderSize + 5]byte
	p[0] = 5
	p[4] = byte(wire.ComStmtClose)
	binary.LittleEndian.PutUint32(p[5:], c.Statements[number].ID)
	delete(c.Statements, number)
	c.Wire.StartCommand()
	c.Wire.Queue(p[:])
}

// Leave is Release by a session that ends: it closes its statements first.
func (c *Conn) Leave() {
	if c.CloseStatements(nil) > 0 && c.Wire.Flush() != nil {
		c.Discard()
		return
	}
	c.Release()
}

// takeLaden removes those idle connections from the list that have kept their
// statements for long enough.
func (p *Pool) takeLaden(now time.Time) (laden []*Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	keep := p.idle[:0]
	for _, c := range p.idle {
		if len(c.Statements) == 0 || now.Sub(c.idleSince) < statementsKept {
			keep = append(keep, c)
			continue
		}
		c.state.Store(inUse)
		laden = append(laden, c)
	}
	clear(p.idle[len(keep):])
	p.idle = keep
	return laden
}
