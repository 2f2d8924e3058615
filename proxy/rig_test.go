package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/causal"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testTimeout bounds everything a test waits for.
const testTimeout = 90 * time.Second

// setup is what a rig is made of; tests change what they are about.
type setup struct {
	replicas   int
	primary    backend.Spec
	replica    backend.Spec
	limits     pool.Limits
	config     Config
	listener   router.Listener
	withoutRun bool // nobody sweeps the pools
	// oldReplicas know no query attributes, though nobody has noticed.
	oldReplicas bool
	mariadb     bool // all servers are
}

func user(name, password string) *User {
	return &User{Name: name, Verifier: auth.NewPasswordVerifier(password)}
}

// rig is a proxy in front of fakes.
type rig struct {
	*Proxy
	t        testing.TB
	store    *backend.Store
	pools    *pool.Pools
	addr     string
	primary  *fake
	replicas []*fake
	stop     func() error // accepting
	mariadb  bool

	mu       sync.Mutex
	reported []string
}

// newRig starts a primary, replicas and a proxy with users app and other, whose
// passwords are pw.
func newRig(t testing.TB, change ...func(*setup)) *rig {
	t.Helper()
	s := setup{
		replicas: 1,
		primary:  backend.Spec{Role: backend.RoleRW},
		replica:  backend.Spec{Role: backend.RoleRO, Weight: 1, MaxLag: backend.LagUnchecked},
		limits:   pool.Limits{MaxIdle: 50, WaitTimeout: 2 * time.Second},
		config: Config{
			Users: map[string]*User{"app": user("app", "pw"), "other": user("other", "pw")},
			Rules: &router.Rules{}, ConnectTimeout: testTimeout,
		},
	}
	for _, f := range change {
		f(&s)
	}
	r := &rig{t: t, mariadb: s.mariadb}
	caps := wire.LocalFiles | wire.QueryAttributes
	if s.mariadb {
		caps = wire.LocalFiles | extended
	}
	r.primary = newFakeWith(t, "P", caps)
	s.primary.Address = r.primary.Addr()
	specs := []backend.Spec{s.primary}
	for i := range s.replicas {
		if s.oldReplicas {
			caps = wire.LocalFiles
		}
		f := newFakeWith(t, string(rune('A'+i)), caps)
		spec := s.replica
		spec.Address = f.Addr()
		specs, r.replicas = append(specs, spec), append(r.replicas, f)
	}
	var err error
	if r.store, err = backend.NewStore(specs); err != nil {
		t.Fatal(err)
	}
	r.setAll(backend.Up)
	r.pools = pool.NewPools(&pool.Dialer{
		Timeout: 2 * time.Second, Password: func(string) (string, bool) { return "pw", true },
	}, s.limits)
	r.Proxy = New(&s.config, Deps{
		Store: r.store, Pools: r.pools, Writes: &causal.Log{}, Log: zap.NewNop(),
		Report: func(s *backend.Server, err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.reported = append(r.reported, s.String())
		},
	})
	unsubscribe := r.store.Subscribe(r.pools.Follow)
	t.Cleanup(unsubscribe)
	r.start(&s)
	return r
}

func (r *rig) start(s *setup) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	r.stop = ln.Close
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	run := func(f func(context.Context) error) {
		wg.Go(func() {
			if err := f(ctx); err != nil {
				r.t.Error(err)
			}
		})
	}
	run(func(ctx context.Context) error { return r.Serve(ctx, ln, s.listener) })
	if !s.withoutRun {
		run(r.Run)
		run(r.pools.Run)
	}
	r.t.Cleanup(func() {
		_ = ln.Close()
		over, done := context.WithCancel(context.Background())
		done()
		_ = r.Drain(over)
		cancel()
		wg.Wait()
		if s.withoutRun {
			ended, end := context.WithCancel(context.Background())
			end()
			_ = r.pools.Run(ended)
		}
	})
}

// setAll gives all servers a health.
func (r *rig) setAll(h backend.Health) {
	r.store.Update(func(d *backend.Draft) {
		for _, st := range r.store.Load().States {
			st := d.State(st.Server)
			d.SetHealth(st, h, backend.CauseNone, "")
			st.Version, st.Flavor = "8.4.0", backend.MySQL
			if r.mariadb {
				st.Version, st.Flavor = "10.11.6-MariaDB", backend.MariaDB
			}
		}
	})
}

// setHealth changes one server.
func (r *rig) setHealth(f *fake, h backend.Health, c backend.Cause, reason string) {
	r.store.Update(func(d *backend.Draft) {
		for _, st := range r.store.Load().States {
			if st.Address == f.Addr() {
				d.SetHealth(d.State(st.Server), h, c, reason)
			}
		}
	})
}

func (r *rig) reports() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.reported...)
}

// client is a raw client.
type client struct {
	*wiretest.Peer
	t  testing.TB
	nc net.Conn
}

func (r *rig) dial() net.Conn {
	r.t.Helper()
	nc, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(testTimeout))
	return nc
}

// connect logs in as app.
func (r *rig) connect() *client { return r.login(wiretest.Credentials{}) }

// login logs in; user and password are app's unless given.
func (r *rig) login(c wiretest.Credentials) *client {
	r.t.Helper()
	nc := r.dial()
	if c.User == "" {
		c.User = "app"
	}
	c.Password = "pw"
	p, err := wiretest.Login(nc, c)
	if err != nil {
		r.t.Fatalf("login: %v", err)
	}
	return &client{p, r.t, nc}
}

// row runs a statement and returns the only row.
func (c *client) row(sql string) []string {
	c.t.Helper()
	r, err := c.Query(sql)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	last := r[len(r)-1]
	if len(last.Rows) != 1 {
		c.t.Fatalf("%s: %d rows", sql, len(last.Rows))
	}
	return texts(last.Rows[0])
}

func texts(values []wire.Value) []string {
	row := make([]string, len(values))
	for i, v := range values {
		if row[i] = v.Text; v.Null {
			row[i] = "NULL"
		}
	}
	return row
}

// value is row of one column.
func (c *client) value(sql string) string {
	c.t.Helper()
	return c.row(sql)[0]
}

// exec runs a statement that has to succeed.
func (c *client) exec(sql string) wire.OK {
	c.t.Helper()
	r, err := c.Query(sql)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	return r[len(r)-1].Final
}

// fails runs a statement that has to fail with a code and returns the message.
func (c *client) fails(code uint16, sql string) string {
	c.t.Helper()
	_, err := c.Query(sql)
	return wantErr(c.t, err, code)
}

// wantErr checks that err is an ERR packet with a code and returns its message.
func wantErr(t testing.TB, err error, code uint16) string {
	t.Helper()
	var e *wire.Err
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want error %d", err, code)
	}
	if e.Code != code {
		t.Fatalf("got %v, want error %d", e, code)
	}
	return e.Message
}

// closed checks that the proxy closes the connection without another packet.
func (c *client) closed() {
	c.t.Helper()
	c.Seq = 0
	if b, err := c.Read(); err == nil || !wiretest.IsClosed(err) {
		c.t.Fatalf("got %q, %v, want the end of the connection", b, err)
	}
}

// simple sends a command and returns the only packet of its answer.
func (c *client) simple(cmd wire.Command, arg string) []byte {
	c.t.Helper()
	if err := c.Command(cmd, arg); err != nil {
		c.t.Fatal(err)
	}
	b, err := c.Read()
	if err != nil {
		c.t.Fatalf("command %d: %v", cmd, err)
	}
	return append([]byte(nil), b...)
}

// ok sends a command that has to be answered by an OK.
func (c *client) ok(cmd wire.Command, arg string) wire.OK {
	c.t.Helper()
	b := c.simple(cmd, arg)
	ok, err := wire.ParseOK(b, c.Capabilities)
	if err != nil {
		c.t.Fatalf("command %d: %q: %v", cmd, b, err)
	}
	return ok
}

// errs sends a command that has to be answered by an ERR.
func (c *client) errs(code uint16, cmd wire.Command, arg string) string {
	c.t.Helper()
	e, err := wire.ParseErr(c.simple(cmd, arg))
	if err != nil {
		c.t.Fatal(err)
	}
	return wantErr(c.t, e, code)
}

// eventually waits until f holds.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.NewTimer(testTimeout)
	defer limit.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-limit.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// closeWrite ends what is sent on a connection, and leaves it open for reading.
func closeWrite(nc net.Conn) error { return nc.(*net.TCPConn).CloseWrite() }
