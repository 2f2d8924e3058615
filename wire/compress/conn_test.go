package compress

import (
	"bytes"
	stdzlib "compress/zlib"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

var algorithms = []Algorithm{Zlib, Zstd}

// memory is a connection that keeps what is written and yields it.
type memory struct{ bytes.Buffer }

func (*memory) Close() error                     { return nil }
func (*memory) LocalAddr() net.Addr              { return nil }
func (*memory) RemoteAddr() net.Addr             { return nil }
func (*memory) SetDeadline(time.Time) error      { return nil }
func (*memory) SetReadDeadline(time.Time) error  { return nil }
func (*memory) SetWriteDeadline(time.Time) error { return nil }

// rows looks like rows of a result: sysbench's digits, names, numbers.
func rows(n int) []byte {
	var b []byte
	for i := 0; len(b) < n; i++ {
		b = fmt.Appendf(b, "\x84\x00\x00%c\x06%d\x05%d\x77%011d-%011d-%011d-%011d\x1ename of number %d in the list", i, 100000+i*7, i%4999, i*7919*104729, i*15485863, i*32452843, i*49979687, i)
	}
	return b[:n]
}

// header makes the header of a frame.
func header(size int, seq byte, contents int) []byte {
	return []byte{byte(size), byte(size >> 8), byte(size >> 16), seq, byte(contents), byte(contents >> 8), byte(contents >> 16)}
}

// stored is a frame with its contents as they are.
func stored(seq byte, contents string) []byte {
	return append(header(len(contents), seq, 0), contents...)
}

// packed is a frame made by others: the standard library, and zstd's encoder
// as a server uses it, with a window as large as the contents.
func packed(t testing.TB, a Algorithm, seq byte, contents []byte) []byte {
	t.Helper()
	body := pack(t, a, contents)
	return append(header(len(body), seq, len(contents)), body...)
}

func pack(t testing.TB, a Algorithm, contents []byte) []byte {
	t.Helper()
	if a == Zstd {
		e, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		return e.EncodeAll(contents, nil)
	}
	var b bytes.Buffer
	w := stdzlib.NewWriter(&b)
	_, _ = w.Write(contents)
	_ = w.Close()
	return b.Bytes()
}

// received is a Conn that receives b and then the end of the connection.
func received(a Algorithm, b []byte) *Conn {
	m := &memory{}
	_, _ = m.Buffer.Write(b)
	return Server(m, a)
}

func TestWhatIsWrittenIsReadInPiecesOfAnySize(t *testing.T) {
	noise := make([]byte, 100_000)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(noise)
	contents := map[string][]byte{
		"text":             rows(300_000),
		"noise":            noise,
		"one byte":         {1},
		"just too short":   rows(minContents - 1),
		"just long enough": rows(minContents),
		"zeros":            make([]byte, 17<<20),
	}
	for _, a := range algorithms {
		for name, p := range contents {
			t.Run(fmt.Sprintf("%s of %s", name, a), func(t *testing.T) {
				m := &memory{}
				w := Client(m, a)
				sizes := rand.New(rand.NewPCG(2, 3))
				for rest := p; len(rest) > 0; {
					n := min(1+sizes.IntN(1+len(rest)), len(rest))
					if wrote, err := w.Write(rest[:n]); wrote != n || err != nil {
						t.Fatal(wrote, err)
					}
					rest = rest[n:]
				}
				w.next = 0
				r := Client(wiretest.NewFaultConn(m, wiretest.Faults{Chunk: 5000, Seed: 4}), a)
				got, err := io.ReadAll(r)
				if err != nil || !bytes.Equal(got, p) {
					t.Fatalf("%d bytes of %d, %v", len(got), len(p), err)
				}
				if r.buf != nil || r.inflater != nil {
					t.Error("holds a buffer at the end")
				}
			})
		}
	}
}

func TestFramesOfOthersAreRead(t *testing.T) {
	text := rows(200)
	for _, a := range algorithms {
		for _, test := range []struct {
			name   string
			frames [][]byte
			want   []byte
		}{
			{"stored", [][]byte{stored(0, "abc")}, []byte("abc")},
			{"an empty frame before another", [][]byte{stored(0, ""), stored(1, "abc")}, []byte("abc")},
			{"compressed, though it is short", [][]byte{packed(t, a, 0, []byte("abc"))}, []byte("abc")},
			{"one after the other", [][]byte{packed(t, a, 0, text[:150]), stored(1, string(text[150:]))}, text},
			{"two commands", [][]byte{stored(0, "a"), stored(0, "b"), stored(1, "c")}, []byte("abc")},
			{"as long as a frame can be", [][]byte{packed(t, a, 0, make([]byte, wire.MaxPayload))}, make([]byte, wire.MaxPayload)},
		} {
			t.Run(fmt.Sprintf("%s, %s", a, test.name), func(t *testing.T) {
				all := bytes.Join(test.frames, nil)
				got, err := io.ReadAll(received(a, all))
				if err != nil || !bytes.Equal(got, test.want) {
					t.Errorf("at once: %d bytes, %v", len(got), err)
				}
				if len(test.want) > 1000 {
					return
				}
				if err := iotest.TestReader(received(a, all), test.want); err != nil {
					t.Error(err)
				}
				m := &memory{}
				_, _ = m.Buffer.Write(all)
				got, err = io.ReadAll(iotest.OneByteReader(Server(wiretest.NewFaultConn(m, wiretest.Faults{Chunk: 1}), a)))
				if err != nil || !bytes.Equal(got, test.want) {
					t.Errorf("byte by byte: %q, %v", got, err)
				}
			})
		}
	}
}

// capturedPrepare is the answer to COM_STMT_PREPARE of "SELECT ?, ?".
var capturedPrepare = map[string]struct {
	Algorithm
	frame string
}{
	"zlib of MariaDB 10.11": {Zlib, "310000017c0000789ce3616060044206062620040271208b3925350dc864b467e0b1078931b03540a598714bb1e09662c52105001f160989"},
	"zlib of MySQL 9.7":     {Zlib, "350000017c0000789ce3616060044206062620040271208b3925350dc864b467e0d165f8f39f81e12f03833c588a19b7140b6e29561c52000a0a1385"},
	"zstd of MySQL 9.7":     {Zstd, "420000017c000028b52ffd207ccd0100c4020c0000010001000000020002000000001700000203646566000000013f000c2d00fcff0000fd00001f0304050400a016601fb02c2e4c3d"},
}

func TestFramesOfServersAreRead(t *testing.T) {
	for name, captured := range capturedPrepare {
		t.Run(name, func(t *testing.T) {
			frame, err := hex.DecodeString(captured.frame)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(Client(received(captured.Algorithm, frame).Conn, captured.Algorithm))
			if err != nil || len(got) != 124 || !bytes.HasPrefix(got, []byte{12, 0, 0, 1, 0}) {
				t.Errorf("%x, %v", got, err)
			}
		})
	}
}

func TestAFrameThatLiesIsAnError(t *testing.T) {
	text := rows(1000)
	for _, a := range algorithms {
		body := pack(t, a, text)
		corrupt := bytes.Clone(body)
		corrupt[len(corrupt)/2] ^= 0xff
		checksum := bytes.Clone(body)
		checksum[len(checksum)-1] ^= 0xff
		frame := func(body []byte, contents int) []byte {
			return append(header(len(body), 0, contents), body...)
		}
		for _, test := range []struct {
			name  string
			frame []byte
			want  error
		}{
			{"inflates to more than it says", frame(body, 999), ErrFrame},
			{"inflates to less than it says", frame(body, 1001), ErrFrame},
			{"says one byte", frame(body, 1), ErrFrame},
			{"has bytes behind its contents", frame(append(bytes.Clone(body), 0), 1000), ErrFrame},
			{"holds two streams", frame(append(bytes.Clone(body), body...), 1000), ErrFrame},
			{"is cut off", frame(body[:len(body)-5], 1000), ErrFrame},
			{"is empty", frame(nil, 1000), ErrFrame},
			{"holds no stream", frame(text, 1000), ErrFrame},
			{"is corrupt", frame(corrupt, 1000), ErrFrame},
			{"has a wrong checksum", frame(checksum, 1000), ErrFrame},
			{"is followed by the end of the connection in its body", frame(body, 1000)[:100], io.ErrUnexpectedEOF},
			{"ends in its header", frame(body, 1000)[:6], io.ErrUnexpectedEOF},
			{"is stored and ends early", stored(0, "abcdef")[:10], io.ErrUnexpectedEOF},
			{"has another number", append(stored(0, "a"), stored(5, "b")...), wire.ErrSequence},
			{"has the number before it again", append(stored(0, "a"), append(stored(1, "b"), stored(1, "c")...)...), wire.ErrSequence},
		} {
			t.Run(fmt.Sprintf("%s, %s", a, test.name), func(t *testing.T) {
				c := received(a, test.frame)
				got, err := io.ReadAll(c)
				if !errors.Is(err, test.want) {
					t.Errorf("%v, want %v", err, test.want)
				}
				if len(got) > 1001 {
					t.Errorf("yielded %d bytes", len(got))
				}
				if n, again := c.Read(make([]byte, 10)); n != 0 || again != err {
					t.Errorf("the next read: %d, %v", n, again)
				}
			})
		}
	}
	t.Run("zstd, has a window larger than any contents", func(t *testing.T) {
		// Magic number, a descriptor without a content size, a window of 32 MiB,
		// one last raw block of one byte.
		body := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 15 << 3, 0x09, 0x00, 0x00, 'x'}
		c := received(Zstd, append(header(len(body), 0, 1), body...))
		if _, err := c.Read(make([]byte, 10)); !errors.Is(err, ErrFrame) {
			t.Error(err)
		}
		body[5] = 14 << 3 // 16 MiB
		c = received(Zstd, append(header(len(body), 0, 1), body...))
		if n, err := c.Read(make([]byte, 10)); n != 1 || err != nil {
			t.Error(n, err)
		}
	})
}

// TestAFrameThatInflatesAThousandTimesTakesLittleMemory is FAULTS S25.
func TestAFrameThatInflatesAThousandTimesTakesLittleMemory(t *testing.T) {
	for _, test := range []struct {
		Algorithm
		most uint64
	}{{Zlib, 200 << 10}, {Zstd, 18 << 20}} {
		t.Run(test.String(), func(t *testing.T) {
			frame := packed(t, test.Algorithm, 0, make([]byte, wire.MaxPayload))
			t.Logf("%d bytes inflate to %d", len(frame), wire.MaxPayload)
			const frames = 4
			m := &memory{}
			for i := range frames {
				frame[3] = byte(i)
				_, _ = m.Buffer.Write(frame)
			}
			c := Server(m, test.Algorithm)
			var before, after runtime.MemStats
			p := make([]byte, 1000)
			for range frames {
				runtime.ReadMemStats(&before)
				if _, err := io.ReadFull(c, p); err != nil {
					t.Fatal(err)
				}
				_, err := io.CopyN(io.Discard, onlyReader{c}, wire.MaxPayload-int64(len(p)))
				if err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				if took := after.TotalAlloc - before.TotalAlloc; took > test.most {
					t.Errorf("took %d bytes", took)
				}
			}
		})
	}
}

type onlyReader struct{ io.Reader }

func TestFramesAreNumberedInBothDirectionsTogether(t *testing.T) {
	a, b := wiretest.Pipe()
	client, server := Client(a, Zlib), Server(b, Zlib)
	numbers := func(nc net.Conn, frames int) (seqs []byte) {
		for range frames {
			h := make([]byte, headerSize)
			if _, err := io.ReadFull(nc, h); err != nil {
				t.Fatal(err)
			}
			seqs = append(seqs, h[3])
			if _, err := io.CopyN(io.Discard, nc, int64(wire.PacketLen(h))); err != nil {
				t.Fatal(err)
			}
		}
		return seqs
	}
	send := func(nc io.Writer, p []byte) {
		t.Helper()
		if _, err := nc.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	p := make([]byte, 2*maxContents+1)
	client.StartCommand()
	send(client, p)
	if got := numbers(b, 3); !bytes.Equal(got, []byte{0, 1, 2}) {
		t.Errorf("a command of three frames: %v", got)
	}
	send(b, stored(3, "answer"))
	if _, err := client.Read(make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	send(client, p[:10])
	if got := numbers(b, 1); got[0] != 4 {
		t.Errorf("what follows an answer: %v", got)
	}
	client.StartCommand()
	send(client, p[:10])
	client.StartCommand()
	send(client, p[:10])
	if got := numbers(b, 2); !bytes.Equal(got, []byte{0, 0}) {
		t.Errorf("two commands: %v", got)
	}

	send(a, append(stored(0, "a"), stored(1, "b")...))
	if _, err := io.ReadFull(server, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	send(server, p)
	if got := numbers(a, 3); !bytes.Equal(got, []byte{2, 3, 4}) {
		t.Errorf("an answer: %v", got)
	}
	send(a, stored(0, "a"))
	if _, err := io.ReadFull(server, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	send(server, p[:1])
	if got := numbers(a, 1); got[0] != 1 {
		t.Errorf("the next answer: %v", got)
	}
	server.StartCommand()
	send(server, p[:1])
	if got := numbers(a, 1); got[0] != 0 {
		t.Errorf("unasked: %v", got)
	}
}

func TestFrameNumbersGoRound(t *testing.T) {
	var all []byte
	for i := range 600 {
		all = append(all, stored(byte(i), "x")...)
	}
	if got, err := io.ReadAll(received(Zlib, all)); len(got) != 600 || err != nil {
		t.Error(len(got), err)
	}
}

func TestAWriteThatFailsSaysWhetherAnythingHasLeft(t *testing.T) {
	for _, test := range []struct {
		name  string
		limit int64
		count func(n int) bool
	}{
		{"a byte of the first frame", 1, func(n int) bool { return n == 1 }},
		{"the first frame and a byte", maxContents + headerSize + 1, func(n int) bool { return n == maxContents }},
	} {
		t.Run(test.name, func(t *testing.T) {
			noise := make([]byte, 3*maxContents)
			random := rand.NewChaCha8([32]byte{2})
			_, _ = random.Read(noise)
			a, _ := wiretest.Pipe()
			c := Client(wiretest.NewFaultConn(a, wiretest.Faults{WriteLimit: test.limit}), Zlib)
			n, err := c.Write(noise)
			if err == nil || !test.count(n) {
				t.Errorf("%d, %v", n, err)
			}
			if n, again := c.Write(noise[:1]); n != 0 || again != err {
				t.Errorf("the next write: %d, %v", n, again)
			}
		})
	}
	a, _ := wiretest.Pipe()
	_ = a.Close()
	if n, err := Client(a, Zlib).Write([]byte("x")); n != 0 || err == nil {
		t.Errorf("on a closed connection: %d, %v", n, err)
	}
}

// drip is a connection on which only so many bytes are there at a time.
type drip struct {
	memory
	here int
}

func (d *drip) Read(p []byte) (int, error) {
	if d.here == 0 {
		return 0, wire.ErrWouldBlock
	}
	n, err := d.memory.Read(p[:min(len(p), d.here)])
	d.here -= n
	return n, err
}

func TestAFrameThatArrivesInPiecesIsGoneOnWith(t *testing.T) {
	text := rows(500)
	for _, a := range algorithms {
		d := &drip{}
		all := append(packed(t, a, 0, text), stored(1, string(text))...)
		_, _ = d.Buffer.Write(all)
		c := Server(d, a)
		var got []byte
		for range all {
			d.here++
			for {
				p := make([]byte, 100)
				n, err := c.Read(p)
				got = append(got, p[:n]...)
				if err == wire.ErrWouldBlock && n == 0 {
					break
				}
				if err != nil || n == 0 {
					t.Fatalf("%s, after %d bytes: %d, %v", a, len(got), n, err)
				}
			}
		}
		if want := slices.Concat(text, text); !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d", a, len(got), len(want))
		}
		if c.buf != nil {
			t.Errorf("%s: holds a buffer while there is nothing", a)
		}
	}
}
