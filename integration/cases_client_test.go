//go:build integration

package integration

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// caseClient is a client that shows every packet of a reply as it came. It reads
// in the plainest way, knowing nothing of what the proxy's own reader knows.
type caseClient struct {
	t    testing.TB
	peer *wiretest.Peer
	nc   net.Conn
}

// caseReply is the reply to one command.
type caseReply struct {
	packets []string // decoded where the protocol gives them a meaning
	first   string   // first column of the first row of the first result
	errno   uint16
	broken  error // the connection is gone
	status  wire.Status
	prepare wire.StmtPrepareOK
}

func (r *caseReply) add(format string, args ...any) {
	r.packets = append(r.packets, fmt.Sprintf(format, args...))
}

// replyTimeout is how long a client waits for a reply; more than any lock wait.
const replyTimeout = 20 * time.Second

// caseCapabilities are what a client asks for; deprecateEOF or not is the case's.
const caseCapabilities = wiretest.Capabilities &^ (wire.FoundRows | wire.NoSchema | wire.IgnoreSpace |
	wire.Interactive | wire.SessionTrack | wire.DeprecateEOF)

func dialCase(t testing.TB, addr, user string, caps wire.Capability, collation byte) *caseClient {
	t.Helper()
	return dialCaseOver(t, nil, addr, user, caps, collation)
}

// dialCaseOver is dialCase over TLS, unless secure is nil.
func dialCaseOver(t testing.TB, secure *tls.Config, addr, user string, caps wire.Capability, collation byte) *caseClient {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(replyTimeout)); err != nil {
		t.Fatal(err)
	}
	password := map[string]string{localserver.AppUser: localserver.AppPassword, localserver.DBAUser: localserver.DBAPassword}[user]
	peer, err := wiretest.Login(nc, wiretest.Credentials{
		User: user, Password: password, Database: caseSchema, Capabilities: caps, Collation: collation, TLS: secure,
	})
	if err != nil {
		t.Fatalf("log in at %s: %v", addr, err)
	}
	return &caseClient{t: t, peer: peer, nc: nc}
}

// quit leaves as a client should; reset drops the connection as a crash would.
func (c *caseClient) quit() {
	_ = c.peer.Command(wire.ComQuit, "")
	_ = c.nc.Close()
}

func (c *caseClient) reset() {
	_ = c.nc.(*net.TCPConn).SetLinger(0)
	_ = c.nc.Close()
}

// send sends a command without waiting for the reply.
func (c *caseClient) send(cmd wire.Command, arg string) {
	_ = c.nc.SetDeadline(time.Now().Add(replyTimeout))
	if err := c.peer.Command(cmd, arg); err != nil {
		c.t.Logf("send: %v", err) // the reply will tell
	}
}

// query runs a statement as text.
func (c *caseClient) query(sql string) caseReply {
	c.send(wire.ComQuery, sql)
	return c.reply(false)
}

// codeNotPreparable is ER_UNSUPPORTED_PS.
const codeNotPreparable = 1295

// execute prepares a statement, executes and closes it. One that cannot be
// prepared is run as text.
func (c *caseClient) execute(sql string, args []any) caseReply {
	c.send(wire.ComStmtPrepare, sql)
	r := c.prepared()
	switch {
	case r.broken != nil, r.errno != 0 && r.errno != codeNotPreparable:
		return r
	case r.errno != 0:
		return c.query(sql)
	}
	c.send(wire.ComStmtExecute, executeArg(r.prepare.StatementID, args))
	e := c.reply(true)
	e.packets = append(r.packets, e.packets...)
	c.send(wire.ComStmtClose, string(binary.LittleEndian.AppendUint32(nil, r.prepare.StatementID)))
	return e
}

// executeArg is the rest of a COM_STMT_EXECUTE; args are strings, ints and nil.
func executeArg(id uint32, args []any) string {
	b := binary.LittleEndian.AppendUint32(nil, id)
	b = append(b, 0, 1, 0, 0, 0)
	if len(args) == 0 {
		return string(b)
	}
	nulls := make([]byte, (len(args)+7)/8)
	var types, values []byte
	for i, arg := range args {
		switch v := arg.(type) {
		case string:
			types = append(types, 0xfd, 0) // MYSQL_TYPE_VAR_STRING
			values = wire.AppendLenencString(values, v)
		case int:
			types = append(types, 0x08, 0) // MYSQL_TYPE_LONGLONG
			values = binary.LittleEndian.AppendUint64(values, uint64(v))
		case nil:
			types = append(types, 0x06, 0) // MYSQL_TYPE_NULL
			nulls[i/8] |= 1 << (i % 8)
		default:
			panic(fmt.Sprintf("parameter %T", arg))
		}
	}
	b = append(append(append(append(b, nulls...), 1), types...), values...)
	return string(b)
}

// read returns the next packet; nil with r.broken set when there is none.
func (c *caseClient) read(r *caseReply) []byte {
	b, err := c.peer.Read()
	if err == nil && len(b) == 0 {
		err = errors.New("empty packet")
	}
	if err != nil {
		r.broken = err
		r.add("broken")
		return nil
	}
	return b
}

// isErr notes an ERR packet.
func (r *caseReply) isErr(b []byte) bool {
	if !wire.IsErr(b) {
		return false
	}
	e, err := wire.ParseErr(b)
	if err != nil {
		r.add("malformed %q", b)
		return true
	}
	r.errno = e.Code
	r.add("%v", e)
	return true
}

// ok notes an OK or EOF packet and returns its status. MariaDB says that session
// state has changed also to those who do not understand what would follow.
func (c *caseClient) ok(r *caseReply, b []byte) wire.Status {
	if wire.IsEOF(b) && !c.peer.Capabilities.Has(wire.DeprecateEOF) {
		eof, err := wire.ParseEOF(b)
		eof.Status &^= wire.SessionStateChange
		r.add("EOF status %#04x warnings %d %v", uint16(eof.Status), eof.Warnings, err)
		r.status = eof.Status
		return eof.Status
	}
	ok, err := wire.ParseOK(b, c.peer.Capabilities)
	ok.Status &^= wire.SessionStateChange
	r.add("OK %#x affected %d id %d status %#04x warnings %d info %q %v", b[0], ok.AffectedRows, ok.LastInsertID, uint16(ok.Status), ok.Warnings, ok.Info, err)
	r.status = ok.Status
	return ok.Status
}

// reply reads the reply to a COM_QUERY or COM_STMT_EXECUTE.
func (c *caseClient) reply(binary bool) caseReply {
	var r caseReply
	for {
		b := c.read(&r)
		if b == nil || r.isErr(b) {
			return r
		}
		if b[0] == 0 {
			if !c.ok(&r, b).Has(wire.MoreResultsExist) {
				return r
			}
			continue
		}
		more, ok := c.resultSet(&r, b, binary)
		if !ok || !more {
			return r
		}
	}
}

// resultSet reads a result set whose first packet is b. more says that another
// result follows, ok that it came to its regular end.
func (c *caseClient) resultSet(r *caseReply, b []byte, binary bool) (more, ok bool) {
	columns, err := wire.ParseColumnCount(b)
	if err != nil {
		r.add("malformed %q", b)
		r.broken = err
		return false, false
	}
	isFirst := !strings.Contains(strings.Join(r.packets, "\n"), "columns ")
	r.add("columns %d", columns)
	column, ok := c.definitions(r, columns)
	if !ok {
		return false, false
	}
	// MySQL leaves the flag out of the last EOF of an OUT parameter set.
	metaMore := len(r.packets) > 0 && strings.HasPrefix(r.packets[len(r.packets)-1], "EOF of") && r.status.Has(wire.MoreResultsExist)
	for {
		b := c.read(r)
		if b == nil || r.isErr(b) {
			return false, false
		}
		if b[0] == 0xfe && (wire.IsEOF(b) || c.peer.Capabilities.Has(wire.DeprecateEOF)) {
			return c.ok(r, b).Has(wire.MoreResultsExist) || metaMore, true
		}
		r.add("row %q", b)
		if isFirst {
			isFirst = false
			r.first = c.firstField(b, &column, columns, binary)
		}
	}
}

// firstField is the first field of a row as text. Of binary rows it knows
// integers and what is sent as a string.
func (c *caseClient) firstField(b []byte, column *wire.ColumnDef, columns int, bin bool) string {
	if !bin {
		fields, err := wire.ParseTextRow(nil, b, columns)
		if err != nil || fields[0] == nil {
			return "NULL"
		}
		return string(fields[0])
	}
	if b[1]&4 != 0 {
		return "NULL"
	}
	value := b[1+(columns+9)/8:]
	switch column.Type {
	case 0x01: // MYSQL_TYPE_TINY
		return fmt.Sprint(int8(value[0]))
	case 0x03: // MYSQL_TYPE_LONG
		return fmt.Sprint(int32(binary.LittleEndian.Uint32(value)))
	case 0x08: // MYSQL_TYPE_LONGLONG
		return fmt.Sprint(int64(binary.LittleEndian.Uint64(value)))
	}
	s, _ := wire.ReadLenencBytes(value)
	return string(s)
}

// definitions reads column definitions and their EOF, and returns the first.
func (c *caseClient) definitions(r *caseReply, n int) (first wire.ColumnDef, ok bool) {
	for i := range n {
		b := c.read(r)
		if b == nil {
			return first, false
		}
		r.add("definition %q", b)
		if i == 0 {
			if err := first.Parse(b, c.peer.Capabilities); err != nil {
				r.broken = err
				return first, false
			}
		}
	}
	if n > 0 && !c.peer.Capabilities.Has(wire.DeprecateEOF) {
		b := c.read(r)
		if b == nil {
			return first, false
		}
		eof, err := wire.ParseEOF(b)
		r.status = eof.Status
		// Between proxy and server this packet does not exist. What is left out
		// here speaks of the statement before (flags about indexes, MariaDB) or of
		// this one's end, which the EOF behind the rows says again.
		eof.Status &= wire.Autocommit | wire.NoBackslashEscapes
		eof.Warnings = 0
		r.add("EOF of definitions, status %#04x %v", uint16(eof.Status), err)
	}
	return first, true
}

// prepared reads the reply to a COM_STMT_PREPARE.
func (c *caseClient) prepared() caseReply {
	var r caseReply
	b := c.read(&r)
	if b == nil || r.isErr(b) {
		return r
	}
	if err := r.prepare.Parse(b); err != nil {
		r.broken = err
		return r
	}
	r.add("prepared, columns %d params %d warnings %d", r.prepare.Columns, r.prepare.Params, r.prepare.Warnings)
	if _, ok := c.definitions(&r, int(r.prepare.Params)); ok {
		c.definitions(&r, int(r.prepare.Columns))
	}
	return r
}
