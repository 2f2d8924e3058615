package pool

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// fake is a server that keeps, for each connection, what a real one would
// keep, and a log of the commands.
type fake struct {
	*wiretest.Server
	t testing.TB

	mu    sync.Mutex
	conns []*fakeConn // by order of login
	kills []string
	// answer, if set, is asked before anything else; true means it has answered.
	answer func(p *wiretest.Peer, c *fakeConn, cmd wire.Command, arg string) (bool, error)
}

// fakeConn is a connection as its server sees it.
type fakeConn struct {
	peer  *wiretest.Peer
	login Login

	mu       sync.Mutex
	schema   string
	names    string // argument of the last SET NAMES, "" after login or reset
	vars     map[string]string
	user     string // a user variable
	stmts    map[uint32]string
	lastStmt uint32
	log      []string
	writes   []int // for each COM_RESET_CONNECTION, the commands that came with it in one piece
}

// fakeMode is the sql_mode the fake reports.
const fakeMode = "STRICT_TRANS_TABLES"

func newFake(t testing.TB, o wiretest.Options) *fake {
	f := &fake{t: t}
	f.Server = wiretest.NewServer(t, o, func(p *wiretest.Peer) error {
		c := &fakeConn{
			peer: p, schema: p.Login.Database, vars: map[string]string{}, stmts: map[uint32]string{},
			login: Login{User: p.Login.User, Flags: p.Capabilities & LoginFlags},
		}
		f.mu.Lock()
		f.conns = append(f.conns, c)
		f.mu.Unlock()
		return wiretest.Answer(func(p *wiretest.Peer, cmd wire.Command, arg []byte) error {
			if err := f.serve(p, c, cmd, string(arg)); !wiretest.IsClosed(err) {
				return err
			}
			return nil // the next read says it again
		})(p)
	})
	return f
}

func (f *fake) serve(p *wiretest.Peer, c *fakeConn, cmd wire.Command, arg string) error {
	if f.answer != nil {
		if done, err := f.answer(p, c, cmd, arg); done || err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch cmd {
	case wire.ComResetConnection:
		c.log = append(c.log, "RESET")
		c.writes = append(c.writes, 1+countPackets(p.Buffered()))
		c.names, c.user = "", ""
		clear(c.vars)
		clear(c.stmts)
	case wire.ComInitDB:
		c.log = append(c.log, "USE "+arg)
		if arg == "missing" {
			return wiretest.Err(1049, "Unknown database 'missing'")(p)
		}
		c.schema = arg
	case wire.ComStmtPrepare:
		c.log = append(c.log, "PREPARE "+arg)
		c.lastStmt++
		c.stmts[c.lastStmt] = arg
		st := wire.StmtPrepareOK{StatementID: c.lastStmt}
		return p.Send(st.Append(nil))
	case wire.ComStmtClose:
		id, _ := wire.StatementID(append([]byte{byte(cmd)}, arg...))
		c.log = append(c.log, "CLOSE "+c.stmts[id])
		delete(c.stmts, id)
		return nil
	case wire.ComQuery:
		return f.query(p, c, arg)
	}
	return wiretest.OK(wire.OK{})(p)
}

func (f *fake) query(p *wiretest.Peer, c *fakeConn, sql string) error {
	switch {
	case strings.HasPrefix(sql, "SET SESSION session_track"):
		c.log = append(c.log, "TRACK")
		return wiretest.OK(wire.OK{Status: wire.SessionStateChange, SessionChanges: varChange("sql_mode", fakeMode)})(p)
	case sql == "DO 0":
		return wiretest.OK(wire.OK{})(p)
	case strings.HasPrefix(sql, "SET NAMES "):
		c.log = append(c.log, sql)
		c.names = sql[len("SET NAMES "):]
	case strings.HasPrefix(sql, "SET @me="):
		c.user = sql[len("SET @me="):]
	case strings.HasPrefix(sql, "SET bad="):
		c.log = append(c.log, sql)
		return wiretest.Err(1193, "Unknown system variable 'bad'")(p)
	case strings.HasPrefix(sql, "SET "):
		c.log = append(c.log, sql)
		for _, a := range strings.Split(sql[len("SET "):], ",") {
			name, value, _ := strings.Cut(a, "=")
			c.vars[name] = strings.Trim(value, "'")
		}
	case sql == "SELECT state":
		return wiretest.Rows([]string{"state"}, []string{c.state()})(p)
	case strings.HasPrefix(sql, "KILL"):
		f.mu.Lock()
		f.kills = append(f.kills, sql)
		f.mu.Unlock()
	default:
		return wiretest.Err(1064, "what? "+sql)(p)
	}
	return wiretest.OK(wire.OK{})(p)
}

// state is everything a session could notice, in one string.
func (c *fakeConn) state() string {
	names := c.names
	if names == "" {
		names = namesOf(c.peer.Login.Collation)
	}
	return stateText(c.schema, names, c.user, c.vars, slices.Collect(maps.Values(c.stmts)))
}

func namesOf(collation byte) string {
	return strings.TrimPrefix(wire.SetNames(collation, false), "SET NAMES ")
}

func stateText(schema, names, user string, vars map[string]string, stmts []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "schema=%s names=%s user=%s", schema, names, user)
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		fmt.Fprintf(&b, " %s=%s", k, vars[k])
	}
	for _, text := range slices.Sorted(slices.Values(stmts)) {
		fmt.Fprintf(&b, " stmt:%s", text)
	}
	return b.String()
}

// takeLog returns the commands since the last call.
func (c *fakeConn) takeLog() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	log := c.log
	c.log = nil
	return log
}

// conn is the server's side of c.
func (f *fake) conn(c *Conn) *fakeConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fc := range f.conns {
		if fc.peer.Greeting.ConnectionID == c.ThreadID {
			return fc
		}
	}
	f.t.Fatalf("the server knows no connection %d", c.ThreadID)
	return nil
}

func countPackets(b []byte) (n int) {
	for len(b) >= wire.HeaderSize && len(b) >= wire.HeaderSize+wire.PacketLen(b) {
		b = b[wire.HeaderSize+wire.PacketLen(b):]
		n++
	}
	return n
}

func varChange(name, value string) []byte {
	data := wire.AppendLenencString(wire.AppendLenencString(nil, name), value)
	return wire.AppendLenencBytes([]byte{byte(wire.ChangeSystemVariable)}, data)
}

// rig is a pool of one server, up, that follows its store.
type rig struct {
	t      testing.TB
	store  *backend.Store
	server *backend.Server
	pools  *Pools
	pool   *Pool
}

var (
	testLimits = Limits{MaxIdle: 50, IdleTimeout: time.Hour, MaxLifetime: time.Hour, WaitTimeout: 10 * time.Second}
	testLogin  = Login{User: "app", Flags: wire.MultiResults}
	plain      = &Profile{Collation: 45}
)

func testDialer() *Dialer {
	return &Dialer{Timeout: 10 * time.Second, Password: func(string) (string, bool) { return "secret", true }}
}

func newRig(t testing.TB, addr string, max int) *rig {
	t.Helper()
	store, err := backend.NewStore([]backend.Spec{{Address: addr, Role: backend.RoleRO, MaxConnections: max}})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, store: store, pools: NewPools(testDialer(), testLimits)}
	store.Subscribe(r.pools.Follow)
	r.setHealth(backend.Up, backend.CauseNone)
	st := &store.Load().States[0]
	r.server, r.pool = st.Server, r.pools.For(st)
	t.Cleanup(func() { r.pool.close(true) })
	return r
}

func (r *rig) setHealth(h backend.Health, cause backend.Cause) {
	r.store.Update(func(d *backend.Draft) { d.SetHealth(d.State(r.store.Load().States[0].Server), h, cause, "test") })
}

func (r *rig) limit(change func(*Limits)) {
	l := *r.pools.limits.Load()
	change(&l)
	r.pools.Configure(r.pools.dialer.Load(), l)
}

func (r *rig) acquire(owner uint64, p *Profile) *Conn {
	r.t.Helper()
	return r.acquireAs(owner, testLogin, p)
}

func (r *rig) acquireAs(owner uint64, login Login, p *Profile) *Conn {
	r.t.Helper()
	c, err := r.pool.Acquire(r.t.Context(), &Request{Owner: owner, Login: login, Profile: p})
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// acquired is the outcome of an Acquire in the background.
type acquired struct {
	conn *Conn
	err  error
}

// wait starts an Acquire that has to stand in line, and returns when it does.
func (r *rig) wait(ctx context.Context, req Request) <-chan acquired {
	r.t.Helper()
	before := r.pool.Stats().Waiting
	done := make(chan acquired, 1)
	go func() {
		c, err := r.pool.Acquire(ctx, &req)
		done <- acquired{c, err}
	}()
	eventually(r.t, "one more waiter", func() bool { return r.pool.Stats().Waiting == before+1 })
	return done
}

// checkStats compares the figures that say where the connections are.
func (r *rig) checkStats(open, idle, parked, waiting int) {
	r.t.Helper()
	s := r.pool.Stats()
	if s.Open != open || s.Idle != idle || s.Parked != parked || s.Waiting != waiting {
		r.t.Fatalf("open %d, idle %d, parked %d, waiting %d; want %d, %d, %d, %d",
			s.Open, s.Idle, s.Parked, s.Waiting, open, idle, parked, waiting)
	}
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	if r.pool.dialing != 0 || int(r.pool.waiting.Load()) != len(r.pool.waiters) {
		r.t.Fatalf("dialing %d, waiting %d with %d waiters", r.pool.dialing, r.pool.waiting.Load(), len(r.pool.waiters))
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func openFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(files)
}
