package proxy

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// A server that lies, stammers or breaks off: the client gets at most one ERR,
// nobody else notices, and nothing is allocated because a packet says so. What a
// wicked client can do is in login_test.go, command_test.go and FuzzSession.

// maliceRig is a rig whose servers answer evil statements by the bytes of
// reply, and then hang up.
type maliceRig struct {
	*rig
	evil  string
	reply []byte
	other *client // whose statements must not suffer
}

// Evil statements: the read may be repeated on the primary, which is honest, the
// write may not.
const (
	evilRead  = "SELECT evil FROM t"
	evilWrite = "UPDATE evil SET v = 1 WHERE id = 1"
)

func newMaliceRig(t *testing.T, evil string) *maliceRig {
	r := &maliceRig{rig: newRig(t), evil: evil}
	for sql, f := range map[string]*fake{evilRead: r.replicas[0], evilWrite: r.primary} {
		f.onQuery(sql, func(c *fakeConn) error {
			if _, err := c.NetConn().Write(r.reply); err != nil {
				return err
			}
			return errHangup
		})
	}
	r.other = r.connect()
	return r
}

// answers runs evil in a session of its own and reads whatever comes until the
// session ends, an ERR, or a regular end. It returns the bytes received.
func (r *maliceRig) answers(reply []byte) []byte {
	r.t.Helper()
	r.reply = reply
	nc := r.dial()
	defer func() { _ = nc.Close() }()
	p, err := wiretest.Login(nc, wiretest.Credentials{User: "app", Password: "pw"})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := p.Command(wire.ComQuery, r.evil); err != nil {
		r.t.Fatal(err)
	}
	// Behind the answer the client leaves, so that the end is seen.
	if _, err := nc.Write(request(wire.ComQuit, "")); err != nil {
		r.t.Fatal(err)
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(nc); err != nil && !wiretest.IsClosed(err) {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			r.t.Fatalf("the session hangs after %s", hex.EncodeToString(reply))
		}
	}
	return got.Bytes()
}

// unharmed checks that others are served as before.
func (r *maliceRig) unharmed(after []byte) {
	r.t.Helper()
	if got := r.other.value("SELECT 'fine' FROM t"); got != "fine" {
		r.t.Fatalf("after %x: another session got %q", after, got)
	}
	if n := r.Counts().Panics; n != 0 {
		r.t.Fatalf("after %x: %d panics", after, n)
	}
}

// packets are payloads with headers, from sequence id 1 on.
func packets(payloads ...[]byte) []byte {
	var b []byte
	seq := byte(1)
	for _, p := range payloads {
		b, seq = wire.AppendPacket(b, seq, p)
	}
	return b
}

// serverReplies are well-formed answers of a server with DEPRECATE_EOF and
// SESSION_TRACK.
func serverReplies() map[string][]byte {
	const caps = wire.DeprecateEOF | wire.SessionTrack | wire.Protocol41
	ok := wire.OK{AffectedRows: 300, LastInsertID: 70000, Status: wire.Autocommit, Info: []byte("Rows matched: 1")}
	changed := ok
	changed.Status |= wire.SessionStateChange
	changed.SessionChanges = append(varChange("time_zone", "SYSTEM"), change(wire.ChangeSchema, wire.AppendLenencString(nil, "s"))...)
	column := wire.TextColumn("evil")
	end := wire.OK{Status: wire.Autocommit}
	return map[string][]byte{
		"OK":                    packets(ok.Append(nil, 0, caps)),
		"OK with state changes": packets(changed.Append(nil, 0, caps)),
		"ERR":                   packets(wire.NewErr(wire.CodeParse, "You have an error").Append(nil)),
		"a result": packets([]byte{1}, column.Append(nil, caps), wire.AppendLenencString(nil, "v"),
			wire.AppendLenencString(nil, "w"), end.Append(nil, 0xfe, caps)),
	}
}

func TestAServerThatBreaksOffAnywhereHarmsNobody(t *testing.T) {
	r := newMaliceRig(t, evilRead)
	for name, reply := range serverReplies() {
		t.Run(name, func(t *testing.T) {
			for n := range reply {
				got := r.answers(reply[:n])
				if len(got) == 0 && n < wire.HeaderSize {
					t.Errorf("%d bytes: the client was told nothing", n)
				}
				r.unharmed(reply[:n])
			}
		})
	}
}

func TestAServerThatLiesInAnyByteHarmsNobody(t *testing.T) {
	r := newMaliceRig(t, evilRead)
	for name, reply := range serverReplies() {
		t.Run(name, func(t *testing.T) {
			for i := range reply {
				for _, v := range []byte{0, 1, 0x7f, 0xfa, 0xfb, 0xfc, 0xfe, 0xff, reply[i] + 1, reply[i] - 1} {
					b := bytes.Clone(reply)
					b[i] = v
					r.answers(b)
					r.unharmed(b)
				}
			}
		})
	}
}

func TestAServerThatMakesThingsUpIsTakenForBroken(t *testing.T) {
	huge := wire.AppendLenencInt(nil, 1<<62)
	for _, tt := range []struct {
		name  string
		reply []byte
		err   bool // the client hears of it in an ERR
	}{
		{"S14 a file that nobody offered", packets([]byte("\xfb/etc/hostname")), true},
		{"S26 an empty packet", packets(nil), true},
		{"S26 4e18 columns", packets(huge), false},
		{"S26 a column count with something behind it", packets([]byte{1, 1}), true},
		{"S26 no columns", packets([]byte{0xfc, 0, 0}), true},
		{"S26 an OK of one byte", packets([]byte{0}), true},
		{"S26 an OK whose numbers have no end", packets([]byte{0, 0xfe, 1, 2}), true},
		{"S26 an ERR without code", packets([]byte{0xff}), true},
		{"S26 an ERR without SQLSTATE", packets([]byte("\xff\x28\x04oops")), true},
		{"S26 an OK that announces changes it does not have", packets([]byte{0, 0, 0, 2, 0x40, 0, 0, 0, 0xfd, 255, 255, 255}), true},
		{"S23 an answer out of sequence", wireAt(7, []byte{0, 0, 0, 2, 0, 0, 0}), true},
		{"S23 an answer that begins at 0", wireAt(0, []byte{0, 0, 0, 2, 0, 0, 0}), true},
		{"S26 an OK of 16 MiB", packets(append([]byte{0, 0, 0, 2, 0, 0, 0}, make([]byte, wire.MaxPayload)...)), true},
		{"F48 garbage", bytes.Repeat([]byte{0xa5}, 70_000), true},
		{"F48 nothing but headers", bytes.Repeat([]byte{0xff, 0xff, 0xff, 1}, 1000), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newMaliceRig(t, evilWrite)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := r.answers(tt.reply)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 80<<20 {
				t.Errorf("%d MiB were allocated", grown>>20)
			}
			if tt.err && (len(got) < 5 || got[4] != 0xff || wire.PacketLen(got)+wire.HeaderSize != len(got)) {
				t.Errorf("got %.60q, want one ERR", got)
			}
			if bytes.Contains(got, []byte("/etc/hostname")) {
				t.Error("the client was asked for a file")
			}
			if n := len(r.primary.received(evilWrite)); n != 1 {
				t.Errorf("the write was sent %d times", n)
			}
			r.unharmed(tt.reply)
		})
	}
}

func wireAt(seq byte, payload []byte) []byte {
	b, _ := wire.AppendPacket(nil, seq, payload)
	return b
}

// mutations is how many mutated answers TestMutatedAnswers gives; the fault
// catalogue asks for 1e5, which `make soak` gives.
const mutations = 3000

func TestMutatedAnswersHarmNobody(t *testing.T) {
	r := newMaliceRig(t, evilRead)
	rnd := rand.New(rand.NewPCG(66, uint64(time.Now().UnixNano())))
	var replies [][]byte
	for _, b := range serverReplies() {
		replies = append(replies, b)
	}
	n := mutations
	if os.Getenv("TELAMON_LONG") != "" {
		n = 100_000
	}
	for range n {
		b := bytes.Clone(replies[rnd.IntN(len(replies))])
		for range 1 + rnd.IntN(4) {
			switch i := rnd.IntN(len(b)); rnd.IntN(4) {
			case 0:
				b[i] = byte(rnd.Uint32())
			case 1:
				b = append(b[:i], b[min(len(b), i+1+rnd.IntN(4)):]...)
			case 2:
				b = append(b[:i:i], append([]byte{byte(rnd.Uint32())}, b[i:]...)...)
			case 3:
				b = append(b, replies[rnd.IntN(len(replies))]...)
			}
			if len(b) == 0 {
				b = []byte{0}
			}
		}
		r.answers(b)
		r.unharmed(b)
	}
}
