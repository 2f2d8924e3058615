// Package harness is what the suites on real servers share: one cluster per
// flavour for the whole test process, the program built once, a proxy per test.
package harness

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// Long reports whether the long form of the suites was asked for.
func Long() bool { return os.Getenv("TELAMON_LONG") != "" }

// Suite owns what all tests of a process share. Its methods may be called from
// any test.
type Suite struct {
	clusters map[localserver.Flavour]*shared // the map itself is not written to

	mu       sync.Mutex
	dir      string
	programs map[bool]string // by "built with the race detector"
}

// shared is the cluster of one flavour, nil until a test wants it.
type shared struct {
	mu      sync.Mutex
	cluster *localserver.Cluster
}

// NewSuite returns a suite that has started nothing yet.
func NewSuite() *Suite {
	clusters := map[localserver.Flavour]*shared{}
	for _, flavour := range flavours {
		clusters[flavour] = &shared{}
	}
	return &Suite{clusters: clusters, programs: map[bool]string{}}
}

var flavours = []localserver.Flavour{localserver.MariaDB, localserver.MySQL}

// Main runs the tests and then stops whatever they started. It returns the exit
// code for os.Exit.
func (s *Suite) Main(m *testing.M) int {
	code := m.Run()
	if err := s.close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func (s *Suite) close() error {
	var errs []error
	for _, shared := range s.clusters {
		shared.mu.Lock()
		defer shared.mu.Unlock()
		if shared.cluster != nil {
			errs = append(errs, shared.cluster.Close())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// EachFlavour runs f as a subtest on a primary with two replicas of every flavour
// that this machine has; the others are skipped with the reason. The replicas are
// caught up when f begins, and must replicate when it has ended: a write that went
// to one of them by mistake breaks them.
//
// The flavours run at the same time, as most tests mostly wait: f is called from
// two goroutines, and what both calls use must allow that.
func (s *Suite) EachFlavour(t *testing.T, f func(t *testing.T, c *localserver.Cluster)) {
	t.Helper()
	InEachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		c := s.Cluster(t, flavour)
		f(t, c)
		if err := c.WaitCaughtUp(t.Context()); err != nil {
			t.Error(err)
		}
		for _, r := range c.Replicas {
			if err := r.CheckReplication(t.Context()); err != nil {
				t.Error(err)
			}
		}
		for _, server := range c.Servers() { // their logs come to GiBs otherwise, and may be in memory
			if err := server.Exec(t.Context(), "PURGE BINARY LOGS BEFORE NOW()"); err != nil {
				t.Error(err)
			}
		}
	})
}

// InEachFlavour is EachFlavour without the servers.
func InEachFlavour(t *testing.T, f func(t *testing.T, flavour localserver.Flavour)) {
	t.Helper()
	AtOnce(t, flavours, func(t *testing.T, flavour localserver.Flavour) {
		if err := localserver.Available(flavour); err != nil {
			t.Skip(err)
		}
		f(t, flavour)
	})
}

// AtOnce runs f as a subtest for each of the names, all at the same time, and
// returns when they have ended. With t.Parallel there would be as many as there
// are processors; these are for tests that wait for something else.
func AtOnce[N any](t *testing.T, names []N, f func(t *testing.T, name N)) {
	t.Helper()
	var wg sync.WaitGroup
	for _, name := range names {
		wg.Go(func() { t.Run(fmt.Sprint(name), func(t *testing.T) { f(t, name) }) })
	}
	wg.Wait()
}

// Cluster is the cluster of a flavour, started by the first test that wants it.
// It skips the test where the flavour cannot be had.
func (s *Suite) Cluster(t testing.TB, flavour localserver.Flavour) *localserver.Cluster {
	t.Helper()
	if err := localserver.Available(flavour); err != nil {
		t.Skip(err)
	}
	shared := s.clusters[flavour]
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil {
		// Not the test's context: the cluster outlives the test.
		c, err := localserver.StartCluster(context.Background(), localserver.ClusterOptions{Flavour: flavour, Replicas: 2})
		if err != nil {
			t.Fatal(err)
		}
		shared.cluster = c
	}
	if err := shared.cluster.WaitCaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	return shared.cluster
}

// Program is the telamon program built from this tree. TELAMON_BINARY names one
// to use instead.
func (s *Suite) Program(t testing.TB, race bool) string {
	t.Helper()
	if binary := os.Getenv("TELAMON_BINARY"); binary != "" {
		return binary
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.programs[race] != "" {
		return s.programs[race]
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "telamon-build-")
		if err != nil {
			t.Fatal(err)
		}
		s.dir = dir
	}
	program := filepath.Join(s.dir, fmt.Sprintf("telamon-race-%v", race))
	args := []string{"build", "-buildvcs=false", "-o", program}
	if race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/telamondb/telamon/cmd/telamon")...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	s.programs[race] = program
	return program
}

// ProxyConfig is a configuration for the cluster on free ports: weights 1 and 5,
// reads that do not wait for replicas, no slow start, a hold of half a second.
// It panics if there is no free port.
func ProxyConfig(c *localserver.Cluster) localproxy.Config {
	return localproxy.Config{
		Backends:    localproxy.Backends(c, 1, 5),
		Consistency: "off",
		Settings: map[string]string{
			"maintenance": "hold = \"500ms\"\nslow_start = \"0s\"",
			"log":         `level = "debug"`,
		},
	}
}

// StartProxy starts the program, race detector included, and waits until it has
// found every backend healthy. Empty addresses in cfg become free ports. At the
// end of the test the proxy must stop gracefully and must not have reported a
// data race or a panic; the end of its log is shown if the test failed.
func (s *Suite) StartProxy(t testing.TB, cfg localproxy.Config) *localproxy.Proxy {
	t.Helper()
	return s.start(t, s.Program(t, true), cfg)
}

// StartProxyWithoutRace is StartProxy for tests that measure.
func (s *Suite) StartProxyWithoutRace(t testing.TB, cfg localproxy.Config) *localproxy.Proxy {
	t.Helper()
	return s.start(t, s.Program(t, false), cfg)
}

func (s *Suite) start(t testing.TB, program string, cfg localproxy.Config) *localproxy.Proxy {
	t.Helper()
	for _, address := range []*string{&cfg.Listen, &cfg.Console, &cfg.HTTP} {
		if *address != "" {
			continue
		}
		port, err := localserver.ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(port.Release)
		*address = port.Addr()
	}
	p, err := localproxy.Start(t.Context(), program, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, p) })
	for _, b := range cfg.Backends {
		AwaitState(t, p, b.Address, "up", 15*time.Second)
	}
	return p
}

func finish(t testing.TB, p *localproxy.Proxy) {
	log, err := p.LogSince(0)
	if err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"DATA RACE", "panic"} {
		if at := strings.Index(log, bad); at >= 0 {
			t.Errorf("telamon's log reports a %s:\n%s", bad, log[max(0, at-200):min(len(log), at+4000)])
		}
	}
	if t.Failed() {
		t.Logf("the end of telamon's log:\n%s", p.LogTail(60))
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

// AwaitState waits until the console shows the backend in the state.
func AwaitState(t testing.TB, p *localproxy.Proxy, address, state string, within time.Duration) {
	t.Helper()
	Eventually(t, within, func(ctx context.Context) error {
		got, err := p.BackendState(ctx, address)
		if err != nil {
			return err
		}
		if got != state {
			return fmt.Errorf("backend %s is %q, not %q", address, got, state)
		}
		return nil
	})
}

// pollPause is the time between two looks of Eventually and Consistently.
const pollPause = 10 * time.Millisecond

// Eventually calls f until it returns nil and fails the test with its last error
// if that takes too long.
func Eventually(t testing.TB, within time.Duration, f func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for {
		err := f(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not within %v: %v", within, err)
		case <-time.After(pollPause):
		}
	}
}

// Consistently calls f for the given time and fails the test with its first error.
func Consistently(t testing.TB, during time.Duration, f func(ctx context.Context) error) {
	t.Helper()
	end := time.After(during)
	for {
		if err := f(t.Context()); err != nil {
			t.Fatal(err)
		}
		select {
		case <-end:
			return
		case <-time.After(pollPause):
		}
	}
}

// Open returns a pool for a data source name. It is closed with the test.
func Open(t testing.TB, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Connect returns one connection of the application's account through the proxy.
// params are go-sql-driver's, such as "multiStatements=true".
func Connect(t testing.TB, p *localproxy.Proxy, params ...string) *sql.Conn {
	t.Helper()
	dsn := p.DSN(localserver.AppUser, localserver.AppPassword, localserver.AppSchema)
	return connect(t, dsn+"?"+strings.Join(params, "&"))
}

// ConnectDirectly is Connect past the proxy.
func ConnectDirectly(t testing.TB, s *localserver.Server, params ...string) *sql.Conn {
	t.Helper()
	dsn := s.DSN(localserver.AppUser, localserver.AppPassword, localserver.AppSchema)
	return connect(t, dsn+"?"+strings.Join(params, "&"))
}

func connect(t testing.TB, dsn string) *sql.Conn {
	t.Helper()
	db := Open(t, dsn)
	db.SetMaxIdleConns(0) // closing the connection closes it
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// Exec runs statements as root on the primary, to prepare a test, and waits until
// the replicas have them.
func Exec(t testing.TB, c *localserver.Cluster, statements ...string) {
	t.Helper()
	if err := c.Primary.Exec(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
	if err := c.WaitCaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
}
