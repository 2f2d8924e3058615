package pool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire/wiretest"
)

// stressSession is a session that knows exactly what must be in its connection
// and asks the server at every opportunity.
type stressSession struct {
	t     *testing.T
	r     *rig
	rnd   *rand.Rand
	owner uint64
	// mayHold: it may keep a connection in use between its steps.
	mayHold bool

	profile *Profile
	conn    *Conn
	parked  bool
	user    string            // what it has put into @me of conn
	stmts   map[uint32]string // what it has prepared on conn
	number  uint32
	checks  *atomic.Int64
}

var stressProfiles = func() (all []*Profile) {
	for _, schema := range []string{"", "a", "b"} {
		for _, collation := range []byte{45, 8} {
			p := &Profile{Schema: schema, Collation: collation}
			all = append(all, p, p, p.With("x", "1"), p.With("x", "2").With("y", "1"))
		}
	}
	return all
}()

// Sessions share five connections of a server that comes and goes: all active,
// so that they wait in line, and most idle, so that connections lie parked.
func TestNoSessionEverSeesAnotherOne(t *testing.T) {
	t.Run("fifty active sessions", func(t *testing.T) {
		if s := stress(t, 50, 1, 200); s.Reused == 0 || s.Reset == 0 || s.Waited == 0 {
			t.Errorf("not everything was put to the test: %+v", s)
		}
	})
	t.Run("fifty sessions, three active at a time", func(t *testing.T) {
		if s := stress(t, 3, 17, 2000); s.Reused == 0 || s.Reset == 0 || s.Reclaimed == 0 {
			t.Errorf("not everything was put to the test: %+v", s)
		}
	})
}

// stress runs goroutines of so many sessions each, one of which does a step at
// a time.
func stress(t *testing.T, goroutines uint64, sessions, steps int) Stats {
	const limit = 5
	if testing.Short() {
		steps /= 4
	}
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), limit)
	var checks atomic.Int64
	var all, others sync.WaitGroup
	stop := make(chan struct{})
	others.Go(func() { churn(t, r, limit, stop) })
	for i := range goroutines {
		all.Go(func() {
			rnd := rand.New(rand.NewPCG(i, 1))
			mine := make([]*stressSession, sessions)
			for j := range mine {
				mine[j] = &stressSession{t: t, r: r, rnd: rnd, owner: 1 + i + 100*uint64(j), checks: &checks, mayHold: sessions == 1}
				mine[j].begin()
			}
			for range steps {
				if !mine[rnd.IntN(sessions)].step() {
					return
				}
			}
			for _, s := range mine {
				s.leave()
			}
		})
	}
	all.Wait()
	close(stop)
	others.Wait()
	s := r.pool.Stats()
	t.Logf("%d checks, %+v", checks.Load(), s)
	r.checkStats(s.Idle, s.Idle, 0, 0)
	return s
}

// churn sweeps and changes the server's health until told to stop; then the
// server is up.
func churn(t *testing.T, r *rig, limit int, stop <-chan struct{}) {
	rnd := rand.New(rand.NewPCG(0, 2))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-tick.C:
		}
		r.pool.sweep()
		if s := r.pool.Stats(); s.Open > limit {
			t.Errorf("%d connections open", s.Open)
		}
		if n%20 != 0 {
			continue
		}
		switch rnd.IntN(3) {
		case 0:
			r.setHealth(backend.Down, backend.CauseHung)
		case 1:
			_, _ = r.store.SetOffline("1")
		default:
			r.pool.setMax(2 + rnd.IntN(limit-1))
			r.pool.setMax(limit)
		}
		r.setHealth(backend.Up, backend.CauseNone)
	}
}

// begin gives the session another profile.
func (s *stressSession) begin() { s.profile = stressProfiles[s.rnd.IntN(len(stressProfiles))] }

// step does something; false ends the session because of a failure.
func (s *stressSession) step() bool {
	if !s.lease() {
		return !s.t.Failed()
	}
	if err := s.use(); err != nil {
		if s.conn.Valid() {
			s.t.Errorf("session %d: %v", s.owner, err)
			return false
		}
		s.lose(s.conn.Discard)
		return true
	}
	switch n := s.rnd.IntN(20); {
	case n < 11:
		if s.parked = s.conn.Park(); !s.parked {
			s.forget()
		}
	case n < 16:
		s.lose(s.conn.Release)
	case n < 17:
		s.lose(s.conn.Discard)
	case n < 18 || !s.mayHold: // the next session: another owner
		s.lose(s.conn.Release)
		s.owner += 10_000
		s.begin()
	}
	return true
}

// leave ends the session as one does whose client is gone.
func (s *stressSession) leave() {
	if s.conn == nil {
		return
	}
	if s.parked {
		if ok, _ := s.conn.Unpark(); !ok {
			return
		}
	}
	s.conn.Release()
}

func (s *stressSession) lose(how func()) {
	how()
	s.forget()
}

func (s *stressSession) forget() { s.conn, s.parked = nil, false }

// lease gets the session's own connection back or another one, and has the
// server say that it is in the right state.
func (s *stressSession) lease() bool {
	if s.conn != nil && s.parked {
		if ok, stale := s.conn.Unpark(); !ok {
			s.forget()
		} else if s.parked = false; stale && !s.conn.Alive() {
			s.lose(s.conn.Discard)
		}
	}
	if s.conn != nil {
		return true
	}
	c, err := s.r.pool.Acquire(s.t.Context(), &Request{Owner: s.owner, Login: testLogin, Profile: s.profile})
	if err != nil {
		// Only what losing a server at this moment leads to.
		if !errors.Is(err, ErrChanged) && !isTimeout(err) {
			s.t.Errorf("session %d: %v", s.owner, err)
		}
		return false
	}
	s.conn = c
	if len(c.Statements) == 0 {
		// Reset or another one; its own with @me left has statements too.
		s.user, s.stmts = "", map[uint32]string{}
	}
	return true
}

// use checks the state of the connection and changes it.
func (s *stressSession) use() error {
	if err := s.check(); err != nil {
		return err
	}
	c := s.conn
	switch s.rnd.IntN(4) {
	case 0: // a read that leaves nothing
	case 1: // a variable the server reports
		value := fmt.Sprint(1 + s.rnd.IntN(3))
		if err := c.Query("SET x=" + value); err != nil {
			return err
		}
		s.profile = s.profile.With("x", value)
		c.Profile = s.profile
	default: // what only a reset removes
		c.Dirt = NeedsReset
		s.number++
		user, text := fmt.Sprintf("%d/%d", s.owner, s.number), fmt.Sprintf("S%d.%d", s.owner, s.number)
		if err := c.Query("SET @me=" + user); err != nil {
			return err
		}
		s.user = user
		if err := c.Prepare(s.number, []byte(text), s.profile); err != nil {
			return err
		}
		s.stmts[s.number] = text
	}
	return s.check()
}

func (s *stressSession) check() error {
	got, err := s.conn.QueryValue("SELECT state")
	if err != nil {
		return err
	}
	s.checks.Add(1)
	vars := map[string]string{}
	for _, v := range s.profile.Vars {
		vars[v.Name] = v.Value
	}
	var stmts []string
	for number := range s.conn.Statements {
		stmts = append(stmts, s.stmts[number])
	}
	if want := stateText(s.profile.Schema, namesOf(s.profile.Collation), s.user, vars, stmts); got != want {
		s.t.Errorf("session %d on connection %d\nhas   %s\nwants %s", s.owner, s.conn.ThreadID, got, want)
	}
	return nil
}
