//go:build integration

package router_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

var (
	executedN    = flag.Int("router.executed", 0, "statements for replicas to execute per flavour; 0: 10 000, a million with TELAMON_LONG")
	executedSeed = flag.Uint64("router.seed", 0, "seed of the statements to execute; 0: random")
)

const (
	executedWorkers = 3
	// batchSize is how many statements run between two looks at the server.
	batchSize = 500
)

// TestReplicasExecuteNothingThatChangesAnything generates statements of each
// flavour for sessions in all states, has a real replica execute those that the
// router sends to one, and looks for anything that has changed: rows, tables,
// programs, accounts, the binary log, files, locks, transactions, variables of
// the server and the session, temporary tables. The user may do everything, so
// that read_only stops no write. MINEFIELD C and T; 1e6 statements with
//
//	go test -tags integration -timeout 4h -run ReplicasExecuteNothing ./router -router.executed=1000000
func TestReplicasExecuteNothingThatChangesAnything(t *testing.T) {
	n := *executedN
	if n == 0 {
		n = 10_000
		if os.Getenv("TELAMON_LONG") != "" {
			n = 1_000_000
		}
	}
	eachReplica(t, func(t *testing.T, r *replica) {
		seed := *executedSeed
		if seed == 0 {
			seed = rand.Uint64()
		}
		start := time.Now()
		found := r.fuzz(t.Context(), n, seed, router.Route)
		took := time.Since(start)
		t.Logf("seed %d: %d statements executed in %v (%.0f/s) of %d generated; %d without error",
			seed, r.executed.Load(), took.Round(time.Second), float64(r.executed.Load())/took.Seconds(), r.generated.Load(), r.succeeded.Load())
		for _, f := range found {
			t.Errorf("%+v\n%s\n%s\nthe server's log ends with\n%s", f.session.mode, f.changes, r.culprits(t.Context(), f.session), r.logTail())
		}
		if r.succeeded.Load() < r.executed.Load()/5 {
			t.Errorf("only %d of %d statements ran without error: the generator tests too little", r.succeeded.Load(), r.executed.Load())
		}
	})
}

// A decision that overlooks something is found out. Without this test the one
// above would prove nothing.
func TestAWrongDecisionIsFoundOut(t *testing.T) {
	overlooking := func(flags lex.Flags) decide {
		return func(req *router.Request, rules *router.Rules) router.Decision {
			req.Facts.Flags &^= flags
			return router.Route(req, rules)
		}
	}
	eachReplica(t, func(t *testing.T, r *replica) {
		for _, tc := range []struct {
			name  string
			flags lex.Flags
		}{
			{"user variables", lex.FlagUserVarRead | lex.FlagUserVarWrite},
			{"user locks", lex.FlagUserLock | lex.FlagGetLock},
			{"INTO OUTFILE", lex.FlagInto},
			{"LAST_INSERT_ID(expr)", lex.FlagLastInsertID | lex.FlagLastInsertIDWrite},
			{"stored functions", lex.FlagUnknownFunction},
		} {
			t.Run(tc.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if len(r.fuzz(ctx, 60_000, 7, overlooking(tc.flags))) == 0 {
					t.Error("nobody has noticed")
				}
			})
		}
		for _, text := range []string{
			"INSERT INTO t1 (a) VALUES (1)", "CREATE TABLE t77 (a INT)", "CREATE TEMPORARY TABLE t78 (a INT)", "CREATE USER u79", "BEGIN",
			"LOCK TABLES t1 READ", "FLUSH TABLES WITH READ LOCK", "HANDLER t1 OPEN", "SET SESSION sort_buffer_size = 333000",
			"SET GLOBAL max_connections = 444", "PREPARE s FROM 'SELECT 1'", "BEGIN; SELECT a FROM t1 FOR UPDATE", "SET autocommit = 0",
			"SET @x = 1", "SELECT 1; INSERT INTO t1 (a) VALUES (2)", "DO GET_LOCK('x', 0)", "CREATE FUNCTION f_80() RETURNS INT RETURN 1", "DELETE FROM t2", "DROP TABLE t2",
		} {
			t.Run(text, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				b, err := r.begin(ctx, settings{charset: "utf8mb4"})
				if err != nil {
					t.Fatal(err)
				}
				defer b.conn.Close()
				if err := b.run(ctx, text); err != nil {
					t.Fatal(err)
				}
				if found := b.check(ctx); found == "" {
					t.Error("nobody has noticed")
				}
			})
		}
	})
}

type decide func(*router.Request, *router.Rules) router.Decision

// replica is a server that executes what the router would send it.
type replica struct {
	server  *localserver.Server
	flavor  lex.Flavor
	workers *sql.DB // every connection is a new one

	generated, executed, succeeded atomic.Int64
}

func eachReplica(t *testing.T, f func(t *testing.T, r *replica)) {
	for _, flavour := range []localserver.Flavour{localserver.MariaDB, localserver.MySQL} {
		t.Run(flavour.String(), func(t *testing.T) {
			if err := localserver.Available(flavour); err != nil {
				t.Skipf("this flavour has NOT been tested: %v", err)
			}
			c, err := localserver.StartCluster(t.Context(), localserver.ClusterOptions{
				Flavour: flavour, Replicas: 1,
				Args: []string{"--performance-schema=ON", "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON"},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
			r, err := newReplica(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { r.workers.Close() })
			f(t, r)
		})
	}
}

// newReplica creates what the generator's statements name and opens the replica
// for writes.
func newReplica(ctx context.Context, c *localserver.Cluster) (*replica, error) {
	const columns = "(a INT, b INT, `select` INT, `for` INT, `update` INT, c VARCHAR(50), j TEXT, d DATETIME, KEY i (a))"
	statements := []string{"CREATE DATABASE d"}
	for _, schema := range []string{"app", "d"} {
		statements = append(statements, "USE "+schema, "CREATE TABLE written (n INT)",
			"CREATE FUNCTION f_1() RETURNS INT BEGIN INSERT INTO written VALUES (1); RETURN 1; END",
			"CREATE FUNCTION f_2(x INT, y INT) RETURNS INT BEGIN INSERT INTO written VALUES (2); RETURN x; END",
			"CREATE PROCEDURE p() INSERT INTO written VALUES (3)")
		for _, table := range []string{"t1", "t2"} {
			statements = append(statements, "CREATE TABLE "+table+" "+columns, "INSERT INTO "+table+
				" VALUES (1, 2, 3, 4, 5, 'x', '{\"a\": 1}', '2024-02-29'), (2, 1, 1, 1, 1, 'it''s', '[1]', NULL), (NULL, NULL, 0, 0, 0, '', '', '2000-01-01')")
		}
	}
	r := &replica{server: c.Replicas[0], flavor: lex.FlavorMySQL}
	writable := []string{"SET GLOBAL super_read_only = 0", "SET GLOBAL read_only = 1"}
	if r.server.Flavour() == localserver.MariaDB {
		r.flavor = lex.FlavorMariaDB
		statements = append(statements, "USE app", "CREATE SEQUENCE s")
		writable = []string{"SET GLOBAL read_only = 1"}
	}
	if err := c.Primary.Exec(ctx, statements...); err != nil {
		return nil, err
	}
	if err := c.WaitCaughtUp(ctx); err != nil {
		return nil, err
	}
	if err := r.server.Exec(ctx, writable...); err != nil {
		return nil, err
	}
	cfg := mysql.NewConfig()
	cfg.User, cfg.Net, cfg.Addr, cfg.DBName = "root", "unix", r.server.Socket(), "app"
	cfg.MultiStatements = true
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	r.workers = sql.OpenDB(connector)
	r.workers.SetMaxIdleConns(-1)
	return r, nil
}

// fuzz has the replica execute n statements that decision sends to it and
// returns what was found changed. It stops at the first finding.
func (r *replica) fuzz(ctx context.Context, n int, seed uint64, decision decide) []finding {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var found []finding
	target := r.executed.Load() + int64(n)
	var wg sync.WaitGroup
	for w := range executedWorkers {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(w)))
			for ctx.Err() == nil && r.executed.Load() < target {
				if f := r.batch(ctx, random, decision); f.changes != "" && ctx.Err() == nil {
					mu.Lock()
					found = append(found, f)
					mu.Unlock()
					cancel()
				}
			}
		})
	}
	wg.Wait()
	return found
}

// finding is what has changed, "" if nothing has, and by which session.
type finding struct {
	session *session
	changes string
}

// batch executes statements in one session.
func (r *replica) batch(ctx context.Context, random *rand.Rand, decision decide) finding {
	b, err := r.begin(ctx, randomSettings(r.flavor, random))
	if err != nil {
		return finding{&session{}, err.Error()}
	}
	defer b.conn.Close()
	b.random = random
	rules := &router.Rules{}
	if random.IntN(10) == 0 {
		rules.Rules = []router.Rule{{Route: router.RouteReplica}}
	}
	g := &generator{r: random, flavor: r.flavor}
	for !b.over && len(b.log) < batchSize {
		text := b.damageBytes(g.statement())
		r.generated.Add(1)
		lex.Scan([]byte(text), b.mode, &b.facts)
		d := decision(&router.Request{Facts: &b.facts, View: b.view()}, rules)
		if d.Target != router.Replica && (d.Target != router.Last || b.lastWasPrimary) {
			continue
		}
		if err := b.execute(ctx, text, d); err != nil {
			return finding{b, err.Error()}
		}
	}
	return finding{b, b.check(ctx)}
}

// culprits runs the statements of a session again, each in one of its own, and
// lists those after which something has changed; all if none does it alone.
func (r *replica) culprits(ctx context.Context, b *session) string {
	var list []string
	for _, text := range b.log {
		single, err := r.begin(ctx, b.settings)
		if err != nil {
			return err.Error()
		}
		_ = single.run(ctx, text) // most statements fail
		if finding := single.check(ctx); finding != "" {
			list = append(list, fmt.Sprintf("%q changes %s", text, finding))
		}
		single.conn.Close()
	}
	if list == nil {
		return fmt.Sprintf("after %q", b.log)
	}
	return strings.Join(list, "\n")
}

// logTail is the end of the server's error log: a statement may hit a bug that
// makes the server crash, which is no fault of the router.
func (r *replica) logTail() string {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(r.server.Socket()), "error.log"))
	if err != nil {
		return err.Error()
	}
	return string(text[max(0, len(text)-4000):])
}

// session is one client's session, as far as the replica sees it.
type session struct {
	*replica
	conn   *sql.Conn
	id     int64
	random *rand.Rand
	settings
	mode   lex.Mode
	facts  lex.Facts
	before map[string]string
	log    []string

	lastWasPrimary bool
	inTransaction  int  // how many more statements the READ ONLY transaction has
	over           bool // what the session is like is not known any more
	hasSet         bool // SET has run in a READ ONLY transaction
	hasAssigned    bool // so has SET of user variables to literals, which sessions take along
	wasRefused     bool // a write has been refused or explained in a READ ONLY transaction
}

var (
	charsets = []string{"utf8mb4", "utf8mb4", "utf8mb4", "latin1", "gbk", "sjis", "big5", "cp932", "ujis", "gb18030"}
	sqlModes = []string{"", "", "", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT", "IGNORE_SPACE", "ANSI", "ORACLE"}
)

// settings are what a session begins with.
type settings struct{ charset, sqlMode string }

func randomSettings(flavor lex.Flavor, random *rand.Rand) settings {
	s := settings{charsets[random.IntN(len(charsets))], sqlModes[random.IntN(len(sqlModes))]}
	if flavor == lex.FlavorMariaDB && s.charset == "gb18030" {
		s.charset = "gbk"
	}
	if flavor == lex.FlavorMySQL && s.sqlMode == "ORACLE" {
		s.sqlMode = ""
	}
	return s
}

// begin opens a session.
func (r *replica) begin(ctx context.Context, s settings) (*session, error) {
	b := &session{replica: r, settings: s}
	limit := "SET SESSION max_execution_time = 500"
	if r.flavor == lex.FlavorMariaDB {
		limit = "SET SESSION max_statement_time = 0.5"
	}
	var err error
	if b.conn, err = r.workers.Conn(ctx); err != nil {
		return nil, err
	}
	for _, text := range []string{limit, "SET SESSION lock_wait_timeout = 2, innodb_lock_wait_timeout = 2", "SET SESSION sql_mode = '" + s.sqlMode + "'", "SET NAMES " + s.charset} {
		if err == nil {
			_, err = b.conn.ExecContext(ctx, text)
		}
	}
	var sqlMode string
	if err == nil {
		err = b.conn.QueryRowContext(ctx, "SELECT CONNECTION_ID(), @@sql_mode").Scan(&b.id, &sqlMode)
	}
	if err == nil {
		b.before, err = b.state(ctx)
	}
	if err != nil {
		b.conn.Close()
		return nil, err
	}
	b.mode = lex.Mode{
		Charset: lex.CharsetByName(s.charset), Flavor: r.flavor, SQLMode: lex.ParseSQLMode(sqlMode),
	}
	return b, nil
}

// view is a random state of the session in which the replica might be asked.
func (b *session) view() router.SessionView {
	v := router.SessionView{Autocommit: true}
	switch n := b.random.IntN(100); {
	case b.inTransaction > 0:
		v.InTransaction, v.TransactionReadOnly, v.TransactionOn = true, true, router.Replica
	case n < 3:
		v.Autocommit = false
	case n < 6:
		v.InTransaction = true
	case n < 16:
		v.Pins = 1 << b.random.IntN(16)
	case n < 26:
		v.Listener = router.ReadOnly
	}
	b.lastWasPrimary = b.random.IntN(3) == 0
	v.LastWasPrimary = b.lastWasPrimary
	return v
}

// execute runs a statement that was sent to the replica.
func (b *session) execute(ctx context.Context, text string, d router.Decision) error {
	b.executed.Add(1)
	begins := d.Reason == router.ReasonReadOnlyTransaction
	err := b.run(ctx, text)
	var refused *mysql.MySQLError
	switch {
	case err == nil:
		b.succeeded.Add(1)
	case errors.As(err, &refused):
	default:
		return fmt.Errorf("%q: %w", text, err) // the connection is gone, or the server
	}
	switch {
	case begins && err == nil:
		b.inTransaction = 1 + b.random.IntN(10)
	case b.inTransaction > 0:
		return b.stepTransaction(ctx)
	}
	return nil
}

// stepTransaction takes a statement in a READ ONLY transaction, and ends it when
// it has gone on for long enough or may have ended.
func (b *session) stepTransaction(ctx context.Context) error {
	const ends = 1<<lex.Commit | 1<<lex.Rollback | 1<<lex.Begin
	const writes = 1<<lex.Insert | 1<<lex.Replace | 1<<lex.Update | 1<<lex.Delete | 1<<lex.Explain
	b.wasRefused = b.wasRefused || b.facts.Classes&writes != 0
	if b.facts.Classes&(1<<lex.Set|1<<lex.Use) != 0 {
		b.hasSet, b.over = true, true
		b.hasAssigned = b.facts.Flags.Has(lex.FlagPlainAssign)
	}
	if b.inTransaction--; b.inTransaction > 0 && b.facts.Classes&ends == 0 && !b.over {
		return nil
	}
	b.inTransaction = 0
	return b.run(ctx, "ROLLBACK")
}

// run executes a text and reads all its results.
func (b *session) run(ctx context.Context, text string) error {
	b.log = append(b.log, text)
	rows, err := b.conn.QueryContext(ctx, text)
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		for rows.Next() {
		}
		if !rows.NextResultSet() {
			return rows.Err()
		}
	}
}

// damageBytes puts bytes into a statement that mean something in the session's
// character set or quoting only.
func (b *session) damageBytes(text string) string {
	if b.random.IntN(4) != 0 {
		return text
	}
	odd := []string{"\x95\\", "\x81'", "\xa0", "\x81`", "\xe3\x81", "\xa1", "\x80", "\\", "'", "\"", "é", "\x8130", "\x00", "--\x01", "/*!"}
	i := b.random.IntN(len(text) + 1)
	return text[:i] + odd[b.random.IntN(len(odd))] + text[i:]
}

// check compares the server's state and the session's with that at its
// beginning and says what has changed, "" if nothing has.
func (b *session) check(ctx context.Context) string {
	if b.inTransaction > 0 {
		b.inTransaction = 0
		if err := b.run(ctx, "ROLLBACK"); err != nil {
			return err.Error()
		}
	}
	after, err := b.state(ctx)
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, context.Canceled) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	var found []string
	for what, value := range after {
		if value != b.before[what] && !b.mayChange(what) {
			found = append(found, fmt.Sprintf("%s: %q, was %q", what, value, b.before[what]))
		}
	}
	for what := range b.before {
		if _, there := after[what]; !there {
			found = append(found, what+" is gone")
		}
	}
	if len(found) == 0 {
		return ""
	}
	slices.Sort(found)
	return strings.Join(found, "\n")
}

// mayChange reports whether something may change: what the server has reported
// to the proxy, and counters of what is harmless.
func (b *session) mayChange(what string) bool {
	if b.hasSet && (what == "session sql_mode" || strings.HasPrefix(what, "session character_set_") || strings.HasPrefix(what, "session collation_")) {
		return true
	}
	if what == "user variables" {
		return b.hasAssigned
	}
	com, isCount := strings.CutPrefix(what, "executed ")
	if !isCount {
		return false
	}
	switch com {
	case "select", "begin", "commit", "rollback", "rollback_to_savepoint", "savepoint", "release_savepoint", "help", "get_diagnostics", "empty_query":
		return true
	case "set_option", "change_db":
		return b.hasSet
	case "insert", "insert_select", "replace", "replace_select", "update", "update_multi", "delete", "delete_multi":
		return b.wasRefused
	}
	return strings.HasPrefix(com, "show_")
}
