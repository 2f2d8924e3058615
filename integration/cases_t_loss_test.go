//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// lossRig is a proxy whose connections to the primary can be broken.
type lossRig struct {
	*caseRig
	relay *harness.Relay
}

func newLossRig(t *testing.T, c *localserver.Cluster, settings string) *lossRig {
	t.Helper()
	createCaseSchema(t, c)
	relay := harness.StartRelay(t, c.Primary.Addr())
	cfg := harness.ProxyConfig(c)
	cfg.Backends[0].Address = relay.Addr()
	cfg.Settings["proxy"] = settings
	cfg.Settings["guard"] = "denied_functions = []"
	return &lossRig{caseRig: &caseRig{c: c, p: suite.StartProxy(t, cfg), logs: harness.OpenLogs(t, c)}, relay: relay}
}

func (rig *lossRig) connect(t *testing.T) *caseClient {
	t.Helper()
	return dialCase(t, rig.p.Addr(), localserver.AppUser, caseCapabilities, 0)
}

// begin starts a case on fresh tables.
func (rig *lossRig) begin(t *testing.T) {
	t.Helper()
	resetCaseTables(t, rig.c)
	rig.logs.Reset()
}

// must runs statements that have to succeed.
func (c *caseClient) must(statements ...string) {
	c.t.Helper()
	for _, s := range statements {
		if r := c.query(s); r.errno != 0 || r.broken != nil {
			c.t.Fatalf("%s: %v (%v)", s, r.packets, r.broken)
		}
	}
}

// mustFail runs a statement that has to fail: with the error, any if it is
// anyError, or, if that is allowed, because the connection is gone.
func (c *caseClient) mustFail(statement string, code uint16, orGone bool) {
	c.t.Helper()
	c.checkFailure(statement, c.query(statement), code, orGone)
}

func (c *caseClient) checkFailure(statement string, r caseReply, code uint16, orGone bool) {
	c.t.Helper()
	switch {
	case r.broken != nil && orGone:
	case r.errno == code, r.errno != 0 && code == anyError:
	default:
		c.t.Errorf("%s: %v (%v), want error %d", statement, r.packets, r.broken, code)
	}
}

// wantRan checks how often the statement with the marker was executed, in all.
func (rig *lossRig) wantRan(t *testing.T, marker string, times int) {
	t.Helper()
	if seen := rig.logs.Statements(marker); len(seen) != times {
		t.Errorf("%s: executed %d times, want %d: %v", marker, len(seen), times, seen)
	}
}

// kill kills what the application's account runs on the primary: its connections,
// or only the statements whose text contains a marker.
func (rig *lossRig) kill(t *testing.T, what, marker string) {
	t.Helper()
	harness.Eventually(t, lookTimeout, func(ctx context.Context) error {
		rows, err := rig.c.Primary.Query(ctx, "SHOW FULL PROCESSLIST")
		if err != nil {
			return err
		}
		killed := 0
		for _, row := range rows {
			if row["User"] != localserver.AppUser || !strings.Contains(row["Info"], marker) {
				continue
			}
			if err := rig.c.Primary.Exec(ctx, fmt.Sprintf("KILL %s %s", what, row["Id"])); err == nil {
				killed++
			}
		}
		if killed == 0 {
			return fmt.Errorf("nothing to kill with %q", marker)
		}
		return nil
	})
}

// killConnections kills the connections of the application's account and waits until
// the server has closed them.
func (rig *lossRig) killConnections(t *testing.T) {
	t.Helper()
	rig.kill(t, "CONNECTION", "")
	rig.look(t, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '%s'", localserver.AppUser), "0")
}

func TestCasesTOnConnectionsThatAreLost(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newLossRig(t, c, "")
		t.Run("T10 a statement that is killed leaves the transaction open", rig.caseT10)
		t.Run("T15 READ ONLY of a session survives its server connections", rig.caseT15)
		t.Run("T21 a transaction whose connection is lost is dead", rig.caseT21)
		t.Run("T22 a COMMIT without an answer is not repeated", rig.caseT22)
		t.Run("T23 a write without an answer is not repeated", rig.caseT23)
		t.Run("T26 a primary that becomes read-only in a transaction", rig.caseT26)
	})
}

func (rig *lossRig) caseT10(t *testing.T) {
	rig.begin(t)
	a := rig.connect(t)
	a.must("BEGIN", "INSERT INTO b VALUES (1)")
	a.send(wire.ComQuery, "UPDATE a SET v = SLEEP(30) WHERE id = 1 /* t10 */")
	rig.kill(t, "QUERY", "/* t10 */")
	a.checkFailure("UPDATE", a.reply(false), 1317, false)
	if r := a.query("SELECT COUNT(*) FROM b /* t10 then */"); r.first != "1" {
		t.Errorf("behind the kill: %v", r.packets)
	}
	rig.wantRan(t, "/* t10 */", 1)
	rig.look(t, "SELECT COUNT(*) FROM app_cases.b", "0")
	a.must("COMMIT")
	rig.look(t, "SELECT COUNT(*) FROM app_cases.b", "1")
}

func (rig *lossRig) caseT15(t *testing.T) {
	rig.begin(t)
	a := rig.connect(t)
	reconnect := func() {
		rig.killConnections(t)
		// Who comes first may find out, and be told.
		a.query("/*master*/ SELECT 1")
	}
	a.must("SET SESSION TRANSACTION READ ONLY", "SELECT COUNT(*) FROM b")
	reconnect()
	a.mustFail("INSERT INTO b VALUES (1)", 1792, false)
	a.must("SET SESSION TRANSACTION READ WRITE")
	reconnect()
	a.must("INSERT INTO b VALUES (2)")
	rig.look(t, "SELECT id FROM app_cases.b", "2")
}

func (rig *lossRig) caseT21(t *testing.T) {
	for _, begin := range []string{"BEGIN", "START TRANSACTION", "SET autocommit = 0"} {
		for _, prepared := range []bool{false, true} {
			rig.begin(t)
			a := rig.connect(t)
			a.must(begin, "INSERT INTO b VALUES (1) /* t21 first */")
			rig.killConnections(t)
			const second = "INSERT INTO b VALUES (2) /* t21 second */"
			if prepared {
				a.checkFailure(second, a.execute(second, nil), anyError, true)
			} else {
				a.mustFail(second, anyError, true)
			}
			// If the client may go on at all, then not as if nothing had happened.
			r := a.query("COMMIT")
			if r.broken == nil && r.errno == 0 {
				t.Errorf("after %s: COMMIT of a transaction that is lost: %v", begin, r.packets)
			}
			rig.wantRan(t, "/* t21 first */", 1)
			rig.wantRan(t, "/* t21 second */", 0)
			rig.look(t, "SELECT COUNT(*) FROM app_cases.b", "0")
			b := rig.connect(t)
			b.must("INSERT INTO b VALUES (3)") // somebody else is not concerned
		}
	}
}

func (rig *lossRig) caseT22(t *testing.T) {
	rig.begin(t)
	a := rig.connect(t)
	a.must("BEGIN", "INSERT INTO b VALUES (1) /* t22 insert */")
	rig.relay.LoseAnswerTo("COMMIT /* t22 commit */")
	r := a.query("COMMIT /* t22 commit */")
	a.checkFailure("COMMIT", r, 1158, false)
	if !strings.Contains(strings.Join(r.packets, ""), "unknown") {
		t.Errorf("the error does not say that the outcome is unknown: %v", r.packets)
	}
	rig.wantRan(t, "/* t22 commit */", 1)
	rig.wantRan(t, "/* t22 insert */", 1)
	rig.look(t, "SELECT COUNT(*) FROM app_cases.b", "1")
}

func (rig *lossRig) caseT23(t *testing.T) {
	for _, write := range []string{
		"UPDATE a SET v = v + 1 WHERE id = 1 AND %s <> ''",
		"INSERT INTO b SELECT f1() FROM DUAL WHERE %s <> ''",
		"SELECT f1() + LENGTH(%s)",
		"DO f1() + LENGTH(%s)",
		"SELECT v FROM a WHERE id = 1 AND %s <> '' FOR UPDATE",
	} {
		const marker = "marker of t23"
		rig.begin(t)
		a := rig.connect(t)
		a.must("SELECT 1 FROM a")
		rig.relay.LoseAnswerTo(marker)
		a.mustFail(fmt.Sprintf(write, "'"+marker+"'"), 1158, false)
		rig.wantRan(t, marker, 1)

		rig.begin(t)
		prepared := fmt.Sprintf(write, "?")
		a.send(wire.ComStmtPrepare, prepared)
		st := a.prepared()
		if st.errno != 0 || st.broken != nil {
			t.Fatalf("%s: %v (%v)", prepared, st.packets, st.broken)
		}
		rig.relay.LoseAnswerTo(marker)
		a.send(wire.ComStmtExecute, executeArg(st.prepare.StatementID, []any{marker}))
		a.checkFailure(prepared, a.reply(true), 1158, false)
		rig.wantRan(t, marker, 1)
	}
}

func (rig *lossRig) caseT26(t *testing.T) {
	rig.begin(t)
	readOnly := func(on int) {
		if err := rig.c.Primary.Exec(context.Background(), fmt.Sprintf("SET GLOBAL read_only=%d", on)); err != nil {
			t.Fatal(err)
		}
	}
	a, b := rig.connect(t), rig.connect(t)
	a.must("BEGIN", "INSERT INTO b VALUES (1)")
	defer harness.AwaitState(t, rig.p, rig.relay.Addr(), "up", 15*time.Second)
	defer readOnly(0)
	readOnly(1)
	// The server's own error, unless the proxy has noticed before.
	a.mustFail("INSERT INTO b VALUES (2)", anyError, true)
	a.mustFail("COMMIT", anyError, true)
	b.mustFail("INSERT INTO b VALUES (3) /* t26 */", anyError, false)
	rig.look(t, "SELECT COUNT(*) FROM app_cases.b", "0")
}

func TestCasesTOnClientsThatWait(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newLossRig(t, c, `wait_timeout = "1s"`)
		t.Run("T27 a transaction that waits too long is rolled back", func(t *testing.T) {
			rig.begin(t)
			idle, busy := rig.connect(t), rig.connect(t)
			idle.must("BEGIN", "INSERT INTO b VALUES (1)")
			busy.must("BEGIN", "INSERT INTO b VALUES (2)")
			harness.Eventually(t, lookTimeout, func(ctx context.Context) error {
				busy.must("SELECT COUNT(*) FROM b")
				got, err := c.Primary.Value(ctx, fmt.Sprintf("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '%s' AND db = '%s'", localserver.AppUser, caseSchema))
				if err == nil && got != "1" {
					err = fmt.Errorf("%s connections of clients", got)
				}
				return err
			})
			idle.mustFail("INSERT INTO b VALUES (3) /* t27 */", anyError, true)
			if r := idle.query("COMMIT"); r.broken == nil && r.errno == 0 {
				t.Errorf("COMMIT: %v", r.packets)
			}
			rig.wantRan(t, "/* t27 */", 0)
			busy.must("COMMIT")
			rig.look(t, "SELECT GROUP_CONCAT(id) FROM app_cases.b", "2")
		})
	})
}

// TestT10TheLocksOfAFailedStatementGoWithItsClient: without autocommit a statement
// that fails may have begun a transaction all the same, and no status says so.
func TestT10TheLocksOfAFailedStatementGoWithItsClient(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newLossRig(t, c, "")
		free := func(ctx context.Context) error {
			_, err := c.Primary.Value(ctx, "SELECT id FROM "+caseSchema+".a WHERE id = 1 FOR UPDATE NOWAIT")
			return err
		}
		for name, leave := range map[string]func(*caseClient){
			"it quits":       (*caseClient).quit,
			"it crashes":     (*caseClient).reset,
			"it hangs up":    func(c *caseClient) { c.nc.Close() },
			"it begins anew": func(c *caseClient) { c.send(wire.ComResetConnection, ""); c.reply(false) },
		} {
			t.Run(name, func(t *testing.T) {
				rig.begin(t)
				client := rig.connect(t)
				client.must("SET autocommit=0")
				client.mustFail("INSERT INTO a (id, v) VALUES (1, 1)", 1062, false)
				if free(t.Context()) == nil {
					t.Fatal("a failed INSERT has locked nothing")
				}
				leave(client)
				harness.Eventually(t, 5*time.Second, free)
			})
		}
	})
}
