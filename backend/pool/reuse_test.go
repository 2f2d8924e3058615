package pool

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

func TestConnectionsAreReusedCheapestFirst(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	shop, big := &Profile{Schema: "shop", Collation: 45}, (&Profile{Schema: "shop", Collation: 45}).With("sql_mode", "ANSI")
	other := &Profile{Schema: "other", Collation: 45}
	own, same, schema, login := r.acquire(1, shop), r.acquire(2, big), r.acquire(3, shop), r.acquire(4, other)
	for _, c := range []*Conn{own, same, schema, login} {
		c.Release()
	}
	for _, step := range []struct {
		why  string
		want *Conn
	}{
		{"its own, though it is in another state", own},
		{"one in the same state", same},
		{"one in the same schema", schema},
		{"any of the login", login},
	} {
		if got := r.acquire(1, (&Profile{Schema: "shop", Collation: 45}).With("sql_mode", "ANSI")); got != step.want {
			t.Fatalf("got connection %d, want %s: %d", got.ThreadID, step.why, step.want.ThreadID)
		}
	}
	if n := f.Logins(); n != 4 {
		t.Errorf("%d logins, want 4", n)
	}
	r.checkStats(4, 0, 0, 0)
}

func TestConnectionsDoNotCrossLogins(t *testing.T) {
	for _, c := range []struct {
		name string
		b    Login
	}{
		{"of another user", Login{User: "other", Flags: testLogin.Flags}},
		{"with CLIENT_FOUND_ROWS", Login{User: "app", Flags: testLogin.Flags | wire.FoundRows}},
		{"with CLIENT_MULTI_STATEMENTS", Login{User: "app", Flags: testLogin.Flags | wire.MultiStatements}},
	} {
		for _, max := range []int{0, 1} {
			t.Run(c.name, func(t *testing.T) {
				f := newFake(t, wiretest.Options{})
				r := newRig(t, f.Addr(), max)
				a := r.acquire(1, plain)
				a.Release()
				b := r.acquireAs(2, c.b, plain)
				if got := f.conn(b).login; got != c.b || b.ThreadID == a.ThreadID {
					t.Fatalf("logged in as %+v, want %+v", got, c.b)
				}
				if max == 1 {
					r.checkStats(1, 0, 0, 0) // the other one had to go
				} else {
					r.checkStats(2, 1, 0, 0)
				}
			})
		}
	}
}

const (
	tracking = "TRACK"
	utf8     = "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci"
	swedish  = "SET NAMES latin1 COLLATE latin1_swedish_ci"
)

// What a connection is sent before a session gets it.
func TestPreparationOnTheWire(t *testing.T) {
	latin := &Profile{Schema: "shop", Collation: 8}
	for _, c := range []struct {
		name     string
		from, to *Profile
		leave    func(*Conn)
		want     []string
	}{
		{"nothing for the same state", plain, &Profile{Collation: 45}, nil, nil},
		{"nothing but SETs for a state with more", plain, plain.With("a", "1").With("b", "x"), nil, []string{"SET a=1,b='x'"}},
		{"only what differs", plain.With("a", "1").With("b", "x"), plain.With("a", "1").With("b", "y"), nil, []string{"SET b='y'"}},
		{"USE alone for another schema", latin, latin.WithSchema("other"), nil, []string{"USE other"}},
		{"a reset to undo a SET", plain.With("a", "1"), plain, nil, []string{"RESET", tracking, utf8}},
		{"a reset for another character set", latin, &Profile{Schema: "shop", Collation: 45}, nil,
			[]string{"RESET", tracking, utf8, "USE shop"}},
		{"no reset if all character sets are set anyway", latin, charsets(latin), nil,
			[]string{"SET character_set_client='gbk',character_set_connection='gbk',character_set_results=NULL,collation_connection='gbk_bin'"}},
		{"a reset after dirt", latin, latin, dirty(NeedsReset), []string{"RESET", tracking, swedish, "USE shop"}},
		{"no SET NAMES if all character sets are set anyway", latin, charsets(latin), dirty(NeedsReset),
			[]string{"RESET", tracking, "SET character_set_client='gbk',character_set_connection='gbk',character_set_results=NULL,collation_connection='gbk_bin'", "USE shop"}},
		{"a reset after prepared statements", latin, latin, func(c *Conn) { _ = c.Prepare(1, []byte("x"), c.Profile) },
			[]string{"PREPARE x", "RESET", tracking, swedish, "USE shop"}},
		{"everything at once", latin.With("z", "1"), (&Profile{Schema: "other", Collation: 45}).With("a", "1"), dirty(NeedsReset),
			[]string{"RESET", tracking, utf8, "SET a=1", "USE other"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 0)
			conn := r.acquire(1, c.from)
			fc := f.conn(conn)
			fc.takeLog()
			if c.leave != nil {
				c.leave(conn)
			}
			conn.Release()
			got := r.acquire(2, c.to)
			if got != conn {
				t.Fatal("another connection")
			}
			if d := cmp.Diff(c.want, fc.takeLog()); d != "" {
				t.Errorf("commands (-want +got):\n%s", d)
			}
			if i := slices.Index(c.want, "RESET"); i >= 0 { // and DO 0 at the end
				if d := cmp.Diff([]int{len(c.want) - i + 1}, fc.writes); d != "" {
					t.Errorf("commands in one write (-want +got):\n%s", d)
				}
				if got.Dirt != Clean || len(got.Statements) != 0 {
					t.Errorf("dirt %v, statements %v after a reset", got.Dirt, got.Statements)
				}
			}
			if got.Profile != c.to && !got.Profile.Equal(c.to) {
				t.Errorf("profile %+v", got.Profile)
			}
		})
	}
}

func charsets(p *Profile) *Profile {
	return (&Profile{Schema: p.Schema, Collation: 45}).With("character_set_client", "gbk").With("character_set_connection", "gbk").
		With("character_set_results", "").With("collation_connection", "gbk_bin")
}

func dirty(d Dirt) func(*Conn) { return func(c *Conn) { c.Dirt = d } }

func TestOwnConnectionKeepsWhatItsOwnerLeftInIt(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 0)
	c := r.acquire(1, plain)
	if err := c.Prepare(7, []byte("SELECT 7"), plain); err != nil {
		t.Fatal(err)
	}
	c.Dirt = NeedsReset
	c.Release()
	f.conn(c).takeLog()
	again := r.acquire(1, plain.With("a", "1"))
	if d := cmp.Diff([]string{"SET a=1"}, f.conn(again).takeLog()); d != "" || again != c || len(again.Statements) != 1 {
		t.Errorf("statements %v, commands:\n%s", again.Statements, d)
	}
	// What would lose it takes another connection.
	again.Release()
	if other := r.acquire(1, plain); other.ThreadID == c.ThreadID {
		t.Error("the same connection, though something had to be undone")
	}
}

func TestConnectionsThatCannotBeCleanedAreClosed(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(*fake, *Conn)
	}{
		{"dirt that no reset clears", func(_ *fake, c *Conn) { c.Dirt = MustClose }},
		{"a reply nobody has read", func(f *fake, c *Conn) {
			c.queue(wire.ComPing, "")
			c.queue(wire.ComPing, "")
			_ = c.exchange(1)
			if len(c.Wire.Buffered()) == 0 {
				_ = c.Wire.Fill()
			}
		}},
		{"an interrupted connection", func(_ *fake, c *Conn) { c.Interrupt() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 0)
			conn := r.acquire(1, plain)
			if c.leave(f, conn); c.name == "a reply nobody has read" && len(conn.Wire.Buffered()) == 0 {
				t.Fatal("nothing left in the buffer: the test is no good")
			}
			conn.Release()
			r.checkStats(0, 0, 0, 0)
			eventually(t, "the server to see it closed", func() bool { return f.Open() == 0 })
		})
	}
}

func TestReclaimedConnectionThatCannotBeCleanedMakesRoomForANewOne(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	c := r.acquire(1, plain)
	c.Dirt = MustClose
	c.Park()
	if d := r.acquire(2, plain); d.ThreadID == c.ThreadID {
		t.Fatal("got the connection that had to be closed")
	}
	r.checkStats(1, 0, 0, 0)
}

// COM_INIT_DB cannot leave a schema, and a reset keeps it.
func TestNoSchemaAfterASchemaNeedsANewConnection(t *testing.T) {
	for max, open := range map[int]int{0: 2, 1: 1} {
		f := newFake(t, wiretest.Options{})
		r := newRig(t, f.Addr(), max)
		r.acquire(1, &Profile{Schema: "shop", Collation: 45}).Release()
		c := r.acquire(2, plain)
		if fc := f.conn(c); fc.schema != "" {
			t.Errorf("schema %q", fc.schema)
		}
		r.checkStats(open, open-1, 0, 0)
	}
}

// What runs without a schema must run, such as its CREATE DATABASE.
func TestSchemaDroppedByOthersDoesNotKeepASessionFromItsConnection(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	gone := &Profile{Schema: "missing", Collation: 45}
	c := r.acquire(1, gone)
	f.conn(c).takeLog()
	c.Dirt = NeedsReset
	c.Release()
	if again := r.acquire(2, gone); again != c || again.Profile.Schema != "missing" {
		t.Errorf("another connection, or schema %q", again.Profile.Schema)
	}
	if got, want := f.conn(c).takeLog(), []string{"RESET", tracking, utf8, "USE missing"}; !slices.Equal(got, want) {
		t.Errorf("commands %q, want %q", got, want)
	}
}

func TestServersErrorIsPassedOnAndTheConnectionClosed(t *testing.T) {
	f := newFake(t, wiretest.Options{})
	r := newRig(t, f.Addr(), 1)
	shop := &Profile{Schema: "shop", Collation: 45}
	for _, c := range []struct {
		name string
		want *Profile
		code uint16
	}{
		{"unknown schema", shop.WithSchema("missing"), 1049},
		{"unknown variable", shop.With("bad", "1"), 1193},
		// Both fail; the first counts, and both replies have been read.
		{"both", shop.With("bad", "1").WithSchema("missing"), 1193},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.acquire(1, shop).Release()
			_, err := r.pool.Acquire(t.Context(), &Request{Owner: 2, Login: testLogin, Profile: c.want})
			var e *wire.Err
			if !errors.As(err, &e) || e.Code != c.code {
				t.Fatalf("%v, want %d", err, c.code)
			}
			if !strings.Contains(err.Error(), f.Addr()) {
				t.Errorf("%v does not name the server", err)
			}
			r.checkStats(0, 0, 0, 0)
		})
	}
}

func TestPreparationThatGetsNoSensibleReplyFailsOverToAnotherConnection(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply func(*wiretest.Peer) error
	}{
		{"closed", wiretest.Hangup()},
		{"an empty packet", wiretest.Packets([]byte{})},
		{"half an OK", wiretest.Packets([]byte{0, 1})},
		{"half an ERR", wiretest.Packets([]byte{0xff})},
		{"a result set", wiretest.Rows([]string{"a"}, []string{"b"})},
		{"a request for a file", wiretest.Packets([]byte("\xfb/etc/passwd"))},
		{"a wrong sequence id", wiretest.Raw([]byte{1, 0, 0, 9, 0})},
		{"a packet above the limit", wiretest.Raw([]byte{0xff, 0xff, 0xff, 1})},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			f.answer = func(p *wiretest.Peer, _ *fakeConn, cmd wire.Command, _ string) (bool, error) {
				if cmd != wire.ComResetConnection {
					return false, nil
				}
				return true, c.reply(p)
			}
			r := newRig(t, f.Addr(), 1)
			first := r.acquire(1, plain)
			first.Dirt = NeedsReset
			first.Release()
			if second := r.acquire(2, plain); second.ThreadID == first.ThreadID {
				t.Fatal("got the connection that had failed")
			}
			r.checkStats(1, 0, 0, 0)
		})
	}
}

func TestValueIsReadFromAResultAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name  string
		reply wiretest.Step
		want  string
		fails bool
	}{
		{"one row", wiretest.Rows([]string{"a", "b"}, []string{"x", "y"}), "x", false},
		{"two rows", wiretest.Rows([]string{"a"}, []string{"x"}, []string{"y"}), "x", false},
		{"no row", wiretest.Rows([]string{"a"}), "", false},
		{"an ERR", wiretest.Err(1064, "no"), "", true},
		{"an OK", wiretest.OK(wire.OK{}), "", true},
		{"an empty packet", wiretest.Packets([]byte{}), "", true},
		{"an empty packet for a row", wiretest.Packets([]byte{1}, (&wire.ColumnDef{}).Append(nil, 0), []byte{}), "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			f.answer = func(p *wiretest.Peer, _ *fakeConn, _ wire.Command, arg string) (bool, error) {
				if arg != "SELECT it" {
					return false, nil
				}
				return true, c.reply(p)
			}
			conn := newRig(t, f.Addr(), 1).acquire(1, plain)
			got, err := conn.QueryValue("SELECT it")
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func TestAliveNoticesWhatThePeerDid(t *testing.T) {
	shutdown, _ := wire.AppendPacket(nil, 0, wire.NewErr(wire.CodeClientInteraction, "inactivity").Append(nil))
	for _, c := range []struct {
		name string
		do   func(*fake, *fakeConn)
	}{
		{"closed", func(f *fake, _ *fakeConn) { f.Kick() }},
		{"an unasked ERR", func(_ *fake, c *fakeConn) { _, _ = c.peer.NetConn().Write(shutdown) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFake(t, wiretest.Options{})
			r := newRig(t, f.Addr(), 1)
			conn := r.acquire(1, plain)
			if !conn.Alive() {
				t.Fatal("not alive from the beginning")
			}
			conn.Release()
			c.do(f, f.conn(conn))
			eventually(t, "it to be noticed", func() bool { return !conn.Alive() })
			if again := r.acquire(2, plain); again.ThreadID == conn.ThreadID {
				t.Error("a session got the dead connection")
			}
			r.checkStats(1, 0, 0, 0)
		})
	}
}

func TestHeirHasEverythingButTheClaim(t *testing.T) {
	c := &Conn{claim: &claim{}, owner: 3, Dirt: NeedsReset, Profile: plain}
	c.state.Store(parked)
	heir := c.take(parked)
	if heir == nil || heir.owner != 3 || heir.Dirt != NeedsReset || heir.Profile != plain || heir.claim == c.claim || heir.state.Load() != inUse {
		t.Fatalf("%+v", heir)
	}
	if ok, _ := c.Unpark(); ok || c.take(parked) != nil || c.take(parkedOld) != nil {
		t.Error("taken twice")
	}
}
