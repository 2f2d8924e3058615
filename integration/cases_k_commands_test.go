//go:build integration

package integration

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

func TestCasesKCommands(t *testing.T) { runRaw(t, casesKIdentity, casesKCommands, casesKKill) }

// shapeOf drops from what f notes how many rows there were, and which.
func (c *rawClient) shapeOf(f func()) {
	from := len(c.said)
	f()
	kept := c.said[:from]
	for _, line := range c.said[from:] {
		if _, end, ok := strings.Cut(line, " OK or EOF "); ok {
			line = end // without its sequence id
		}
		if !strings.HasPrefix(line, "< first row") && !strings.Contains(line, " rows, ") {
			kept = append(kept, line)
		}
	}
	c.said = kept
}

// fields reads the reply to COM_FIELD_LIST: definitions without their number.
func (c *rawClient) fields() {
	for {
		b := c.payload()
		switch {
		case b == nil:
			return
		case wire.IsErr(b), b[0] == 0xfe:
			c.end(b)
			return
		}
		c.noteBytes("field", b)
	}
}

// askID reads the reply to a question for the connection id, sent as cmd, and
// notes whether it is the one of the greeting.
func (c *rawClient) askID(cmd wire.Command, arg string) {
	c.send(cmd, arg)
	b := c.payload()
	if b == nil || wire.IsErr(b) {
		c.end(b)
		return
	}
	c.noteBytes("columns", b)
	from := len(c.said)
	c.definitions(1)
	definition := strings.Join(c.said[from:], "")
	row := c.payload()
	var id uint64
	switch {
	case cmd == wire.ComQuery:
		fields, err := wire.ParseTextRow(nil, row, 1)
		if err != nil {
			c.t.Fatal(err)
		}
		id, _ = strconv.ParseUint(string(fields[0]), 10, 64)
	case len(row) == 6:
		id = uint64(binary.LittleEndian.Uint32(row[2:]))
	case len(row) == 10:
		id = binary.LittleEndian.Uint64(row[2:])
	default:
		c.t.Fatalf("row %q for %s", row, definition)
	}
	c.note("the id of the greeting: %v", id == uint64(c.id))
	c.end(c.payload())
}

var casesKIdentity = []rawCase{
	{id: "K07", title: "the connection id is that of the greeting", talk: func(c *rawClient) {
		for _, sql := range []string{
			"SELECT CONNECTION_ID()", "select connection_id( ) ;", "/* who */ SELECT/**/CONNECTION_ID() -- x",
			"SELECT CONNECTION_ID() AS id", "SELECT CONNECTION_ID() cid", "SELECT CONNECTION_ID() AS `my id`",
			"SELECT CONNECTION_ID() 'quoted'", "SELECT CONNECTION_ID() AS connection_id",
			"SELECT @@pseudo_thread_id", "select @@session.pseudo_thread_id as tid",
		} {
			c.askID(wire.ComQuery, sql)
			c.askID(wire.ComStmtExecute, executeArg(c.prepare(sql), nil))
		}
		for _, sql := range []string{"BEGIN", "SET autocommit = 0", "SET @x = 1"} {
			c.query(sql)
			c.askID(wire.ComQuery, "SELECT CONNECTION_ID()")
		}
	}},
	{id: "K07", title: "the id stays the same after a reset and another login", talk: func(c *rawClient) {
		c.send(wire.ComResetConnection, "")
		c.one()
		c.askID(wire.ComQuery, "SELECT CONNECTION_ID()")
	}},
	{id: "K07", title: "a question the server does not understand", talk: func(c *rawClient) {
		for _, sql := range []string{
			"SELECT CONNECTION_ID() AS select", "SELECT CONNECTION_ID(1)", "SELECT CONNECTION_ID() AS",
			"SELECT CONNECTION_ID() FROM no_such_table", "SELECT CONNECTION_ID(", "SELECT @@session.pseudo_thread_ids",
		} {
			c.query(sql)
		}
	}},
}

var casesKCommands = []rawCase{
	{id: "K15", title: "COM_STATISTICS is a bare string", talk: func(c *rawClient) {
		for _, arg := range []string{"", "junk"} {
			c.send(wire.ComStatistics, arg)
			c.bare()
		}
	}},
	{id: "K17", title: "COM_FIELD_LIST", talk: func(c *rawClient) {
		c.query("CREATE TEMPORARY TABLE of_mine (x INT DEFAULT 7, y VARCHAR(10) NOT NULL, z DATETIME DEFAULT CURRENT_TIMESTAMP)")
		for _, arg := range []string{"a\x00", "a\x00%", "a\x00v", "a\x00x%", "of_mine\x00", "no_such_table\x00", "no_such_table\x00%", "a", "no_such", ""} {
			c.send(wire.ComFieldList, arg)
			c.fields()
		}
	}},
	{id: "K18", title: "commands that no server has", talk: func(c *rawClient) {
		for _, cmd := range []wire.Command{wire.ComSleep, wire.ComConnect, wire.ComTime, wire.ComDelayedInsert, wire.ComTableDump,
			wire.ComConnectOut, wire.ComDaemon, 0x22, 0x50, 0x80, 0xf9, 0xfb, 0xfc, 0xfd, 0xfe, 0xff} {
			for _, arg := range []string{"", "argument"} {
				c.send(cmd, arg)
				c.one()
				c.query("SELECT 1")
			}
		}
	}},
	{id: "K18", title: "commands that are no more", talk: func(c *rawClient) {
		for _, cmd := range []wire.Command{wire.ComCreateDB, wire.ComDropDB} {
			c.send(cmd, "app_cases_com")
			c.one()
		}
		for _, arg := range []string{"", "\x00", "\x10"} {
			c.send(wire.ComShutdown, arg)
			c.one()
		}
		for _, arg := range []string{"", "\x01", "\x40"} {
			c.send(wire.ComRefresh, arg)
			c.one()
		}
		c.send(wire.ComDebug, "")
		c.one()
		c.shapeOf(func() {
			c.send(wire.ComProcessInfo, "")
			c.results()
		})
	}},
	{id: "K18", title: "no warnings before the first statement", talk: func(c *rawClient) {
		o := c.another()
		defer o.nc.Close()
		o.query("SHOW WARNINGS")
		c.query("SELECT @@warning_count, @@error_count")
		c.said = append(c.said, o.said...)
	}},
	{id: "K18", title: "commands of an account that may", talk: func(c *rawClient) {
		dba := dialRaw(c.t, c.nc.RemoteAddr().String(), localserver.DBAUser, c.caps, 0)
		defer dba.nc.Close()
		for _, cmd := range []wire.Command{wire.ComDebug, wire.ComRefresh, wire.ComCreateDB} {
			dba.query("DO 0")
			dba.send(cmd, "\x01")
			dba.one()
			dba.query("SELECT 1")
		}
		dba.shapeOf(func() {
			dba.send(wire.ComProcessInfo, "")
			dba.results()
		})
		c.said = append(c.said, dba.said...)
	}},
	{id: "K18", title: "commands with more or less than they need", talk: func(c *rawClient) {
		for _, cmd := range []wire.Command{wire.ComPing, wire.ComResetConnection} {
			c.send(cmd, "junk")
			c.one()
		}
		for _, arg := range []string{"", "\x00", "\x01", "\x00\x00", "\x01\x00", "\x00\x00\x00", "\x02\x00", "\x00\x01"} {
			c.query("DO 0") // MySQL counts errors of wrong commands in what follows
			c.send(wire.ComSetOption, arg)
			c.one()
		}
		for _, schema := range []string{"", "no_such_schema", caseSchema} {
			c.query("DO 0")
			c.send(wire.ComInitDB, schema)
			c.one()
		}
		for _, cmd := range []wire.Command{wire.ComStmtExecute, wire.ComStmtReset, wire.ComStmtFetch} {
			for _, arg := range []string{stmt(99), stmt(99, 0), stmt(99, 0, 0, 0), stmt(99, 0, 1, 0, 0, 0), stmt(1<<31, 0, 1, 0, 0, 0), stmt(1<<32-2, 0, 1, 0, 0, 0)} {
				c.send(cmd, arg)
				c.one()
			}
		}
	}},
	{id: "K18", title: "commands that are too short for a statement id", only: "MySQL", talk: func(c *rawClient) {
		// MariaDB reads what happens to lie behind them in its buffer.
		for _, cmd := range []wire.Command{wire.ComStmtClose, wire.ComStmtSendLongData, wire.ComStmtReset, wire.ComStmtFetch, wire.ComStmtExecute} {
			for _, arg := range []string{"", "\x01", "\x01\x00\x00"} {
				c.send(cmd, arg)
				c.one()
			}
		}
		c.send(wire.ComStmtSendLongData, stmt(99, 0))
		c.one()
	}},
	{id: "K18", title: "commands without an answer that are too short", only: "MariaDB", talk: func(c *rawClient) {
		for _, cmd := range []wire.Command{wire.ComStmtClose, wire.ComStmtSendLongData} {
			for _, arg := range []string{stmt(99), stmt(99, 0)} {
				c.send(cmd, arg)
				c.send(wire.ComPing, "")
				c.one()
			}
		}
	}},
	{id: "K18", title: "COM_PROCESS_KILL", only: "MariaDB", talk: func(c *rawClient) {
		for _, arg := range []string{stmt(0), stmt(1<<31 - 1), stmt(1<<31-1, 7)} {
			c.send(wire.ComProcessKill, arg)
			c.one()
		}
		c.send(wire.ComProcessKill, stmt(c.id))
		c.closes()
	}},
	{id: "K18", title: "a wrong command in the middle of a transaction", talk: func(c *rawClient) {
		c.query("BEGIN")
		c.query("INSERT INTO b VALUES (18)")
		c.send(wire.ComTime, "")
		c.one()
		c.send(wire.ComStmtReset, stmt(99))
		c.one()
		c.query("SELECT COUNT(*) FROM b")
		c.query("ROLLBACK")
		c.query("SELECT COUNT(*) FROM b FOR UPDATE")
	}},
}

var casesKKill = []rawCase{
	{id: "K04", title: "KILL QUERY of oneself", talk: func(c *rawClient) {
		c.query("BEGIN")
		c.query("INSERT INTO b VALUES (4)")
		c.query(fmt.Sprintf("KILL QUERY %d", c.id))
		c.query("KILL QUERY CONNECTION_ID()")
		c.execute(c.prepare(fmt.Sprintf("KILL QUERY %d", c.id)))
		c.query("SELECT COUNT(*) FROM b")
		c.query("COMMIT")
	}},
	{id: "K04", title: "KILL of oneself", talk: func(c *rawClient) {
		c.query(fmt.Sprintf("KILL %d", c.id))
		c.closes()
	}},
	{id: "K04", title: "KILL CONNECTION of oneself by function", talk: func(c *rawClient) {
		c.query("/* last */ kill connection CONNECTION_ID() -- x")
		c.closes()
	}},
	{id: "K04", title: "KILL of nobody", talk: func(c *rawClient) {
		for _, sql := range []string{"KILL 4294967290", "KILL QUERY 4294967290", "KILL CONNECTION 0"} {
			c.query(sql)
			c.execute(c.prepare(sql))
		}
	}},
}

func TestK19ReplicationCommandsAreRefusedInWords(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		for _, user := range []string{localserver.AppUser, localserver.DBAUser} {
			cl := dialRaw(t, rig.p.Addr(), user, rawCapabilities|wire.DeprecateEOF, 0)
			for _, cmd := range []wire.Command{wire.ComBinlogDump, wire.ComBinlogDumpGTID, wire.ComRegisterSlave} {
				for _, arg := range []string{"", "\x04\x00\x00\x00\x00\x00\x09\x00\x00\x00bin.000001"} {
					cl.send(cmd, arg)
					e, err := wire.ParseErr(cl.payload())
					if err != nil || e.Code != wire.CodeUnknownCommand || !strings.Contains(e.Message, "connect them to a server") {
						t.Errorf("command %#x of %s: %v, %v", cmd, user, e, err)
					}
					if got := ask(t, cl, "SELECT 'in step'"); got != "in step" {
						t.Errorf("after command %#x: %q", cmd, got)
					}
				}
			}
			cl.nc.Close()
		}
	})
}
