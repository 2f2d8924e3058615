//go:build integration

package integration

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// A raw case is a conversation in packets, held once with the primary and once
// with the proxy. What came back must be the same to the byte: lengths, sequence
// ids, contents. Only what cannot be the same is masked; see rawClient.

type rawCase struct {
	id, title string
	only      string          // flavour
	caps      wire.Capability // in addition to rawCapabilities
	without   wire.Capability // of rawCapabilities
	collation byte            // of the login
	once      bool            // not told a second time with CLIENT_DEPRECATE_EOF
	talk      func(c *rawClient)
}

// rawCapabilities are those of a plain client. Whether it has
// CLIENT_DEPRECATE_EOF varies.
const rawCapabilities = caseCapabilities | wire.FoundRows

// runRaw tells cases on both flavours, each with and without
// CLIENT_DEPRECATE_EOF. The proxy has no guard and keeps one idle connection per
// server, so that what one session has left the next one gets.
func runRaw(t *testing.T, groups ...[]rawCase) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		for _, cases := range groups {
			for _, rc := range cases {
				if rc.only == "" || rc.only == c.Primary.Flavour().String() {
					t.Run(rc.id+" "+rc.title, func(t *testing.T) { rig.tell(t, rc) })
				}
			}
		}
	})
}

type rawRig struct {
	c *localserver.Cluster
	p *localproxy.Proxy
	// secure, unless nil, is how clients of the proxy encrypt.
	secure *tls.Config
}

func newRawRig(t *testing.T, c *localserver.Cluster) *rawRig {
	t.Helper()
	return newRawRigWith(t, c, harness.ProxyConfig(c))
}

func newRawRigWith(t *testing.T, c *localserver.Cluster, cfg localproxy.Config) *rawRig {
	t.Helper()
	createCaseSchema(t, c)
	cfg.Consistency = "global"
	cfg.Settings["guard"] = "dml_without_where = \"allow\"\ndenied_functions = []"
	cfg.Settings["pool"] = "max_idle = 1"
	return &rawRig{c: c, p: suite.StartProxy(t, cfg)}
}

func (rig *rawRig) tell(t *testing.T, rc rawCase) {
	variants := []struct {
		name string
		caps wire.Capability
	}{{"with DEPRECATE_EOF", wire.DeprecateEOF}, {"with EOF packets", 0}}
	if rc.once {
		variants = variants[:1]
	}
	for _, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			rc.caps |= v.caps
			direct := rig.hold(t, rc, rig.c.Primary.Addr(), false)
			through := rig.hold(t, rc, rig.p.Addr(), true)
			if d := cmp.Diff(direct, through); d != "" {
				t.Errorf("not as directly (-direct +through the proxy):\n%s", d)
			}
			rc.caps &^= wire.DeprecateEOF
		})
	}
}

// hold holds the conversation and returns what was said.
func (rig *rawRig) hold(t *testing.T, rc rawCase, addr string, through bool) []string {
	t.Helper()
	resetCaseTables(t, rig.c)
	var secure *tls.Config
	if through {
		secure = rig.secure
	}
	c := dialRawOver(t, secure, addr, localserver.AppUser, (rawCapabilities|rc.caps)&^rc.without, rc.collation)
	c.rig, c.through = rig, through
	defer c.nc.Close()
	rc.talk(c)
	if !c.over {
		c.query("SELECT 'still in step'")
	}
	return c.said
}

// rawClient sends what it is told and notes what comes, packet by packet.
//
// Masked are the ids of prepared statements, SERVER_QUERY_WAS_SLOW, which depends
// on how busy the machine is, SERVER_SESSION_STATE_CHANGED, which
// servers also set for clients that cannot read what it announces (measured,
// MariaDB 10.11), and in the EOF behind definitions what docs/compatibility.md
// says. Rows are noted as their number, bytes and hash.
type rawClient struct {
	t       testing.TB
	rig     *rawRig
	through bool // talks to the proxy
	nc      net.Conn
	r       *bufio.Reader
	w       io.Writer
	caps    wire.Capability
	id      uint32 // of the connection, as greeted
	seq     byte   // expected next
	said    []string
	over    bool  // the connection is closed
	cause   error // what ended it
}

// rawTimeout is how long a client waits for anything.
const rawTimeout = time.Minute

func dialRaw(t testing.TB, addr, user string, caps wire.Capability, collation byte) *rawClient {
	t.Helper()
	return dialRawOver(t, nil, addr, user, caps, collation)
}

// dialRawOver is dialRaw over TLS, unless secure is nil.
func dialRawOver(t testing.TB, secure *tls.Config, addr, user string, caps wire.Capability, collation byte) *rawClient {
	t.Helper()
	cc := dialCaseOver(t, secure, addr, user, caps, collation)
	if err := cc.nc.SetDeadline(time.Now().Add(rawTimeout)); err != nil {
		t.Fatal(err)
	}
	c := &rawClient{t: t, nc: cc.nc, caps: cc.peer.Capabilities, id: cc.peer.Greeting.ConnectionID}
	c.r, c.w = bufio.NewReaderSize(stream{cc.peer.Conn}, 64<<10), cc.peer.Conn
	return c
}

// stream reads what comes through a connection, TLS or not.
type stream struct{ *wire.Conn }

func (s stream) Read(p []byte) (int, error) {
	if len(s.Buffered()) == 0 {
		if err := s.Fill(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.Buffered())
	s.Discard(n)
	return n, nil
}

// another is a second client of the same kind, whose words are not compared.
func (c *rawClient) another() *rawClient {
	c.t.Helper()
	o := dialRaw(c.t, c.nc.RemoteAddr().String(), localserver.AppUser, c.caps, 0)
	o.rig, o.through = c.rig, c.through
	return o
}

func (c *rawClient) note(format string, args ...any) {
	c.said = append(c.said, fmt.Sprintf(format, args...))
}

// write sends bytes as they are. An error shows in what comes back.
func (c *rawClient) write(b []byte) {
	_ = c.nc.SetDeadline(time.Now().Add(rawTimeout))
	if _, err := c.w.Write(b); err != nil {
		c.note("> broken")
	}
	c.seq = 1
}

// framed is a command with its packet headers.
func framed(cmd wire.Command, arg string) []byte {
	b, _ := wire.AppendPacket(nil, 0, append([]byte{byte(cmd)}, arg...))
	return b
}

// send sends a command; its reply is read by one of the methods below.
func (c *rawClient) send(cmd wire.Command, arg string) {
	b := framed(cmd, arg)
	c.write(b)
	c.seq = byte(1 + (len(arg)+1)/wire.MaxPayload)
}

// payload reads one payload, of several packets if it is long, and notes all
// headers that are not as expected. nil: the connection is over.
func (c *rawClient) payload() []byte {
	var joined []byte
	for {
		var h [4]byte
		if _, err := io.ReadFull(c.r, h[:]); err != nil {
			c.ended(err)
			return nil
		}
		if h[3] != c.seq {
			c.note("< sequence id %d instead of %d", h[3], c.seq)
		}
		c.seq = h[3] + 1
		n := wire.PacketLen(h[:])
		at := len(joined)
		joined = slices.Grow(joined, n)[:at+n]
		if _, err := io.ReadFull(c.r, joined[at:]); err != nil {
			c.ended(err)
			return nil
		}
		if n < wire.MaxPayload {
			return joined
		}
	}
}

func (c *rawClient) ended(err error) {
	c.over, c.cause = true, err
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.note("< nothing for %v", rawTimeout)
		c.t.Error("nothing came: the conversation proves nothing from here on") // and must not pass because both sides are silent
		return
	}
	c.note("< closed")
}

// noteBytes notes a payload, long ones by their hash.
func (c *rawClient) noteBytes(what string, b []byte) {
	if len(b) > 200 {
		c.note("< %s, %d bytes %x", what, len(b), sha256.Sum256(b))
		return
	}
	c.note("< %d %s %q", c.seq-1, what, b)
}

// end notes an ERR, OK or EOF packet and returns its status; more is false
// after an ERR.
func (c *rawClient) end(b []byte) (status wire.Status) {
	if wire.IsErr(b) {
		c.noteBytes("ERR", b)
		return 0
	}
	at := 1 // of the status
	if wire.IsEOF(b) && !c.caps.Has(wire.DeprecateEOF) {
		at = 3
	} else {
		for range 2 {
			_, n := wire.ReadLenencInt(b[at:])
			at += n
		}
	}
	if len(b) < at+2 {
		c.noteBytes("malformed", b)
		return 0
	}
	status = wire.Status(binary.LittleEndian.Uint16(b[at:])) &^ (wire.SessionStateChange | wire.QueryWasSlow)
	binary.LittleEndian.PutUint16(b[at:], uint16(status))
	c.noteBytes("OK or EOF", b)
	return status
}

// one reads a reply of one OK, EOF or ERR.
func (c *rawClient) one() {
	if b := c.payload(); b != nil {
		c.end(b)
	}
}

// bare reads a reply of one packet without structure.
func (c *rawClient) bare() {
	if b := c.payload(); b != nil {
		c.note("< %d a packet without structure", c.seq-1)
	}
}

// results reads the reply to COM_QUERY or COM_STMT_EXECUTE. It returns the last
// status.
func (c *rawClient) results() wire.Status {
	for {
		b := c.payload()
		switch {
		case b == nil:
			return 0
		case len(b) == 0:
			c.note("< empty packet")
			return 0
		case wire.IsErr(b):
			return c.end(b)
		case b[0] == 0xfb:
			c.noteBytes("LOCAL INFILE", b)
			return 0
		case b[0] == 0:
			if status := c.end(b); !status.Has(wire.MoreResultsExist) {
				return status
			}
			continue
		}
		status, more := c.resultSet(b)
		if !more {
			return status
		}
	}
}

// resultSet reads the definitions and rows behind the column count b.
func (c *rawClient) resultSet(b []byte) (status wire.Status, more bool) {
	c.noteBytes("columns", b)
	count, _ := wire.ReadLenencInt(b)
	meta, ok := c.definitions(int(count))
	if !ok || meta.Has(wire.CursorExists) {
		return meta, false
	}
	status, ok = c.rows()
	// MySQL leaves the flag out of the last EOF of an OUT parameter set.
	return status, ok && (status | meta).Has(wire.MoreResultsExist)
}

// definitions reads column or parameter definitions and the EOF behind them.
func (c *rawClient) definitions(n int) (status wire.Status, ok bool) {
	for range n {
		b := c.payload()
		if b == nil {
			return 0, false
		}
		c.noteBytes("definition", b)
	}
	if n == 0 || c.caps.Has(wire.DeprecateEOF) {
		return 0, true
	}
	b := c.payload()
	if b == nil {
		return 0, false
	}
	meta := wire.Status(binary.LittleEndian.Uint16(b[3:]))
	if !meta.Has(wire.CursorExists) {
		binary.LittleEndian.PutUint16(b[3:], uint16(meta&(wire.Autocommit|wire.InTrans)))
	}
	c.end(b)
	return meta, true
}

// rows reads rows up to their end; ok is false after an ERR.
func (c *rawClient) rows() (status wire.Status, ok bool) {
	n, size, h := 0, 0, sha256.New()
	for {
		b := c.payload()
		if b == nil {
			return 0, false
		}
		if wire.IsErr(b) || b[0] == 0xfe && (len(b) < 9 || c.caps.Has(wire.DeprecateEOF) && len(b) < wire.MaxPayload) {
			c.note("< %d rows, %d bytes %x", n, size, h.Sum(nil))
			return c.end(b), !wire.IsErr(b)
		}
		if size == 0 && len(b) < 300 {
			c.note("< first row %q", b)
		}
		n, size = n+1, size+len(b)
		h.Write(b)
	}
}

// query runs a statement as text.
func (c *rawClient) query(sql string) wire.Status {
	c.send(wire.ComQuery, sql)
	return c.results()
}

// prepare prepares a statement and returns its id, 0 after an ERR.
func (c *rawClient) prepare(sql string) uint32 {
	c.send(wire.ComStmtPrepare, sql)
	return c.prepared()
}

// prepared reads the reply to COM_STMT_PREPARE.
func (c *rawClient) prepared() uint32 {
	b := c.payload()
	if b == nil {
		return 0
	}
	var ok wire.StmtPrepareOK
	if err := ok.Parse(b); err != nil {
		c.end(b)
		return 0
	}
	c.note("< %d prepared, %d parameters, %d columns, %d warnings", c.seq-1, ok.Params, ok.Columns, ok.Warnings)
	if _, fine := c.definitions(int(ok.Params)); fine {
		c.definitions(int(ok.Columns))
	}
	return ok.StatementID
}

// execute runs a prepared statement; args are as in executeArg.
func (c *rawClient) execute(id uint32, args ...any) wire.Status {
	c.send(wire.ComStmtExecute, executeArg(id, args))
	return c.results()
}

// stmt is the argument of a command about a prepared statement.
func stmt(id uint32, rest ...byte) string {
	return string(append(binary.LittleEndian.AppendUint32(nil, id), rest...))
}

// closes expects the connection to end; an ERR may come before.
func (c *rawClient) closes() {
	for !c.over {
		if b := c.payload(); b != nil {
			c.end(b)
		}
	}
}

// silent notes what comes within the time, in which nothing should.
func (c *rawClient) silent(d time.Duration) {
	_ = c.nc.SetReadDeadline(time.Now().Add(d))
	if b, err := c.r.Peek(1); err == nil {
		c.note("< unasked %x", b)
	} else if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.ended(err)
	}
	_ = c.nc.SetReadDeadline(time.Now().Add(rawTimeout))
}

// crash drops the connection as a client that dies would.
func (c *rawClient) crash() {
	_ = c.nc.(*net.TCPConn).SetLinger(0)
	_ = c.nc.Close()
	c.over = true
}
