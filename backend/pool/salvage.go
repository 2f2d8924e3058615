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

// Salvage is something in a parked connection that its session may need again.
// Before the pool gives such a connection to somebody else it asks the server
// for it. A Salvage is for one connection; it is safe for concurrent use.
type Salvage struct {
	query  string
	once   sync.Once
	done   chan struct{}
	result *Result
	err    error
}

// NewSalvage returns a Salvage for Conn.Salvage. query has one result set.
func NewSalvage(query string) *Salvage { return &Salvage{query: query, done: make(chan struct{})} }

// LostSalvage returns a Salvage of which nothing has been read.
func LostSalvage() *Salvage {
	s := NewSalvage("")
	s.finish(nil, ErrNotSalvaged)
	return s
}

// Result returns what was read. It is called after Unpark has said that the
// connection is gone, and waits while it is being read.
func (s *Salvage) Result() (*Result, error) {
	<-s.done
	return s.result, s.err
}

// Value returns the value read; as Result.
func (s *Salvage) Value() (string, error) {
	r, err := s.Result()
	if err != nil {
		return "", err
	}
	return r.Value()
}

func (s *Salvage) finish(r *Result, err error) {
	s.once.Do(func() {
		s.result, s.err = r, err
		close(s.done)
	})
}

// salvage reads what the session that parked c wants to keep. The caller has
// taken c and holds no lock.
func (c *Conn) salvage() {
	c.read(c.Diagnostics)
	c.read(c.Salvage)
	c.Diagnostics, c.Salvage = nil, nil
}

func (c *Conn) read(s *Salvage) {
	if s == nil {
		return
	}
	if c.Dirt == MustClose {
		s.finish(nil, ErrNotSalvaged)
		return
	}
	c.setDeadline(time.Now().Add(salvageTimeout))
	r, err := c.ask(s.query)
	c.setDeadline(time.Time{})
	if err != nil {
		c.Dirt = MustClose
		err = errors.Join(ErrNotSalvaged, err)
	}
	s.finish(r, err)
}

// laden reports whether there is something to be read first.
func (c *Conn) laden() bool { return c.Salvage != nil || c.Diagnostics != nil }

// abandon gives up what has not been read.
func (c *Conn) abandon() {
	for _, s := range [...]*Salvage{c.Salvage, c.Diagnostics} {
		if s != nil {
			s.finish(nil, ErrNotSalvaged)
		}
	}
	c.Salvage, c.Diagnostics = nil, nil
}

// ReadAhead reads what Diagnostics would be, now, before a command of Telamon's
// own makes the server forget it.
func (c *Conn) ReadAhead() *Salvage {
	s := NewSalvage(WarningsQuery)
	c.read(s)
	return s
}

// WarningsQuery is what Diagnostics are read by.
const WarningsQuery = "SHOW WARNINGS"
