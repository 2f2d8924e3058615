package proxy

import (
	"bytes"
	"strings"
	"testing"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// request frames a command.
func request(cmd wire.Command, arg string) []byte {
	b, _ := wire.AppendPacket(nil, 0, append([]byte{byte(cmd)}, arg...))
	return b
}

// next reads the answer to a command that was sent with others.
func (c *client) next() ([]string, error) {
	c.Seq = 1
	b, err := c.packet()
	if err != nil || b[0] == 0 {
		return nil, err
	}
	columns := int(b[0])
	for range columns {
		if _, err := c.packet(); err != nil {
			return nil, err
		}
	}
	var row []string
	for {
		b, err := c.packet()
		if err != nil || b[0] == 0xfe {
			return row, err
		}
		fields, err := wire.ParseTextRow(nil, b, columns)
		if err != nil {
			return nil, err
		}
		for _, f := range fields {
			row = append(row, string(f))
		}
	}
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	var all []byte
	for _, sql := range []string{"SELECT 'one', server FROM t", "SELECT missing FROM t", "INSERT INTO t VALUES (1)", "SELECT 'two', server FROM t"} {
		all = append(all, request(wire.ComQuery, sql)...)
	}
	all = append(all, request(wire.ComPing, "")...)
	if _, err := c.Write(all); err != nil {
		t.Fatal(err)
	}
	if row, err := c.next(); err != nil || row[0] != "one" || row[1] != "A" {
		t.Errorf("first answer: %q, %v", row, err)
	}
	_, err := c.next()
	wantErr(t, err, wire.CodeBadField)
	if row, err := c.next(); err != nil || row != nil {
		t.Errorf("answer to INSERT: %q, %v", row, err)
	}
	if row, err := c.next(); err != nil || row[0] != "two" || row[1] != "A" {
		t.Errorf("last answer: %q, %v", row, err)
	}
	if row, err := c.next(); err != nil || row != nil {
		t.Errorf("answer to COM_PING: %q, %v", row, err)
	}
}

func TestAnInsertBeforeAPipelinedQuitIsExecuted(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	if _, err := c.Write(append(request(wire.ComQuery, "INSERT INTO t VALUES (1)"), request(wire.ComQuit, "")...)); err != nil {
		t.Fatal(err)
	}
	if row, err := c.next(); err != nil || row != nil {
		t.Errorf("answer: %q, %v", row, err)
	}
	c.closed()
	if n := len(r.primary.received("INSERT")); n != 1 {
		t.Errorf("%d INSERTs", n)
	}
	if n := r.primary.commands(wire.ComQuit); n != 0 {
		t.Errorf("the server was told QUIT %d times", n)
	}
}

func TestCommandsArrivingByteByByteAreUnderstood(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	for _, b := range request(wire.ComQuery, "SELECT 'slow', server FROM t") {
		if _, err := c.nc.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if row, err := c.next(); err != nil || row[0] != "slow" {
		t.Errorf("%q, %v", row, err)
	}
}

func TestOddPackets(t *testing.T) {
	r := newRig(t)
	t.Run("an empty packet is an unknown command", func(t *testing.T) {
		c := r.connect()
		c.Seq = 0
		if err := c.Send(nil); err != nil {
			t.Fatal(err)
		}
		_, err := c.packet()
		wantErr(t, err, wire.CodeUnknownCommand)
		c.ok(wire.ComPing, "")
	})
	t.Run("unknown commands leave the connection usable", func(t *testing.T) {
		c := r.connect()
		for _, cmd := range []wire.Command{wire.ComSleep, wire.ComCreateDB, wire.ComDropDB, wire.ComShutdown,
			wire.ComConnect, wire.ComTime, wire.ComDelayedInsert, wire.ComBinlogDump, wire.ComTableDump,
			wire.ComConnectOut, wire.ComRegisterSlave, wire.ComDaemon, wire.ComBinlogDumpGTID, 0x20, 0x80, wire.ComStmtBulkExecute, 0xff} {
			c.errs(wire.CodeUnknownCommand, cmd, "argument")
		}
		c.ok(wire.ComPing, "")
	})
	t.Run("a wrong sequence id ends the session with an error that begins anew", func(t *testing.T) {
		c := r.connect()
		c.Seq = 5
		if err := c.Send(append([]byte{byte(wire.ComQuery)}, "SELECT 1"...)); err != nil {
			t.Fatal(err)
		}
		c.Seq = 0
		_, err := c.packet()
		wantErr(t, err, wire.CodeNetPacketsOutOfOrder)
		c.closed()
	})
	t.Run("COM_STATISTICS is a bare string", func(t *testing.T) {
		c := r.connect()
		if b := c.simple(wire.ComStatistics, ""); string(b) != "Uptime: 1" {
			t.Errorf("%q", b)
		}
		c.ok(wire.ComPing, "")
	})
	t.Run("ids too short or of unknown length", func(t *testing.T) {
		c := r.connect()
		for _, cmd := range []wire.Command{wire.ComStmtExecute, wire.ComStmtReset, wire.ComStmtFetch,
			wire.ComStmtClose, wire.ComStmtSendLongData, wire.ComSetOption} {
			c.errs(wire.CodeMalformedPacket, cmd, "")
			c.errs(wire.CodeMalformedPacket, cmd, "a")
		}
		c.errs(wire.CodeNoSuchThread, wire.ComProcessKill, "")
		c.errs(wire.CodeUnknownCommand, wire.ComSetOption, "\x05\x00")
		c.ok(wire.ComPing, "")
	})
	t.Run("long ones are read to their end", func(t *testing.T) {
		c := r.connect()
		argument := strings.Repeat("\x00", 300<<10)
		c.ok(wire.ComPing, argument)
		c.errs(wire.CodeUnknownCommand, wire.ComSleep, argument)
		c.errs(wire.CodeUnknownStmt, wire.ComStmtReset, argument)
		for _, cmd := range []wire.Command{wire.ComStmtClose, wire.ComStmtSendLongData} { // no answer
			if err := c.Command(cmd, argument); err != nil {
				t.Fatal(err)
			}
		}
		c.ok(wire.ComPing, argument)
	})
}

func TestPingNeedsNoServer(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.ok(wire.ComPing, "")
	if r.primary.Logins()+r.replicas[0].Logins() != 0 {
		t.Error("a server was asked")
	}
}

func TestFlagsOfOneAnswerDoNotAppearInTheNext(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	if _, err := c.Query("SELECT 1 FROM t; SELECT missing FROM t"); err == nil {
		t.Fatal("no error")
	}
	if ok := c.ok(wire.ComPing, ""); ok.Status != wire.Autocommit {
		t.Errorf("status of PING is %#x: a client would wait for more results", ok.Status)
	}
	c.exec("BEGIN")
	if ok := c.ok(wire.ComPing, ""); ok.Status != wire.Autocommit|wire.InTrans {
		t.Errorf("status of PING in a transaction is %#x", ok.Status)
	}
}

func TestClientsWithAndWithoutDeprecateEOF(t *testing.T) {
	r := newRig(t)
	for name, caps := range map[string]wire.Capability{
		"with":    wiretest.Capabilities &^ (wire.FoundRows | wire.NoSchema | wire.IgnoreSpace | wire.Interactive | wire.ConnectWithDB),
		"without": wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.MultiStatements | wire.MultiResults | wire.PSMultiResults,
	} {
		t.Run(name, func(t *testing.T) {
			c := r.login(wiretest.Credentials{Capabilities: caps})
			if got := c.Capabilities.Has(wire.DeprecateEOF); got != (name == "with") {
				t.Fatalf("DeprecateEOF %v", got)
			}
			if got := c.row("SELECT 'a', server FROM t"); got[0] != "a" || got[1] != "A" {
				t.Errorf("%q", got)
			}
			results, err := c.Query("SELECT 'x' FROM t; UPDATE t SET a=1; SELECT 'y', 'z' FROM t")
			if err != nil || len(results) != 3 || results[2].Rows[0][1].Text != "z" {
				t.Errorf("several statements: %+v, %v", results, err)
			}
			st := c.prepare("SELECT ?, server FROM t")
			if got := c.execute(st, true, "p"); got[0] != "p" || got[1] != "A" {
				t.Errorf("prepared: %q", got)
			}
			rows, status := c.cursor(c.prepare("SELECT 'row' FROM t"), 2)
			if len(rows) != 2 || !status.Has(wire.CursorExists) {
				t.Errorf("cursor: %v, status %#x", rows, status)
			}
			b := c.simple(wire.ComSetOption, "\x01\x00")
			if b[0] != 0xfe || len(b) < 5 {
				t.Errorf("COM_SET_OPTION: %q", b)
			}
			c.fails(wire.CodeParse, "SELECT 1 FROM t; SELECT 2 FROM t")
			c.ok(wire.ComPing, "")
		})
	}
}

func TestSetOptionReachesPinnedAndOtherConnections(t *testing.T) {
	const two = "SELECT 1 FROM t; SELECT 2 FROM t"
	for name, pin := range map[string]string{"pinned": "SET @a='1'", "not pinned": "SELECT 1 FROM t"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			c := r.login(wiretest.Credentials{Capabilities: wiretest.Capabilities &^ (wire.MultiStatements | wire.ConnectWithDB)})
			c.exec(pin)
			c.value(who)
			c.fails(wire.CodeParse, two)
			c.simple(wire.ComSetOption, "\x00\x00")
			c.exec(two)
			c.simple(wire.ComSetOption, "\x01\x00")
			c.fails(wire.CodeParse, two)
			_ = c.nc.Close()
			other := r.login(wiretest.Credentials{Capabilities: wiretest.Capabilities &^ (wire.MultiStatements | wire.ConnectWithDB)})
			other.fails(wire.CodeParse, two)
		})
	}
}

func TestInitDB(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	if got := c.value("SELECT schema_ FROM t"); got != "NULL" {
		t.Errorf("schema at first %q", got)
	}
	c.ok(wire.ComInitDB, "d1")
	c.errs(wire.CodeBadDB, wire.ComInitDB, "missing")
	for _, sql := range []string{"SELECT schema_ FROM t", "SELECT @@sql_mode, schema_"} {
		row := c.row(sql)
		if got := row[len(row)-1]; got != "d1" {
			t.Errorf("%s: schema %q after a change that failed, want d1", sql, got)
		}
	}
	c.exec("USE d2")
	c.fails(wire.CodeBadDB, "USE missing")
	if got := c.value("SELECT schema_ FROM t"); got != "d2" {
		t.Errorf("schema %q on the replica", got)
	}
	if got := r.Sessions()[0].Schema; got != "d2" {
		t.Errorf("listed schema %q", got)
	}
}

func TestCommandsOfAReadOnlyTransactionStayOnItsReplica(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	st := c.prepare("SELECT server, conn FROM t")
	c.exec("START TRANSACTION READ ONLY")
	first := c.row("SELECT server, conn FROM t")
	c.ok(wire.ComInitDB, "d1")
	if got := c.execute(st, false); got[0] != "A" || got[1] != first[1] {
		t.Errorf("%q, want %q", got, first)
	}
	if b := c.simple(wire.ComStatistics, ""); !bytes.HasPrefix(b, []byte("Uptime")) {
		t.Errorf("%q", b)
	}
	if rows, _ := c.cursor(st, 5); len(rows) != 3 || rows[0][1].Text != first[1] {
		t.Errorf("cursor: %v", rows)
	}
	c.exec("COMMIT")
	c.exec("INSERT INTO t VALUES (1)")
	if len(r.primary.received("INSERT")) != 1 {
		t.Error("the write behind it did not reach the primary")
	}
	if got := c.row("SELECT server, schema_ FROM t"); got[0] != "A" || got[1] != "d1" {
		t.Errorf("behind it %q", got)
	}
}

func TestResetConnectionForgetsAllButTheSchema(t *testing.T) {
	r := newRig(t)
	c := r.login(wiretest.Credentials{Database: "d1"})
	c.exec("USE d2")
	c.exec("SET time_zone='+02:00', @a='1'")
	c.exec("BEGIN")
	st := c.prepare("SELECT 1 FROM t")
	c.ok(wire.ComResetConnection, "")
	if got := c.row("SELECT @a, @@time_zone, schema_"); got[0] != "NULL" || got[1] != "SYSTEM" || got[2] != "d2" {
		t.Errorf("%q", got)
	}
	_, err := c.tryExecute(st, false)
	wantErr(t, err, wire.CodeUnknownStmt)
	if got := c.value(who); got != "A" {
		t.Errorf("read went to %s", got)
	}
	next := c.prepare("SELECT 1 FROM t")
	if next.id == st.id {
		t.Error("the statement number was used again")
	}
}

func TestSessionTrackingThatAClientChangesIsRestored(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.exec("SET session_track_system_variables='autocommit'")
	c.exec("SET time_zone='+02:00'")
	if got := c.value("SELECT @@time_zone"); got != "+02:00" {
		t.Errorf("time_zone %q", got)
	}
	_ = c.nc.Close()
	other := r.connect()
	for range 4 {
		if got := other.value("SELECT @@time_zone"); got != "SYSTEM" {
			t.Errorf("another client sees %q", got)
		}
	}
}

func TestASettingThatIsNotReportedDoesNotLeak(t *testing.T) {
	r := newRig(t, func(s *setup) { s.primary.MaxConnections = 1 })
	c := r.connect()
	c.exec("SET unreported=1")
	if got := c.value("SELECT @@unreported"); got != "1" {
		t.Errorf("own value %q", got)
	}
	_ = c.nc.Close()
	if got := r.connect().value("SELECT @@unreported"); got != "0" {
		t.Errorf("another client sees %q", got)
	}
}
