//go:build integration

package integration

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// What MariaDB's own connectors do besides the common protocol.

func TestCasesPSMariaDB(t *testing.T) {
	runRaw(t, casesDirect, casesBulk, casesExtended, casesOutParams)
}

// extended are MariaDB's extended capabilities; a client that has them leaves
// CLIENT_LONG_PASSWORD out.
const extended = wire.MariaDBProgress | wire.MariaDBStmtBulk | wire.MariaDBExtMetadata | wire.MariaDBCacheMetadata

// direct is the number by which a client means the statement prepared last.
const direct = 1<<32 - 1

// run is a COM_STMT_EXECUTE without parameters.
func run(id uint32) string { return stmt(id, 0, 1, 0, 0, 0) }

// runWith is one with a BIGINT.
func runWith(id uint32, v int64) string {
	return run(id) + "\x00\x01\x08\x00" + string(binary.LittleEndian.AppendUint64(nil, uint64(v)))
}

var casesDirect = []rawCase{
	{id: "PS18", title: "an execution of the statement prepared last", talk: func(c *rawClient) {
		c.exactly(wire.ComStmtPrepare, "SELECT id, ? FROM a ORDER BY id LIMIT 1")
		c.exactly(wire.ComStmtExecute, runWith(direct, 5))
		c.exactly(wire.ComStmtPrepare, "INSERT INTO b VALUES (?)")
		c.exactly(wire.ComStmtExecute, runWith(direct, 6))
		c.exactly(wire.ComStmtReset, stmt(direct))
		c.exactQueries("SELECT COUNT(*) FROM b", "SELECT no_such_column", "PREPARE p FROM 'SELECT 66'", "EXECUTE p")
		c.exactly(wire.ComStmtExecute, runWith(direct, 7))
		c.exactly(wire.ComStmtPrepare, "SELECT no_such_column")
		c.exactly(wire.ComStmtExecute, runWith(direct, 8))
		c.exactly(wire.ComStmtReset, stmt(direct))
		c.exactly(wire.ComStmtPrepare, "SELECT 4")
		c.exactly(wire.ComStmtExecute, run(direct))
		c.write(framed(wire.ComStmtClose, stmt(direct)))
		c.exactly(wire.ComStmtExecute, run(direct))
		c.exactly(wire.ComStmtPrepare, "SELECT 5")
		c.exactly(wire.ComResetConnection, "")
		c.exactly(wire.ComStmtExecute, run(direct))
		c.exactQueries("SELECT COUNT(*) FROM b FOR UPDATE")
	}},
	{id: "PS18", title: "and long data for it, and a cursor over it", only: "MariaDB", talk: func(c *rawClient) {
		c.exactly(wire.ComStmtPrepare, "SELECT ?")
		c.write(framed(wire.ComStmtSendLongData, stmt(direct, 0, 0)+"long data"))
		c.exactly(wire.ComStmtExecute, run(direct)+"\x00\x01\xfd\x00")
		c.exactly(wire.ComStmtPrepare, "SELECT id FROM a ORDER BY id")
		c.exactly(wire.ComStmtExecute, stmt(direct, 1, 1, 0, 0, 0))
		c.exactly(wire.ComStmtFetch, stmt(direct, 2, 0, 0, 0))
		c.exactly(wire.ComStmtFetch, stmt(direct, 9, 0, 0, 0))
	}},
	{id: "PS18", title: "sent in one segment with the COM_STMT_PREPARE", talk: func(c *rawClient) {
		for _, sql := range []string{"SELECT 1", "SELECT no_such_column", "INSERT INTO b VALUES (1)", "SELECT 2"} {
			c.write(append(framed(wire.ComStmtPrepare, sql), framed(wire.ComStmtExecute, run(direct))...))
			c.seq = 1
			c.prepared()
			c.seq = 1
			c.results()
		}
		c.query("SELECT COUNT(*) FROM b FOR UPDATE")
	}},
	{id: "PS18", title: "statements that Telamon prepares for itself do not come in between", talk: func(c *rawClient) {
		first := c.prepare("SELECT 'first', COUNT(*) FROM a")
		c.query("BEGIN")
		c.prepare("SELECT 'last', COUNT(*) FROM a")
		c.query("COMMIT")
		for range 3 { // on other servers than where they were prepared
			c.execute(first)
			c.send(wire.ComStmtExecute, run(direct))
			c.results()
		}
	}},
}

// row is a row of parameters of a COM_STMT_BULK_EXECUTE, indicators included.
func bulkRow(v int64) string {
	return "\x00" + string(binary.LittleEndian.AppendUint64(nil, uint64(v)))
}

const (
	bulkTypes  = "\x80\x00\x08\x00" // flag, and one BIGINT
	bulkNull   = "\x01"
	bulkIgnore = "\x03"
)

var casesBulk = []rawCase{
	{id: "PS19", title: "one execution for many rows", only: "MariaDB", caps: extended, without: wire.LongPassword, talk: func(c *rawClient) {
		c.exactly(wire.ComStmtPrepare, "INSERT INTO a (v) VALUES (?)")
		for _, rest := range []string{
			bulkTypes + bulkRow(5) + bulkNull + bulkRow(7), bulkTypes + bulkRow(1), bulkTypes,
			"\xc0\x00\x08\x00" + bulkRow(5), "\x81\x00\x08\x00" + bulkRow(5), bulkTypes + bulkRow(5)[:4], "\x80\x00\x08", "\x80",
			bulkTypes + strings.Repeat(bulkRow(9), 3000),
		} {
			c.exactly(wire.ComStmtBulkExecute, stmt(direct)+rest)
		}
		c.exactQueries("SELECT COUNT(*), SUM(v) FROM a FOR UPDATE")
		c.exactly(wire.ComStmtPrepare, "UPDATE a SET v = 3 WHERE id = ?")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(1)+bulkRow(2)+bulkRow(999))
		c.exactly(wire.ComStmtPrepare, "INSERT INTO a (id) VALUES (?)")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(77777)+bulkRow(77777))
		c.exactly(wire.ComStmtPrepare, "DELETE FROM a WHERE id = -1")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+"\x80\x00")
		c.exactly(wire.ComStmtPrepare, "SELECT ?")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(1))
		c.exactly(wire.ComStmtPrepare, "INSERT INTO b VALUES (?) RETURNING id")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(1)+bulkRow(2))
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(1)+bulkRow(2))
		c.exactly(wire.ComStmtBulkExecute, stmt(99999999)+bulkTypes+bulkRow(1))
		c.exactQueries("BEGIN")
		c.exactly(wire.ComStmtPrepare, "INSERT INTO b VALUES (?)")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(1)+bulkRow(2))
		c.exactQueries("ROLLBACK", "SELECT COUNT(*) FROM b FOR UPDATE")
		c.over = true
	}},
	{id: "PS19", title: "what has become of each row, from 11.5 on", only: "MariaDB", caps: extended | wire.MariaDBBulkUnitResults, without: wire.LongPassword, talk: func(c *rawClient) {
		const units = "\xc0\x00\x08\x00" // and types
		id := c.prepare("INSERT INTO a (v) VALUES (?)")
		for _, rows := range []string{bulkRow(5) + bulkRow(6), bulkRow(7), bulkNull} {
			c.exactly(wire.ComStmtBulkExecute, stmt(id)+units+rows)
			c.exactQueries("SELECT LAST_INSERT_ID()", "SELECT COUNT(*) FROM a")
		}
		id = c.prepare("UPDATE a SET v = 3 WHERE id = ?")
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+units+bulkRow(1)+bulkRow(999))
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+"\x40\x00"+bulkRow(2))
		id = c.prepare("INSERT INTO a (id) VALUES (?)")
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+units+bulkRow(88888)+bulkRow(88888))
		c.exactQueries("SELECT COUNT(*) FROM a FOR UPDATE")
	}},
	{id: "PS19", title: "types as before", only: "MariaDB", caps: extended, without: wire.LongPassword, talk: func(c *rawClient) {
		id := c.prepare("INSERT INTO b VALUES (?)")
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+"\x00\x00"+bulkRow(4))
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+bulkTypes+bulkRow(5))
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+"\x00\x00"+bulkRow(6))
		c.exactly(wire.ComStmtExecute, run(id)+"\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00")
		c.exactly(wire.ComStmtExecute, run(id)+"\x00\x01\x01\x00\x08")
		c.exactly(wire.ComStmtBulkExecute, stmt(id)+"\x00\x00\x00\x09\x00\x0a")
		c.exactQueries("SELECT id FROM b ORDER BY id FOR UPDATE")
		c.over = true
	}},
	{id: "PS19", title: "20 MB of rows", only: "MariaDB", caps: extended, without: wire.LongPassword, once: true, talk: func(c *rawClient) {
		c.exactly(wire.ComStmtPrepare, "INSERT INTO b VALUES (LENGTH(?))")
		row := wire.AppendLenencString([]byte{0}, strings.Repeat("x", 1<<20))
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+"\x80\x00\xfd\x00"+strings.Repeat(string(row), 10))
		c.exactQueries("SELECT COUNT(*), SUM(id) FROM b FOR UPDATE")
		c.over = true
	}},
	{id: "PS19", title: "a client without the capability", talk: func(c *rawClient) {
		c.exactly(wire.ComStmtPrepare, "INSERT INTO a (v) VALUES (?)")
		c.exactly(wire.ComStmtBulkExecute, stmt(direct)+bulkTypes+bulkRow(5))
	}},
}

var casesExtended = []rawCase{
	{id: "H30", title: "types of MariaDB in column definitions", only: "MariaDB", caps: wire.MariaDBExtMetadata, without: wire.LongPassword, talk: func(c *rawClient) {
		c.exactQueries("SELECT id, JSON_OBJECT(), CAST('2001:db8::1' AS INET6) FROM a LIMIT 1")
		c.exactly(wire.ComStmtPrepare, "SELECT JSON_OBJECT(), ? FROM a")
		c.exactly(wire.ComStmtExecute, runWith(direct, 5))
		c.exactly(wire.ComFieldList, "a\x00")
	}},
	{id: "H30", title: "how far an ALTER TABLE has got", only: "MariaDB", caps: wire.MariaDBProgress, without: wire.LongPassword, talk: func(c *rawClient) {
		c.exactQueries("ALTER TABLE a MODIFY v BIGINT", "ALTER TABLE a MODIFY v INT", "SELECT 1")
	}},
	{id: "H30", title: "which a client without the capability is not told", only: "MariaDB", talk: func(c *rawClient) {
		c.exactQueries("ALTER TABLE a MODIFY v BIGINT", "ALTER TABLE a MODIFY v INT", "SELECT 1")
	}},
	{id: "H30", title: "the byte behind the column count of text", only: "MariaDB", caps: wire.MariaDBCacheMetadata, without: wire.LongPassword, talk: func(c *rawClient) {
		c.exactQueries("SELECT 1", "SELECT id FROM a WHERE id = -1", "SELECT 1; SELECT 2", "CALL p1(@o)", "SELECT no_such_column", "SHOW TABLES")
		c.over = true
	}},
	{id: "PS20", title: "definitions that a client has are not repeated, and it has the right ones", only: "MariaDB", caps: extended, without: wire.LongPassword, talk: cachedMetadata},
	{id: "PS20", title: "the same without extended metadata", only: "MariaDB", caps: wire.MariaDBCacheMetadata, without: wire.LongPassword, talk: cachedMetadata},
}

// cachedMetadata executes statements on several servers, while what they return
// changes.
func cachedMetadata(c *rawClient) {
	cache := cachingClient{rawClient: c, definitions: map[uint32][]string{}}
	reads := cache.prepare("SELECT id, v FROM a ORDER BY id LIMIT 1")
	star := cache.prepare("SELECT * FROM a ORDER BY id LIMIT 1")
	returning := cache.prepare("INSERT INTO b VALUES (5) RETURNING id")
	call := cache.prepare("CALL p1(?)")
	everywhere := func(id uint32) {
		for range 4 {
			cache.execute(run(id))
		}
		cache.text("BEGIN")
		cache.execute(run(id))
		cache.text("COMMIT")
		cache.execute(run(id))
	}
	everywhere(reads)
	everywhere(star)
	for range 2 {
		cache.execute(run(returning))
		cache.execute(run(call) + "\x01\x01\x06\x00")
	}
	for _, change := range []string{
		"SET NAMES latin1", "ALTER TABLE a ADD w INT DEFAULT 3", "ALTER TABLE a MODIFY w VARCHAR(20)", "SET NAMES utf8mb4", "ALTER TABLE a DROP w",
	} {
		cache.text(change)
		if c.through {
			if err := c.rig.c.WaitCaughtUp(c.t.Context()); err != nil {
				c.t.Fatal(err)
			}
		}
		everywhere(star)
		everywhere(reads)
	}
	cache.execute(stmt(star, 1, 1, 0, 0, 0)) // a cursor
	cache.execute(run(star))
	everywhere(star)
	c.over = true
}

// cachingClient is a client that keeps the definitions of its prepared
// statements, as connectors do that cache them. What it notes is what it makes
// of a reply, not whether the definitions were in it.
type cachingClient struct {
	*rawClient
	definitions map[uint32][]string
}

func (c *cachingClient) text(sql string) {
	c.send(wire.ComQuery, sql)
	b := c.payload()
	for wire.IsErr(b) && b[1] == 0xff && b[2] == 0xff { // how far it has got
		b = c.payload()
	}
	c.end(b)
}

// prepare prepares a statement and returns its id.
func (c *cachingClient) prepare(sql string) uint32 {
	c.send(wire.ComStmtPrepare, sql)
	var ok wire.StmtPrepareOK
	if b := c.payload(); b == nil || ok.Parse(b) != nil {
		c.t.Fatalf("prepare %s: %q", sql, b)
	}
	c.list(int(ok.Params))
	c.definitions[ok.StatementID], _ = c.list(int(ok.Columns))
	return ok.StatementID
}

// list reads n definitions and the EOF behind them, whose status it returns.
func (c *cachingClient) list(n int) (defs []string, status wire.Status) {
	for range n {
		defs = append(defs, string(c.payload()))
	}
	if n > 0 {
		status = c.endOfList()
	}
	return defs, status
}

// endOfList reads the EOF behind definitions, if there is one.
func (c *cachingClient) endOfList() wire.Status {
	if c.caps.Has(wire.DeprecateEOF) {
		return 0
	}
	if b := c.payload(); len(b) == 5 {
		return wire.Status(binary.LittleEndian.Uint16(b[3:]))
	}
	return 0
}

// execute runs a statement; arg begins with its id.
func (c *cachingClient) execute(arg string) {
	id := binary.LittleEndian.Uint32([]byte(arg))
	c.send(wire.ComStmtExecute, arg)
	for more := true; more && !c.over; {
		b := c.payload()
		if b == nil || b[0] == 0 || b[0] == 0xff {
			more = b != nil && c.end(b).Has(wire.MoreResultsExist)
			continue
		}
		count, n := wire.ReadLenencInt(b)
		if len(b) != n+1 {
			c.note("no byte behind the column count: %q", b)
			return
		}
		var meta wire.Status
		if b[n] == 1 {
			c.definitions[id], meta = c.list(int(count))
		} else {
			meta = c.endOfList()
		}
		if len(c.definitions[id]) != int(count) {
			c.note("%d columns, and %d definitions", count, len(c.definitions[id]))
		}
		c.note("definitions %q", c.definitions[id])
		if meta.Has(wire.CursorExists) {
			return // the rows are to be fetched
		}
		status, _ := c.rows()
		more = status.Has(wire.MoreResultsExist)
	}
}

// casesOutParams: a client that does not know CLIENT_DEPRECATE_EOF learns of OUT
// parameters, and that more follows, from the EOF before the rows.
var casesOutParams = []rawCase{
	{id: "P25", title: "OUT parameters of a prepared CALL", talk: callFlags},
	{id: "PS27", title: "results of a prepared CALL", talk: func(c *rawClient) {
		id := c.prepare("CALL p1(?)")
		for range 2 {
			c.execute(id, nil)
		}
		id = c.prepare("CALL p2()")
		c.execute(id)
		c.query("SELECT COUNT(*) FROM b FOR UPDATE")
	}},
	{id: "PS27", title: "a client that cannot read several results", without: wire.MultiResults | wire.PSMultiResults | wire.MultiStatements, talk: func(c *rawClient) {
		id := c.prepare("CALL p1(?)")
		c.execute(id, nil)
		c.query("CALL p1(@o)")
	}},
}

// callFlags notes the flags in front of the rows of each result.
func callFlags(c *rawClient) {
	call := func(cmd wire.Command, arg string) {
		c.send(cmd, arg)
		for {
			b := c.payload()
			if b == nil || b[0] == 0 || b[0] == 0xff {
				c.end(b)
				return
			}
			count, _ := wire.ReadLenencInt(b)
			for range count {
				c.noteBytes("definition", c.payload())
			}
			if !c.caps.Has(wire.DeprecateEOF) {
				b := c.payload()
				b[3] &^= byte(wire.NoGoodIndexUsed | wire.NoIndexUsed) // left from the statement before, on MariaDB
				c.noteBytes("EOF", b)
			}
			for rows := 0; ; rows++ {
				if b = c.payload(); b == nil || b[0] == 0xfe {
					c.note("%d rows", rows)
					break
				}
				c.noteBytes("row", b)
			}
		}
	}
	id := c.prepare("CALL p1(?)")
	for range 2 {
		call(wire.ComStmtExecute, run(id)+"\x01\x01\x06\x00")
	}
	call(wire.ComQuery, "CALL p1(@o)")
	id = c.prepare("CALL p5(?)")
	call(wire.ComStmtExecute, run(id)+"\x01\x01\x06\x00")
	id = c.prepare("CALL p2()")
	call(wire.ComStmtExecute, run(id))
}

// notCarried are the capabilities of servers that Telamon does not offer.
const notCarried = wire.Compress | wire.ZstdCompress | wire.SSL | wire.ExpiredPasswords | wire.OptionalMetadata |
	wire.MultiFactorAuth | wire.VerifyServerCert | wire.RememberOptions

// TestH30TheGreetingOffersWhatTheServersOffer compares the capabilities in it.
func TestH30TheGreetingOffersWhatTheServersOffer(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		direct, _ := loggedIn(t, c.Primary.Addr(), rawCapabilities, "")
		through, _ := loggedIn(t, rig.p.Addr(), rawCapabilities, "")
		want := direct.Capabilities &^ notCarried
		if got := through.Capabilities &^ notCarried; got != want {
			t.Errorf("offers %#x, the server %#x", uint64(got), uint64(want))
		}
		if through.ServerVersion != direct.ServerVersion || through.AuthPlugin != direct.AuthPlugin {
			t.Errorf("%q %s, the server %q %s", through.ServerVersion, through.AuthPlugin, direct.ServerVersion, direct.AuthPlugin)
		}
	})
}
