package pool

import (
	"errors"
	"sync"
	"time"
)

// ErrNotSalvaged is returned for a value that was lost with its connection.
var ErrNotSalvaged = errors.New("the connection was lost before the value could be read from it")

// salvageTimeout bounds reading a value from a connection before it goes to
// somebody else.
const salvageTimeout = time.Second

// Salvage is a value in a parked connection that its session may need again.
// Before the pool gives such a connection to somebody else it asks the server
// for the value. A Salvage is for one connection; it is safe for concurrent use.
type Salvage struct {
	query string
	once  sync.Once
	done  chan struct{}
	value string
	err   error
}

// NewSalvage returns a Salvage for Conn.Salvage. query returns one value.
func NewSalvage(query string) *Salvage { return &Salvage{query: query, done: make(chan struct{})} }

// Value returns the value read. It is called after Unpark has said that the
// connection is gone, and waits while the value is being read.
func (s *Salvage) Value() (string, error) {
	<-s.done
	return s.value, s.err
}

func (s *Salvage) finish(value string, err error) {
	s.once.Do(func() {
		s.value, s.err = value, err
		close(s.done)
	})
}

// salvage reads what the session that parked c wants to keep. The caller has
// taken c and holds no lock.
func (c *Conn) salvage() {
	s := c.Salvage
	if s == nil {
		return
	}
	c.Salvage = nil
	c.setDeadline(time.Now().Add(salvageTimeout))
	value, err := c.QueryValue(s.query)
	c.setDeadline(time.Time{})
	if err != nil {
		c.Dirt = MustClose
		err = errors.Join(ErrNotSalvaged, err)
	}
	s.finish(value, err)
}

// abandon gives the value up, because c is closed.
func (c *Conn) abandon() {
	if s := c.Salvage; s != nil {
		c.Salvage = nil
		s.finish("", ErrNotSalvaged)
	}
}
