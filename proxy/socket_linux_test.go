package proxy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
)

// The answer does not fit into the buffers of the two sockets.
func TestAClientThatDoesNotReadIsGivenUp(t *testing.T) {
	r := newRig(t, func(s *setup) { s.config.WriteTimeout = time.Second })
	c := r.connect()
	row := strings.Repeat("x", 1<<20)
	r.replicas[0].onQuery("SELECT much FROM t", func(c *fakeConn) error {
		if err := c.Send([]byte{1}, textDefinition(c)); err != nil {
			return err
		}
		for range 64 {
			if err := c.Send(append([]byte{0xfd, 0, 0, 0x10}, row...)); err != nil {
				return err
			}
		}
		return c.Send(c.end(0))
	})
	if err := c.Command(wire.ComQuery, "SELECT much FROM t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the answer began", func() bool { return r.Sessions()[0].Server != "" })
	eventually(t, "the session is over", func() bool { return r.Counts().Clients == 0 })
	eventually(t, "its connection is closed", func() bool {
		return slices.ContainsFunc(r.pools.Stats(), func(s pool.Stats) bool { return s.Address == r.replicas[0].Addr() && s.Open == 0 })
	})
}
