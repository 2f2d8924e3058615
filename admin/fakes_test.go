package admin

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeBackends is a list of servers with the behaviour that Backends asks for.
type fakeBackends struct {
	mu   sync.Mutex
	list []Backend
}

func (f *fakeBackends) List() []Backend {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.list)
}

func (f *fakeBackends) find(address string) (int, error) {
	i := slices.IndexFunc(f.list, func(b Backend) bool { return b.Address == address })
	if i < 0 {
		return 0, ErrUnknownBackend
	}
	return i, nil
}

func (f *fakeBackends) Add(typ, address string, weight int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(address); err == nil {
		return nil
	}
	if weight == AnyWeight {
		weight = 1
	}
	f.list = append(f.list, Backend{Address: address, Type: typ, State: StateUnknown, Weight: weight})
	return nil
}

func (f *fakeBackends) Remove(address string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(address)
	if err == nil {
		f.list = slices.Delete(f.list, i, i+1)
	}
	return err
}

func (f *fakeBackends) SetOffline(address string, offline bool) (Backend, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(address)
	if err != nil {
		return Backend{}, err
	}
	f.list[i].State = StateUnknown
	if offline {
		f.list[i].State = StateOffline
	}
	return f.list[i], nil
}

func (f *fakeBackends) SetWeight(address string, weight int) (Backend, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, err := f.find(address)
	if err != nil {
		return Backend{}, err
	}
	f.list[i].Weight = weight
	return f.list[i], nil
}

// fakeProxy is everything else.
type fakeProxy struct {
	mu        sync.Mutex
	explained []string
	killed    []string
	processes []Process
	reloads   int
	reloadErr error
	unready   error
}

func (f *fakeProxy) Pools() []Pool {
	return []Pool{{Address: "192.168.1.150:3306", Active: 1, Idle: 2, Max: 50, Opened: 3, Reused: 40, Resets: 5}}
}

func (f *fakeProxy) ExplainRoute(sql []byte) RouteExplanation {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.explained = append(f.explained, string(sql))
	return RouteExplanation{Kind: "read", Target: "replica", Reason: "plain_read",
		Detail: "a SELECT without side effects", Server: "192.168.1.101:3306"}
}

func (f *fakeProxy) Routes() []RouteCount {
	return []RouteCount{{"primary", "write", 12}, {"replica", "plain_read", 1 << 40}}
}

func (f *fakeProxy) Processlist() []Process {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.processes)
}

func (f *fakeProxy) Kill(id uint32, queryOnly bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.ContainsFunc(f.processes, func(p Process) bool { return p.ID == id }) {
		return ErrUnknownSession
	}
	what := "connection"
	if queryOnly {
		what = "query"
	}
	f.killed = append(f.killed, what)
	return nil
}

func (f *fakeProxy) Clients() []string { return []string{"127.0.0.1", "192.168.1"} }

func (f *fakeProxy) Accounts() []Account {
	return []Account{{"user1", "+jKsgB3YAG8="}, {"user2", "GS+tr4TPgqc="}}
}

func (f *fakeProxy) Reload(_ context.Context, dryRun bool) ([]Change, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reloadErr != nil {
		return nil, f.reloadErr
	}
	if !dryRun {
		f.reloads++
	}
	return []Change{{"pool.max_idle", "50", "60", true}, {"proxy.listen", ":1234", ":1235", false}}, nil
}

func (f *fakeProxy) Settings() []Setting {
	return []Setting{{"pool.max_idle", "50", true, true}, {"proxy.listen", ":1234", false, false}}
}

func (f *fakeProxy) Save() error { return nil }

func (f *fakeProxy) Diff() ([]Change, error) { return nil, errors.New("telamon.toml: no such file") }

func (f *fakeProxy) Counts() Counts {
	return Counts{Clients: 3, MaxClients: 4000, Accepted: 10, Refused: 1, LoginFailures: 2,
		TLSAccepted: 5, TLSFailures: 4, Certificates: []Certificate{{"proxy.tls.cert", time.Unix(1800000000, 0)}},
		LastReload: time.Unix(1700000000, 0), LastReloadOK: true}
}

func (f *fakeProxy) Ready() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.unready
}

// atlasBackends is the list of seed 001's transcripts, in an order that is
// not the console's.
func atlasBackends() *fakeBackends {
	return &fakeBackends{list: []Backend{
		{Address: "192.168.1.101:3306", State: StateUp, Type: TypeReplica, Weight: 5, Lag: 120 * time.Millisecond, LagKnown: true,
			Flavor: "MySQL", Version: "9.7.0", Since: time.Unix(1700000000, 0).UTC(), Tags: []string{"report"}, Statements: 77,
			CertificateEnd: time.Unix(1800000000, 0)},
		{Address: "192.168.1.150:3306", State: StateUp, Type: TypePrimary, Statements: 33},
	}}
}

// rig is a console on a loopback port in front of fakes.
type rig struct {
	backends *fakeBackends
	proxy    *fakeProxy
	console  *Console
	logs     *observer.ObservedLogs
	addr     *net.TCPAddr
}

const testUser, testPassword = "user", "pwd"

func newRig(t testing.TB) *rig {
	t.Helper()
	core, logs := observer.New(zap.DebugLevel)
	r := &rig{backends: atlasBackends(), logs: logs, proxy: &fakeProxy{processes: []Process{
		{ID: 7, User: "app", Host: "127.0.0.1:40000", DB: "shop", Command: "Query", Time: 3 * time.Second,
			State: "executing", Info: "SELECT '<b>' FROM t", Backend: "192.168.1.101:3306"},
		{ID: 9, User: "app", Host: "127.0.0.1:40001", Command: "Sleep"},
	}}}
	r.console = NewConsole(ConsoleConfig{
		Credentials: Credentials{testUser, testPassword},
		Version:     "1.2.3",
		Log:         zap.New(core),
	}, r.deps())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = l.Addr().(*net.TCPAddr)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.console.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return r
}

func (r *rig) deps() Deps {
	p := r.proxy
	return Deps{Backends: r.backends, Pools: p, Routes: p, Sessions: p, Access: p, Config: p, Counters: p, Readiness: p}
}
