package proxy

import (
	"strings"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/router"
)

const who = "SELECT server FROM t"

func TestReadsAreSplitByWeightAndWritesGoToThePrimary(t *testing.T) {
	r := newRig(t, func(s *setup) { s.replicas = 2 })
	if _, err := r.store.SetWeight(r.replicas[0].Addr(), 3); err != nil {
		t.Fatal(err)
	}
	c := r.connect()
	got := map[string]int{}
	for range 40 {
		got[c.value(who)]++
	}
	if got["A"] != 30 || got["B"] != 10 || got["P"] != 0 {
		t.Errorf("reads by server: %v, want A 30, B 10", got)
	}
	c.exec("INSERT INTO t VALUES (1)")
	if n := len(r.primary.received("INSERT")); n != 1 {
		t.Errorf("primary got %d INSERTs, want 1", n)
	}
	for _, f := range r.replicas {
		if len(f.received("INSERT")) > 0 {
			t.Errorf("replica %s got a write", f.name)
		}
	}
}

func TestReadsGoToThePrimaryWhileThereIsNoReplica(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	r.setHealth(r.replicas[0], backend.Down, backend.CauseLag, "lags by 9 s")
	if got := c.value(who); got != "P" {
		t.Errorf("read went to %s", got)
	}
	r.setHealth(r.replicas[0], backend.Up, backend.CauseNone, "")
	if got := c.value(who); got != "A" {
		t.Errorf("read went to %s after the replica came back", got)
	}
}

func TestMessagesWhenNobodyIsThereNameServerReasonAndWhatToDo(t *testing.T) {
	t.Run("no replica and no_replica is error", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.config.Rules.NoReplica = router.NoReplicaError })
		c := r.connect()
		r.setHealth(r.replicas[0], backend.Down, backend.CauseLag, "lags by 9 s")
		msg := c.fails(1429, who)
		wantAll(t, msg, "no replica", r.replicas[0].Addr(), "lags by 9 s", "backends_ext")
		c.exec("INSERT INTO t VALUES (1)")
	})
	t.Run("no primary for a write, reads go on", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		r.setHealth(r.primary, backend.Down, backend.CauseRefused, "connection refused")
		msg := c.fails(1429, "INSERT INTO t VALUES (1)")
		wantAll(t, msg, "no primary", r.primary.Addr(), "connection refused", "backends_ext")
		if got := c.value(who); got != "A" {
			t.Errorf("read went to %s", got)
		}
	})
	t.Run("a server that is believed up refuses", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.replicas = 0 })
		c := r.connect()
		r.primary.Close()
		for _, sql := range []string{"INSERT INTO t VALUES (1)", who} {
			msg := c.fails(1429, sql)
			wantAll(t, msg, r.primary.Addr(), "refused", "backends_ext")
		}
		if len(r.reports()) == 0 {
			t.Error("the monitor was not told")
		}
	})
	t.Run("a server that closes during the login", func(t *testing.T) {
		r := newRig(t, func(s *setup) { s.replicas = 0 })
		c := r.connect()
		r.primary.intercept(hangupOn("session_track"))
		wantAll(t, c.fails(1429, who), r.primary.Addr(), "closed", "backends_ext")
	})
}

func wantAll(t *testing.T, msg string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(msg, p) {
			t.Errorf("message %q does not contain %q", msg, p)
		}
	}
}

func TestReadsGoOnWhileThePrimaryThatAlsoReadsIsGone(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.Weight = 1 })
	c := r.connect()
	r.primary.Close() // nobody has noticed yet
	for range 4 {
		if got := c.value(who); got != "A" {
			t.Fatalf("read went to %s", got)
		}
	}
}

func TestSessionsSurviveWithoutAnyServer(t *testing.T) {
	r := newRig(t)
	r.setAll(backend.Down)
	c := r.connect()
	c.ok(0x0e, "") // COM_PING
	c.fails(1429, who)
	r.setAll(backend.Up)
	if got := c.value(who); got != "A" {
		t.Errorf("read went to %s", got)
	}
}
