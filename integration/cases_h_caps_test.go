//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/wiretest"
)

// The capabilities a client may ask for beyond those of the plain client: what
// they change is compared to the byte with a direct connection.

func TestCasesHCapabilities(t *testing.T) { runRaw(t, casesHEOF, casesHTracking, casesHAttributes) }

// exactly sends a command and notes every packet of the reply as it is. A ping
// behind the command tells where the reply ends.
func (c *rawClient) exactly(cmd wire.Command, arg string) {
	c.note("> %#02x %.100q", byte(cmd), masked(cmd, arg))
	c.write(append(framed(cmd, arg), framed(wire.ComPing, "")...))
	for n := 0; !c.over; n++ {
		seq, b := c.packet()
		switch {
		case c.over || n > 0 && seq == 1:
			return
		case n == 0 && cmd == wire.ComStmtPrepare && len(b) == 12:
			c.note("< prepared %x", b[5:])
		case len(b) > 200:
			c.noteBytes("long", b)
		default:
			c.note("< %d %q", seq, c.sorted(b))
		}
	}
}

// masked leaves the statement id out of a command about a prepared statement.
func masked(cmd wire.Command, arg string) string {
	switch cmd {
	case wire.ComStmtExecute, wire.ComStmtBulkExecute, wire.ComStmtFetch, wire.ComStmtReset:
		return arg[min(4, len(arg)):]
	}
	return arg
}

// exactQueries runs statements as text.
func (c *rawClient) exactQueries(statements ...string) {
	for _, sql := range statements {
		c.exactly(wire.ComQuery, sql)
	}
}

// packet reads one packet, whatever its sequence id.
func (c *rawClient) packet() (seq byte, payload []byte) {
	var h [4]byte
	if _, err := io.ReadFull(c.r, h[:]); err != nil {
		c.ended(err)
		return 0, nil
	}
	payload = make([]byte, wire.PacketLen(h[:]))
	if _, err := io.ReadFull(c.r, payload); err != nil {
		c.ended(err)
	}
	return h[3], payload
}

// sorted puts the session changes of an OK in an order of their own: MariaDB
// 10.11 reports the variables of one statement in a different order on every
// start.
func (c *rawClient) sorted(b []byte) []byte {
	if wire.IsEOF(b) && !c.caps.Has(wire.DeprecateEOF) {
		return b[:3] // the other cases compare the flags
	}
	if len(b) == 0 || b[0] != 0 && b[0] != 0xfe || !c.caps.Has(wire.SessionTrack) {
		return b
	}
	ok, err := wire.ParseOK(b, c.caps)
	if err != nil || len(ok.SessionChanges) == 0 {
		return b
	}
	var entries []string
	for block := ok.SessionChanges; len(block) > 0; {
		_, n := wire.ReadLenencBytes(block[1:])
		entries = append(entries, string(block[:1+n]))
		block = block[1+n:]
	}
	slices.Sort(entries)
	ok.SessionChanges = []byte(strings.Join(entries, ""))
	return ok.Append(nil, b[0], c.caps)
}

var casesHTracking = []rawCase{
	{id: "H29", title: "a client that tracks its session is told what a server tells by default", caps: wire.SessionTrack, talk: func(c *rawClient) {
		c.exactQueries(
			"SELECT 1", "SET NAMES latin1", "SET NAMES utf8mb4", "SET NAMES utf8mb4",
			"SET time_zone = '+01:00', sql_mode = '', autocommit = 0", "SELECT id FROM a", "COMMIT", "SET autocommit = 1",
			"SET group_concat_max_len = 2000", "INSERT INTO b VALUES (1)", "INSERT INTO a (v) VALUES (4)", "UPDATE a SET v = 5 WHERE id = 2",
			"USE "+caseSchema, "USE mysql", "USE nowhere", "SET time_zone = 'nowhere'",
			"USE "+caseSchema+"; SET time_zone = '+02:00'; SELECT 1; SET NAMES latin1",
			"BEGIN", "INSERT INTO b VALUES (2)", "ROLLBACK", "DO 1", "CALL p4()", "SELECT @@group_concat_max_len",
		)
		c.exactly(wire.ComInitDB, caseSchema)
		c.exactly(wire.ComResetConnection, "")
		c.exactQueries("SET time_zone = '+01:00'", "SET sql_mode = ''")
	}},
	{id: "H29", title: "and a client that does not track gets neither block nor flag", talk: func(c *rawClient) {
		c.query("SET NAMES latin1")
		c.query("USE " + caseSchema)
		c.query("SELECT 1")
	}},
	{id: "H29", title: "changes behind rows", caps: wire.SessionTrack | wire.DeprecateEOF, talk: func(c *rawClient) {
		c.exactQueries("SET time_zone = '+02:00'", "SELECT ftz()", "SELECT @@time_zone", "SELECT 1; SELECT ftz(); SELECT 2")
	}},
	{id: "H29", title: "prepared statements report as text does", caps: wire.SessionTrack, talk: func(c *rawClient) {
		for _, sql := range []string{"SET time_zone = '+01:00'", "SET sql_mode = ''", "SET autocommit = 0", "SET autocommit = 1"} {
			id := c.prepare(sql)
			c.exactly(wire.ComStmtExecute, executeArg(id, nil))
		}
	}},
	{id: "H29", title: "what a client asks to be told of", caps: wire.SessionTrack, talk: func(c *rawClient) {
		c.exactQueries(
			"SET session_track_system_variables = 'SQL_MODE,time_zone'", "SET sql_mode = 'ANSI'", "SET time_zone = '+01:00'", "SET NAMES latin1",
			"SET session_track_schema = OFF", "USE "+caseSchema, "USE mysql", "SET SESSION session_track_schema = ON", "USE "+caseSchema,
			"SET session_track_system_variables = ''", "SET time_zone = '+02:00'",
			"SET session_track_system_variables = DEFAULT", "SET time_zone = '+03:00'", "SET sql_mode = ''",
			"SET @@session.session_track_system_variables = 'sql_mode', sql_select_limit = 3", "SET sql_mode = 'ANSI'",
			"SET session_track_nothing = 1", "SET session_track_schema = 'maybe'", "USE "+caseSchema,
		)
		c.exactly(wire.ComResetConnection, "")
		c.exactQueries("SET sql_mode = ''", "SET time_zone = '+04:00'", "USE "+caseSchema)
	}},
	{id: "H29", title: "that something has changed, and transactions", caps: wire.SessionTrack | wire.DeprecateEOF, talk: func(c *rawClient) {
		c.exactQueries(
			"SET session_track_state_change = ON", "SET time_zone = '+02:00'", "SET @x = 1", "DO 1",
			"SET session_track_state_change = OFF", "SET @x = 1",
			"SET session_track_transaction_info = 'STATE'", "BEGIN", "INSERT INTO b VALUES (3)", "ROLLBACK",
			"SET session_track_transaction_info = 'CHARACTERISTICS'", "BEGIN", "SELECT 1 FROM a", "COMMIT",
			"SET session_track_transaction_info = 'OFF'", "BEGIN", "COMMIT",
		)
	}},
}

var gtid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-.*:[0-9]+"`)

// TestH29GTIDs: MySQL reports GTIDs to a client that asks for its own. They
// differ, of course.
func TestH29GTIDs(t *testing.T) {
	c := suite.Cluster(t, localserver.MySQL)
	rig := newRawRig(t, c)
	for _, addr := range []string{c.Primary.Addr(), rig.p.Addr()} {
		cl := dialRaw(t, addr, localserver.AppUser, rawCapabilities|wire.SessionTrack|wire.DeprecateEOF, 0)
		for _, step := range []struct {
			sql  string
			told bool
		}{
			{"INSERT INTO b VALUES (1)", false}, {"SET session_track_gtids = OWN_GTID", false},
			{"INSERT INTO b VALUES (1)", true}, {"SELECT 1", false}, {"SET session_track_gtids = OFF", false},
			{"INSERT INTO b VALUES (1)", false},
		} {
			cl.said = nil
			cl.exactly(wire.ComQuery, step.sql)
			if told := gtid.MatchString(strings.Join(cl.said, " ")); told != step.told {
				t.Errorf("%s at %s: told %t\n%s", step.sql, addr, told, strings.Join(cl.said, "\n"))
			}
		}
	}
}

// loggedIn logs in and returns the greeting and the last packet of the login.
func loggedIn(t *testing.T, addr string, caps wire.Capability, database string) (g wire.HandshakeV10, last string) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(rawTimeout)); err != nil {
		t.Fatal(err)
	}
	heard := &hearing{Conn: nc}
	peer, err := wiretest.Login(heard, wiretest.Credentials{
		User: localserver.AppUser, Password: localserver.AppPassword, Database: database, Capabilities: caps, Collation: wire.CollationUTF8MB4,
	})
	if err != nil {
		t.Fatalf("log in at %s: %v", addr, err)
	}
	at := 0 // of the last packet
	for at+wire.HeaderSize+wire.PacketLen(heard.bytes[at:]) < len(heard.bytes) {
		at += wire.HeaderSize + wire.PacketLen(heard.bytes[at:])
	}
	return peer.Greeting, fmt.Sprintf("%q", heard.bytes[at+wire.HeaderSize:])
}

// hearing keeps what it has read.
type hearing struct {
	net.Conn
	bytes []byte
}

func (h *hearing) Read(b []byte) (int, error) {
	n, err := h.Conn.Read(b)
	h.bytes = append(h.bytes, b[:n]...)
	return n, err
}

// proof is what MariaDB 11.8 sends for its certificate, as %q shows it, if tracking
// says that something follows.
var proof = regexp.MustCompile(`A\\x01[0-9A-F]{64}`)

// TestH29TheLastPacketOfALogin: the default schema is reported there.
func TestH29TheLastPacketOfALogin(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		for _, tracks := range []wire.Capability{0, wire.SessionTrack} {
			for _, database := range []string{"", caseSchema} {
				_, direct := loggedIn(t, c.Primary.Addr(), rawCapabilities&^wire.SessionTrack|tracks, database)
				_, through := loggedIn(t, rig.p.Addr(), rawCapabilities&^wire.SessionTrack|tracks, database)
				// Of a server with a certificate of its own, to clients without TLS, too.
				empty := ""
				if tracks != 0 {
					empty = `\x00`
				}
				direct = proof.ReplaceAllString(direct, empty)
				if d := cmp.Diff(direct, through); d != "" {
					t.Errorf("tracking %t, schema %q (-direct +through the proxy):\n%s", tracks != 0, database, d)
				}
			}
		}
	})
}

// attribute is the block of a COM_QUERY with one attribute, a string.
func attribute(name, value string) string {
	b := wire.AppendLenencString([]byte("\x01\x01\x00\x01\xfe\x00"), name)
	return string(wire.AppendLenencString(b, value))
}

// The combinations of CLIENT_DEPRECATE_EOF: Telamon always has it with servers.
var casesHEOF = []rawCase{
	{id: "H27", title: "every kind of reply with and without EOF packets", talk: func(c *rawClient) {
		c.exactly(wire.ComSetOption, "\x01\x00")
		c.exactly(wire.ComSetOption, "\x00\x00")
		c.exactly(wire.ComFieldList, "a\x00")
		c.exactly(wire.ComFieldList, "no_such_table\x00")
		c.exactQueries("SELECT id, v FROM a", "SELECT id FROM a WHERE id = -1", "SELECT no_such_column", "SELECT 'a' + 1",
			"SELECT IF(id = 3, (SELECT 1 UNION SELECT 2), id) FROM a ORDER BY id", "CALL p1(@o)")
		for _, sql := range []string{
			"SELECT id, ? FROM a", "SELECT id FROM a", "INSERT INTO b VALUES (?)", "DO 1", "SELECT no_such_column",
		} {
			c.exactly(wire.ComStmtPrepare, sql)
		}
		id := c.prepare("SELECT id FROM a WHERE id >= ? ORDER BY id")
		c.exactly(wire.ComStmtExecute, runWith(id, 1))
		c.exactly(wire.ComStmtExecute, runWith(id, 99))
		c.exactly(wire.ComStmtExecute, stmt(id, 1, 1, 0, 0, 0)+"\x00\x01\x08\x00\x01\x00\x00\x00\x00\x00\x00\x00")
		c.exactly(wire.ComStmtFetch, stmt(id, 2, 0, 0, 0))
		c.exactly(wire.ComStmtFetch, stmt(id, 9, 0, 0, 0))
	}},
}

var casesHAttributes = []rawCase{
	{id: "H27", title: "query attributes before text", only: "MySQL", caps: wire.QueryAttributes, talk: func(c *rawClient) {
		for _, block := range []string{
			wire.NoAttributes, attribute("n", "abc"), "\x01\x01\x01\x01\xfe\x00\x01n", "\x01\x01\x00\x01\x55\x00\x01n\x03abc",
			"\x00\x02", "\x01\x02\x00\x01\xfe\x00\x01n\x03abc", "\x01\x01\x00\x00", "\x05\x01", "", "\x01\x01\x00\x01\xfe\x00\xfc\xff\xffnnn",
		} {
			for _, sql := range []string{"SELECT 1", "INSERT INTO b VALUES (1)", "SELECT COUNT(*) FROM b", "SELECT mysql_query_attribute_string('n')", ""} {
				c.exactly(wire.ComQuery, block+sql)
			}
		}
		c.exactly(wire.ComQuery, wire.NoAttributes+"BEGIN")
		c.exactly(wire.ComQuery, attribute("n", "in a transaction")+"SELECT mysql_query_attribute_string('n')")
		c.exactly(wire.ComQuery, wire.NoAttributes+"COMMIT")
		c.exactly(wire.ComQuery, attribute("n", strings.Repeat("x", 1000))+"SELECT 1; SELECT mysql_query_attribute_string('n')")
		c.over = true // a client of this kind does not end like the others
	}},
	{id: "H27", title: "a text of 1 MiB behind 1 MiB of attributes", only: "MySQL", caps: wire.QueryAttributes, talk: func(c *rawClient) {
		for _, n := range []int{100, MiB} {
			c.exactly(wire.ComQuery, attribute("n", strings.Repeat("x", n))+"SELECT LENGTH('"+strings.Repeat("y", MiB)+"')")
			c.exactly(wire.ComQuery, attribute("n", strings.Repeat("x", n))+"INSERT INTO b VALUES (LENGTH('"+strings.Repeat("y", MiB)+"'))")
		}
		c.exactly(wire.ComQuery, wire.NoAttributes+"SELECT COUNT(*) FROM b FOR UPDATE")
		c.over = true
	}},
	{id: "H27", title: "query attributes of prepared statements", only: "MySQL", caps: wire.QueryAttributes, talk: func(c *rawClient) {
		const (
			plain = "\x00\x01\x00\x00\x00"
			flag  = "\x08\x01\x00\x00\x00"
			five  = "\x05\x00\x00\x00\x00\x00\x00\x00"
		)
		id := c.prepare("SELECT ? + 1, mysql_query_attribute_string('n')")
		for _, rest := range []string{
			flag + "\x01\x00\x01\x08\x00\x00" + five, flag + "\x02\x00\x01\x08\x00\x00\xfe\x00\x01n" + five + "\x03abc",
			flag + "\x01\x00\x00" + five, flag + "\x02\x02\x01\x08\x00\x01p\xfe\x00\x01n" + five, flag + "\x01\x01\x00",
			plain + "\x00\x01\x08\x00" + five, plain + "\x00\x00" + five, "\x09\x01\x00\x00\x00\x01\x00\x00" + five,
		} {
			c.exactly(wire.ComStmtExecute, stmt(id)+rest)
		}
		c.exactly(wire.ComStmtFetch, stmt(id, 5, 0, 0, 0))
		id = c.prepare("SELECT 7, mysql_query_attribute_string('n') FROM a")
		for _, rest := range []string{plain, flag + "\x00", flag + "\x01\x00\x01\xfe\x00\x01n\x03abc", flag + "\x00"} {
			c.exactly(wire.ComStmtExecute, stmt(id)+rest)
		}
		id = c.prepare("INSERT INTO b VALUES (?)")
		c.exactly(wire.ComStmtExecute, stmt(id)+flag+"\x02\x00\x01\x08\x00\x00\xfe\x00\x01n"+five+"\x03abc")
		c.exactly(wire.ComStmtExecute, stmt(id)+flag+"\x01\x00\x00"+five)
		c.over = true
	}},
	{id: "H27", title: "bytes behind the values of an execution are ignored", talk: func(c *rawClient) {
		id := c.prepare("SELECT ? + 1")
		c.exactly(wire.ComStmtExecute, stmt(id)+"\x00\x01\x00\x00\x00\x00\x01\x08\x00\x05\x00\x00\x00\x00\x00\x00\x00\x03abc")
		id = c.prepare("SELECT 1")
		c.exactly(wire.ComStmtExecute, stmt(id)+"\x00\x01\x00\x00\x00\x03abc")
	}},
}

// TestH27QueryAttributesComponent: mysql_query_attribute_string() tells what a
// client has sent, on whichever server the statement runs.
func TestH27QueryAttributesComponent(t *testing.T) {
	c := suite.Cluster(t, localserver.MySQL)
	if err := c.Primary.Exec(t.Context(), "INSTALL COMPONENT 'file://component_query_attributes'"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		_ = c.Primary.Exec(context.Background(), "UNINSTALL COMPONENT 'file://component_query_attributes'")
	})
	rig := newRawRig(t, c)
	for _, rc := range casesHAttributes {
		t.Run(rc.title, func(t *testing.T) { rig.tell(t, rc) })
	}
}

// TestH29TheLastPacketOfAChangeOfUser: as at the login.
func TestH29TheLastPacketOfAChangeOfUser(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		for _, database := range []string{"", caseSchema} {
			var last [2]string
			for i, addr := range []string{c.Primary.Addr(), rig.p.Addr()} {
				cl := dialRaw(t, addr, localserver.AppUser, rawCapabilities|wire.SessionTrack, 0)
				last[i] = cl.changeUser(database)
			}
			if last[0] != last[1] || !strings.HasPrefix(last[0], `"\x00\x00\x00`) {
				t.Errorf("schema %q: %s, directly %s", database, last[1], last[0])
			}
		}
	})
}

// changeUser becomes the application's user once more and returns the packet
// that ends the exchange.
func (c *rawClient) changeUser(database string) string {
	x := auth.ClientExchange{Password: localserver.AppPassword}
	x.Start(auth.NativePassword, make([]byte, wire.SaltSize))
	arg := localserver.AppUser + "\x00\x00" + database + "\x00\x2d\x00" + auth.NativePassword + "\x00"
	if c.caps.Has(wire.ConnectAttrs) {
		arg += "\x00"
	}
	c.write(framed(wire.ComChangeUser, arg))
	for {
		seq, b := c.packet()
		if c.over {
			return "closed"
		}
		action, reply, err := x.Next(b)
		switch {
		case err != nil:
			return err.Error()
		case action == auth.Done:
			return fmt.Sprintf("%q", b)
		case action == auth.Send:
			p, _ := wire.AppendPacket(nil, seq+1, reply)
			c.write(p)
		}
	}
}
