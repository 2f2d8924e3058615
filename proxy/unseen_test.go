package proxy

import (
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
)

// The fakes report no GTIDs: nobody but the primary is known to have a write.

func TestWithoutAPrimaryAReadShowsWhatItMustOrFails(t *testing.T) {
	for _, serveStale := range []bool{false, true} {
		r := newRig(t, func(s *setup) { s.replicas, s.config.ServeStale = 2, serveStale })
		writer, other := r.connect(), r.connect()
		writer.exec("SET @telamon_consistency='session'")
		other.exec("SET @telamon_consistency='session'")
		writer.exec("INSERT INTO t VALUES (1)")
		if got := writer.value("SELECT server FROM t"); got != "P" {
			t.Fatalf("answered by %s", got)
		}
		r.setHealth(r.primary, backend.Down, backend.CauseRefused, "gone for the test")
		if got := other.value("SELECT server FROM t"); got == "P" {
			t.Error("a read that needs nothing has found the primary")
		}
		if got := writer.value("/*consistency=off*/ SELECT server FROM t"); got == "P" {
			t.Error("a read that asks for nothing has found the primary")
		}
		begin := time.Now()
		if serveStale {
			if got := writer.value("SELECT server FROM t"); got == "P" {
				t.Error("the primary has answered")
			}
			continue
		}
		wantAll(t, writer.fails(1429, "SELECT server FROM t"), "gone for the test", "no_primary", "consistency=off")
		if took := time.Since(begin); took < lostPatience {
			t.Errorf("given up after %v", took)
		}
		wantAll(t, writer.fails(1429, "START TRANSACTION READ ONLY"), "gone for the test")
		if got := writer.value("/*consistency=off*/ SELECT server FROM t"); got == "P" {
			t.Error("the session is of no more use")
		}
	}
}

func TestAReadThatMustSeeAWriteWaitsForThePrimaryALittle(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.exec("SET @telamon_consistency='global'")
	c.exec("INSERT INTO t VALUES (1)")
	r.setHealth(r.primary, backend.Down, backend.CauseRefused, "gone for the test")
	answer := make(chan string, 1)
	go func() {
		rows, err := c.Query("SELECT server FROM t")
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- rows[0].Rows[0][0].Text
	}()
	eventually(t, "the read is under way", func() bool { return r.Counts().ConsistencyMisses > 0 })
	r.setHealth(r.primary, backend.Up, backend.CauseNone, "")
	if got := <-answer; got != "P" {
		t.Errorf("answered %q", got)
	}
}
