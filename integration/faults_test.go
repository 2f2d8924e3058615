//go:build integration

package integration

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// readers load the proxy with point selects from connections of their own.
type readers struct {
	done atomic.Int64 // statements answered

	mu       sync.Mutex
	failures []failure
	slowest  time.Duration
}

type failure struct {
	at    time.Time // when it was reported
	err   error
	begun bool // behind the columns of its answer
}

const readerCount = 16

// startReaders reads until stop is called. A reader whose connection broke goes
// on with a new one.
func startReaders(t *testing.T, p *localproxy.Proxy) (r *readers, stop func()) {
	t.Helper()
	r = &readers{}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range readerCount {
		db := harness.Open(t, p.DSN(localserver.AppUser, localserver.AppPassword, localserver.AppSchema)+"?interpolateParams=true")
		db.SetMaxOpenConns(1)
		wg.Go(func() { r.read(ctx, db) })
	}
	var once sync.Once
	stop = func() { once.Do(func() { cancel(); wg.Wait() }) }
	t.Cleanup(stop)
	r.awaitProgress(t, 1000)
	return r, stop
}

func (r *readers) read(ctx context.Context, db *sql.DB) {
	for i := 0; ctx.Err() == nil; i++ {
		begin := time.Now()
		begun, err := readOne(db, i%3+1)
		r.mu.Lock()
		r.slowest = max(r.slowest, time.Since(begin))
		if err != nil {
			r.failures = append(r.failures, failure{time.Now(), err, begun})
		}
		r.mu.Unlock()
		if err == nil {
			r.done.Add(1)
		}
	}
}

// readOne reads one row. begun says that the answer's columns had come when it
// failed, behind which no proxy can repeat anything.
func readOne(db *sql.DB, id int) (begun bool, err error) {
	// Without a context: a statement that is under way at the end is answered.
	rows, err := db.Query("SELECT v FROM faults WHERE id = ?", id)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var v int
		if err := rows.Scan(&v); err != nil {
			return true, err
		}
	}
	if err := rows.Err(); err != nil {
		return true, err
	}
	if n != 1 {
		return true, fmt.Errorf("%d rows", n)
	}
	return true, nil
}

// awaitProgress waits for n more answers.
func (r *readers) awaitProgress(t *testing.T, n int64) {
	t.Helper()
	from := r.done.Load()
	harness.Eventually(t, 30*time.Second, func(context.Context) error {
		if done := r.done.Load() - from; done < n {
			return fmt.Errorf("%d of %d reads answered", done, n)
		}
		return nil
	})
}

// take returns what has failed and the slowest statement since the last take.
func (r *readers) take() ([]failure, time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	failures, slowest := r.failures, r.slowest
	r.failures, r.slowest = nil, 0
	return failures, slowest
}

func createFaultsTable(t *testing.T, c *localserver.Cluster) {
	harness.Exec(t, c,
		"DROP TABLE IF EXISTS app.faults",
		"CREATE TABLE app.faults (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
		"INSERT INTO app.faults (v) VALUES (1), (2), (3)",
	)
}

// awaitOut waits until the backend is no longer up and returns how long after
// since the console said so.
func awaitOut(t *testing.T, p *localproxy.Proxy, address string, since time.Time, within time.Duration) time.Duration {
	t.Helper()
	harness.Eventually(t, time.Until(since.Add(within)), func(ctx context.Context) error {
		state, err := p.BackendState(ctx, address)
		if err == nil && state == "up" {
			err = fmt.Errorf("backend %s is still up", address)
		}
		return err
	})
	return time.Since(since)
}

func TestAReplicaIsKilledUnderReads(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createFaultsTable(t, c)
		victim := c.Replicas[1] // the one with the most reads
		p := suite.StartProxyWithoutRace(t, harness.ProxyConfig(c))
		r, stop := startReaders(t, p)
		if failures, _ := r.take(); len(failures) > 0 {
			t.Fatalf("before the kill: %v", failures[0].err)
		}

		killed := time.Now()
		victim.Kill()
		ejected := awaitOut(t, p, victim.Addr(), killed, time.Second)
		r.awaitProgress(t, 1000)
		failures, slowest := r.take()
		t.Logf("ejected after %v; %d statements failed, the slowest took %v", ejected, len(failures), slowest)
		if len(failures) > readerCount {
			t.Errorf("%d statements failed, at most %d were in flight", len(failures), readerCount)
		}
		for _, f := range failures {
			if f.at.Sub(killed) > time.Second {
				t.Errorf("failed %v after the kill: %v", f.at.Sub(killed), f.err)
			}
		}

		t.Run("and comes back only after it has caught up", func(t *testing.T) {
			testComesBackCaughtUp(t, c, p, victim)
		})
		r.awaitProgress(t, 1000)
		if failures, _ := r.take(); len(failures) > 0 {
			t.Errorf("%d statements failed while the replica came back, the first: %v", len(failures), failures[0].err)
		}
		stop()
	})
}

// testComesBackCaughtUp restarts the killed replica with its SQL thread stopped.
func testComesBackCaughtUp(t *testing.T, c *localserver.Cluster, p *localproxy.Proxy, victim *localserver.Server) {
	if err := c.Primary.Exec(t.Context(), "INSERT INTO app.faults (v) VALUES (4)"); err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(t.Context(), victim.SkipReplicationStart()); err != nil {
		t.Fatal(err)
	}
	if err := victim.StartIOThread(t.Context()); err != nil {
		t.Fatal(err)
	}
	log, err := victim.GeneralLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	harness.Consistently(t, 3*time.Second, func(ctx context.Context) error {
		if state, err := p.BackendState(ctx, victim.Addr()); err != nil || state == "up" {
			return fmt.Errorf("the replica is %q with its SQL thread stopped (%v)", state, err)
		}
		entries, err := log.Entries(ctx)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.User == localserver.AppUser {
				return fmt.Errorf("it served %s %q", e.Command, e.Argument)
			}
		}
		return nil
	})
	if err := log.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	started := time.Now()
	if err := victim.StartSQLThread(t.Context()); err != nil {
		t.Fatal(err)
	}
	harness.AwaitState(t, p, victim.Addr(), "up", 10*time.Second)
	t.Logf("back %v after its SQL thread was started", time.Since(started))
	before := comSelect(t, victim)
	harness.Eventually(t, 10*time.Second, func(context.Context) error {
		if n := comSelect(t, victim) - before; n < 1000 {
			return fmt.Errorf("it has served %d reads", n)
		}
		return nil
	})
}

func comSelect(t *testing.T, s *localserver.Server) int64 {
	t.Helper()
	status, err := s.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return status["Com_select"]
}

func TestAReplicaHangsUnderReads(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createFaultsTable(t, c)
		victim := c.Replicas[1]
		p := suite.StartProxyWithoutRace(t, harness.ProxyConfig(c))
		r, stop := startReaders(t, p)
		r.take()

		t.Cleanup(func() { _ = victim.Resume() })
		hung := time.Now()
		if err := victim.Pause(); err != nil {
			t.Fatal(err)
		}
		ejected := awaitOut(t, p, victim.Addr(), hung, 4*time.Second)
		r.awaitProgress(t, 1000)
		failures, slowest := r.take()
		t.Logf("ejected after %v; %d statements failed, the slowest took %v", ejected, len(failures), slowest)
		if len(failures) > readerCount {
			t.Errorf("%d statements failed, at most %d were in flight", len(failures), readerCount)
		}
		if slowest > 5*time.Second {
			t.Errorf("a statement hung for %v", slowest)
		}
		r.awaitProgress(t, 1000)
		if failures, _ := r.take(); len(failures) > 0 {
			t.Errorf("%d statements failed after the ejection, the first: %v", len(failures), failures[0].err)
		}

		if err := victim.Resume(); err != nil {
			t.Fatal(err)
		}
		harness.AwaitState(t, p, victim.Addr(), "up", 15*time.Second)
		r.awaitProgress(t, 1000)
		if failures, _ := r.take(); len(failures) > 0 {
			t.Errorf("%d statements failed after the return, the first: %v", len(failures), failures[0].err)
		}
		stop()
	})
}

func TestAReplicaWhoseReplicationStopsServesNoReads(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createFaultsTable(t, c)
		stopped := c.Replicas[0]
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		t.Cleanup(func() { _ = stopped.StartSQLThread(context.Background()) })
		since := time.Now()
		if err := stopped.StopSQLThread(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Logf("ejected after %v", awaitOut(t, p, stopped.Addr(), since, 5*time.Second))
		logs := harness.OpenLogs(t, c)
		conn := harness.Connect(t, p)
		for range 60 {
			if _, err := firstColumn(t.Context(), conn, "SELECT v FROM faults "+thisMarker, nil); err != nil {
				t.Fatal(err)
			}
		}
		if where := logs.Where(thisMarker); where[1] != 0 || where[2] != 60 {
			t.Errorf("reads on primary, the stopped replica, the other one: %v", where)
		}
		if err := stopped.StartSQLThread(t.Context()); err != nil {
			t.Fatal(err)
		}
		harness.AwaitState(t, p, stopped.Addr(), "up", 10*time.Second)
	})
}
