//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

func TestCasesPS(t *testing.T) {
	runRaw(t, casesPSState, casesPSParameters, casesPSValues, casesPSCursors, casesPSStatements)
}

// TestCasesPSOnOneConnection tells the cases once more with one connection per
// server and two statements on it, so that a client that comes in between takes
// the connection away and statements have to be prepared anew.
func TestCasesPSOnOneConnection(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		cfg := harness.ProxyConfig(c)
		cfg.Consistency = "global"
		for i := range cfg.Backends {
			cfg.Backends[i].MaxConnections = 1
		}
		cfg.Settings["guard"] = "dml_without_where = \"allow\"\ndenied_functions = []"
		cfg.Settings["pool"] = "wait_timeout = \"20s\"\nmax_prepared_statements = 2"
		rig := &rawRig{c: c, p: suite.StartProxy(t, cfg)}
		for _, cases := range [][]rawCase{casesPSState, casesPSParameters, casesPSValues, casesPSCursors, casesPSStatements} {
			for _, rc := range cases {
				if rc.only == "" || rc.only == c.Primary.Flavour().String() {
					t.Run(rc.id+" "+rc.title, func(t *testing.T) { rig.tell(t, rc) })
				}
			}
		}
	})
}

// disturb lets another client use the connections, with settings of its own.
func (c *rawClient) disturb() {
	o := c.another()
	defer o.nc.Close()
	for _, sql := range []string{"USE information_schema", "SET NAMES latin1, sql_mode = 'ANSI'", "SELECT \"x\"", "/*master*/ SELECT 2"} {
		o.query(sql)
	}
	o.execute(o.prepare("SELECT 'of another', ?"), 1)
	o.execute(o.prepare("/*master*/ SELECT 'of another', ?"), 1)
	o.send(wire.ComQuit, "")
	if o.over {
		c.t.Fatalf("the other client was not served: %q", o.said)
	}
}

// param is a value of a COM_STMT_EXECUTE.
type param struct {
	kind     byte // MYSQL_TYPE_*
	unsigned bool
	value    string // as it is encoded
	null     bool
	ahead    bool // sent as long data
}

// str is a parameter of a string type.
func str(v string) param { return param{kind: 0xfd, value: string(wire.AppendLenencString(nil, v))} }

var nullParam = param{kind: 6, null: true}

// run executes a statement; types says that they are sent along.
func (c *rawClient) run(id uint32, flags byte, types bool, params ...param) wire.Status {
	arg := []byte(stmt(id, flags, 1, 0, 0, 0))
	bitmap := make([]byte, (len(params)+7)/8)
	var kinds, values []byte // there may be 65535
	for i, p := range params {
		sign := byte(0)
		if p.unsigned {
			sign = 0x80
		}
		kinds = append(kinds, p.kind, sign)
		switch {
		case p.null:
			bitmap[i/8] |= 1 << (i % 8)
		case !p.ahead:
			values = append(values, p.value...)
		}
	}
	if arg = append(arg, bitmap...); len(params) > 0 && types {
		arg = append(append(arg, 1), kinds...)
	} else if len(params) > 0 {
		arg = append(arg, 0)
	}
	c.send(wire.ComStmtExecute, string(append(arg, values...)))
	return c.results()
}

// ahead sends long data.
func (c *rawClient) ahead(id uint32, param byte, data string) {
	c.send(wire.ComStmtSendLongData, stmt(id, param, 0)+data)
}

func (c *rawClient) close(id uint32) { c.send(wire.ComStmtClose, stmt(id)) }

func (c *rawClient) reset(id uint32) {
	c.send(wire.ComStmtReset, stmt(id))
	c.one()
}

const secondSchema = caseSchema + "_two"

// twoSchemas makes the table pp in two schemas, with different rows.
func (c *rawClient) twoSchemas() {
	from := len(c.said)
	for _, sql := range []string{
		"CREATE DATABASE IF NOT EXISTS " + secondSchema,
		"CREATE TABLE IF NOT EXISTS " + caseSchema + ".pp (v CHAR(1))", "CREATE TABLE IF NOT EXISTS " + secondSchema + ".pp (v CHAR(1))",
		"DELETE FROM " + caseSchema + ".pp", "DELETE FROM " + secondSchema + ".pp",
		"INSERT INTO " + caseSchema + ".pp VALUES ('T')", "INSERT INTO " + secondSchema + ".pp VALUES ('2')",
	} {
		c.query(sql)
	}
	c.said = c.said[:from] // there may be warnings that they exist
}

var casesPSState = []rawCase{
	{id: "PS02", title: "the schema is that of the preparation", talk: func(c *rawClient) {
		c.twoSchemas()
		id := c.prepare("SELECT v FROM pp")
		c.query("USE " + secondSchema)
		c.disturb()
		c.execute(id)
		other := c.prepare("SELECT v FROM pp")
		c.execute(other)
		c.query("BEGIN")
		c.execute(id)
		c.execute(other)
		c.query("COMMIT")
		c.query("SELECT v, DATABASE() FROM pp")
		c.query("USE " + caseSchema)
	}},
	{id: "PS02", title: "the sql_mode is that of the preparation", talk: func(c *rawClient) {
		c.twoSchemas()
		c.query("SET sql_mode = 'ANSI_QUOTES'")
		column := c.prepare(`SELECT "v" FROM pp`)
		c.query("SET sql_mode = ''")
		text := c.prepare(`SELECT "v" FROM pp`)
		c.query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")
		three := c.prepare(`SELECT LENGTH('a\n'), @@sql_mode`)
		c.query("SET sql_mode = 'STRICT_ALL_TABLES'")
		for range 2 {
			c.disturb()
			c.execute(column)
			c.execute(text)
			c.execute(three)
			c.query("BEGIN")
			c.execute(column)
			c.execute(text)
			c.query("COMMIT")
		}
		c.query("SELECT @@sql_mode, \"v\"")
	}},
	{id: "PS02", title: "the character set is that of the preparation", talk: func(c *rawClient) {
		c.query("SET NAMES latin1")
		id := c.prepare("SELECT HEX('\xe4'), CHARSET('\xe4'), COLLATION('x'), LENGTH('\xe4')")
		c.query("SET NAMES utf8mb4 COLLATE utf8mb4_bin")
		other := c.prepare("SELECT HEX('\xc3\xa4'), CHARSET('\xc3\xa4'), COLLATION('x'), LENGTH('\xc3\xa4')")
		c.disturb()
		c.execute(id)
		c.execute(other)
		c.query("BEGIN")
		c.execute(id)
		c.execute(other)
		c.query("COMMIT")
	}},
	{id: "PS15", title: "a table that changes between preparation and execution", talk: func(c *rawClient) {
		c.query("DROP TABLE IF EXISTS changing")
		c.query("CREATE TABLE changing (a INT)")
		c.query("INSERT INTO changing VALUES (1)")
		// On the primary, so that it is one connection that sees the change: it
		// sets SERVER_STATUS_METADATA_CHANGED.
		id := c.prepare("/*master*/ SELECT * FROM changing")
		c.execute(id)
		c.query("ALTER TABLE changing ADD COLUMN b VARCHAR(5) DEFAULT 'x'")
		c.execute(id)
		c.execute(id)
		c.query("ALTER TABLE changing MODIFY a VARCHAR(20)")
		c.execute(id)
		c.query("DROP TABLE changing")
		c.execute(id)
		c.query("CREATE TABLE changing (z DATE)")
		c.execute(id)
		c.query("DROP TABLE changing")
	}},
	{id: "PS25", title: "statements that change the session are noticed when they are prepared", talk: func(c *rawClient) {
		for _, sql := range []string{"SET NAMES latin1", "SET sql_mode = 'ANSI_QUOTES'", "SET SESSION group_concat_max_len = 77", "SET time_zone = '+05:00'", "SET @x = 5"} {
			c.execute(c.prepare(sql))
		}
		const settings = "SELECT @@character_set_client, @@sql_mode, @@group_concat_max_len, @@time_zone, @x"
		c.query(settings)
		c.execute(c.prepare(settings))
		c.query("SELECT COUNT(*) FROM a")
		c.query(`SELECT "id" FROM a ORDER BY 1`)
	}},
	{id: "PS25", title: "transactions, locks and temporary tables too", once: true, talk: func(c *rawClient) {
		c.query("SET autocommit = 0")
		insert := c.prepare("INSERT INTO b VALUES (?)")
		c.execute(insert, 1)
		count := c.prepare("SELECT COUNT(*) FROM b")
		c.execute(count)
		commit, rollback := c.prepare("COMMIT"), c.prepare("ROLLBACK")
		c.execute(rollback)
		c.execute(count)
		c.execute(insert, 2)
		c.execute(commit)
		c.query("SET autocommit = 1")
		c.execute(count)
		c.execute(c.prepare("SELECT GET_LOCK('ps25', 0)"))
		c.query("SELECT IS_USED_LOCK('ps25') IS NOT NULL, RELEASE_LOCK('ps25')")
		c.execute(c.prepare("CREATE TEMPORARY TABLE of_mine (x INT)"))
		c.execute(c.prepare("INSERT INTO of_mine VALUES (25)"))
		c.query("SELECT x FROM of_mine")
		c.execute(c.prepare("SELECT x FROM of_mine"))
		c.execute(c.prepare("DROP TEMPORARY TABLE of_mine"))
	}},
	{id: "PS28", title: "to prepare opens no transaction and keeps no connection", talk: func(c *rawClient) {
		id := c.prepare("INSERT INTO b VALUES (?)")
		c.prepare("SELECT * FROM a FOR UPDATE")
		c.prepare("SET @x = 1")
		c.prepare("COMMIT")
		c.disturb()
		c.send(wire.ComPing, "")
		c.one()
		c.query("SET autocommit = 0")
		c.execute(id, 1)
		c.query("ROLLBACK")
	}},
}

var casesPSParameters = []rawCase{
	{id: "PS03", title: "types sent once are known on every connection", talk: func(c *rawClient) {
		id := c.prepare("SELECT CONCAT(?), CONCAT(?), ?")
		c.run(id, 0, true, str("a"), param{kind: 8, value: "\x07\x00\x00\x00\x00\x00\x00\x00"}, nullParam)
		for range 2 {
			c.disturb()
			c.run(id, 0, false, str("b"), param{kind: 8, value: "\x08\x00\x00\x00\x00\x00\x00\x00"}, nullParam)
			c.query("BEGIN")
			c.run(id, 0, false, nullParam, param{kind: 8, value: "\xff\xff\xff\xff\xff\xff\xff\xff"}, nullParam)
			c.query("COMMIT")
		}
	}},
	{id: "PS03", title: "types that change", talk: func(c *rawClient) {
		id := c.prepare("SELECT CAST(? AS CHAR(30))")
		c.run(id, 0, true, param{kind: 8, unsigned: true, value: "\xff\xff\xff\xff\xff\xff\xff\xff"})
		c.run(id, 0, false, param{value: "\xff\xff\xff\xff\xff\xff\xff\xff"})
		c.run(id, 0, true, param{kind: 8, value: "\xff\xff\xff\xff\xff\xff\xff\xff"})
		c.disturb()
		c.run(id, 0, false, param{value: "\xfe\xff\xff\xff\xff\xff\xff\xff"})
		c.run(id, 0, true, param{kind: 1, value: "\x80"})
		c.query("BEGIN")
		c.run(id, 0, false, param{value: "\x7f"})
		c.query("COMMIT")
		c.run(id, 0, false, param{value: "\x01"})
		c.run(id, 0, true, str("text now"))
		c.disturb()
		c.run(id, 0, false, str("and later"))
	}},
	{id: "PS03", title: "types that were never sent", talk: func(c *rawClient) {
		id := c.prepare("SELECT CONCAT(?), CONCAT(?)")
		c.run(id, 0, false, str("a"), str("b"))
		c.run(id, 0, false, nullParam, nullParam)
		c.run(id, 0, true, str("a"), str("b"))
	}},
	{id: "PS03", title: "types of an execution that fails", talk: func(c *rawClient) {
		id := c.prepare("INSERT INTO a (id, v) VALUES (?, ?)")
		c.run(id, 0, true, str("1"), str("2")) // a duplicate key
		c.disturb()
		c.run(id, 0, false, str("900"), str("2"))
		c.query("SELECT v FROM a WHERE id = 900 FOR UPDATE")
	}},
	{id: "PS04", title: "NULL is what each packet says", talk: func(c *rawClient) {
		id := c.prepare("SELECT CAST(? AS CHAR(30)), CAST(? AS CHAR(30))")
		c.run(id, 0, true, nullParam, nullParam)
		c.run(id, 0, true, param{kind: 1, value: "\x01"}, str("x"))
		c.run(id, 0, false, nullParam, str("y"))
		c.run(id, 0, false, param{value: "\x02"}, nullParam)
		c.disturb()
		c.run(id, 0, false, param{value: "\x03"}, str("z"))
		c.run(id, 0, true, nullParam, str("y"))
		c.run(id, 0, false, nullParam, nullParam)
	}},
	{id: "PS05", title: "long data", talk: func(c *rawClient) {
		id := c.prepare("SELECT CONCAT(?), CONCAT(?), CONCAT(?)")
		blob := param{kind: 0xfc, ahead: true}
		for range 2 {
			c.ahead(id, 0, "one, ")
			c.ahead(id, 0, "two, ")
			c.ahead(id, 0, "three")
			c.run(id, 0, true, blob, str("after it"), str("and after that"))
		}
		c.run(id, 0, true, str("no long data"), str("any more"), str("of that"))
		c.ahead(id, 2, "")
		c.run(id, 0, true, str("a"), str("b"), blob)
		c.ahead(id, 1, "dropped")
		c.reset(id)
		c.run(id, 0, true, str("a"), str("b"), str("c"))
		c.disturb()
	}},
	{id: "PS05", title: "long data of two statements in turn", talk: func(c *rawClient) {
		a, b := c.prepare("SELECT 'a', CONCAT(?), CONCAT(?)"), c.prepare("SELECT 'b', CONCAT(?), CONCAT(?)")
		blob := param{kind: 0xfb, ahead: true}
		for range 2 {
			for _, piece := range []string{"1", "2", "3"} {
				c.ahead(a, 0, "a"+piece)
				c.ahead(b, 1, "b"+piece)
			}
			c.run(b, 0, true, str("b"), blob)
			c.run(a, 0, true, blob, str("a"))
		}
		c.disturb()
	}},
	{id: "PS05", title: "long data with types sent earlier", talk: func(c *rawClient) {
		id := c.prepare("SELECT CONCAT(?), CONCAT(?)")
		c.run(id, 0, true, param{kind: 0xfc, value: "\x01x"}, str("b"))
		c.disturb()
		c.ahead(id, 0, "ahead")
		c.run(id, 0, false, param{kind: 0xfc, ahead: true}, str("c"))
		c.run(id, 0, false, param{kind: 0xfc, value: "\x01y"}, str("d"))
	}},
	{id: "PS05", title: "long data for what does not exist", talk: func(c *rawClient) {
		id := c.prepare("SELECT ?")
		c.ahead(id, 7, "a parameter too far")
		c.run(id, 0, true, str("x"))
		c.reset(id)
		c.run(id, 0, true, str("y"))
		c.ahead(99, 0, "no statement")
		c.run(id, 0, true, str("z"))
	}},
	{id: "PS07", title: "ten thousand pieces", once: true, talk: func(c *rawClient) {
		id := c.prepare("SELECT LENGTH(?), SHA2(?, 256)")
		piece := strings.Repeat("0123456789abcdef", 64)
		for range 10_000 {
			c.ahead(id, 0, piece)
		}
		c.run(id, 0, true, param{kind: 0xfc, ahead: true}, str("x"))
		for range 1000 {
			c.ahead(id, 0, piece)
		}
		c.close(id)
		c.disturb() // the connection is free again
		maskStatement(c, func() { c.run(id, 0, true, str("gone"), str("gone")) })
	}},
	{id: "PS07", title: "long data above max_allowed_packet", once: true, talk: func(c *rawClient) {
		id := c.prepare("SELECT LENGTH(?)")
		piece := strings.Repeat("x", 10*MiB)
		for range 7 {
			c.ahead(id, 0, piece)
		}
		c.run(id, 0, true, param{kind: 0xfc, ahead: true})
		c.reset(id)
		c.run(id, 0, true, str("short"))
		c.run(id, 0, true, str("again"))
		c.close(id)
		c.disturb()
	}},
	{id: "PS08", title: "nothing is taken for text", talk: func(c *rawClient) {
		evil := `\'; DELETE FROM a; -- `
		for _, mode := range []string{"", "NO_BACKSLASH_ESCAPES", "ANSI_QUOTES"} {
			c.query("SET sql_mode = '" + mode + "'")
			id := c.prepare("SELECT ?, ? /* ? */, `v` -- ? \n, 'it''s ?', '\\'' FROM a # ?\n WHERE id = ?")
			c.run(id, 0, true, str(evil), str("'"), str("1"))
			c.prepare("SELECT ? AS `q?`, '?' , \"?\"")
			c.prepare(`SELECT 'it\'s ?', ?`)
		}
		c.query("SELECT COUNT(*) FROM a")
	}},
	{id: "PS08", title: "a byte that is half a character", talk: func(c *rawClient) {
		c.query("SET NAMES gbk")
		id := c.prepare("SELECT HEX(?), HEX('\xbf\x5c'), ?")
		c.run(id, 0, true, str("\xbf'"), str("\x95\x27 OR 1=1"))
		c.disturb()
		c.run(id, 0, false, str("\xbf\\"), str("\x95\x5c"))
	}},
	{id: "PS09", title: "bytes stay what they are", talk: func(c *rawClient) {
		var all strings.Builder
		for i := range 256 {
			all.WriteByte(byte(i))
		}
		id := c.prepare("SELECT HEX(CAST(? AS BINARY)), LENGTH(?)")
		for _, kind := range []byte{0x0f, 0xfd, 0xfe, 0xfc, 0xfb, 0xfa, 0xf9} {
			p := str("\xac\xed\x00\x05" + all.String())
			p.kind = kind
			c.run(id, 0, true, p, p)
		}
	}},
}

var casesPSStatements = []rawCase{
	{id: "PS11", title: "COM_STMT_CLOSE has no answer", talk: func(c *rawClient) {
		id, other := c.prepare("SELECT 1"), c.prepare("SELECT 2")
		var b []byte
		for range 3 {
			b = append(b, framed(wire.ComStmtClose, stmt(id))...)
			b = append(b, framed(wire.ComStmtExecute, executeArg(other, nil))...)
			b = append(b, framed(wire.ComStmtClose, stmt(99999))...)
		}
		c.write(b)
		for range 3 {
			c.seq = 1
			c.results()
		}
		c.silent(100 * time.Millisecond)
	}},
	{id: "PS13", title: "ids of others, of nobody, and of what is closed", talk: func(c *rawClient) {
		o := c.another()
		defer o.nc.Close()
		var ids []uint32
		for range 20 {
			ids = append(ids, o.prepare("SELECT 'secret of another'"))
		}
		closed := c.prepare("SELECT 'closed'")
		c.execute(closed)
		c.close(closed)
		for _, id := range append(ids[15:], closed, 0, 1<<31, 1<<32-2) {
			maskStatement(c, func() { c.execute(id) })
			maskStatement(c, func() { c.reset(id) })
			maskStatement(c, func() {
				c.send(wire.ComStmtFetch, stmt(id, 1, 0, 0, 0))
				c.one()
			})
			c.close(id)
			c.ahead(id, 0, "x")
		}
		o.said = nil
		o.execute(ids[19])
		c.said = append(c.said, o.said...)
	}},
	{id: "PS14", title: "the server's limit", once: true, talk: func(c *rawClient) {
		for _, s := range c.rig.c.Servers() {
			old, err := s.Value(c.t.Context(), "SELECT @@GLOBAL.max_prepared_stmt_count")
			if err != nil {
				c.t.Fatal(err)
			}
			defer func() { _ = s.Exec(c.t.Context(), "SET GLOBAL max_prepared_stmt_count = "+old) }()
			if err := s.Exec(c.t.Context(), "SET GLOBAL max_prepared_stmt_count = 0"); err != nil {
				c.t.Fatal(err)
			}
		}
		c.prepare("SELECT 1")
		c.prepare("SELECT ? FROM a")
		c.query("SELECT 1")
	}},
	{id: "PS24", title: "statements that cannot be prepared", talk: func(c *rawClient) {
		for _, sql := range []string{
			"BEGIN", "START TRANSACTION", "USE " + caseSchema, "LOCK TABLES a READ", "UNLOCK TABLES", "SHOW WARNINGS", "SHOW ERRORS",
			"XA START 'x'", "XA END 'x'", "XA RECOVER", "SAVEPOINT s", "ROLLBACK TO s", "HANDLER a OPEN", "HANDLER a CLOSE",
			"PREPARE p FROM 'SELECT 1'", "EXECUTE p", "DEALLOCATE PREPARE p", "CREATE PROCEDURE never() SELECT 1", "DROP PROCEDURE no_such",
			"LOAD DATA INFILE 'x' INTO TABLE a", "GET DIAGNOSTICS @n = NUMBER", "SIGNAL SQLSTATE '45000'", "CHECKSUM TABLE a", "ANALYZE TABLE a",
			"FLUSH TABLES", "KILL 1", "SELECT 1; SELECT 2", "SELECT 1;", "", ";", "/* nothing */", "SELECT ?, ? FROM", "no statement",
			"SELECT * FROM no_such_table", "SELECT no_such_column FROM a", "DO 1", "SET @x = ?", "CALL p1(?)", "EXPLAIN SELECT ?", "SHOW TABLES LIKE 'a'",
			"SELECT * FROM a LIMIT ?", "SELECT * FROM a WHERE id IN (?, ?)", "INSERT INTO a (v) VALUES (?), (?)",
		} {
			if id := c.prepare(sql); id != 0 {
				c.close(id)
			}
		}
	}},
	{id: "PS29", title: "more parameters and columns than can be counted", once: true, talk: func(c *rawClient) {
		c.prepare("SELECT ?" + strings.Repeat(",?", 65535))
		c.prepare("SELECT 1" + strings.Repeat(",1", 4096))
		id := c.prepare("SELECT * FROM a WHERE id IN (?" + strings.Repeat(",?", 65534) + ")")
		params := make([]param, 65535)
		for i := range params {
			params[i] = param{kind: 2, value: string([]byte{byte(i), byte(i >> 8)})}
		}
		c.run(id, 0, true, params...)
		c.disturb()
		c.run(id, 0, false, params...)
		wide := c.prepare("SELECT 1" + strings.Repeat(",?", 4095))
		c.run(wide, 0, true, params[:4095]...)
	}},
	{id: "PS29", title: "executions that break off", talk: func(c *rawClient) {
		id := c.prepare("SELECT ?, ?")
		whole := stmt(id, 0, 1, 0, 0, 0, 0, 1, 8, 0, 0xfd, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 'a', 'b')
		for n := 9; n < len(whole); n++ {
			c.send(wire.ComStmtExecute, whole[:n])
			c.note("a packet of %d bytes", n)
			c.results()
		}
		c.send(wire.ComStmtExecute, whole)
		c.results()
	}},
}

// fetch sends COM_STMT_FETCH and reads rows.
func (c *rawClient) fetch(id uint32, n byte) {
	c.send(wire.ComStmtFetch, stmt(id, n, 0, 0, 0))
	maskStatement(c, func() { c.rows() })
}

const readOnlyCursor = 1 // CURSOR_TYPE_READ_ONLY

var casesPSCursors = []rawCase{
	{id: "PS10", title: "a cursor is read to its end", talk: func(c *rawClient) {
		id := c.prepare("SELECT id, v FROM a ORDER BY id")
		for range 2 {
			c.run(id, readOnlyCursor, false)
			c.fetch(id, 2)
			c.fetch(id, 2)
			c.fetch(id, 2)
			c.fetch(id, 2)
		}
		c.disturb()
	}},
	{id: "PS10", title: "a cursor over nothing, and over a write", talk: func(c *rawClient) {
		id := c.prepare("SELECT id FROM a WHERE id > ?")
		c.run(id, readOnlyCursor, true, str("1000"))
		c.fetch(id, 1)
		c.fetch(id, 1)
		write := c.prepare("INSERT INTO b VALUES (10)")
		c.run(write, readOnlyCursor, false)
		c.fetch(write, 1)
		plain := c.prepare("SELECT 1")
		c.execute(plain)
		c.fetch(plain, 1)
	}},
	{id: "PS10", title: "a cursor outlives other statements and a commit", talk: func(c *rawClient) {
		id := c.prepare("SELECT id, v FROM a ORDER BY id LIMIT 8")
		c.query("BEGIN")
		c.run(id, readOnlyCursor, false)
		c.fetch(id, 1)
		c.query("SELECT COUNT(*) FROM a")
		c.execute(c.prepare("SELECT 'in between', ?"), 1)
		c.query("INSERT INTO b VALUES (1)")
		c.query("COMMIT")
		c.fetch(id, 1)
		c.query("SELECT COUNT(*) FROM b")
		c.fetch(id, 10)
		c.disturb()
	}},
	{id: "PS10", title: "a cursor is closed by a reset, an execution and a close", talk: func(c *rawClient) {
		id := c.prepare("SELECT id FROM a ORDER BY id")
		c.run(id, readOnlyCursor, false)
		c.fetch(id, 1)
		c.reset(id)
		c.disturb()
		c.fetch(id, 1)
		c.run(id, readOnlyCursor, false)
		c.fetch(id, 1)
		c.run(id, readOnlyCursor, false) // without a cursor, MySQL 9.7 sends what nobody can read
		c.fetch(id, 1)
		c.close(id)
		c.disturb()
		c.fetch(id, 1)
	}},
	{id: "PS10", title: "two cursors in turn", talk: func(c *rawClient) {
		up, down := c.prepare("SELECT id FROM a ORDER BY id"), c.prepare("SELECT id FROM a ORDER BY id DESC")
		c.run(up, readOnlyCursor, false)
		c.run(down, readOnlyCursor, false)
		for range 4 {
			c.fetch(up, 1)
			c.fetch(down, 1)
		}
	}},
}

// timeValue is a TIME as COM_STMT_EXECUTE sends it.
func timeValue(negative bool, days uint32, h, m, s byte, micro uint32) string {
	sign := byte(0)
	if negative {
		sign = 1
	}
	b := fmt.Sprintf("\x0c%c%s%c%c%c%s", sign, le32(days), h, m, s, le32(micro))
	return b
}

func le32(v uint32) string {
	return string([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
}

var casesPSValues = []rawCase{
	{id: "PS23", title: "parameters of all types", talk: func(c *rawClient) {
		for _, p := range []param{
			{kind: 1, value: "\xff"}, {kind: 1, unsigned: true, value: "\xff"},
			{kind: 2, value: "\xfe\xff"}, {kind: 2, unsigned: true, value: "\xfe\xff"},
			{kind: 13, value: "\xe8\x07"},
			{kind: 3, value: "\xfe\xff\xff\xff"}, {kind: 3, unsigned: true, value: "\xfe\xff\xff\xff"},
			{kind: 9, value: "\xfe\xff\xff\xff"},
			{kind: 8, value: "\xfe\xff\xff\xff\xff\xff\xff\xff"}, {kind: 8, unsigned: true, value: "\xfe\xff\xff\xff\xff\xff\xff\xff"},
			{kind: 4, value: "\x00\x00\xc0\x3f"}, {kind: 5, value: "\x00\x00\x00\x00\x00\x00\xf8\x3f"},
			{kind: 0, value: "\x0512.34"}, {kind: 0xf6, value: "\x0f-123456789.0123"},
			{kind: 0x0f, value: "\x03abc"}, {kind: 0x0f, value: "\x00"},
			{kind: 0x10, value: "\x02\x01\x05"}, {kind: 0xf7, value: "\x01x"}, {kind: 0xf8, value: "\x01y"},
			{kind: 0xf9, value: "\x02\x00\xff"}, {kind: 0xff, value: "\x04\x00\x00\x00\x00"},
			{kind: 10, value: "\x04\xe8\x07\x02\x1d"}, {kind: 10, value: "\x00"},
			{kind: 12, value: "\x07\xe8\x07\x0c\x1f\x17\x3b\x3b"}, {kind: 12, value: "\x0b\xe8\x07\x0c\x1f\x17\x3b\x3b" + le32(999999)},
			{kind: 7, value: "\x04\xe8\x07\x01\x01"}, {kind: 12, value: "\x00"},
			{kind: 11, value: "\x00"}, {kind: 11, value: "\x08\x00" + le32(1) + "\x02\x03\x04"},
			{kind: 11, value: timeValue(true, 34, 22, 59, 59, 123456)}, {kind: 11, value: timeValue(false, 0, 0, 0, 1, 5)},
		} {
			c.note("parameter of type %#x unsigned %v: %q", p.kind, p.unsigned, p.value)
			id, again := c.prepare("SELECT ?"), c.prepare("SELECT CAST(? AS CHAR), HEX(?)")
			c.run(id, 0, true, p)
			c.run(id, 0, false, p)
			c.run(again, 0, true, p, p)
			c.close(id)
			c.close(again)
		}
		id := c.prepare("SELECT ?")
		c.run(id, 0, true, param{kind: 11, value: timeValue(true, 34, 2, 3, 4, 5)})
		c.disturb()
		c.run(id, 0, true, param{kind: 11, value: timeValue(true, 1, 2, 3, 4, 5)})
	}},
	{id: "PS23", title: "parameters of MySQL's own types", only: "MySQL", talk: func(c *rawClient) {
		for _, p := range []param{{kind: 0xf5, value: "\x08{\"a\": 1}"}, {kind: 0xf2, value: "\x08\x00\x00\x80\x3f\x00\x00\x00\x40"}} {
			c.run(c.prepare("SELECT ?"), 0, true, p)
		}
	}},
	{id: "PS23", title: "types that do not exist", talk: func(c *rawClient) {
		for _, kind := range []byte{14, 0x20, 0x80, 0xf4} {
			c.run(c.prepare("SELECT ?"), 0, true, param{kind: kind, value: "\x01x"})
		}
	}},
	{id: "PS23", title: "results of all types", talk: func(c *rawClient) {
		c.query("SET time_zone = '+00:00'")
		c.execute(c.prepare("SELECT CAST(-1 AS SIGNED), CAST(18446744073709551615 AS UNSIGNED), CAST('-838:59:59' AS TIME), CAST('23:59:59.999999' AS TIME(6)), " +
			"CAST('2024-02-29' AS DATE), CAST('2024-12-31 23:59:59.123456' AS DATETIME(6)), CAST('12.50' AS DECIMAL(10,2)), 1.5e0, x'00ff', NULL, '', b'101', " +
			"CAST('00:00:00' AS TIME), CAST('2024-01-01 00:00:00' AS DATETIME)"))
	}},
}
