//go:build integration

package monitor

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/internal/localserver"
)

// lab is a real primary with a replica, and a monitor that watches both.
type lab struct {
	t       *testing.T
	flavour localserver.Flavour
	cluster *localserver.Cluster
	primary *localserver.Server
	replica *localserver.Server

	store   *backend.Store
	mon     *Monitor
	changed chan struct{}
}

// TestRealServers tells its stories one after the other on one pair of servers
// per flavour.
func TestRealServers(t *testing.T) {
	for _, flavour := range []localserver.Flavour{localserver.MariaDB, localserver.MySQL} {
		t.Run(flavour.String(), func(t *testing.T) {
			if err := localserver.Available(flavour); err != nil {
				t.Skip(err)
			}
			t.Parallel() // they mostly wait
			l := newLab(t, flavour)
			for _, story := range []struct {
				name string
				tell func(*lab)
			}{
				{"a probe reads a real server", probeReads},
				{"accounts and read_only", accountsAndReadOnly},
				{"dead and hung servers", deadAndHung},
				{"a replica with faults is out until it has caught up", replicationFaults},
				{"role auto follows a promotion and ignores the old primary", followsPromotion},
			} {
				t.Run(story.name, func(t *testing.T) {
					l.t = t
					story.tell(l)
				})
			}
		})
	}
}

func newLab(t *testing.T, flavour localserver.Flavour) *lab {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cluster, err := localserver.StartCluster(ctx, localserver.ClusterOptions{Flavour: flavour, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cluster.Close() })
	if err := cluster.Primary.Exec(ctx, "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	return &lab{t: t, flavour: flavour, cluster: cluster, primary: cluster.Primary, replica: cluster.Replicas[0],
		changed: make(chan struct{}, 1)}
}

// labConnLife shortens the wait for a changed account to be noticed.
const labConnLife = 2 * time.Second

func labConfig() Config {
	cfg := DefaultConfig()
	cfg.Username, cfg.Password = localserver.MonitorUser, localserver.MonitorPassword
	return cfg
}

// watch starts the monitor and waits until both servers are up.
func (l *lab) watch() {
	l.t.Helper()
	l.start(backend.RoleRW, backend.RoleRO)
	l.await(5*time.Second, "both up", func() bool { return l.p().Health == backend.Up && l.r().Health == backend.Up })
}

// start starts the monitor for the servers in these roles.
func (l *lab) start(primary, replica backend.Role) {
	l.t.Helper()
	store, err := backend.NewStore([]backend.Spec{
		{Address: l.primary.Addr(), Role: primary},
		{Address: l.replica.Addr(), Role: replica, Weight: 1},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.store = store
	store.Subscribe(func(_, _ *backend.Topology) {
		select {
		case l.changed <- struct{}{}:
		default:
		}
	})
	t := l.t
	l.mon = New(store, labConfig(), Options{
		OnChange: func(old, new backend.State) {
			t.Logf("%s %s -> %s %s: %s", new.String(), old.Health, new.Health, new.Cause, new.Reason)
		},
		NewProber: func(s *backend.Server) Prober {
			p := NewSQLProber(s)
			p.life = labConnLife
			return p
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.mon.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		<-done
	})
}

func (l *lab) p() *backend.State { return l.store.Load().Find(l.primary.Addr()) }
func (l *lab) r() *backend.State { return l.store.Load().Find(l.replica.Addr()) }

// await waits for cond and returns how long that took.
func (l *lab) await(limit time.Duration, what string, cond func() bool) time.Duration {
	l.t.Helper()
	start := time.Now()
	timeout := time.After(limit)
	for !cond() {
		select {
		case <-l.changed:
		case <-timeout:
			l.t.Fatalf("%s: not within %s; primary %s %s (%s), replica %s %s (%s)", what, limit,
				l.p().Health, l.p().Cause, l.p().Reason, l.r().Health, l.r().Cause, l.r().Reason)
		}
	}
	took := time.Since(start)
	l.t.Logf("%s: after %s", what, took.Round(10*time.Millisecond))
	return took
}

// stays checks that cond holds for the whole time.
func (l *lab) stays(during time.Duration, what string, cond func() bool) {
	l.t.Helper()
	timeout := time.After(during)
	for {
		if !cond() {
			l.t.Fatalf("%s: no longer; replica %s %s (%s)", what, l.r().Health, l.r().Cause, l.r().Reason)
		}
		select {
		case <-l.changed:
		case <-timeout:
			return
		}
	}
}

func (l *lab) exec(s *localserver.Server, statements ...string) {
	l.t.Helper()
	if err := s.Exec(l.t.Context(), statements...); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) replicaIs(cause backend.Cause) func() bool {
	return func() bool { return l.r().Health == backend.Down && l.r().Cause == cause }
}

func (l *lab) replicaUp() bool { return l.r().Health == backend.Up && l.r().Cause == backend.CauseNone }

// sql picks the statement for the flavour.
func (l *lab) sql(mariadb, mysql string) string {
	if l.flavour == localserver.MariaDB {
		return mariadb
	}
	return mysql
}

func probeReads(l *lab) {
	l.must(l.cluster.WaitCaughtUp(l.t.Context()))
	for _, address := range []string{l.replica.Addr(), "unix:" + l.replica.Socket()} {
		// Twice: on a new connection, then on the one that was kept.
		p := NewSQLProber(server(l.t, address))
		defer p.Close()
		for range 2 {
			obs := p.Probe(l.t.Context(), labConfig())
			if obs.Failure != OK || !obs.ReadOnly || obs.ServerID != l.replica.ServerID() || obs.GTID == "" || obs.Identity == "" {
				l.t.Fatalf("%s: %+v", address, obs)
			}
			if len(obs.Channels) != 1 {
				l.t.Fatalf("channels: %+v", obs.Channels)
			}
			ch := obs.Channels[0]
			if !ch.SQL || !ch.running() || !ch.LagKnown || ch.Source.Address != l.primary.Addr() ||
				ch.Source.ID != l.primary.ServerID() || ch.Received.Pos == 0 {
				l.t.Fatalf("channel: %+v", ch)
			}
			l.awaitExecuted(p)
		}
	}
	p := NewSQLProber(server(l.t, l.primary.Addr()))
	defer p.Close()
	obs := p.Probe(l.t.Context(), labConfig())
	if obs.Failure != OK || obs.ReadOnly || len(obs.Channels) != 0 || obs.GTID == "" {
		l.t.Errorf("primary: %+v", obs)
	}
	if l.flavour == localserver.MySQL && (obs.UUID == "" || obs.Flavor != backend.MySQL) {
		l.t.Errorf("primary: uuid %q, flavour %s", obs.UUID, obs.Flavor)
	}

	// KILL of the kept connection is not the server's fault.
	l.exec(l.primary, fmt.Sprintf("KILL %d", l.connectionOf(l.primary, localserver.MonitorUser)))
	if obs := p.Probe(l.t.Context(), labConfig()); obs.Failure != OK {
		l.t.Errorf("after KILL: %d %v", obs.Failure, obs.Err)
	}
	p.dialect.identity = "SELECT @@no_such_variable"
	if obs := p.Probe(l.t.Context(), labConfig()); obs.Failure != OK || obs.ServerID != l.primary.ServerID() {
		l.t.Errorf("a server without some variables: %+v", obs)
	}
	wrong := labConfig()
	wrong.Password = "wrong"
	if obs := p.Probe(l.t.Context(), wrong); obs.Failure != Auth {
		l.t.Errorf("wrong password: %d %v", obs.Failure, obs.Err)
	}
	nobody := labConfig()
	nobody.Username, nobody.Password = localserver.AppUser, localserver.AppPassword
	if obs := p.Probe(l.t.Context(), nobody); obs.Failure != Privilege || !obs.Identified {
		l.t.Errorf("without the privilege: %d %v", obs.Failure, obs.Err)
	}
}

// awaitExecuted waits until p sees all applied that was received. MySQL's
// parallel applier moves the executed position only at its checkpoints
// (replica_checkpoint_period, 300 ms).
func (l *lab) awaitExecuted(p *SQLProber) {
	l.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(5 * time.Second)
	for {
		ch := p.Probe(l.t.Context(), labConfig()).Channels[0]
		if ok, comparable := ch.Executed.reached(ch.Received); ok && comparable {
			return
		}
		select {
		case <-tick.C:
		case <-timeout:
			l.t.Fatalf("caught up, but executed %+v of %+v", ch.Executed, ch.Received)
		}
	}
}

func (l *lab) connectionOf(s *localserver.Server, user string) int {
	l.t.Helper()
	rows, err := s.Query(l.t.Context(), "SELECT ID FROM information_schema.PROCESSLIST WHERE USER = '"+user+"'")
	l.must(err)
	if len(rows) != 1 {
		l.t.Fatalf("connections of %s: %v", user, rows)
	}
	var id int
	_, err = fmt.Sscan(rows[0]["ID"], &id)
	l.must(err)
	return id
}

func replicationFaults(l *lab) {
	l.watch()

	l.exec(l.replica, l.sql("STOP SLAVE SQL_THREAD", "STOP REPLICA SQL_THREAD"))
	if took := l.await(2*time.Second, "SQL thread stopped", l.replicaIs(backend.CauseReplicationStopped)); took > killed {
		l.t.Errorf("out after %s", took)
	}
	l.exec(l.primary, "INSERT INTO app.t VALUES (10)")
	l.stays(4*time.Second, "out while stopped", l.replicaIs(backend.CauseReplicationStopped))
	l.exec(l.replica, l.sql("START SLAVE SQL_THREAD", "START REPLICA SQL_THREAD"))
	if took := l.await(10*time.Second, "back", l.replicaUp); took < 3*time.Second {
		l.t.Errorf("back after %s, before the hold time", took)
	}
	rows, err := l.replica.Query(l.t.Context(), "SELECT * FROM app.t WHERE id = 10")
	l.must(err)
	if len(rows) != 1 {
		l.t.Errorf("it serves without what it had missed: %v", rows)
	}

	l.exec(l.replica, l.sql("STOP SLAVE IO_THREAD", "STOP REPLICA IO_THREAD"))
	l.await(2*time.Second, "IO thread stopped", l.replicaIs(backend.CauseReplicationStopped))
	l.exec(l.replica, l.sql("START SLAVE IO_THREAD", "START REPLICA IO_THREAD"))
	l.await(10*time.Second, "back", l.replicaUp)

	// A row that is there already breaks the SQL thread.
	l.exec(l.replica, l.sql("DO 1", "SET GLOBAL super_read_only=0"), // root writes through read_only
		"SET sql_log_bin=0", "INSERT INTO app.t VALUES (2)")
	l.exec(l.primary, "INSERT INTO app.t VALUES (2)")
	l.await(3*time.Second, "SQL thread broken", l.replicaIs(backend.CauseReplicationStopped))
	l.exec(l.replica, "SET sql_log_bin=0", "DELETE FROM app.t WHERE id=2", l.sql("START SLAVE", "START REPLICA"))
	l.await(10*time.Second, "back", l.replicaUp)

	// A delayed replica lags (F41).
	l.exec(l.replica, l.sql("STOP SLAVE", "STOP REPLICA"),
		l.sql("CHANGE MASTER TO MASTER_DELAY=4", "CHANGE REPLICATION SOURCE TO SOURCE_DELAY=4"), l.sql("START SLAVE", "START REPLICA"))
	l.await(10*time.Second, "back with a delay and nothing to apply", l.replicaUp)
	l.exec(l.primary, "INSERT INTO app.t VALUES (3)")
	l.await(5*time.Second, "behind", l.replicaIs(backend.CauseLag))
	l.await(15*time.Second, "back", l.replicaUp)

	l.exec(l.replica, l.sql("STOP SLAVE", "STOP REPLICA"), l.sql("RESET SLAVE ALL", "RESET REPLICA ALL"))
	l.await(2*time.Second, "replication gone", l.replicaIs(backend.CauseNoReplication))
	if p := l.store.Load().Primary(); p == nil || p.Server != l.p().Server {
		l.t.Error("the primary was touched")
	}
}

// killed is within what a killed server must be noticed. The rule is 1 s, which
// TestTimesToEjectAndToReturn checks on a clock of its own; a machine busy with
// other tests may need longer.
const killed = 2 * time.Second

func deadAndHung(l *lab) {
	l.watch()
	server := l.r().Server

	epoch := server.Epoch()
	l.replica.Kill()
	if took := l.await(3*time.Second, "kill -9", l.replicaIs(backend.CauseRefused)); took > killed {
		l.t.Errorf("out after %s", took)
	}
	if server.Epoch() == epoch {
		l.t.Error("its connections are still good")
	}
	l.must(l.replica.Start(l.t.Context()))
	l.await(20*time.Second, "back", l.replicaUp)

	l.must(l.replica.Pause())
	took := l.await(5*time.Second, "SIGSTOP", l.replicaIs(backend.CauseHung))
	l.must(l.replica.Resume())
	if took > 4*time.Second {
		l.t.Errorf("out after %s, want 4s", took)
	}
	l.await(20*time.Second, "back", l.replicaUp)

	// The primary's death leaves the replica in.
	l.exec(l.replica, l.sql("STOP SLAVE", "STOP REPLICA"),
		l.sql("CHANGE MASTER TO MASTER_CONNECT_RETRY=1", "CHANGE REPLICATION SOURCE TO SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400"),
		l.sql("START SLAVE", "START REPLICA"))
	l.await(10*time.Second, "in order", l.replicaUp)
	l.primary.Kill()
	if took := l.await(3*time.Second, "primary killed", func() bool { return l.store.Load().Primary() == nil }); took > killed {
		l.t.Errorf("noticed after %s", took)
	}
	l.stays(3*time.Second, "the replica serves without its source", func() bool { return l.r().Health == backend.Up })
	l.must(l.primary.Start(l.t.Context()))
	l.await(5*time.Second, "primary back", func() bool { return l.store.Load().Primary() != nil })
	l.await(20*time.Second, "replica in order", l.replicaUp)
}

func accountsAndReadOnly(l *lab) {
	l.watch()
	blind := func() bool {
		return l.r().Health == backend.Up && l.r().Cause == backend.CauseBlind && l.p().Health == backend.Up && l.store.Load().Primary() != nil
	}
	privilege := l.sql("SLAVE MONITOR, BINLOG MONITOR", "REPLICATION CLIENT")
	grantees := l.grantees(localserver.MonitorUser)
	var revoke, grant, wrong, right []string
	for _, g := range grantees {
		revoke = append(revoke, "REVOKE "+privilege+" ON *.* FROM "+g)
		grant = append(grant, "GRANT "+privilege+" ON *.* TO "+g)
		wrong = append(wrong, "ALTER USER "+g+" IDENTIFIED BY 'changed'")
		right = append(right, "ALTER USER "+g+" IDENTIFIED BY '"+localserver.MonitorPassword+"'")
	}
	l.exec(l.primary, revoke...) // replicated
	l.must(l.cluster.WaitCaughtUp(l.t.Context()))
	// Privileges on *.* are those of the login: a new connection sees it.
	l.await(labConnLife+5*time.Second, "privilege revoked", blind)
	l.stays(2*time.Second, "blind, but serving", blind)
	l.exec(l.primary, grant...)
	l.await(labConnLife+5*time.Second, "privilege granted", l.replicaUp)

	l.exec(l.primary, wrong...)
	l.must(l.cluster.WaitCaughtUp(l.t.Context()))
	l.await(labConnLife+5*time.Second, "password changed", blind)
	cfg := labConfig()
	cfg.Password = "changed"
	l.mon.SetConfig(cfg)
	l.await(5*time.Second, "new password configured", l.replicaUp)
	l.exec(l.primary, right...)
	l.mon.SetConfig(labConfig())

	epoch := l.p().Epoch()
	l.exec(l.primary, "SET GLOBAL read_only=1")
	l.await(2*time.Second, "primary read-only", func() bool {
		return l.store.Load().Primary() == nil && l.p().Cause == backend.CauseReadOnly && l.store.Load().Fallback() != nil
	})
	if l.p().Epoch() == epoch {
		l.t.Error("connections to the demoted primary are still good")
	}
	l.exec(l.primary, "SET GLOBAL read_only=0")
	l.await(2*time.Second, "primary writable", func() bool { return l.store.Load().Primary() != nil })
}

func (l *lab) grantees(user string) []string {
	rows, err := l.primary.Query(l.t.Context(), "SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) AS g FROM mysql.user WHERE User = '"+user+"'")
	l.must(err)
	var out []string
	for _, r := range rows {
		out = append(out, r["g"])
	}
	slices.Sort(out)
	return out
}

func followsPromotion(l *lab) {
	l.exec(l.replica, l.sql("STOP SLAVE", "STOP REPLICA"), l.sql("RESET SLAVE ALL", "RESET REPLICA ALL"))
	l.start(backend.RoleAuto, backend.RoleAuto)
	is := func(address string) func() bool {
		return func() bool {
			p := l.store.Load().Primary()
			return p != nil && p.Address == address
		}
	}
	l.await(3*time.Second, "the writable one", is(l.primary.Addr()))
	old := l.p().Server
	epoch := old.Epoch()
	l.exec(l.primary, "SET GLOBAL read_only=1")
	l.await(2*time.Second, "none", func() bool { return l.store.Load().Primary() == nil })
	if old.Epoch() == epoch {
		l.t.Error("connections to the demoted primary are still good")
	}
	l.exec(l.replica, l.sql("SET GLOBAL read_only=0", "SET GLOBAL super_read_only=0"), "SET GLOBAL read_only=0")
	l.await(2*time.Second, "the promoted one", is(l.replica.Addr()))
	l.exec(l.primary, "SET GLOBAL read_only=0")
	l.await(2*time.Second, "an alarm for the old one", func() bool { return l.p().Cause == backend.CauseSecondWritable })
	l.stays(2*time.Second, "the promoted one", is(l.replica.Addr()))
}
