package admin

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/go-sql-driver/mysql"
	"go.uber.org/zap"

	"github.com/telamondb/telamon/wire"
)

// open returns one connection to the console through go-sql-driver.
func (r *rig) open(t testing.TB, change func(*mysql.Config)) *sql.Conn {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = testUser, testPassword, "tcp", r.addr.String()
	cfg.MultiStatements = true
	cfg.Logger = &mysql.NopLogger{}
	if change != nil {
		change(cfg)
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestConsole replays the stories of testdata/console through a driver: the
// statement, then columns with their wire types, rows and errors.
func TestConsole(t *testing.T) {
	datadriven.Walk(t, "testdata/console", func(t *testing.T, path string) {
		r := newRig(t)
		conn := r.open(t, nil)
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "sql":
				return run(conn, d.Input)
			case "explained":
				last := r.proxy.explained[len(r.proxy.explained)-1]
				return fmt.Sprintf("%q\n", last)
			case "killed":
				return fmt.Sprintln(r.proxy.killed)
			case "reloads":
				return fmt.Sprintln(r.proxy.reloads)
			case "audit":
				return auditLines(r)
			}
			d.Fatalf(t, "unknown directive %s", d.Cmd)
			return ""
		})
	})
}

// run executes one packet and writes down everything that comes back.
func run(conn *sql.Conn, statement string) string {
	var out strings.Builder
	rows, err := conn.QueryContext(context.Background(), statement)
	if err != nil {
		return describeError(err)
	}
	defer rows.Close()
	for {
		printResult(&out, rows)
		if !rows.NextResultSet() {
			break
		}
	}
	if err := rows.Err(); err != nil {
		out.WriteString(describeError(err))
	}
	return out.String()
}

func printResult(out *strings.Builder, rows *sql.Rows) {
	types, _ := rows.ColumnTypes()
	if len(types) == 0 {
		out.WriteString("ok\n")
		return
	}
	header := make([]string, len(types))
	fields := make([]any, len(types))
	for i, t := range types {
		header[i] = t.Name() + " " + t.DatabaseTypeName()
		fields[i] = new(sql.NullString)
	}
	fmt.Fprintf(out, "[%s]\n", strings.Join(header, ", "))
	for rows.Next() {
		rows.Scan(fields...)
		texts := make([]string, len(fields))
		for i, f := range fields {
			texts[i] = "NULL"
			if s := f.(*sql.NullString); s.Valid {
				texts[i] = s.String
			}
		}
		fmt.Fprintf(out, "%s\n", strings.Join(texts, "|"))
	}
}

func describeError(err error) string {
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return fmt.Sprintf("broken connection: %v\n", err)
	}
	return fmt.Sprintf("ERROR %d/%s: %s\n", e.Number, e.SQLState, e.Message)
}

// auditLines returns the audit log so far and forgets it.
func auditLines(r *rig) string {
	var out strings.Builder
	for _, e := range r.logs.TakeAll() {
		f := e.ContextMap()
		fmt.Fprintf(&out, "%s: user=%v command=%q backend=%v outcome=%q\n", e.Message, f["user"], f["command"], f["backend"], f["outcome"])
	}
	return out.String()
}

func TestAnEmptyPasswordLetsNobodyIn(t *testing.T) {
	r := newRig(t)
	r.console.SetCredentials(Credentials{Username: testUser})
	for _, password := range []string{"", testPassword} {
		err := r.login(testUser, password)
		if err == nil || err.Number != wire.CodeAccessDenied {
			t.Errorf("password %q: %v, want error 1045", password, err)
		}
	}
}

// login tries a login and returns the error the console gave.
func (r *rig) login(user, password string) *mysql.MySQLError {
	db, err := sql.Open("mysql", fmt.Sprintf("%s:%s@tcp(%s)/", user, password, r.addr))
	if err != nil {
		panic(err)
	}
	defer db.Close()
	err = db.Ping()
	var e *mysql.MySQLError
	errors.As(err, &e)
	if err != nil && e == nil {
		e = &mysql.MySQLError{Message: err.Error()}
	}
	return e
}

func TestEveryRefusedLoginLooksTheSame(t *testing.T) {
	tests := []struct{ name, user, password string }{
		{"a wrong password", "user", "wrong"},
		{"an unknown user", "nobody", "pwd"},
		{"a user of the proxy", "app", "app"},
		{"the name in another case", "USER", "pwd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := newRig(t).login(tt.user, tt.password)
			want := fmt.Sprintf("Access denied for user '%s'@'127.0.0.1' (using password: YES)", tt.user)
			if err == nil || err.Number != 1045 || string(err.SQLState[:]) != "28000" || err.Message != want {
				t.Errorf("got %v, want 1045 %s", err, want)
			}
		})
	}
	t.Run("no password", func(t *testing.T) {
		err := newRig(t).login("user", "")
		if err == nil || err.Message != "Access denied for user 'user'@'127.0.0.1' (using password: NO)" {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewCredentialsHoldFromTheNextLogin(t *testing.T) {
	r := newRig(t)
	old := r.open(t, nil)
	r.console.SetCredentials(Credentials{"dba", "new"})
	if err := r.login("dba", "new"); err != nil {
		t.Errorf("new credentials: %v", err)
	}
	if err := r.login(testUser, testPassword); err == nil {
		t.Error("the old credentials still work")
	}
	if err := old.PingContext(context.Background()); err != nil {
		t.Errorf("an open connection was cut: %v", err)
	}
}

func TestTheEleventhFailedLoginBlocksTheAddress(t *testing.T) {
	r := newRig(t)
	for i := range maxFailures + 1 {
		if err := r.login(testUser, "wrong"); err == nil || err.Number != wire.CodeAccessDenied {
			t.Fatalf("failure %d: %v", i+1, err)
		}
	}
	err := r.login(testUser, testPassword)
	if err == nil || err.Number != wire.CodeHostBlocked {
		t.Fatalf("the right password after %d failures: %v, want error 1129", maxFailures+1, err)
	}
	if n := r.logs.FilterMessageSnippet("blocks an address").Len(); n != 1 {
		t.Errorf("%d lines about the block, want 1", n)
	}
	if n := r.console.stats.blocked.Load(); n == 0 {
		t.Error("the block was not counted")
	}
}

func TestTooManyConnectionsAreRefusedWith1040(t *testing.T) {
	r := newRig(t)
	r.console.stats.open.Store(defaultMaxConnections)
	defer r.console.stats.open.Store(0)
	if err := r.login(testUser, testPassword); err == nil || err.Number != wire.CodeConCount {
		t.Errorf("got %v, want error 1040", err)
	}
}

func TestServeEndsOpenConnections(t *testing.T) {
	core := zap.NewNop()
	c := NewConsole(ConsoleConfig{Credentials: Credentials{testUser, testPassword}, Log: core}, Deps{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- c.Serve(ctx, l) }()
	r := &rig{addr: l.Addr().(*net.TCPAddr)}
	conn := r.open(t, nil)
	half, err := net.Dial("tcp", l.Addr().String()) // never logs in
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	half.Read(make([]byte, 1)) // it has been accepted
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if err := conn.PingContext(context.Background()); err == nil {
		t.Error("the connection is still answered")
	}
	if n := c.stats.open.Load(); n != 0 {
		t.Errorf("%d connections counted after the end", n)
	}
}

func TestServeReturnsTheErrorOfABrokenListener(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	c := NewConsole(ConsoleConfig{Log: zap.NewNop()}, Deps{})
	if err := c.Serve(context.Background(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestABugEndsOneConnectionOnly(t *testing.T) {
	r := newRig(t)
	r.console.grammar = newGrammar([]command{{"SELECT BUG", "", 0, func(*request) (*table, error) { panic("a bug") }}})
	if got := run(r.open(t, nil), "select bug"); !strings.Contains(got, "internal error") {
		t.Errorf("got %q", got)
	}
	if got := run(r.open(t, nil), "select 1"); got != "[1 BIGINT]\n1\n" {
		t.Errorf("another connection: %q", got)
	}
}

// TestPasswordsAreNeitherLoggedNorShown looks for canaries in everything that
// comes out: the passwords of the console, of a refused login and of a command.
func TestPasswordsAreNeitherLoggedNorShown(t *testing.T) {
	const canary = "c4n4ry"
	r := newRig(t)
	r.console.SetCredentials(Credentials{testUser, canary + "1"})
	r.login(testUser, canary+"2")
	conn := r.open(t, func(cfg *mysql.Config) { cfg.Passwd = canary + "1" })
	var out strings.Builder
	out.WriteString(run(conn, "add pwd app:"+canary+"3"))
	out.WriteString(run(conn, "add enpwd "+canary+"3"))
	out.WriteString(run(conn, "add pwd app "+canary+"3 "))
	for _, rule := range r.console.grammar {
		out.WriteString(run(conn, strings.ReplaceAll(rule.pattern, "$", "1")))
	}
	for _, statement := range []string{"show variables", "show status", "select user()"} {
		out.WriteString(run(conn, statement))
	}
	for _, e := range r.logs.All() {
		fmt.Fprintln(&out, e.Message, e.ContextMap())
	}
	if strings.Contains(out.String(), canary) {
		t.Errorf("a password came out:\n%s", out.String())
	}
	if r.logs.FilterMessage("console login refused").Len() != 1 || r.logs.FilterMessage("console command").Len() < 10 {
		t.Errorf("the log does not hold what was done:\n%s", out.String())
	}
}

// TestHelpBeginsWithAtlas keeps the order: scripts read help by row.
func TestHelpBeginsWithAtlas(t *testing.T) {
	want, err := os.ReadFile("testdata/atlas_help.txt")
	if err != nil {
		t.Fatal(err)
	}
	got := run(newRig(t).open(t, nil), "SELECT * FROM help")
	if !strings.HasPrefix(got, string(want)) {
		t.Errorf("help does not begin with Atlas's rows:\n%s", got)
	}
}

func TestADisappearedBackendIsAnsweredLikeOneThatNeverWas(t *testing.T) {
	r := &request{session: &session{console: &Console{deps: Deps{Backends: vanishing{atlasBackends()}}}}, args: []string{"1", "5"}}
	for name, act := range map[string]func() (*table, error){
		"set offline": r.setOffline, "alter weight": r.alterWeight,
	} {
		if _, err := act(); !errors.Is(err, errNoBackend) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := r.removeBackend(); !errors.Is(err, errNoBackendRemove) {
		t.Errorf("remove: %v", err)
	}
}

// vanishing lists backends that are gone when something is done with them.
type vanishing struct{ *fakeBackends }

func (vanishing) Remove(string) error                      { return fmt.Errorf("x: %w", ErrUnknownBackend) }
func (vanishing) SetOffline(string, bool) (Backend, error) { return Backend{}, ErrUnknownBackend }
func (vanishing) SetWeight(string, int) (Backend, error)   { return Backend{}, ErrUnknownBackend }

func TestPartsThatAreAbsentAnswerInsteadOfCrashing(t *testing.T) {
	c := NewConsole(ConsoleConfig{Log: zap.NewNop()}, Deps{})
	s := &session{console: c, ctx: context.Background()}
	for _, rule := range c.grammar {
		args := slices.Repeat([]string{"1"}, strings.Count(rule.pattern, "$"))
		r := &request{session: s, cmd: rule.command, args: args}
		if tbl, err := r.cmd.run(r); err != nil && asWire(err).Message == "" || tbl == nil && err == nil {
			t.Errorf("%s: table %v, error %v", rule.pattern, tbl, err)
		}
	}
}
