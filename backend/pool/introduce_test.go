package pool

import (
	"strings"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestAConnectionToAnotherServerIsRefused(t *testing.T) {
	identity, isolation := "one", "REPEATABLE-READ"
	f := newFake(t, wiretest.Options{})
	f.answer = func(p *wiretest.Peer, _ *fakeConn, cmd wire.Command, arg string) (bool, error) {
		if cmd != wire.ComQuery || !strings.Contains(arg, "@@server_uuid") {
			return false, nil
		}
		if identity == "" {
			return true, wiretest.Err(1193, "Unknown system variable 'server_uuid'")(p)
		}
		return true, wiretest.Rows([]string{"a", "b"}, []string{identity, isolation})(p)
	}
	for _, tt := range []struct {
		name, known, answers string
		refused              bool
	}{
		{"the server that was checked", "one", "one", false},
		{"another one", "one", "two", true},
		{"one that was not checked yet", "", "one", false},
		{"one that does not tell", "one", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, f.Addr(), 0)
			r.store.Update(func(d *backend.Draft) { d.State(r.server).Identity = tt.known })
			identity = tt.answers
			c, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: testLogin, Profile: plain})
			if refused := err != nil; refused != tt.refused || refused && !strings.Contains(err.Error(), backend.ErrOtherServer.Error()) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				c.Discard()
			}
			r.checkStats(0, 0, 0, 0)
		})
	}
}

func TestWhetherATransactionKeepsItsSnapshot(t *testing.T) {
	for _, tt := range []struct {
		login string
		set   []Var
		want  bool
	}{
		{"REPEATABLE-READ", nil, true},
		{"", nil, true},
		{"READ-COMMITTED", nil, false},
		{"READ-COMMITTED", []Var{{"transaction_isolation", "SERIALIZABLE"}}, true},
		{"REPEATABLE-READ", []Var{{"tx_isolation", "READ-UNCOMMITTED"}}, false},
	} {
		c := Conn{introduction: introduction{isolation: tt.login}, Profile: &Profile{Vars: tt.set}}
		if got := c.KeepsSnapshot(); got != tt.want {
			t.Errorf("%q, then %v: %v", tt.login, tt.set, got)
		}
	}
}
