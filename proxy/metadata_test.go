package proxy

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

const extended = wire.MariaDBProgress | wire.MariaDBStmtBulk | wire.MariaDBExtMetadata | wire.MariaDBCacheMetadata

// cachingClient keeps the names of the columns of its statements.
type cachingClient struct {
	*client
	names  map[uint32][]string
	repeat int // how often they came with an execution
}

func newCachingClient(r *rig) *cachingClient {
	caps := wiretest.Capabilities&^(wire.LongPassword|wire.FoundRows|wire.NoSchema|wire.IgnoreSpace|wire.Interactive) | extended
	return &cachingClient{client: r.login(wiretest.Credentials{Capabilities: caps}), names: map[uint32][]string{}}
}

func (c *cachingClient) prepare(sql string) uint32 {
	c.t.Helper()
	if err := c.Command(wire.ComStmtPrepare, sql); err != nil {
		c.t.Fatal(err)
	}
	var ok wire.StmtPrepareOK
	if b, err := c.packet(); err != nil || ok.Parse(b) != nil {
		c.t.Fatal(err)
	}
	c.columns(int(ok.Params))
	c.names[ok.StatementID] = c.columns(int(ok.Columns))
	return ok.StatementID
}

func (c *cachingClient) columns(n int) (names []string) {
	for range n {
		b, err := c.packet()
		var col wire.ColumnDef
		if err == nil {
			err = col.Parse(b, c.Capabilities)
		}
		if err != nil {
			c.t.Fatal(err)
		}
		names = append(names, col.Name)
	}
	return names
}

// execute runs a statement and returns column names and row.
func (c *cachingClient) execute(id uint32) string {
	c.t.Helper()
	if err := c.Command(wire.ComStmtExecute, executePacket(id, 0, false)); err != nil {
		c.t.Fatal(err)
	}
	b, err := c.packet()
	if err != nil {
		c.t.Fatal(err)
	}
	if len(b) != 2 {
		c.t.Fatalf("no byte behind the column count: %q", b)
	}
	count := int(b[0])
	if b[1] == 1 {
		c.repeat++
		c.names[id] = c.columns(count)
	}
	rows, _, err := c.binaryRows(count)
	if err != nil || len(rows) != 1 {
		c.t.Fatalf("%v, %v", rows, err)
	}
	return strings.Join(append(c.names[id], texts(rows[0])...), " ")
}

func (f *fake) alter(suffix string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.altered = suffix
}

// PS20: whatever server a statement runs on, and whatever that takes the client
// to have, the client ends up with the definitions of the rows it gets.
func TestAClientThatKeepsDefinitionsHasTheRightOnes(t *testing.T) {
	r := newRig(t, func(s *setup) { s.mariadb = true })
	c := newCachingClient(r)
	id := c.prepare("SELECT server FROM t")
	onPrimary := func() string {
		c.exec("BEGIN")
		defer c.exec("COMMIT")
		return c.execute(id)
	}
	for i, step := range []struct {
		do      func()
		primary bool
		want    string
		repeats bool // the definitions come with the rows
	}{
		{func() {}, false, "server A", false},
		{func() {}, true, "server P", false}, // prepared there just now, and the same
		{func() {}, false, "server A", false},
		{func() { r.primary.alter("_new") }, true, "server_new P", true},
		{func() {}, true, "server_new P", false},
		{func() {}, false, "server A", true}, // the replica has not heard of it
		{func() {}, false, "server A", false},
		{func() {}, true, "server_new P", true},
		{func() { r.replicas[0].alter("_new") }, false, "server_new A", false}, // prepared anew, and the same
		{func() {}, true, "server_new P", false},
		{func() {}, false, "server_new A", false},
	} {
		step.do()
		before := c.repeat
		got := ""
		if step.primary {
			got = onPrimary()
		} else {
			got = c.execute(id)
		}
		if got != step.want || (c.repeat > before) != step.repeats {
			t.Errorf("step %d: %q, definitions with it %t; want %q, %t", i+1, got, c.repeat > before, step.want, step.repeats)
		}
	}
}

func TestLongDataSurvivesThatAStatementIsPreparedAnew(t *testing.T) {
	r := newRig(t, func(s *setup) { s.mariadb = true })
	c := newCachingClient(r)
	id := c.prepare("SELECT ?, server FROM t")
	c.execute(c.prepare("SELECT 1 FROM t"))
	r.primary.alter("_new")
	c.longData(id, 0, "long ")
	c.longData(id, 0, "data")
	if err := c.Command(wire.ComStmtExecute, executePacket(id, 0, true, null)); err != nil {
		t.Fatal(err)
	}
	b, err := c.packet()
	if err != nil {
		t.Fatal(err)
	}
	if b[1] == 1 {
		c.names[id] = c.columns(int(b[0]))
	}
	rows, _, err := c.binaryRows(2)
	if err != nil || rows[0][0].Text != "long data" || c.names[id][1] != "server_new" {
		t.Errorf("%v, %v, columns %v", rows, err, c.names[id])
	}
}

// PS18: what the server has prepared last may be Telamon's doing.
func TestTheStatementPreparedLastIsTheClients(t *testing.T) {
	r := newRig(t, func(s *setup) { s.mariadb = true })
	c := newCachingClient(r)
	first := c.prepare("SELECT 'first', server FROM t")
	last := c.prepare("SELECT 'last', server FROM t")
	c.exec("BEGIN")
	if got := c.execute(first); !strings.HasSuffix(got, " first P") {
		t.Errorf("first: %q", got)
	}
	c.names[session.Direct] = c.names[last]
	if got := c.execute(session.Direct); !strings.HasSuffix(got, " last P") {
		t.Errorf("last: %q", got)
	}
	c.exec("COMMIT")
	c.errs(wire.CodeParse, wire.ComStmtPrepare, "BAD")
	c.errs(wire.CodeUnknownStmt, wire.ComStmtExecute, executePacket(session.Direct, 0, false))
	c.execute(first)
	c.errs(wire.CodeUnknownStmt, wire.ComStmtExecute, executePacket(session.Direct, 0, false))
}

// PS19: a bulk execution goes to the primary, with the number it has there, and
// with types that connection has not been told.
func TestABulkExecutionRunsOnThePrimary(t *testing.T) {
	r := newRig(t, func(s *setup) { s.mariadb = true })
	var got []byte
	r.primary.intercept(func(c *fakeConn, cmd wire.Command, arg []byte) (bool, error) {
		if cmd != wire.ComStmtBulkExecute {
			return false, nil
		}
		if c.prepared[binary.LittleEndian.Uint32(arg)] == nil {
			return true, c.fail(wire.CodeUnknownStmt, "unknown")
		}
		got = arg[4:]
		return true, c.ok(nil)
	})
	c := newCachingClient(r)
	id := c.prepare("SELECT ? FROM t") // prepared on the replica
	c.errs(wire.CodeMalformedPacket, wire.ComStmtBulkExecute, idBytes(id)+"\x80")
	c.errs(wire.CodeMalformedPacket, wire.ComStmtBulkExecute, idBytes(id)+"\x80\x00\x08")
	c.errs(wire.CodeUnknownStmt, wire.ComStmtBulkExecute, idBytes(999)+"\x80\x00\x08\x00")
	const rows = "\x00\x01\x02\x03\x04\x05\x06\x07\x08"
	if c.ok(wire.ComStmtBulkExecute, idBytes(id)+"\x80\x00\x08\x00"+rows); string(got) != "\x80\x00\x08\x00"+rows {
		t.Errorf("the server got %q", got)
	}
	if c.ok(wire.ComStmtBulkExecute, idBytes(id)+"\x00\x00"+rows); string(got) != "\x00\x00"+rows {
		t.Errorf("the server got %q", got)
	}
	r.primary.mu.Lock()
	for _, conn := range r.primary.conns { // the next one has been told nothing
		_ = conn.NetConn().Close()
	}
	r.primary.mu.Unlock()
	eventually(t, "the connection is known to be closed", func() bool {
		return c.simple(wire.ComStmtBulkExecute, idBytes(session.Direct)+"\x00\x00"+rows)[0] == 0
	})
	if string(got) != "\x80\x00\x08\x00"+rows {
		t.Errorf("the new connection got %q", got)
	}
}
