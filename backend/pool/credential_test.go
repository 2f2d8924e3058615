package pool

import (
	"errors"
	"testing"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// FAULTS S6: what one session has proved is of no use to another.
func TestConnectionsBelongToTheirCredential(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "pw"}})
	r := newRig(t, f.Addr(), 0)
	one, other := &Credential{Password: "pw"}, &Credential{Password: "pw"}
	as := func(c *Credential) Login { return Login{User: "app", Credential: c} }
	c := r.acquireAs(1, as(one), plain)
	id := c.ThreadID
	c.Release()
	if c = r.acquireAs(2, as(other), plain); c.ThreadID == id {
		t.Error("a connection has gone from one credential to another")
	}
	c.Release()
	if c = r.acquireAs(3, as(one), plain); c.ThreadID != id {
		t.Error("the connection of the same credential is not used")
	}
	c.Release()
}

func TestARefusalIsOfOneCredential(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "pw"}})
	r := newRig(t, f.Addr(), 0)
	wrong, right := &Credential{Password: "old"}, &Credential{Password: "pw"}
	_, err := r.pool.Acquire(t.Context(), &Request{Owner: 1, Login: Login{User: "app", Credential: wrong}, Profile: plain})
	if !isServerError(err) {
		t.Fatalf("%v", err)
	}
	if !wrong.Refused() || wrong.Refused() || right.Refused() {
		t.Error("the refusal is not noted, or of the wrong one, or twice")
	}
	r.acquireAs(2, Login{User: "app", Credential: right}, plain).Release()
}

func TestConnectionsOfARetiredCredentialAreClosedWhenNobodyHoldsIt(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "pw"}})
	r := newRig(t, f.Addr(), 0)
	credential := &Credential{Password: "pw"}
	credential.Hold()
	r.acquireAs(1, Login{User: "app", Credential: credential}, plain).Release()
	credential.Retire()
	r.pool.sweep()
	r.checkStats(1, 1, 0, 0) // its session goes on
	credential.Drop()
	r.pool.sweep()
	r.checkStats(0, 0, 0, 0)
}

func TestAskLogsInOutsideThePool(t *testing.T) {
	f := newFake(t, wiretest.Options{Passwords: map[string]string{"app": "secret"}})
	r := newRig(t, f.Addr(), 1)
	busy := r.acquire(1, plain) // all that the limit allows
	defer busy.Release()
	for password, want := range map[string]uint16{"secret": 0, "wrong": wire.CodeAccessDenied} {
		_, err := r.pools.Ask(t.Context(), r.server, Login{User: "app", Credential: &Credential{Password: password}}, "")
		var e *wire.Err
		if errors.As(err, &e); (err == nil) != (want == 0) || e != nil && e.Code != want {
			t.Errorf("%q: %v", password, err)
		}
	}
	r.checkStats(1, 0, 0, 0)
}
