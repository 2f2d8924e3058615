package proxy

import (
	"fmt"
	"testing"

	"github.com/telamondb/telamon/wire"
)

func TestConnectionIDs(t *testing.T) {
	t.Run("carry the node in their upper bits", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.config.NodeID = MaxNodeID })
		a, b := r.connect(), r.connect()
		for _, id := range []uint32{a.Greeting.ConnectionID, b.Greeting.ConnectionID} {
			if id>>20 != 4095 {
				t.Errorf("id %#x", id)
			}
		}
		a.exec(fmt.Sprintf("KILL %d", b.Greeting.ConnectionID))
		b.closed()
	})
	t.Run("of another node are nobody's here", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.config.NodeID = 1 })
		c := r.connect()
		c.fails(wire.CodeNoSuchThread, fmt.Sprintf("KILL %d", c.Greeting.ConnectionID^3<<20))
		c.ok(wire.ComPing, "")
	})
	t.Run("are never 0 and never given twice", func(t *testing.T) {
		p := New(&Config{}, Deps{})
		p.lastID = 1<<20 - 3
		p.sessions[2] = &Session{}
		for _, want := range []uint32{1<<20 - 2, 1<<20 - 1, 1, 3, 4} {
			if got := p.nextID(); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		}
	})
}
