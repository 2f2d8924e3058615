package proxy

import (
	"net"
	"testing"
	"time"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestListenersForOneKindOfStatement(t *testing.T) {
	t.Run("listen_write sends everything to the primary", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.listener = router.WriteOnly })
		c := r.connect()
		if got := c.value(who); got != "P" {
			t.Errorf("read went to %s", got)
		}
		c.exec("INSERT INTO t VALUES (1)")
	})
	t.Run("listen_read refuses writes", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.listener = router.ReadOnly })
		c := r.connect()
		if got := c.value(who); got != "A" {
			t.Errorf("read went to %s", got)
		}
		wantAll(t, c.fails(wire.CodeUnknown, "INSERT INTO t VALUES (1)"), "reads only")
		c.ok(wire.ComResetConnection, "")
		wantAll(t, c.fails(wire.CodeUnknown, "INSERT INTO t VALUES (1)"), "reads only")
		if err := c.changeUser("other", "pw", ""); err != nil {
			t.Fatal(err)
		}
		c.fails(wire.CodeUnknown, "INSERT INTO t VALUES (1)")
		if len(r.primary.received("INSERT")) > 0 {
			t.Error("a write got through")
		}
	})
}

// FuzzSession feeds a session that has logged in whatever bytes there are: it
// must answer or end, and the proxy must go on serving others.
func FuzzSession(f *testing.F) {
	f.Add(request(wire.ComQuery, "SELECT 1 FROM t; INSERT INTO t VALUES (1)"))
	f.Add(append(request(wire.ComStmtPrepare, "SELECT ? FROM t"), request(wire.ComStmtExecute, executePacket(1, 1, true, "a"))...))
	f.Add(append(request(wire.ComStmtPrepare, "SELECT ? FROM t"), request(wire.ComStmtSendLongData, "\x01\x00\x00\x00\x00\x00xyz")...))
	f.Add(request(wire.ComChangeUser, "other\x00\x14aaaaaaaaaaaaaaaaaaaa\x00-\x00mysql_native_password\x00"))
	f.Add(append(request(wire.ComInitDB, "d"), 0, 0, 0, 0))
	f.Add(append(request(wire.ComSetOption, "\x00\x00"), request(wire.ComResetConnection, "")...))
	f.Add([]byte{255, 255, 255, 0, 3, 'S'})
	f.Add(request(wire.ComProcessKill, "\x01\x00\x00\x00"))
	r := newRig(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		nc, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(testTimeout))
		defer func() { _ = nc.Close() }()
		p, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := nc.Write(b); err != nil {
			return // it has ended already
		}
		if err := closeWrite(nc); err != nil {
			t.Fatal(err)
		}
		for {
			if err := p.Fill(); err != nil {
				break
			}
			p.Discard(len(p.Buffered()))
		}
		if n := r.Counts().Panics; n != 0 {
			t.Fatalf("%d panics", n)
		}
	})
}
