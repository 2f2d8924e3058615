package proxy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// hashInserts makes a fake answer statements that begin with "INSERT" by the
// length and hash of the whole text, as an error so that any client sees it.
func hashInserts(c *fakeConn, _ wire.Command, arg []byte) (bool, error) {
	if !bytes.HasPrefix(arg, []byte("INSERT")) {
		return false, nil
	}
	return true, c.fail(1062, "%d %x", len(arg), sha256.Sum256(arg))
}

// text makes a statement of n bytes, command byte included.
func text(prefix string, n int) string {
	return prefix + strings.Repeat("0123456789abcdef'", n/17+1)[:n-1-len(prefix)]
}

func TestStatementsOfAllSizesArriveUnchanged(t *testing.T) {
	sizes := []int{100, wire.ReadSize, wholeCommand - 5, wholeCommand - 4, wholeCommand, wholeCommand + 1, 1 << 20,
		wire.MaxPayload - 1, wire.MaxPayload, wire.MaxPayload + 1, 2 * wire.MaxPayload, 40 << 20}
	if testing.Short() {
		sizes = sizes[:9]
	}
	r := newRig(t)
	r.primary.intercept(hashInserts)
	c := r.connect()
	for _, n := range sizes {
		sql := text("INSERT INTO t VALUES ('", n)
		want := fmt.Sprintf("%d %x", len(sql), sha256.Sum256([]byte(sql)))
		if msg := c.fails(1062, sql); msg != want {
			t.Fatalf("%d bytes: got %s, want %s", n, msg, want)
		}
	}
	c.ok(wire.ComPing, "")
}

func TestResultsOfAllSizesArriveUnchanged(t *testing.T) {
	sizes := []int{1, wire.ReadSize - 1, wire.ReadSize, 1 << 20, wire.MaxPayload - 5, wire.MaxPayload - 4, wire.MaxPayload - 3, 20 << 20}
	for _, caps := range []wire.Capability{0, wire.Protocol41 | wire.SecureConnection | wire.PluginAuth | wire.MultiResults} {
		r := newRig(t)
		r.replicas[0].intercept(func(c *fakeConn, _ wire.Command, arg []byte) (bool, error) {
			var n int
			if _, err := fmt.Sscanf(string(arg), "SELECT blob%d FROM t", &n); err != nil {
				return false, nil
			}
			// The first column begins with 0xfe as long as it has 16 MiB.
			row := []wire.Value{{Text: strings.Repeat("x", n)}, {Text: "end"}}
			return true, c.SendResult([]wire.ColumnDef{wire.TextColumn("a"), wire.TextColumn("b")}, [][]wire.Value{row, row})
		})
		c := r.login(wiretest.Credentials{Capabilities: caps})
		for _, n := range sizes {
			results, err := c.Query(fmt.Sprintf("SELECT blob%d FROM t", n))
			if err != nil || len(results[0].Rows) != 2 {
				t.Fatalf("%d bytes: %v", n, err)
			}
			for _, row := range results[0].Rows {
				if row[0].Text != strings.Repeat("x", n) || row[1].Text != "end" {
					t.Fatalf("%d bytes: got %d and %q", n, len(row[0].Text), row[1].Text)
				}
			}
		}
	}
}

func TestALongStatementIsStreamed(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	c.exec("INSERT INTO t VALUES (1)")
	sql := []byte(text("INSERT INTO t VALUES ('", wire.MaxPayload-10))
	r.primary.intercept(hashInserts)
	// The last byte is kept back: a server has to be at work before it comes.
	packet := request(wire.ComQuery, string(sql))
	if _, err := c.nc.Write(packet[:len(packet)-1]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "streaming began", func() bool { return r.Sessions()[0].Server != "" })
	if _, err := c.nc.Write(packet[len(packet)-1:]); err != nil {
		t.Fatal(err)
	}
	_, err := c.next()
	wantErr(t, err, 1062)
}

func TestAServerThatRefusesALongStatementInTheMiddle(t *testing.T) {
	for name, pinned := range map[string]bool{"outside of a transaction": false, "in a transaction": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.primary.limit = 1 << 20
			c := r.connect()
			if pinned {
				c.exec("BEGIN")
			}
			// What is left of the upload looks like commands.
			inner := request(wire.ComQuery, "INSERT INTO t VALUES ('smuggled')")
			body := bytes.Repeat(inner, (30<<20)/len(inner))
			err := c.Command(wire.ComQuery, "INSERT INTO t VALUES ('"+string(body))
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.packet()
			wantErr(t, err, wire.CodePacketTooLarge)
			if pinned {
				c.closed()
			} else if got := c.value(who); got != "A" {
				t.Errorf("read went to %s", got)
			}
			for _, e := range r.primary.received("smuggled") {
				if strings.HasPrefix(e.text, "INSERT INTO t VALUES ('smuggled") {
					t.Fatal("a part of the upload was run as a command")
				}
			}
		})
	}
}

func TestWhatFollowsARefusedLongStatementIsUnderstood(t *testing.T) {
	for name, change := range map[string]func(*setup){
		"denied by a rule": func(s *setup) {
			s.config.Rules.Rules = []router.Rule{{Name: "no", Route: router.RouteDeny, User: "app"}}
		},
		"no server": nil,
	} {
		t.Run(name, func(t *testing.T) {
			var r *rig
			if change != nil {
				r = newRig(t, change)
			} else {
				r = newRig(t)
				r.setAll(0)
			}
			c := r.connect()
			for _, n := range []int{300 << 10, wire.MaxPayload + 100} {
				err := c.Command(wire.ComQuery, text("INSERT INTO t VALUES ('", n))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := c.packet(); err == nil {
					t.Fatal("not refused")
				}
				c.ok(wire.ComPing, "")
			}
		})
	}
}

// offersFile makes a fake answer LOAD DATA by asking for a file and then by
// its length and hash.
func offersFile(c *fakeConn, _ wire.Command, arg []byte) (bool, error) {
	if !bytes.HasPrefix(arg, []byte("LOAD DATA")) {
		return false, nil
	}
	if bytes.Contains(arg, []byte("no such table")) {
		return true, c.fail(wire.CodeNoSuchTable, "Table doesn't exist")
	}
	if err := c.Send([]byte("\xfbfile")); err != nil {
		return true, err
	}
	if bytes.Contains(arg, []byte("dies")) {
		return true, errHangup
	}
	h, n := sha256.New(), 0
	for {
		b, err := c.Read()
		if err != nil {
			return true, err
		}
		if len(b) == 0 {
			return true, c.fail(1062, "%d %x", n, h.Sum(nil))
		}
		h.Write(b)
		n += len(b)
	}
}

func TestLocalInfile(t *testing.T) {
	const caps = wiretest.Capabilities&^wire.ConnectWithDB | wire.LocalFiles
	upload := func(c *client, sql string, file []byte, piece int) error {
		t.Helper()
		if err := c.Command(wire.ComQuery, sql); err != nil {
			t.Fatal(err)
		}
		b, err := c.packet()
		if err != nil {
			return err
		}
		if string(b) != "\xfbfile" {
			t.Fatalf("got %q", b)
		}
		for len(file) > 0 {
			n := min(piece, len(file))
			if err := c.Send(file[:n]); err != nil {
				t.Fatal(err)
			}
			file = file[n:]
		}
		if err := c.Send(nil); err != nil {
			t.Fatal(err)
		}
		_, err = c.packet()
		return err
	}
	commands := bytes.Repeat(request(wire.ComQuery, "INSERT INTO t VALUES ('smuggled')"), 100_000)
	for name, file := range map[string][]byte{
		"empty": nil, "small": []byte("a\tb\n"), "of data that looks like commands": commands,
	} {
		t.Run("file "+name, func(t *testing.T) {
			r := newRig(t)
			r.primary.intercept(offersFile)
			c := r.login(wiretest.Credentials{Capabilities: caps})
			err := upload(c, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t", file, 8000)
			if msg := wantErr(t, err, 1062); msg != fmt.Sprintf("%d %x", len(file), sha256.Sum256(file)) {
				t.Errorf("arrived: %s", msg)
			}
			c.ok(wire.ComPing, "")
		})
	}
	t.Run("a table that does not exist", func(t *testing.T) {
		r := newRig(t)
		r.primary.intercept(offersFile)
		c := r.login(wiretest.Credentials{Capabilities: caps})
		c.fails(wire.CodeNoSuchTable, "LOAD DATA LOCAL INFILE 'f' INTO TABLE `no such table`")
		c.ok(wire.ComPing, "")
	})
	t.Run("a server that dies during the upload", func(t *testing.T) {
		r := newRig(t)
		r.primary.intercept(offersFile)
		c := r.login(wiretest.Credentials{Capabilities: caps})
		wantErr(t, upload(c, "LOAD DATA LOCAL INFILE 'dies' INTO TABLE t", commands, 1000), 1158)
		c.ok(wire.ComPing, "")
		if len(r.primary.received("INSERT INTO t VALUES ('smuggled")) > 0 {
			t.Error("a part of the file was run as a command")
		}
	})
	for name, sql := range map[string]string{"unsolicited at a read": "SELECT 1 FROM t", "unsolicited at a write": "UPDATE t SET a=1"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			var asked atomic.Int32
			ask := func(c *fakeConn, cmd wire.Command, arg []byte) (bool, error) {
				if string(arg) != sql {
					return false, nil
				}
				asked.Add(1)
				return true, c.Send([]byte("\xfb/etc/passwd"))
			}
			r.primary.intercept(ask)
			r.replicas[0].intercept(ask)
			c := r.login(wiretest.Credentials{Capabilities: caps})
			c.fails(1158, sql)
			c.ok(wire.ComPing, "")
			asking := r.replicas[0]
			if len(r.primary.received(sql)) > 0 {
				asking = r.primary
			}
			eventually(t, "its connection is closed", func() bool { return asking.Open() == 0 })
			if asked.Load() != 1 {
				t.Errorf("asked %d times", asked.Load())
			}
		})
	}
	t.Run("a client without the capability is never asked", func(t *testing.T) {
		r := newRig(t)
		r.primary.intercept(offersFile)
		c := r.connect()
		c.fails(1158, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t")
		c.ok(wire.ComPing, "")
	})
}

func TestASlowReaderHoldsTheServerBackAndCostsLittleMemory(t *testing.T) {
	const total = 200 << 20
	r := newRig(t)
	var sent atomic.Int64
	row := bytes.Repeat([]byte{'x'}, 60_000)
	payload := wire.AppendLenencBytes(nil, row)
	r.replicas[0].onQuery("SELECT huge FROM t", func(c *fakeConn) error {
		def := wire.TextColumn("huge")
		if err := c.Send([]byte{1}, def.Append(nil, c.Capabilities)); err != nil {
			return err
		}
		packet, _ := wire.AppendPacket(nil, c.Seq, payload)
		for ; sent.Load() < total; packet[3]++ { // without allocating itself
			if _, err := c.Write(packet); err != nil {
				return err
			}
			sent.Add(int64(len(payload)))
		}
		c.Seq = packet[3]
		return c.Send(c.end(0))
	})
	c := r.connect()
	heap := func() uint64 {
		runtime.GC() // twice: the first leaves what sync.Pools hold
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	if err := c.Command(wire.ComQuery, "SELECT huge FROM t"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.packet(); err != nil {
		t.Fatal(err)
	}
	last := int64(-1)
	eventually(t, "the server is held back", func() bool {
		now := sent.Load()
		still := now == last && now > 0
		last = now
		return still
	})
	if n := sent.Load(); n > total/4 {
		t.Errorf("the server could send %d bytes to a client that does not read", n)
	}
	if grown := int64(heap()) - int64(before); grown > 1<<20 {
		t.Errorf("heap grew by %d KiB", grown>>10)
	}
	rows := 0
	for {
		b, err := c.packet()
		if err != nil {
			t.Fatal(err)
		}
		if len(b) < 100 && b[0] == 0xfe {
			break
		}
		rows++
	}
	if want := int(total/len(payload)) + 1; rows < want || rows > want+1 { // and the definition
		t.Errorf("%d rows, want about %d", rows, want)
	}
}

func TestTheConnectionOfAClientThatVanishesInTheMiddleIsNotUsedAgain(t *testing.T) {
	r := newRig(t, func(s *setup) { s.replica.MaxConnections = 1 })
	r.replicas[0].onQuery("SELECT endless FROM t", func(c *fakeConn) error {
		def := wire.TextColumn("endless")
		if err := c.Send([]byte{1}, def.Append(nil, c.Capabilities)); err != nil {
			return err
		}
		row := wire.AppendLenencString(nil, "not yours")
		for {
			if err := c.Send(row); err != nil {
				return err
			}
		}
	})
	c := r.connect()
	if err := c.Command(wire.ComQuery, "SELECT endless FROM t"); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := c.packet(); err != nil {
			t.Fatal(err)
		}
	}
	_ = c.nc.Close()
	eventually(t, "the session has ended", func() bool { return r.Counts().Clients == 0 })
	if got := r.connect().value("SELECT 'mine' FROM t"); got != "mine" {
		t.Errorf("got %q", got)
	}
}

func TestACommandAsLargeAsTheServersLimit(t *testing.T) {
	const limit = 20 << 20
	start := func(t *testing.T) (*rig, *client) {
		r := newRig(t)
		r.primary.onQuery("SELECT @@max_allowed_packet", func(c *fakeConn) error {
			return c.Send([]byte{1}, textDefinition(c), wire.AppendLenencString(nil, strconv.Itoa(limit)), c.end(0))
		})
		return r, r.connect()
	}
	t.Run("is refused before it is sent if it says so at once", func(t *testing.T) {
		r := newRig(t)
		r.primary.onQuery("SELECT @@max_allowed_packet", func(c *fakeConn) error {
			return c.Send([]byte{1}, textDefinition(c), wire.AppendLenencString(nil, strconv.Itoa(1<<20)), c.end(0))
		})
		c := r.connect()
		if err := c.Command(wire.ComQuery, text("INSERT INTO t VALUES ('", 1<<20)); err != nil {
			t.Fatal(err)
		}
		_, err := c.packet()
		wantErr(t, err, wire.CodePacketTooLarge)
		c.closed()
		if n := len(r.primary.received("INSERT")); n != 0 {
			t.Errorf("%d statements reached the server", n)
		}
	})
	t.Run("is refused at the header that shows it", func(t *testing.T) {
		r, c := start(t)
		if err := c.Command(wire.ComQuery, text("INSERT INTO t VALUES ('", limit)); err != nil {
			t.Fatal(err)
		}
		if c.Seq != 2 {
			t.Fatalf("sequence id %d", c.Seq)
		}
		_, err := c.packet() // checks the sequence id
		wantErr(t, err, wire.CodePacketTooLarge)
		c.closed()
		if n := len(r.primary.received("INSERT")); n != 0 {
			t.Errorf("%d statements were run", n)
		}
	})
	t.Run("passes if it is one byte smaller", func(t *testing.T) {
		r, c := start(t)
		if err := c.Command(wire.ComQuery, text("INSERT INTO t VALUES ('", limit-1)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.packet(); err != nil {
			t.Fatal(err)
		}
		if n := len(r.primary.received("INSERT")); n != 1 {
			t.Errorf("%d statements were run", n)
		}
	})
	t.Run("without an end is cut off", func(t *testing.T) {
		_, c := start(t)
		fragment := make([]byte, wire.HeaderSize+wire.MaxPayload)
		fragment[0], fragment[1], fragment[2], fragment[4] = 0xff, 0xff, 0xff, byte(wire.ComQuery)
		for seq := range 255 {
			fragment[3] = byte(seq)
			if _, err := c.nc.Write(fragment); err != nil {
				if seq < 2 {
					t.Errorf("cut off at fragment %d: %v", seq, err)
				}
				return
			}
		}
		t.Error("4 GiB were taken")
	})
}

func textDefinition(c *fakeConn) []byte {
	def := wire.TextColumn("v")
	return def.Append(nil, c.Capabilities)
}
