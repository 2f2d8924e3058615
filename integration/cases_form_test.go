//go:build integration

package integration

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// The cases are the known ways in which proxies go wrong, each by its number. A
// case is a list of statements, told twice: past the proxy to the primary and
// through the proxy. Every packet of every reply has to be the same, the general
// logs of the servers have to show the same executions, as often and in the same
// order, and through the proxy each on the server that is asked for.

// casePlace is where a statement has to run.
type casePlace int

const (
	atPrimary casePlace = iota
	atReplica           // on any of them
	atSame              // on the connection of its session's statement before
	atAny               // on one connection of any server
	atNobody            // the proxy refuses; not part of what is run directly
	atProxy             // the proxy answers as the server would
	notLogged           // servers do not log it, or not so that it can be told
)

// caseStep is what one client does next. The constructors and methods below
// write it down. In its statements {run} stands for a name that is new every time.
type caseStep struct {
	sql     []string // run one after the other, the rest holds for each
	at      casePlace
	client  string // "a" if empty
	only    string // flavour
	args    []any  // not nil: prepared, never text
	expect  string // first column of the first row; "" is not looked at
	code    uint16 // of the error, 0 for none, anyError
	seen    string // what tells the statement in the log; "" for the marker, which is appended
	differs bool   // rows may differ between connections
	kind    stepKind
}

type stepKind int

const (
	runs    stepKind = iota
	sends            // the reply is left for later
	replies          // reads the reply of what was sent
	quits
	crashes
	resets // COM_RESET_CONNECTION
	looks  // root looks at the primary until it sees what it expects
)

// anyError leaves it to the direct connection whether there is an error, and which.
const anyError = 1

func primary(sql ...string) caseStep { return caseStep{sql: sql, at: atPrimary} }
func replica(sql ...string) caseStep { return caseStep{sql: sql, at: atReplica} }
func same(sql ...string) caseStep    { return caseStep{sql: sql, at: atSame} }
func anyone(sql ...string) caseStep  { return caseStep{sql: sql, at: atAny} }
func nobody(sql ...string) caseStep  { return caseStep{sql: sql, at: atNobody} }
func proxied(sql ...string) caseStep { return caseStep{sql: sql, at: atProxy} }

// root looks at the primary directly, until the value is what is expected.
func root(query, want string) caseStep {
	return caseStep{sql: []string{query}, kind: looks, expect: want}
}
func quit() caseStep { return caseStep{sql: []string{""}, kind: quits} }
func resetConnection() caseStep {
	return caseStep{sql: []string{"COM_RESET_CONNECTION"}, kind: resets, at: notLogged, seen: "none"}
}
func crash() caseStep { return caseStep{sql: []string{""}, kind: crashes} }
func reply() caseStep { return caseStep{sql: []string{""}, kind: replies} }

// clears is a read behind an error: it runs where SHOW WARNINGS would look, and
// leaves nothing more to show. The next one is free.
func clears() caseStep { return anyone("SELECT COUNT(*) FROM a") }

func (s caseStep) want(first string) caseStep { s.expect = first; return s }
func (s caseStep) fails(code uint16) caseStep { s.code = code; return s }
func (s caseStep) mariadb() caseStep          { s.only = "MariaDB"; return s }
func (s caseStep) mysql() caseStep            { s.only = "MySQL"; return s }
func (s caseStep) by(client string) caseStep  { s.client = client; return s }
func (s caseStep) with(args ...any) caseStep  { s.args = args; return s }
func (s caseStep) bare(seen string) caseStep  { s.seen = seen; return s }
func (s caseStep) unlogged() caseStep         { s.at, s.seen = notLogged, "nothing"; return s }
func (s caseStep) later() caseStep            { s.kind = sends; return s }
func (s caseStep) differing() caseStep        { s.differs = true; return s }

// mineCase is one case.
type mineCase struct {
	id, title string
	only      string // flavour
	textOnly  bool   // not told a second time with prepared statements
	user      string // AppUser if empty
	collation byte   // of the login
	steps     []caseStep
}

const caseSchema = "app_cases"

// caseRig is what all cases of a test share.
type caseRig struct {
	c    *localserver.Cluster
	p    *localproxy.Proxy
	logs *harness.Logs
}

// newCaseRig starts a proxy without a guard, whose reads do not wait for replicas.
func newCaseRig(t *testing.T, c *localserver.Cluster) *caseRig {
	t.Helper()
	createCaseSchema(t, c)
	cfg := harness.ProxyConfig(c)
	cfg.Settings["guard"] = "dml_without_where = \"allow\"\ndenied_functions = []"
	cfg.Settings["pool"] = "max_idle = 1" // what one session has left the next one gets
	rig := &caseRig{c: c, p: suite.StartProxy(t, cfg), logs: harness.OpenLogs(t, c)}
	if c.Primary.Flavour() == localserver.MySQL {
		// By default MySQL logs no statement that it cannot parse.
		for _, s := range c.Servers() {
			if err := s.Exec(t.Context(), "SET GLOBAL log_raw=1"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Exec(context.Background(), "SET GLOBAL log_raw=0") })
		}
	}
	return rig
}

func createCaseSchema(t *testing.T, c *localserver.Cluster) {
	t.Helper()
	harness.Exec(t, c,
		"DROP DATABASE IF EXISTS "+caseSchema,
		"CREATE DATABASE "+caseSchema,
		"USE "+caseSchema,
		"CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
		"CREATE TABLE b (id INT)",
		"CREATE FUNCTION f1() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO b VALUES (1); RETURN 1; END",
		"CREATE PROCEDURE p1(OUT o INT) BEGIN SELECT 1; SELECT 2, 'x'; SET o = 3; END",
		"CREATE PROCEDURE p5(OUT o INT) BEGIN SELECT id FROM a; SELECT id FROM a WHERE id = -1; SET o = 3; END",
		"CREATE PROCEDURE p2() INSERT INTO b VALUES (2)",
		"CREATE PROCEDURE p3() BEGIN START TRANSACTION; INSERT INTO b VALUES (3); END",
		"CREATE FUNCTION ftz() RETURNS INT BEGIN SET SESSION time_zone = '+03:00'; RETURN 1; END",
		"CREATE PROCEDURE p4() BEGIN SET @left = 4; SET SESSION group_concat_max_len = 44; CREATE TEMPORARY TABLE left_there (id INT); END",
	)
	if c.Primary.Flavour() == localserver.MariaDB {
		harness.Exec(t, c, "USE "+caseSchema, "CREATE SEQUENCE s NOCACHE")
	}
	resetCaseTables(t, c)
}

func resetCaseTables(t *testing.T, c *localserver.Cluster) {
	t.Helper()
	statements := []string{
		"USE " + caseSchema,
		"TRUNCATE a", "TRUNCATE b",
		"INSERT INTO a VALUES (1, 10), (2, 20), (3, 30)",
	}
	if c.Primary.Flavour() == localserver.MariaDB {
		statements = append(statements, "ALTER SEQUENCE s RESTART 1")
	}
	harness.Exec(t, c, statements...)
}

// run tells a case as text and, where that makes a difference, prepared.
func (rig *caseRig) run(t *testing.T, mc mineCase) {
	if mc.only != "" && mc.only != rig.c.Primary.Flavour().String() {
		return // the statements do not exist there
	}
	t.Run(mc.id+" "+mc.title, func(t *testing.T) {
		t.Run("as text", func(t *testing.T) { rig.tell(t, mc, false) })
		if !mc.textOnly {
			t.Run("prepared", func(t *testing.T) { rig.tell(t, mc, true) })
		}
	})
}

func (rig *caseRig) tell(t *testing.T, mc mineCase, prepared bool) {
	direct := rig.play(t, mc, prepared, rig.c.Primary.Addr(), false)
	through := rig.play(t, mc, prepared, rig.p.Addr(), true)
	j := 0
	last := map[string]caseSeen{}
	for i := range through {
		played := &through[i]
		if played.step.at == atNobody {
			if len(played.seen) != 0 {
				t.Errorf("%s: ran %v, the proxy has to refuse it", played.sql, played.seen)
			}
			continue
		}
		compareReplies(t, played, &direct[j])
		checkPlace(t, rig.c, played, &direct[j], last, prepared)
		j++
	}
	checkOrder(t, through)
}

// playedStep is a statement that was run, its reply, and where it was logged.
type playedStep struct {
	step  caseStep
	sql   string
	run   string // what {run} stands for
	reply caseReply
	seen  []caseSeen
}

// caseSeen is an execution with its place in the order of its server's log.
type caseSeen struct {
	harness.Seen
	index int
}

// telling is a case being told to new sessions at one address.
type telling struct {
	*caseRig
	t        *testing.T
	mc       mineCase
	prepared bool
	addr     string
	through  bool   // the proxy
	run      string // what {run} stands for
	clients  map[string]*caseClient
	played   []playedStep
}

// play tells the case on fresh tables.
func (rig *caseRig) play(t *testing.T, mc mineCase, prepared bool, addr string, through bool) []playedStep {
	t.Helper()
	resetCaseTables(t, rig.c)
	rig.logs.Reset()
	tell := telling{
		caseRig: rig, t: t, mc: mc, prepared: prepared, addr: addr, through: through,
		run: fmt.Sprintf("%020d", time.Now().UnixNano()), clients: map[string]*caseClient{},
	}
	defer func() {
		for _, c := range tell.clients {
			c.quit()
		}
	}()
	for i, step := range mc.steps {
		if step.only != "" && step.only != rig.c.Primary.Flavour().String() || step.at == atNobody && !through {
			continue
		}
		if step.client == "" {
			step.client = "a"
		}
		for j, sql := range step.sql {
			tell.next(step, strings.ReplaceAll(sql, "{run}", tell.run), fmt.Sprintf("/* %s-%d-%d */", mc.id, i+1, j+1))
		}
	}
	rig.locate(tell.played)
	return tell.played
}

// client is the client of a name, logged in when it is first needed.
func (tell *telling) client(name string) *caseClient {
	if tell.clients[name] == nil {
		user := tell.mc.user
		if user == "" {
			user = localserver.AppUser
		}
		caps := caseCapabilities
		if tell.prepared == (tell.c.Primary.Flavour() == localserver.MySQL) {
			caps |= wire.DeprecateEOF // both kinds of replies on both flavours
		}
		tell.clients[name] = dialCase(tell.t, tell.addr, user, caps, tell.mc.collation)
	}
	return tell.clients[name]
}

// next carries out a step with one of its statements.
func (tell *telling) next(step caseStep, sql, marker string) {
	tell.t.Helper()
	if tell.through && step.at != atPrimary {
		if err := tell.c.WaitCaughtUp(tell.t.Context()); err != nil {
			tell.t.Fatal(err)
		}
	}
	switch step.kind {
	case looks:
		tell.look(tell.t, sql, step.expect)
	case quits:
		tell.client(step.client).quit()
		delete(tell.clients, step.client)
	case crashes:
		tell.client(step.client).reset()
		delete(tell.clients, step.client)
	default:
		tell.send(step, sql, marker)
	}
}

// send sends what the step says, reads the reply and checks it.
func (tell *telling) send(step caseStep, sql, marker string) {
	tell.t.Helper()
	p := playedStep{step: step, sql: sql, run: tell.run}
	if step.seen == "" && step.kind != replies {
		p.step.seen = marker
		p.sql += " " + marker
	}
	client := tell.client(step.client)
	switch {
	case step.kind == sends:
		client.send(wire.ComQuery, p.sql)
	case step.kind == resets:
		client.send(wire.ComResetConnection, "")
		p.reply = client.reply(false)
	case step.kind == replies:
		p.reply = client.reply(false)
		p.step.at = notLogged
	case step.args != nil, tell.prepared:
		p.reply = client.execute(p.sql, step.args)
	default:
		p.reply = client.query(p.sql)
	}
	p.check(tell.t, tell.through)
	tell.played = append(tell.played, p)
	if p.reply.broken != nil {
		tell.t.Fatalf("%s: the connection broke: %v", p.sql, p.reply.broken)
	}
}

// lookTimeout is how long root waits to see what is expected. lookPause is the
// time between two looks: information_schema.innodb_trx shows nothing new to
// those who ask more often than every 100 ms.
const (
	lookTimeout = 5 * time.Second
	lookPause   = 120 * time.Millisecond
)

func (rig *caseRig) look(t *testing.T, query, want string) {
	t.Helper()
	for end := time.Now().Add(lookTimeout); ; {
		got, err := rig.c.Primary.Value(t.Context(), query)
		if err == nil && got == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s is %q, want %q (%v)", query, got, want, err)
		}
		<-time.After(lookPause)
	}
}

// check compares a reply with what the case says about it.
func (p *playedStep) check(t *testing.T, through bool) {
	t.Helper()
	how := map[bool]string{false: "directly", true: "through the proxy"}[through]
	switch {
	case p.step.kind == sends:
	case p.step.code == anyError:
	case p.reply.errno != p.step.code:
		t.Errorf("%s: %s: error %d, want %d\n%s", how, p.sql, p.reply.errno, p.step.code, strings.Join(p.reply.packets, "\n"))
	case p.step.expect != "" && p.reply.first != p.step.expect:
		t.Errorf("%s: %s: got %q, want %q\n%s", how, p.sql, p.reply.first, p.step.expect, strings.Join(p.reply.packets, "\n"))
	}
}

// locate finds the executions of the steps in the logs.
func (rig *caseRig) locate(played []playedStep) {
	for index, e := range rig.logs.All() {
		if e.Command != "Query" && e.Command != "Execute" {
			continue
		}
		for i := range played {
			if p := &played[i]; p.step.kind != replies && p.step.at != notLogged && strings.Contains(e.Argument, p.step.seen) {
				p.seen = append(p.seen, caseSeen{e, index})
			}
		}
	}
}

// compareReplies compares a reply with that of a direct connection.
func compareReplies(t *testing.T, through, direct *playedStep) {
	t.Helper()
	want, got := direct.reply.packets, through.reply.packets
	if through.step.differs {
		want, got = withoutRows(want), withoutRows(got)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n- directly, + through the proxy:\n%s", through.sql, diff)
	}
}

func withoutRows(packets []string) []string {
	return slices.DeleteFunc(slices.Clone(packets), func(p string) bool {
		return strings.HasPrefix(p, "row ") || strings.HasPrefix(p, "definition ")
	})
}

// checkPlace compares where a statement ran with where it has to, and what was
// run with what a direct connection runs.
func checkPlace(t *testing.T, c *localserver.Cluster, through, direct *playedStep, last map[string]caseSeen, prepared bool) {
	t.Helper()
	switch {
	case through.step.at == notLogged || through.step.kind == replies:
		return
	case through.step.at == atProxy:
		if len(through.seen) != 0 {
			t.Errorf("%s: ran %v, the proxy has to answer it", through.sql, through.seen)
		}
		return
	}
	if diff := cmp.Diff(logged(direct), logged(through)); diff != "" {
		t.Errorf("%s: logged otherwise\n- directly, + through the proxy:\n%s", through.sql, diff)
	}
	if len(through.seen) == 0 {
		if !prepared && through.step.args == nil {
			t.Errorf("%s: no server has logged it", through.sql)
		}
		return // what cannot be prepared is not executed
	}
	first := through.seen[0]
	for _, s := range through.seen {
		if s.Server != first.Server || s.Thread != first.Thread {
			t.Errorf("%s: ran on more than one connection: %v", through.sql, through.seen)
			return
		}
	}
	before, any := last[through.step.client]
	last[through.step.client] = first
	onPrimary := first.Server == c.Primary
	switch at := through.step.at; {
	case at == atPrimary && !onPrimary:
		t.Errorf("%s: ran on %s, has to run on the primary", through.sql, first.Server)
	case at == atReplica && onPrimary:
		t.Errorf("%s: ran on the primary, has to run on a replica", through.sql)
	case at == atSame && any && (before.Server != first.Server || before.Thread != first.Thread):
		t.Errorf("%s: ran on %s connection %d, has to run where the statement before ran: %s connection %d",
			through.sql, first.Server, first.Thread, before.Server, before.Thread)
	}
}

func logged(p *playedStep) []string {
	var all []string
	for _, s := range p.seen {
		all = append(all, s.Command+" "+strings.ReplaceAll(s.Argument, p.run, "{run}"))
	}
	return all
}

// checkOrder checks that no server has run a statement before an earlier one.
func checkOrder(t *testing.T, played []playedStep) {
	t.Helper()
	at := map[*localserver.Server]int{}
	for i := range played {
		for _, s := range played[i].seen {
			if s.index < at[s.Server] {
				t.Errorf("%s: ran before the statement before it", played[i].sql)
			}
			at[s.Server] = s.index
		}
	}
}

func runCases(t *testing.T, groups ...[]mineCase) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newCaseRig(t, c)
		for _, mc := range slices.Concat(groups...) {
			rig.run(t, mc)
		}
	})
}
