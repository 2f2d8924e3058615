package admin

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// client is the other end of the protocol, for what drivers do not do.
type client struct {
	*wire.Conn
	t        testing.TB
	greeting wire.HandshakeV10
}

func dial(t testing.TB, addr *net.TCPAddr) *client {
	t.Helper()
	nc, err := net.DialTCP("tcp", nil, addr)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{Conn: wire.NewConn(nc), t: t}
	t.Cleanup(func() { c.Close() })
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	if err := c.greeting.Parse(c.read()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *client) read() []byte {
	c.t.Helper()
	p, err := c.ReadPacket(1 << 20)
	if err != nil {
		c.t.Fatal(err)
	}
	return p
}

func (c *client) send(payload []byte) []byte {
	c.t.Helper()
	c.WritePacket(payload)
	if err := c.Flush(); err != nil {
		c.t.Fatal(err)
	}
	return c.read()
}

// command sends a command and returns the first packet of the answer.
func (c *client) command(cmd wire.Command, payload string) []byte {
	c.t.Helper()
	c.Seq = 0
	return c.send(append([]byte{byte(cmd)}, payload...))
}

func (c *client) errorOf(payload []byte) *wire.Err {
	c.t.Helper()
	e, err := wire.ParseErr(payload)
	if err != nil {
		c.t.Fatalf("%v in %q", err, payload)
	}
	return e
}

// native is a login as old clients make it.
func (c *client) native() wire.HandshakeResponse {
	return wire.HandshakeResponse{
		Capabilities: wire.LongPassword | wire.Protocol41 | wire.SecureConnection,
		User:         testUser,
		AuthResponse: auth.NativeScramble(testPassword, c.greeting.Salt[:]),
	}
}

func login(t testing.TB, addr *net.TCPAddr) *client {
	t.Helper()
	c := dial(t, addr)
	l := c.native()
	if p := c.send(l.Append(nil)); !wire.IsOK(p, 0) {
		t.Fatalf("login: %q", p)
	}
	return c
}

func TestTheGreetingIsAtlas(t *testing.T) {
	c := dial(t, newRig(t).addr)
	if c.greeting.ServerVersion != "5.0.99-agent-admin" {
		t.Errorf("version %q", c.greeting.ServerVersion)
	}
	if c.greeting.AuthPlugin != auth.NativePassword || !c.greeting.Capabilities.Has(wire.PluginAuth|wire.Protocol41) {
		t.Errorf("plugin %q, capabilities %x", c.greeting.AuthPlugin, c.greeting.Capabilities)
	}
}

func TestClientsLogInWithWhateverPluginTheyHave(t *testing.T) {
	const plugins = wire.PluginAuth | wire.PluginAuthLenenc
	tests := []struct {
		name     string
		caps     wire.Capability
		plugin   string
		response func(salt []byte) []byte
		switched string // plugin the console asks for
	}{
		{"without plugins", 0, "", func(s []byte) []byte { return auth.NativeScramble(testPassword, s) }, ""},
		{"native", plugins, auth.NativePassword, func(s []byte) []byte { return auth.NativeScramble(testPassword, s) }, ""},
		{"caching_sha2", plugins, auth.CachingSHA2, func(s []byte) []byte { return auth.SHA2Scramble(testPassword, s) }, ""},
		{"caching_sha2 without scramble, as libmysqlclient does", plugins, auth.CachingSHA2, func([]byte) []byte { return nil }, auth.CachingSHA2},
		{"a plugin of its own", plugins, "dialog", func([]byte) []byte { return nil }, auth.NativePassword},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dial(t, newRig(t).addr)
			l := c.native()
			l.Capabilities |= tt.caps
			l.AuthPlugin, l.AuthResponse = tt.plugin, tt.response(c.greeting.Salt[:])
			p := c.send(l.Append(nil))
			if tt.switched != "" {
				plugin, salt, err := auth.ParseSwitchRequest(p)
				if err != nil || plugin != tt.switched {
					t.Fatalf("switch to %q, %v; want %q", plugin, err, tt.switched)
				}
				response, _ := auth.Respond(plugin, testPassword, salt)
				p = c.send(response)
			}
			if len(p) == 2 && p[0] == 1 { // fast authentication succeeded
				p = c.read()
			}
			if !wire.IsOK(p, 0) {
				t.Errorf("answered with %q", p)
			}
		})
	}
}

func TestLoginsThatAreCutOffAreAnsweredOrClosed(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.addr)
	l := c.native()
	whole := l.Append(nil)
	for n := range whole[:len(whole)-1] {
		c := dial(t, r.addr)
		c.WritePacket(whole[:n])
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		switch p, err := c.ReadPacket(1 << 16); {
		case errors.Is(err, io.EOF):
		case err != nil:
			t.Errorf("%d bytes: %v", n, err)
		case wire.IsOK(p, 0):
			t.Errorf("%d bytes were enough to log in", n)
		}
		c.Close()
	}
}

func TestCommandsBeforeTheLoginAreNotDone(t *testing.T) {
	r := newRig(t)
	c := dial(t, r.addr)
	c.Seq = 1
	if e := c.errorOf(c.send([]byte("\x03REMOVE BACKEND 1"))); e.Code != wire.CodeHandshake {
		t.Errorf("got %v", e)
	}
	if len(r.backends.List()) != 2 {
		t.Error("the command was done")
	}
}

func TestCommandsOtherThanQuery(t *testing.T) {
	r := newRig(t)
	c := login(t, r.addr)
	for _, cmd := range []wire.Command{wire.ComPing, wire.ComInitDB, wire.ComResetConnection} {
		if p := c.command(cmd, "x"); !wire.IsOK(p, 0) {
			t.Errorf("command %d: %q", cmd, p)
		}
	}
	for _, cmd := range []wire.Command{wire.ComFieldList, wire.ComSetOption} {
		if p := c.command(cmd, "\x00\x00"); !wire.IsEOF(p) {
			t.Errorf("command %d: %q", cmd, p)
		}
	}
	if p := c.command(wire.ComStatistics, ""); !strings.HasPrefix(string(p), "Uptime: ") {
		t.Errorf("statistics: %q", p)
	}
	for _, cmd := range []wire.Command{wire.ComStmtPrepare, wire.ComStmtExecute, wire.ComChangeUser, wire.ComBinlogDump, wire.ComShutdown, 0x7f, 0xff} {
		e := c.errorOf(c.command(cmd, "select 1"))
		if e.Code != 1105 || e.State != "07000" || e.Message != "[admin] we only handle text-based queries (COM_QUERY)" {
			t.Errorf("command %d: %v", cmd, e)
		}
	}
	c.Seq = 0
	c.WritePacket([]byte{byte(wire.ComStmtClose), 1, 0, 0, 0}) // no answer
	if p := c.command(wire.ComPing, ""); !wire.IsOK(p, 0) {
		t.Errorf("after COM_STMT_CLOSE: %q", p)
	}
}

func TestProcessKillIsKill(t *testing.T) {
	r := newRig(t)
	c := login(t, r.addr)
	id := func(n uint32) string { return string(binary.LittleEndian.AppendUint32(nil, n)) }
	if p := c.command(wire.ComProcessKill, id(7)); !wire.IsOK(p, 0) {
		t.Errorf("session 7: %q", p)
	}
	if e := c.errorOf(c.command(wire.ComProcessKill, id(8))); e.Code != wire.CodeNoSuchThread {
		t.Errorf("session 8: %v", e)
	}
	if len(r.proxy.killed) != 1 || r.logs.FilterMessage("console command").Len() != 2 {
		t.Errorf("killed %v, audit lines %d", r.proxy.killed, r.logs.FilterMessage("console command").Len())
	}
}

func TestSeveralStatementsNeedAClientWithMultipleResults(t *testing.T) {
	c := login(t, newRig(t).addr) // has no MultiResults
	if e := c.errorOf(c.command(wire.ComQuery, "set offline 1; set offline 2")); !strings.Contains(e.Message, "several statements") {
		t.Errorf("got %v", e)
	}
}

func TestAStatementAboveOneMebibyteEndsTheConnection(t *testing.T) {
	c := login(t, newRig(t).addr)
	header := []byte{0, 0, 0x20, 0} // says 2 MiB
	if _, err := c.NetConn().Write(append(header, byte(wire.ComQuery))); err != nil {
		t.Fatal(err)
	}
	c.Seq = 1
	if e := c.errorOf(c.read()); e.Code != wire.CodePacketTooLarge {
		t.Errorf("got %v", e)
	}
	if _, err := c.ReadPacket(1 << 16); err == nil {
		t.Error("the connection is still open")
	}
}

func TestPacketsOutOfOrderEndTheConnection(t *testing.T) {
	c := login(t, newRig(t).addr)
	c.Seq = 5
	c.WritePacket([]byte{byte(wire.ComPing)})
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	c.Seq = 1
	if e := c.errorOf(c.read()); e.Code != wire.CodeNetPacketsOutOfOrder {
		t.Errorf("got %v", e)
	}
}
