//go:build integration

package integration

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

func TestCasesP(t *testing.T) { runRaw(t, casesPSizes, casesPOrder, casesPLocalInfile) }

// Units in which large packets are counted here.
const (
	KiB = 1 << 10
	MiB = 1 << 20
)

// sha is a statement that makes the server hash a literal of n bytes.
func sha(n int) string {
	return "SELECT LENGTH(@p), SHA2(@p, 256) FROM (SELECT @p := '" + strings.Repeat("0123456789abcdef", n/16+1)[:n] + "') x"
}

// exactly pads a statement with a comment to n bytes of payload, the command
// byte included.
func exactly(n int, sql string) string {
	return sql + " /*" + strings.Repeat("x", n-1-len(sql)-5) + "*/"
}

var casesPSizes = []rawCase{
	{id: "P01", title: "a request of exactly one full packet waits for its empty trailer", once: true, talk: func(c *rawClient) {
		whole := framed(wire.ComQuery, exactly(wire.MaxPayload, "SELECT 1"))
		c.write(whole[:len(whole)-4])
		c.silent(300 * time.Millisecond)
		c.write(whole[len(whole)-4:])
		c.seq = 2
		c.results()
	}},
	{id: "P01", title: "and a write of that size runs once", once: true, talk: func(c *rawClient) {
		whole := framed(wire.ComQuery, exactly(wire.MaxPayload, "INSERT INTO b VALUES (7)"))
		c.write(whole[:len(whole)-4])
		c.silent(100 * time.Millisecond)
		c.write(whole[len(whole)-4:])
		c.seq = 2
		c.results()
		c.query("SELECT COUNT(*) FROM b")
	}},
	{id: "P03", title: "requests of several packets arrive to the byte", once: true, talk: func(c *rawClient) {
		for _, n := range []int{wire.MaxPayload - 100, wire.MaxPayload, 2 * wire.MaxPayload, 40 * MiB} {
			c.query(sha(n))
		}
		c.query(exactly(2*wire.MaxPayload, "SELECT 'two full packets and an empty one'"))
		c.query(exactly(2*wire.MaxPayload-1, "SELECT 'one byte less'"))
	}},
	{id: "P03", title: "parameters of several packets arrive to the byte", once: true, talk: func(c *rawClient) {
		id := c.prepare("SELECT LENGTH(?), SHA2(?, 256)")
		for _, n := range []int{wire.MaxPayload - 60, 20 * MiB} {
			v := strings.Repeat("fedcba9876543210", n/16)
			c.execute(id, "x", v)
		}
	}},
	{id: "P03", title: "long data of 60 MB in pieces arrives to the byte", once: true, talk: func(c *rawClient) {
		id := c.prepare("SELECT LENGTH(?), SHA2(?, 256)")
		piece := strings.Repeat("0123456789", 2_000_000)
		for param := range 2 {
			for range 3 {
				c.send(wire.ComStmtSendLongData, stmt(id, byte(param), 0)+piece)
			}
		}
		c.send(wire.ComStmtExecute, stmt(id, 0, 1, 0, 0, 0, 0, 1, 0xfc, 0, 0xfc, 0))
		c.results()
	}},
	{id: "P04", title: "rows around the size of a packet", talk: func(c *rawClient) {
		for d := -5; d <= 1; d++ {
			c.query(fmt.Sprintf("SELECT REPEAT('a', %d)", 1<<24+d))
		}
		c.query(fmt.Sprintf("SELECT REPEAT('a', %d), 1", 2*wire.MaxPayload-8))
	}},
	{id: "P04", title: "binary rows around the size of a packet", talk: func(c *rawClient) {
		id := c.prepare("SELECT REPEAT('a', ?)")
		for d := -8; d <= 0; d++ {
			c.execute(id, 1<<24+d)
		}
	}},
	{id: "P06", title: "a row that begins like an EOF", talk: func(c *rawClient) {
		c.query("SELECT REPEAT('a', 20971520), 1")
		c.query("SELECT REPEAT('a', 20971520), 1 UNION ALL SELECT 'b', 2 UNION ALL SELECT REPEAT('c', 16777216), 3")
	}},
	{id: "P08", title: "sequence ids wrap in a result of 20000 rows", talk: func(c *rawClient) {
		c.query("WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 900) " +
			"SELECT x.i, y.i FROM n x JOIN n y ON y.i <= 23 ORDER BY x.i, y.i")
	}},
	{id: "P08", title: "sequence ids wrap in the definitions of 300 columns", talk: func(c *rawClient) {
		id := c.prepare("SELECT 1" + strings.Repeat(", ?", 300))
		args := make([]any, 300)
		for i := range args {
			args[i] = i
		}
		c.execute(id, args...)
	}},
	{id: "P09", title: "an error after many rows", talk: func(c *rawClient) {
		failing := "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 900) " +
			"SELECT i, IF(i = 800, (SELECT 1 UNION SELECT 2), i) FROM n"
		c.query(failing)
		id := c.prepare(failing)
		c.execute(id)
		c.query("SELECT 1")
	}},
	{id: "P29", title: "counts beyond what the protocol can say", once: true, talk: func(c *rawClient) {
		c.prepare("SELECT 1 FROM a WHERE id IN (?" + strings.Repeat(",?", 65535) + ")")
		c.prepare("SELECT 1 FROM a WHERE id IN (?" + strings.Repeat(",?", 65534) + ")")
		c.query("SELECT 1" + strings.Repeat(",1", 4096))
		c.query("SELECT 1" + strings.Repeat(",1", 4095))
	}},
}

var casesPOrder = []rawCase{
	{id: "P14", title: "four commands in one segment are answered in order", talk: func(c *rawClient) {
		for range 20 {
			var b []byte
			for _, sql := range []string{"SELECT 1", "SELECT no_such_column", "SELECT 2, 'two'", "DO 1"} {
				b = append(b, framed(wire.ComQuery, sql)...)
			}
			c.write(b)
			for range 4 {
				c.seq = 1
				c.results()
			}
		}
	}},
	{id: "P14", title: "pipelined commands of all kinds", talk: func(c *rawClient) {
		id := c.prepare("SELECT ? + 1")
		var b []byte
		b = append(b, framed(wire.ComPing, "")...)
		b = append(b, framed(wire.ComStmtExecute, executeArg(id, []any{41}))...)
		b = append(b, framed(wire.ComStmtReset, stmt(id))...)
		b = append(b, framed(wire.ComStmtClose, stmt(id))...)
		b = append(b, framed(wire.ComInitDB, caseSchema)...)
		b = append(b, framed(wire.ComStmtExecute, executeArg(id, []any{1}))...)
		b = append(b, framed(wire.ComQuery, "SELECT DATABASE()")...)
		c.write(b)
		for _, read := range []func(){
			c.one, func() { c.results() }, c.one, c.one,
			func() { maskStatement(c, func() { c.results() }) }, func() { c.results() },
		} {
			c.seq = 1
			read()
		}
	}},
	{id: "P15", title: "a pipelined read sees the write before it", talk: func(c *rawClient) {
		for range 50 {
			c.write(append(framed(wire.ComQuery, "INSERT INTO b VALUES (1)"), framed(wire.ComQuery, "SELECT COUNT(*) FROM b")...))
			for range 2 {
				c.seq = 1
				c.results()
			}
		}
	}},
	{id: "P17", title: "an empty packet is an unknown command", talk: func(c *rawClient) {
		c.write([]byte{0, 0, 0, 0})
		c.one()
	}},
	{id: "P17", title: "a byte at a time", talk: func(c *rawClient) {
		b := append(framed(wire.ComQuery, "SELECT 'one by one'"), framed(wire.ComPing, "")...)
		for i := range b {
			c.write(b[i : i+1])
		}
		c.seq = 1
		c.results()
		c.seq = 1
		c.one()
	}},
	{id: "P17", title: "a request that does not begin at sequence id 0", talk: func(c *rawClient) {
		b := framed(wire.ComQuery, "SELECT 1")
		b[3] = 5
		c.write(b)
		c.seq = 0
		c.closes()
	}},
	{id: "P17", title: "a continuation out of order", once: true, talk: func(c *rawClient) {
		b := framed(wire.ComQuery, exactly(wire.MaxPayload+10, "SELECT 1"))
		b[wire.HeaderSize+wire.MaxPayload+3] = 9
		c.write(b)
		for !c.over {
			if c.payload() == nil {
				break // whether an ERR comes first, and which, is not the point
			}
		}
		c.said = c.said[len(c.said)-1:]
	}},
	{id: "P20", title: "packets that the proxy makes are numbered like the server's", talk: func(c *rawClient) {
		c.send(wire.ComSetOption, "\x00\x00")
		c.one()
		c.query("KILL 4294967290")
		c.send(wire.ComStmtExecute, executeArg(999, nil))
		c.results()
		c.send(wire.ComStmtReset, stmt(999))
		c.one()
		c.send(wire.ComStmtFetch, stmt(999, 1, 0, 0, 0))
		c.one()
		c.send(wire.ComSetOption, "\x09\x00")
		c.one()
		c.send(wire.ComResetConnection, "")
		c.one()
		c.send(wire.ComPing, "")
		c.one()
	}},
	{id: "P20", title: "what is in force after a reset", collation: 46, talk: whatAResetLeaves},
	{id: "P20", title: "what is in force after a reset, of a client with latin1", only: "MariaDB", collation: 47, talk: whatAResetLeaves},
	{id: "P24", title: "results in several parts", talk: func(c *rawClient) {
		c.query("CALL p1(@o)")
		c.query("SELECT @o")
		c.query("SELECT 1; SELECT 2; DO 1; SELECT 3")
		c.query("SELECT 1; SELECT no_such_column; SELECT 3")
		c.query("SELECT 'right behind'")
	}},
	{id: "P30", title: "what is pipelined before COM_QUIT is executed, and QUIT has no answer", talk: func(c *rawClient) {
		c.write(append(framed(wire.ComQuery, "INSERT INTO b VALUES (30)"), framed(wire.ComQuit, "")...))
		c.results()
		c.closes()
		o := c.another()
		defer o.nc.Close()
		o.query("SELECT COUNT(*) FROM b WHERE id = 30 FOR UPDATE")
		c.said = append(c.said, o.said...)
	}},
	{id: "P30", title: "COM_QUIT with the answer unread", talk: func(c *rawClient) {
		c.write(append(framed(wire.ComQuery, "SELECT REPEAT('x', 1000000)"), framed(wire.ComQuit, "")...))
		c.results()
		c.closes()
	}},
}

func whatAResetLeaves(c *rawClient) {
	const settings = "SELECT @@collation_connection, @@character_set_client, @@character_set_results, @@sql_mode, DATABASE(), @x"
	c.query(settings)
	c.query("SET NAMES utf8mb4, sql_mode = 'ANSI', @x = 1")
	c.send(wire.ComResetConnection, "")
	c.one()
	c.query(settings)
}

// maskStatement drops the number from what is said about an unknown statement.
func maskStatement(c *rawClient, f func()) {
	from := len(c.said)
	f()
	for i := from; i < len(c.said); i++ {
		if at, end := strings.Index(c.said[i], "("), strings.Index(c.said[i], ")"); at >= 0 && end > at {
			c.said[i] = c.said[i][:at] + c.said[i][end+1:]
		}
	}
}

// wideRows is a file of 18 MiB whose rows are numbers of a kilobyte each.
var wideRows = strings.Repeat(strings.Repeat("0", 1016)+"1234567\n", 18*KiB)

var casesPLocalInfile = []rawCase{
	{id: "P27", title: "a file of no bytes", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE 'no such file' INTO TABLE b")
	}},
	{id: "P27", title: "a small file", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("/* x */ LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE b", "1\n2\n3\n", "4\n")
		c.query("SELECT COUNT(*), SUM(id) FROM b FOR UPDATE")
	}},
	{id: "P27", title: "data that look like commands", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE b", "\x01", "\x03DROP TABLE b", "\n9\n")
		c.query("SELECT COUNT(*), SUM(id) FROM b FOR UPDATE")
	}},
	{id: "P27", title: "2 MB in one piece, and 300 pieces", caps: wire.LocalFiles, once: true, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE b", wideRows[:2*MiB])
		c.query("SELECT COUNT(*), SUM(id) FROM b FOR UPDATE")
		pieces := make([]string, 300)
		for i := range pieces {
			pieces[i] = fmt.Sprintf("%d\n", i)
		}
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE b", pieces...)
		c.query("SELECT COUNT(*), SUM(id) FROM b FOR UPDATE")
	}},
	{id: "P27", title: "a piece of more than one packet", caps: wire.LocalFiles, once: true, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE b", wideRows)
		c.query("SELECT COUNT(*), SUM(id) FROM b FOR UPDATE")
	}},
	{id: "P27", title: "an error instead of the request", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE no_such_table", "1\n")
	}},
	{id: "P27", title: "an error that the data lead to", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.query("SET sql_mode = 'STRICT_ALL_TABLES'")
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE a", "1\t2\nnot a number\tx\n", "1\t2\n")
		c.query("SHOW WARNINGS")
	}},
	{id: "P27", title: "inside of several statements", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("SELECT 1; LOAD DATA LOCAL INFILE 'x' INTO TABLE b; SELECT COUNT(*) FROM b", "1\n2\n")
	}},
	{id: "P27", title: "two uploads in one packet", caps: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE b; LOAD DATA LOCAL INFILE 'y' INTO TABLE b; SELECT COUNT(*) FROM b", "1\n2\n")
	}},
	{id: "P28", title: "a client that did not offer its files is not asked for them", without: wire.LocalFiles, talk: func(c *rawClient) {
		c.upload("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE b", "1\n")
	}},
}

// upload runs a statement and sends the pieces, one a payload, and the empty
// packet each time the server asks for a file.
func (c *rawClient) upload(sql string, pieces ...string) {
	c.send(wire.ComQuery, sql)
	for {
		before := len(c.said)
		c.results()
		if c.over || len(c.said) == before || !strings.Contains(c.said[len(c.said)-1], "LOCAL INFILE \"\\xfb") {
			return
		}
		seq := c.seq
		var b []byte
		for _, p := range append(pieces, "") {
			b, seq = wire.AppendPacket(b, seq, []byte(p))
		}
		c.write(b)
		c.seq = seq
	}
}

// TestP10ALostServerEndsTheResult checks that a result of which rows have been
// delivered is never begun anew.
func TestP10ALostServerEndsTheResult(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		for _, ending := range []string{"", "; SELECT 2"} {
			cl := dialRaw(t, rig.p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
			marker := fmt.Sprintf("p10-%d", time.Now().UnixNano())
			cl.send(wire.ComQuery, "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 900) "+
				"SELECT x.i*1000+y.i, REPEAT('x', 4000) FROM n x JOIN n y ON 1=1 ORDER BY 1 /* "+marker+" */"+ending)
			b := cl.payload()
			if count, _ := wire.ReadLenencInt(b); count != 2 {
				t.Fatalf("the first packet is %q", b)
			}
			cl.definitions(2)
			rows, last := 0, ""
			for {
				b := cl.payload()
				if b == nil || wire.IsErr(b) {
					break
				}
				row, err := wire.ParseTextRow(nil, b, 2)
				if err != nil {
					t.Fatal(err)
				}
				if v := string(row[0]); v <= last && len(v) <= len(last) {
					t.Fatalf("row %s after row %s: rows came twice", v, last)
				} else {
					last = v
				}
				if rows++; rows == 1 {
					killStatement(t, c, marker)
				}
			}
			if rows >= 900*900 {
				t.Error("the result came whole: the kill was too late")
			}
			for !cl.over && cl.payload() != nil {
				t.Error("something came after the end of the result")
			}
		}
	})
}

// killStatement closes the server connection that runs the statement.
func killStatement(t *testing.T, c *localserver.Cluster, marker string) {
	t.Helper()
	for _, s := range c.Servers() {
		id, err := s.Value(t.Context(), "SELECT id FROM information_schema.processlist WHERE info LIKE '%"+marker+"%' AND id <> CONNECTION_ID()")
		if err != nil || id == "" {
			continue
		}
		if err := s.Exec(t.Context(), fmt.Sprintf("KILL %s", id)); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Fatalf("no server runs %s", marker)
}
