package pool

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// silentFake does not answer statements that contain a word; asked gets them.
func silentFake(t *testing.T, word string) (f *fake, asked chan string) {
	f, asked = newFake(t, wiretest.Options{}), make(chan string, 10)
	f.answer = func(_ *wiretest.Peer, _ *fakeConn, cmd wire.Command, arg string) (bool, error) {
		if cmd != wire.ComQuery || !strings.Contains(arg, word) {
			return false, nil
		}
		asked <- arg
		return true, nil
	}
	return f, asked
}

func TestPreparingAConnectionEndsWithTheContext(t *testing.T) {
	slow := (&Profile{Collation: 45}).With("slow", "1")
	for name, idle := range map[string]bool{"an idle connection": true, "a new connection": false} {
		t.Run(name, func(t *testing.T) {
			f, asked := silentFake(t, "slow")
			r := newRig(t, f.Addr(), 0)
			if idle {
				r.acquire(1, plain).Release()
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			gone := errors.New("the client is gone")
			go func() {
				<-asked
				cancel(gone)
			}()
			if _, err := r.pool.Acquire(ctx, &Request{Owner: 1, Login: testLogin, Profile: slow}); !errors.Is(err, gone) {
				t.Errorf("got %v", err)
			}
			r.checkStats(0, 0, 0, 0)
		})
	}
}

func TestCommandsOfThePoolsOwnHaveADeadline(t *testing.T) {
	for name, run := range map[string]func(*Conn) error{
		"Query":  func(c *Conn) error { return c.Query("SET slow=1") },
		"Ask":    func(c *Conn) error { _, err := c.Ask("SELECT slow"); return err },
		"Report": func(c *Conn) error { return c.Report(nil, []string{"slow"}, func([]byte) {}) },
		"Prepare, in another context": func(c *Conn) error {
			return c.Prepare(1, []byte("SELECT 1"), plain.With("sql_mode", "slow"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := silentFake(t, "slow")
			r := newRig(t, f.Addr(), 0)
			c := r.acquire(1, plain)
			d := testDialer()
			d.Timeout = 20 * time.Millisecond
			r.pools.Configure(d, testLimits)
			if err := run(c); !isTimeout(err) {
				t.Errorf("got %v", err)
			}
			c.Discard()
		})
	}
}

func TestAConnectionThatIsTooOldIsNotParkedAgain(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	old, young := r.acquire(1, plain), r.acquire(2, plain)
	old.opened = old.opened.Add(-2 * time.Hour)
	if !old.Park() || !young.Park() {
		t.Fatal("not parked before anybody has looked at its age")
	}
	if ok, _ := old.Unpark(); !ok {
		t.Fatal("taken away")
	}
	r.pool.sweep() // while its session uses it, as may always be the case
	if old.Park() {
		t.Fatal("parked again")
	}
	r.checkStats(1, 0, 1, 0)
}

func TestWhatASessionMayAskForIsReadBeforeAConnectionIsGivenOn(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	f.answer = func(p *wiretest.Peer, c *fakeConn, cmd wire.Command, arg string) (bool, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch {
		case cmd == wire.ComQuery && arg == WarningsQuery:
			c.log = append(c.log, arg)
			return true, wiretest.Rows([]string{"Level", "Code", "Message"}, []string{"Warning", "1", "a"}, []string{"Error", "2", "b"})(p)
		case cmd == wire.ComQuery && arg == "SELECT id":
			c.log = append(c.log, arg)
			return true, wiretest.Rows([]string{"id"}, []string{"7"})(p)
		}
		return false, nil
	}
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	f.conn(c).takeLog()
	id, warnings := NewSalvage("SELECT id"), NewSalvage(WarningsQuery)
	c.Salvage, c.Diagnostics = id, warnings
	if !c.ParkKept() {
		t.Fatal("not parked")
	}
	r.acquire(2, plain).Release()
	if ok, _ := c.Unpark(); ok {
		t.Fatal("the session still has it")
	}
	if v, err := id.Value(); v != "7" || err != nil {
		t.Errorf("id %q, %v", v, err)
	}
	list, err := warnings.Result()
	if err != nil || len(list.Columns) != 3 || len(list.Rows) != 2 || list.Columns[2].Name != "Message" {
		t.Errorf("warnings %+v, %v", list, err)
	}
	if log := f.conn(c).takeLog(); len(log) < 2 || !slices.Equal(log[:2], []string{WarningsQuery, "SELECT id"}) {
		t.Errorf("asked %q", log)
	}
}
