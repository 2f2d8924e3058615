package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
)

func TestAPreparedStatementIsPreparedWhereItFirstRuns(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT ?, server FROM t")
	if got := c.execute(st, true, "x"); got[0] != "x" || got[1] != "A" {
		t.Fatalf("%q", got)
	}
	if n := r.primary.commands(wire.ComStmtPrepare); n != 0 {
		t.Errorf("prepared %d times on the primary too early", n)
	}
	c.exec("BEGIN")
	for range 2 { // the second without the types, which the primary knows by then
		if got := c.execute(st, false, "y"); got[0] != "y" || got[1] != "P" {
			t.Errorf("in a transaction: %q", got)
		}
	}
	c.exec("COMMIT")
	if got := c.execute(st, false, "z"); got[0] != "z" || got[1] != "A" {
		t.Errorf("behind it: %q", got)
	}
	if p, a := r.primary.commands(wire.ComStmtPrepare), r.replicas[0].commands(wire.ComStmtPrepare); p != 1 || a != 1 {
		t.Errorf("prepared %d times on the primary and %d on the replica", p, a)
	}
}

func TestParameterTypesReachEveryServer(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT ?, ?, ?, server FROM t")
	c.execute(st, true, "1", "2", "3")
	for _, params := range [][]string{{null, "b", null}, {"a", null, "c"}, {null, null, null}, {"a", "b", "c"}} {
		for _, sql := range []string{"BEGIN", "COMMIT"} {
			c.exec(sql)
			want := slices.Clone(params)
			for i := range want {
				if want[i] == null {
					want[i] = "NULL"
				}
			}
			if got := c.execute(st, false, params...); !slices.Equal(got[:3], want) {
				t.Errorf("behind %s: %q, want %q", sql, got, want)
			}
		}
	}
	t.Run("types that change are told again", func(t *testing.T) {
		p := wire.AppendLenencString(nil, "")[:0]
		p = append(p, idBytes(st.id)...)
		p = append(p, 0, 1, 0, 0, 0, 0, 1)
		for range 3 {
			p = append(p, byte(wire.TypeLongLong), 0)
		}
		for i := range 3 {
			p = append(p, byte(i+7), 0, 0, 0, 0, 0, 0, 0)
		}
		if err := c.Command(wire.ComStmtExecute, string(p)); err != nil {
			t.Fatal(err)
		}
		rows, err := c.binaryResult()
		if err != nil || !slices.Equal(texts(rows[0])[:3], []string{"7", "8", "9"}) {
			t.Fatalf("%v, %v", rows, err)
		}
		// And without them on the other server.
		c.exec("BEGIN")
		at := 4 + 5 + 1
		q := append(slices.Clone(p[:at]), 0)
		q = append(q, p[at+1+6:]...)
		if err := c.Command(wire.ComStmtExecute, string(q)); err != nil {
			t.Fatal(err)
		}
		rows, err = c.binaryResult()
		if err != nil || !slices.Equal(texts(rows[0]), []string{"7", "8", "9", "P"}) {
			t.Errorf("%v, %v", rows, err)
		}
	})
}

func TestALargeExecutionWithoutTypesIsCompleted(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT ? FROM t")
	c.execute(st, true, "small")
	big := strings.Repeat("b", 1<<20)
	for range 2 { // it goes to the primary, since it is streamed
		if got := c.execute(st, false, big); got[0] != big {
			t.Fatalf("got %d bytes", len(got[0]))
		}
	}
	if n := r.primary.commands(wire.ComStmtPrepare); n > 1 {
		t.Errorf("prepared %d times", n)
	}
}

func TestAnExecutionTooLargeToBeCompletedIsRefused(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("INSERT INTO t VALUES (?)")
	c.execute1(st, true, "small")
	r.setHealth(r.primary, backend.Down, backend.CauseRefused, "gone")
	r.setHealth(r.primary, backend.Up, backend.CauseNone, "")
	big := strings.Repeat("b", wire.MaxPayload+100)
	_, err := c.tryExecute(st, false, big)
	wantAll(t, wantErr(t, err, wire.CodeUnknown), "types")
	c.execute1(st, true, big)
	c.execute1(st, false, big)
}

// execute1 runs a statement that returns no rows.
func (c *client) execute1(st stmt, types bool, params ...string) {
	c.t.Helper()
	if rows, err := c.tryExecute(st, types, params...); err != nil || rows != nil {
		c.t.Fatalf("execute: %d rows, %v", len(rows), err)
	}
}

func TestLongData(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT ?, ?, server FROM t")
	other := c.prepare("SELECT ?, server FROM t")
	for range 2 {
		c.longData(st.id, 0, "one ")
		c.longData(other.id, 0, "other")
		c.longData(st.id, 0, "")
		c.longData(st.id, 0, strings.Repeat("x", 300<<10))
		if got := c.execute(st, true, null, "second"); got[0] != "one "+strings.Repeat("x", 300<<10) || got[1] != "second" {
			t.Fatalf("got %d bytes and %q", len(got[0]), got[1])
		}
		if got := c.execute(other, true, null); got[0] != "other" {
			t.Errorf("%q", got)
		}
	}
	if got := c.execute(st, false, "a", "b"); !slices.Equal(got, []string{"a", "b", "A"}) {
		t.Errorf("behind long data: %q", got)
	}
	t.Run("does not pretend that types are known", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		st := c.prepare("SELECT ?, ?, server FROM t")
		c.execute(st, true, "a", "b") // on the replica
		c.longData(st.id, 0, "long")  // on the primary
		if got := c.execute(st, false, null, "c"); !slices.Equal(got, []string{"long", "c", "P"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("is dropped by a reset", func(t *testing.T) {
		c.longData(st.id, 0, "long")
		c.ok(wire.ComStmtReset, idBytes(st.id))
		if got := c.execute(st, true, "a", "b"); !slices.Equal(got, []string{"a", "b", "A"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("does not hold the connection when its statement is closed", func(t *testing.T) {
		c.longData(st.id, 0, "long")
		c.closeStmt(st.id)
		if got := c.value(who); got != "A" {
			t.Errorf("read went to %s", got)
		}
	})
	t.Run("that cannot be sent fails the execution, once", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		st := c.prepare("SELECT ?, server FROM t")
		r.setHealth(r.primary, backend.Down, backend.CauseRefused, "gone")
		c.longData(st.id, 0, "one")
		c.longData(st.id, 0, "two")
		c.ok(wire.ComPing, "") // nothing was answered
		_, err := c.tryExecute(st, true, null)
		wantErr(t, err, 1429)
		if got := c.execute(st, true, "again"); !slices.Equal(got, []string{"again", "A"}) {
			t.Errorf("%q", got)
		}
	})
	t.Run("lost with its connection ends the session", func(t *testing.T) {
		r := newRig(t)
		c := r.connect()
		st := c.prepare("INSERT INTO t VALUES (?)")
		c.longData(st.id, 0, "one")
		c.ok(wire.ComPing, "")
		r.primary.Kick()
		_, err := c.tryExecute(st, true, null)
		wantErr(t, err, 1158)
		c.closed()
	})
}

func TestCursors(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT server, conn FROM t")
	if status := c.openCursor(st); !status.Has(wire.CursorExists) {
		t.Fatalf("status %#x", status)
	}
	c.exec("UPDATE t SET a=1")
	if got := c.value(who); got != "A" {
		t.Errorf("other reads went to %s", got)
	}
	rows, status, err := c.fetch(st, 2)
	if err != nil || len(rows) != 2 || rows[0][0].Text != "P" || !status.Has(wire.CursorExists) {
		t.Fatalf("%v, status %#x, %v", rows, status, err)
	}
	rows, status, err = c.fetch(st, 2)
	if err != nil || len(rows) != 1 || !status.Has(wire.LastRowSent) {
		t.Fatalf("%v, status %#x, %v", rows, status, err)
	}
	_, _, err = c.fetch(st, 2)
	wantErr(t, err, codeNoOpenCursor)
	if ok := c.ok(wire.ComPing, ""); ok.Status != wire.Autocommit {
		t.Errorf("status %#x behind a cursor", ok.Status)
	}
	t.Run("end with a reset, an execution without, and a close", func(t *testing.T) {
		for name, end := range map[string]func(){
			"reset":     func() { c.ok(wire.ComStmtReset, idBytes(st.id)) },
			"execution": func() { c.execute(st, false) },
		} {
			c.openCursor(st)
			end()
			_, _, err := c.fetch(st, 1)
			wantErr(t, err, codeNoOpenCursor)
			if n := r.pools.Stats(); n[0].Open > 2 {
				t.Errorf("%s: %+v", name, n)
			}
		}
		c.openCursor(st)
		c.closeStmt(st.id)
		_, _, err := c.fetch(st, 1)
		wantErr(t, err, wire.CodeUnknownStmt)
	})
}

func TestClosingAStatementClosesItOnAllServers(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT server FROM t")
	c.execute(st, false)
	c.exec("BEGIN")
	c.execute(st, false)
	c.closeStmt(st.id)
	c.exec("COMMIT")
	_, err := c.tryExecute(st, false)
	wantAll(t, wantErr(t, err, wire.CodeUnknownStmt), "mysql_stmt_precheck")
	for _, f := range []*fake{r.primary, r.replicas[0]} {
		f := f
		eventually(t, "closed on "+f.name, func() bool { return f.commands(wire.ComStmtClose) == 1 })
	}
	c.closeStmt(4711) // unknown: ignored
	c.ok(wire.ComPing, "")
}

func TestAStatementIsPreparedAgainUnderWhatHeldWhenItWasPrepared(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.exec("USE d1")
	st := c.prepare("SELECT prepared_schema, schema_, var_sql_mode, server FROM t")
	c.exec("USE d2")
	c.exec("SET sql_mode='ANSI_QUOTES'")
	for _, want := range [][]string{{"d1", "d2", "ANSI_QUOTES", "A"}, {"d1", "d2", "ANSI_QUOTES", "P"}} {
		if want[3] == "P" {
			c.exec("BEGIN")
		}
		if got := c.execute(st, false); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestClientsDoNotShareStatements(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.MaxConnections, s.replica.MaxConnections = 1, 1 })
	a, b := r.connect(), r.connect()
	sa := a.prepare("SELECT 'of a' FROM t")
	sb := b.prepare("SELECT 'of b' FROM t")
	for range 5 {
		if got := a.execute(sa, false); got[0] != "of a" {
			t.Fatalf("a got %q", got)
		}
		if got := b.execute(sb, false); got[0] != "of b" {
			t.Fatalf("b got %q", got)
		}
	}
	for _, id := range []uint32{sa.id + 1, 0, 1 << 31, 1<<32 - 1} {
		_, err := a.tryExecute(stmt{id: id}, false)
		wantErr(t, err, wire.CodeUnknownStmt)
	}
}

func TestStatementsThatCannotBePrepared(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	_, err := c.tryPrepare("BAD")
	wantErr(t, err, wire.CodeParse)
	c.errs(wire.CodeUnknownStmt, wire.ComStmtReset, idBytes(1))
	st := c.prepare("SELECT ? FROM t")
	c.errs(wire.CodeMalformedPacket, wire.ComStmtExecute, idBytes(st.id)+"\x00\x01\x00\x00\x00")
	_, err = c.tryExecute(st, false, "x") // no types ever: the server's own error
	wantErr(t, err, 1210)
	if got := c.execute(st, true, "x"); got[0] != "x" {
		t.Errorf("%q", got)
	}
}

func TestAPreparedReadLostInFlightIsRepeatedAndAWriteIsNot(t *testing.T) {
	r := newRig(t, func(s *setup) { s.replicas = 2 })
	c := r.connect()
	read, write := c.prepare("SELECT server FROM t"), c.prepare("INSERT INTO t VALUES (?)")
	c.execute(read, false)
	c.execute(read, false)
	die := func(_ *fakeConn, cmd wire.Command, _ []byte) (bool, error) {
		if cmd == wire.ComStmtExecute {
			return true, errHangup
		}
		return false, nil
	}
	r.replicas[0].intercept(die)
	for range 4 {
		if got := c.execute(read, false); got[0] != "B" {
			t.Errorf("%q", got)
		}
	}
	r.primary.intercept(die)
	before := r.primary.commands(wire.ComStmtExecute)
	_, err := c.tryExecute(write, true, "x")
	wantErr(t, err, 1158)
	if n := r.primary.commands(wire.ComStmtExecute) - before; n != 1 {
		t.Errorf("sent %d times", n)
	}
	r.primary.intercept(nil)
	c.execute1(write, false, "x") // prepared again, with its types
}

func TestAStatementIsReadInTheServersOwnModeFromTheFirst(t *testing.T) {
	r := newRig(t)
	defaults := defaultVars["sql_mode"]
	r.primary.intercept(func(c *fakeConn, _ wire.Command, _ []byte) (bool, error) {
		if c.vars["sql_mode"] == defaults {
			c.vars["sql_mode"] = "ANSI_QUOTES"
		}
		return false, nil
	})
	// Under ANSI_QUOTES this is a function call by a quoted name, a string otherwise.
	const sql = `SELECT "f"('x') FROM t`
	c := r.connect()
	_, _ = c.tryPrepare(sql)
	if n := len(r.replicas[0].received(`"f"`)); n != 0 {
		t.Error("a call of an unknown function went to a replica")
	}
	if got := r.Counts().Routes[router.ReasonRead]; got != 0 {
		t.Errorf("%d plain reads", got)
	}
}
