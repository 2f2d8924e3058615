package proxy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/telamondb/telamon/wire"
)

// open is how many statements of COM_STMT_PREPARE the server has.
func (f *fake) open() int { return f.commands(wire.ComStmtPrepare) - f.commands(wire.ComStmtClose) }

func TestTheStatementsOfAConnectionAreLimited(t *testing.T) {
	const limit = 3
	start := func(t *testing.T) (*rig, *client) {
		r := newRig(t, func(s *setup) { s.limits.MaxStatements = limit })
		return r, r.connect()
	}
	prepare := func(c *client, n int) (all []stmt) {
		for i := range n {
			all = append(all, c.prepare(fmt.Sprintf("SELECT 'number %d', ? FROM t", i)))
		}
		return all
	}
	t.Run("all of a client's can be executed, in any order", func(t *testing.T) {
		r, c := start(t)
		all := prepare(c, 10)
		for i := range 30 {
			n := i * 7 % len(all)
			if got := c.execute(all[n], true, "x"); got[0] != fmt.Sprint("number ", n) || got[1] != "x" {
				t.Fatalf("execution %d of statement %d: %q", i, n, got)
			}
			if got := c.execute(all[n], false, "y"); got[1] != "y" { // types as before
				t.Fatalf("second execution of statement %d: %q", n, got)
			}
			c.value(who) // closes arrive with the next command
			if open := r.replicas[0].open(); open > limit {
				t.Fatalf("%d statements on the server", open)
			}
		}
	})
	t.Run("the least recently used goes", func(t *testing.T) {
		r, c := start(t)
		all := prepare(c, limit)
		c.execute(all[0], true, "x")
		all = append(all, prepare(c, 1)...)
		before := r.replicas[0].commands(wire.ComStmtPrepare)
		for _, n := range []int{0, 2, 3} {
			c.execute(all[n], true, "x")
		}
		if n := r.replicas[0].commands(wire.ComStmtPrepare) - before; n != 0 {
			t.Errorf("%d statements were prepared again", n)
		}
		c.execute(all[1], true, "x")
		if n := r.replicas[0].commands(wire.ComStmtPrepare) - before; n != 1 {
			t.Errorf("%d statements were prepared again", n)
		}
	})
	t.Run("one with an open cursor or with data sent ahead stays", func(t *testing.T) {
		_, c := start(t)
		cursor := c.prepare("SELECT 'of the cursor' FROM t")
		c.openCursor(cursor)
		ahead := c.prepare("SELECT ?, ? FROM t")
		c.longData(ahead.id, 0, "sent ahead")
		for _, st := range prepare(c, 3*limit) {
			c.execute(st, true, "x")
		}
		if rows, _, err := c.fetch(cursor, 1); err != nil || rows[0][0].Text != "of the cursor" {
			t.Errorf("fetched %v, %v", rows, err)
		}
		if got := c.execute(ahead, true, null, "x"); got[0] != "sent ahead" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("a session that ends closes what it has prepared", func(t *testing.T) {
		for name, end := range map[string]func(*client){
			"by leaving":           func(c *client) { _ = c.Command(wire.ComQuit, "") },
			"by a crash":           func(c *client) { _ = c.nc.Close() },
			"COM_RESET_CONNECTION": func(c *client) { c.ok(wire.ComResetConnection, "") },
		} {
			t.Run(name, func(t *testing.T) {
				r, c := start(t)
				for _, st := range prepare(c, limit) {
					c.execute(st, true, "x")
				}
				end(c)
				eventually(t, "closed", func() bool { return r.primary.open()+r.replicas[0].open() == 0 })
			})
		}
	})
	t.Run("a server that has too many gets some back", func(t *testing.T) {
		r, c := start(t)
		const room = 2
		r.primary.intercept(func(fc *fakeConn, cmd wire.Command, arg []byte) (bool, error) {
			if cmd != wire.ComStmtPrepare || len(fc.prepared) < room {
				return false, nil
			}
			return true, fc.fail(wire.CodeMaxPreparedStmtCount, "Can't create more than max_prepared_stmt_count statements")
		})
		all := prepare(c, room+1) // on the replica
		c.exec("BEGIN")
		for n, st := range all {
			if got := c.execute(st, true, "x"); got[0] != fmt.Sprint("number ", n) {
				t.Errorf("statement %d: %q", n, got)
			}
		}
		_, err := c.tryPrepare("INSERT INTO t VALUES (1)") // the client's own hears it while there is no room
		for range room {
			if err == nil {
				_, err = c.tryPrepare("INSERT INTO t VALUES (1)")
			}
		}
		wantErr(t, err, wire.CodeMaxPreparedStmtCount)
	})
}

func TestTheStatementsOfAClientAreLimited(t *testing.T) {
	t.Run("in number", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.config.MaxPreparedStatements = 2 })
		c := r.connect()
		first := c.prepare("SELECT 'a' FROM t")
		c.prepare("SELECT 'b' FROM t")
		_, err := c.tryPrepare("SELECT 'c' FROM t")
		wantAll(t, wantErr(t, err, wire.CodeMaxPreparedStmtCount), "(current value: 2)")
		c.closeStmt(first.id)
		c.prepare("SELECT 'c' FROM t")
		r.connect().prepare("SELECT 'd' FROM t")
	})
	t.Run("in memory", func(t *testing.T) {
		c := newRig(t).connect()
		long := "SELECT '" + strings.Repeat("x", 15<<20) + "' FROM t"
		for range 4 {
			c.prepare(long)
		}
		_, err := c.tryPrepare(long)
		wantErr(t, err, wire.CodeMaxPreparedStmtCount)
		c.ok(wire.ComPing, "")
	})
}
