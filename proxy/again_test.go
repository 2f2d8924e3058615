package proxy

import (
	"bytes"
	"sync/atomic"
	"testing"

	"github.com/telamondb/telamon/wire"
)

// once lets one connection meet a fate, and those after it none.
func once(fate func(*fakeConn) error) func(*fakeConn, wire.Command, []byte) (bool, error) {
	var met atomic.Bool
	return func(c *fakeConn, _ wire.Command, arg []byte) (bool, error) {
		if !bytes.Contains(arg, []byte("precious")) || met.Swap(true) {
			return false, nil
		}
		return true, fate(c)
	}
}

var fates = map[string]func(*fakeConn) error{
	"whose connection breaks":           func(*fakeConn) error { return errHangup },
	"whose server is shutting down":     func(c *fakeConn) error { return c.fail(wire.CodeServerShutdown, "Server shutdown in progress") },
	"whose server says so and hangs up": sayAndHangUp,
}

func sayAndHangUp(c *fakeConn) error {
	if err := c.fail(wire.CodeServerShutdown, "Server shutdown in progress"); err != nil {
		return err
	}
	return errHangup
}

func TestAReadIsRepeated(t *testing.T) {
	for fate, do := range fates {
		t.Run("on a replica, "+fate, func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			r.replicas[0].intercept(once(do))
			if got := c.value("SELECT server FROM precious"); got != "P" {
				t.Errorf("answered by %s", got)
			}
			if len(r.reports()) == 0 || r.Counts().Retries != 1 {
				t.Errorf("reports %v, %d retries", r.reports(), r.Counts().Retries)
			}
		})
		t.Run("on the primary, "+fate, func(t *testing.T) {
			r := newRig(t)
			c := r.connect()
			for _, sql := range []string{"/*master*/ SELECT server FROM precious", "SELECT @@time_zone FROM precious"} {
				r.primary.intercept(once(do))
				c.value(sql)
				if n := len(r.primary.received(sql)); n != 2 {
					t.Errorf("%s was sent %d times", sql, n)
				}
			}
		})
	}
}

func TestNothingButAReadIsRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		before []string
		sql    string
	}{
		"a write":                                {nil, "UPDATE precious SET v=1"},
		"a locking read":                         {nil, "SELECT v FROM precious FOR UPDATE"},
		"a read that calls an unknown function":  {nil, "SELECT f(v) FROM precious"},
		"a read in a transaction":                {[]string{"BEGIN"}, "SELECT v FROM precious"},
		"a read without autocommit":              {[]string{"SET autocommit=0"}, "SELECT v FROM precious"},
		"a read by a connection with state":      {[]string{"CREATE TEMPORARY TABLE tmp (a INT)"}, "/*master*/ SELECT v FROM precious"},
		"several statements, even if all are so": {nil, "SELECT 1; SELECT v FROM precious"},
	} {
		for fate, do := range fates {
			t.Run(name+" "+fate, func(t *testing.T) {
				r := newRig(t)
				c := r.connect()
				for _, sql := range tt.before {
					c.exec(sql)
				}
				r.primary.intercept(once(do))
				if _, err := c.Query(tt.sql); err == nil {
					t.Error("the error has not come through")
				}
				sent := len(r.primary.received("precious"))
				for _, f := range r.replicas {
					sent += len(f.received("precious"))
				}
				if sent != 1 {
					t.Errorf("sent %d times", sent)
				}
			})
		}
	}
}
