package wire

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

// patience bounds what must happen; no test waits for it to pass.
const patience = 20 * time.Second

// transports are the connections a Conn is tested over: a socket that it reads
// by itself, and two that it reads through net.Conn.
var transports = []struct {
	name string
	pair func(t testing.TB) (a, b net.Conn)
}{
	{"TCP", tcpPair},
	{"net.Pipe", func(testing.TB) (a, b net.Conn) { return net.Pipe() }},
	{"TLS 1.3", tcpPair},
	{"TLS 1.2", tcpPair},
	{"TLS over net.Pipe", func(testing.TB) (a, b net.Conn) { return net.Pipe() }},
	{"two layers, one that yields one byte at a time", tcpPair},
	{"a connection that yields one byte at a time", func(t testing.TB) (a, b net.Conn) {
		a, b = tcpPair(t)
		return bytewise{a}, b
	}},
}

// bytewise yields one byte with every Read and hides the socket under it.
type bytewise struct{ net.Conn }

func (c bytewise) Read(p []byte) (int, error) { return iotest.OneByteReader(c.Conn).Read(p) }

func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// overTransports runs f with a Conn and its peer, which are closed afterwards.
func overTransports(t *testing.T, f func(t *testing.T, c *Conn, peer net.Conn)) {
	for _, transport := range transports {
		t.Run("over "+transport.name, func(t *testing.T) {
			defer goleak.VerifyNone(t)
			a, b := transport.pair(t)
			for _, nc := range []net.Conn{a, b} {
				if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
					t.Fatal(err)
				}
			}
			c := NewConn(a)
			defer c.Close()
			defer b.Close()
			switch transport.name {
			case "TLS 1.3", "TLS over net.Pipe":
				b = startTLS(t, c, b, tls.VersionTLS13)
			case "TLS 1.2":
				b = startTLS(t, c, b, tls.VersionTLS12)
			case "two layers, one that yields one byte at a time":
				b = startTLS(t, c, b, tls.VersionTLS13)
				c.Push(func(below net.Conn) net.Conn { return bytewise{below} })
			}
			f(t, c, b)
		})
	}
}

// inBackground runs f and waits for it at the end of the test: a net.Pipe
// takes nothing before it is read.
func inBackground(t *testing.T, f func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	t.Cleanup(func() {
		if err := <-done; err != nil {
			t.Errorf("peer: %v", err)
		}
	})
}

// send writes p and, if told so, closes.
func send(t *testing.T, peer net.Conn, p []byte, thenClose bool) {
	t.Helper()
	inBackground(t, func() (err error) {
		if len(p) > 0 { // an empty write would be an empty read of a net.Pipe
			_, err = peer.Write(p)
		}
		if thenClose {
			err = errors.Join(err, peer.Close())
		}
		return err
	})
}

func packets(seq byte, payloads ...[]byte) (p []byte) {
	for _, payload := range payloads {
		p, seq = AppendPacket(p, seq, payload)
	}
	return p
}

func pattern(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(i*7 + i>>8)
	}
	return p
}

func TestReadPacketReturnsWhatWritePacketSent(t *testing.T) {
	small := []int{0, 1, 2, 250, ReadSize - HeaderSize - 1, ReadSize - HeaderSize, ReadSize - HeaderSize + 1, ReadSize, 2*ReadSize + 1, 0, 100_003}
	large := []int{MaxPayload - 1, MaxPayload, MaxPayload + 1, 3, 2 * MaxPayload, 0, 1}
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		sizes := small
		if _, slow := c.top.(bytewise); !slow && !testing.Short() {
			sizes = append(small[:len(small):len(small)], large...)
		}
		inBackground(t, func() error {
			out := NewConn(peer)
			for _, n := range sizes {
				out.WritePacket(pattern(n))
				if n%2 == 0 { // others travel with the next
					if err := out.Flush(); err != nil {
						return err
					}
				}
			}
			return out.Flush()
		})
		var seq byte
		for _, n := range sizes {
			p, err := c.ReadPacket(1 << 30)
			if err != nil {
				t.Fatalf("%d bytes: %v", n, err)
			}
			if !bytes.Equal(p, pattern(n)) {
				t.Fatalf("%d bytes: got %d others", n, len(p))
			}
			if seq += byte(1 + n/MaxPayload); c.Seq != seq {
				t.Fatalf("%d bytes: sequence id %d, want %d", n, c.Seq, seq)
			}
		}
	})
}

func TestReadPacketRefusesAPayloadAboveItsLimitBeforeItArrives(t *testing.T) {
	for _, c := range []struct {
		name  string
		sent  []byte
		limit int
		fails bool
	}{
		{"one byte too many, of which none has come", []byte{5, 0, 0, 0}, 4, true},
		{"exactly the limit", packets(0, pattern(4)), 4, false},
		{"nothing, nothing allowed", packets(0, nil), 0, false},
		{"the largest packet, of which none has come", []byte{0xff, 0xff, 0xff, 0}, MaxPayload - 1, true},
		{"a continuation, of which only the header has come", append(packets(0, pattern(MaxPayload))[:HeaderSize+MaxPayload], 1, 0, 0, 1), MaxPayload, true},
		{"an empty continuation", packets(0, pattern(MaxPayload)), MaxPayload, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && len(c.sent) > MaxPayload {
				t.Skip("16 MiB")
			}
			a, b := tcpPair(t)
			defer b.Close()
			conn := NewConn(a)
			defer conn.Close()
			send(t, b, c.sent, false)
			p, err := conn.ReadPacket(c.limit)
			if c.fails && !errors.Is(err, ErrPacketTooLarge) {
				t.Errorf("error %v, want ErrPacketTooLarge", err)
			}
			if !c.fails && (err != nil || len(p) != c.limit) {
				t.Errorf("got %d bytes, want %d: %v", len(p), c.limit, err)
			}
		})
	}
}

func TestReadPacketFindsPacketsOutOfOrder(t *testing.T) {
	for _, c := range []struct {
		name string
		sent []byte
		want byte
	}{
		{"in the first packet", packets(1, nil), 0},
		{"255 does not lead to 1", packets(1, nil), 255},
		{"in a continuation", append(packets(7, pattern(MaxPayload))[:HeaderSize+MaxPayload], 0, 0, 0, 9), 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && len(c.sent) > MaxPayload {
				t.Skip("16 MiB")
			}
			a, b := tcpPair(t)
			defer b.Close()
			conn := NewConn(a)
			defer conn.Close()
			conn.Seq = c.want
			send(t, b, c.sent, false)
			if _, err := conn.ReadPacket(1 << 30); !errors.Is(err, ErrSequence) {
				t.Errorf("error %v, want ErrSequence", err)
			}
		})
	}
}

func TestSequenceIdsWrap(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		send(t, peer, packets(254, nil, nil, nil), false)
		c.Seq = 254
		for range 3 {
			if _, err := c.ReadPacket(0); err != nil {
				t.Fatal(err)
			}
		}
		if c.Seq != 1 {
			t.Errorf("sequence id %d, want 1", c.Seq)
		}
	})
}

func TestACutConnectionIsEOFBetweenPacketsAndUnexpectedEOFInside(t *testing.T) {
	whole := packets(0, pattern(10))
	long := packets(0, pattern(MaxPayload+3))
	for _, c := range []struct {
		name string
		sent []byte
		want error
	}{
		{"before a packet", nil, io.EOF},
		{"inside a header", whole[:3], io.ErrUnexpectedEOF},
		{"behind a header", whole[:HeaderSize], io.ErrUnexpectedEOF},
		{"inside a payload", whole[:HeaderSize+9], io.ErrUnexpectedEOF},
		{"inside a full packet", long[:100_000], io.ErrUnexpectedEOF},
		{"between a full packet and its continuation", long[:HeaderSize+MaxPayload], io.ErrUnexpectedEOF},
		{"inside the header of a continuation", long[:HeaderSize+MaxPayload+1], io.ErrUnexpectedEOF},
		{"inside a continuation", long[:len(long)-1], io.ErrUnexpectedEOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			overTransports(t, func(t *testing.T, conn *Conn, peer net.Conn) {
				if _, slow := conn.top.(bytewise); (slow || testing.Short()) && len(c.sent) > 100_000 {
					t.Skip("16 MiB")
				}
				send(t, peer, c.sent, true)
				if _, err := conn.ReadPacket(1 << 30); err != c.want {
					t.Errorf("error %v, want %v", err, c.want)
				}
			})
		})
	}
}

func TestFillAppendsAndGrowsUntilDiscard(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		want := pattern(5*ReadSize + 11)
		send(t, peer, want, false)
		for len(c.Buffered()) < len(want) {
			before := len(c.Buffered())
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
			if len(c.Buffered()) <= before {
				t.Fatalf("Fill added nothing to %d bytes", before)
			}
		}
		if !bytes.Equal(c.Buffered(), want) {
			t.Fatal("other bytes than sent")
		}
		if len(c.buf) > 2*len(want) {
			t.Errorf("buffer of %d bytes for %d", len(c.buf), len(want))
		}
		c.Discard(len(want) - 1)
		if !bytes.Equal(c.Buffered(), want[len(want)-1:]) {
			t.Error("Discard dropped the wrong bytes")
		}
		c.Discard(1)
		if c.buf != nil || len(c.Buffered()) != 0 {
			t.Errorf("a buffer of %d bytes is kept though nothing is in it", len(c.buf))
		}
	})
}

func TestTheBufferGrowsOnceForWhatIsAnnounced(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		want := pattern(5*ReadSize + 11)
		send(t, peer, want, false)
		for len(c.Buffered()) < ReadSize {
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		c.Discard(7)
		c.Grow(len(want) - 7)
		grown := &c.buf[0]
		c.Grow(100)
		for len(c.Buffered()) < len(want)-7 {
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(c.Buffered(), want[7:]) {
			t.Error("other bytes than sent")
		}
		if len(c.buf) != len(want)-7 || &c.buf[0] != grown {
			t.Errorf("a buffer of %d bytes, which has moved", len(c.buf))
		}
	})
}

// A reader that consumes what it sees gets along with one buffer, however
// much comes: the rest of a packet moves to its front.
func TestTheBufferDoesNotGrowWhileItsBytesAreConsumed(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		want := pattern(10 * ReadSize)
		send(t, peer, want, false)
		for len(want) > 0 {
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
			p := c.Buffered()
			n := len(p)
			if n < len(want) {
				n -= min(n/2, 100) // some stay behind
			}
			if !bytes.Equal(p[:n], want[:n]) {
				t.Fatal("other bytes than sent")
			}
			want = want[n:]
			if len(c.buf) != ReadSize {
				t.Fatalf("buffer of %d bytes", len(c.buf))
			}
			c.Discard(n)
		}
	})
}

func TestAnIdleSocketHoldsNoBuffer(t *testing.T) {
	a, b := tcpPair(t)
	defer b.Close()
	c := NewConn(a)
	defer c.Close()
	// The deadline passes while Fill waits. The buffer borrowed for the attempt
	// to read must be gone by then, nobody else gives it back.
	if err := c.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := c.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if c.buf != nil || c.pooled != nil {
		t.Error("a buffer was held while waiting")
	}

	c = NewConn(a)
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	send(t, b, packets(0, pattern(40), pattern(40)), false)
	for range 2 {
		p, err := c.ReadPacket(100)
		if err != nil || !bytes.Equal(p, pattern(40)) {
			t.Fatalf("got %x: %v", p, err)
		}
	}
	c.Idle()
	if c.buf != nil || c.pooled != nil {
		t.Error("Idle left the buffer though nothing is in it")
	}
	c.WritePacket(pattern(40))
	if err := c.Flush(); err != nil || c.out != nil {
		t.Errorf("Flush keeps a buffer of %d bytes: %v", cap(c.out), err)
	}
}

func TestIdleKeepsWhatIsUnread(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		send(t, peer, packets(0, pattern(9), pattern(5)), false)
		for _, n := range []int{9, 5} {
			p, err := c.ReadPacket(100)
			if err != nil || !bytes.Equal(p, pattern(n)) {
				t.Fatalf("got %x: %v", p, err)
			}
			c.Idle()
		}
	})
}

// A buffer may stay while waiting where there is no socket; one that grew must not.
func TestAGrownBufferIsDroppedBeforeTheNextRead(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		send(t, peer, packets(0, pattern(5*ReadSize), pattern(1)), false)
		for range 2 {
			if _, err := c.ReadPacket(1 << 20); err != nil {
				t.Fatal(err)
			}
		}
		c.makeRoom()
		if len(c.buf) > ReadSize {
			t.Errorf("buffer of %d bytes before the next read", len(c.buf))
		}
	})
}

func TestUnreadBytesComeBeforeTheBufferedAndTheNext(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		want := packets(0, []byte("first"), pattern(2*ReadSize), []byte("last"))
		send(t, peer, want[7:], false)
		c.Unread(nil)
		c.Unread(want[2:7])
		if err := c.Fill(); err != nil {
			t.Fatal(err)
		}
		c.Unread(want[:2])
		for _, payload := range [][]byte{[]byte("first"), pattern(2 * ReadSize), []byte("last")} {
			p, err := c.ReadPacket(1 << 20)
			if err != nil || !bytes.Equal(p, payload) {
				t.Fatalf("got %d bytes, want %d: %v", len(p), len(payload), err)
			}
		}
	})
}

// What came behind a packet is seen by the raw methods, and the other way round.
func TestPacketsAndRawBytesShareOneStream(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		sent := packets(0, []byte("a packet"), []byte("passed raw"), []byte("another"))
		send(t, peer, sent, false)
		if p, err := c.ReadPacket(100); err != nil || string(p) != "a packet" {
			t.Fatalf("got %q: %v", p, err)
		}
		for len(c.Buffered()) < HeaderSize+10 {
			if err := c.Fill(); err != nil {
				t.Fatal(err)
			}
		}
		if raw := c.Buffered()[:HeaderSize+10]; string(raw[HeaderSize:]) != "passed raw" || PacketLen(raw) != 10 {
			t.Fatalf("raw bytes %q", raw)
		}
		c.Discard(HeaderSize + 10)
		c.Seq = 2
		if p, err := c.ReadPacket(100); err != nil || string(p) != "another" {
			t.Fatalf("got %q: %v", p, err)
		}
	})
}

// writeLog counts the writes that reach the connection.
type writeLog struct {
	net.Conn
	sizes []int
}

func (w *writeLog) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return len(p), nil
}

func TestWritesKeepTheirOrderAndAreFew(t *testing.T) {
	big := pattern(3 * ReadSize)
	for _, c := range []struct {
		name   string
		do     func(c *Conn) error
		writes string
	}{
		{"nothing to flush", func(c *Conn) error { return c.Flush() }, "[]"},
		{"packets wait for Flush", func(c *Conn) error { c.WritePacket(pattern(9)); c.Queue([]byte("raw")); return nil }, "[]"},
		{"packets and raw bytes go in one write", func(c *Conn) error {
			c.WritePacket(pattern(9))
			c.Queue([]byte("raw"))
			c.WritePacket(nil)
			return c.Flush()
		}, "[20]"},
		{"Write alone goes out at once", func(c *Conn) error { return write(c, "abc") }, "[3]"},
		{"Write takes what is queued along", func(c *Conn) error { c.WritePacket(pattern(9)); return write(c, "abc") }, "[16]"},
		{"a large Write is not copied", func(c *Conn) error { c.WritePacket(pattern(9)); return write(c, string(big)) }, "[13 49152]"},
		{"a large packet is queued whole", func(c *Conn) error { c.WritePacket(big); c.WritePacket(nil); return c.Flush() }, "[49160]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &writeLog{}
			conn := NewConn(w)
			if err := c.do(conn); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(w.sizes); got != c.writes {
				t.Errorf("writes of %s bytes, want %s", got, c.writes)
			}
		})
	}
}

func write(c *Conn, s string) error {
	n, err := c.Write([]byte(s))
	if err == nil && n != len(s) {
		err = io.ErrShortWrite
	}
	return err
}

func TestWhatIsQueuedAndWrittenArrivesInOrder(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		rng := rand.New(rand.NewPCG(1, 1))
		received := make(chan []byte, 1)
		inBackground(t, func() error {
			all, err := io.ReadAll(peer)
			received <- all
			return err
		})
		var want []byte
		for i := range 300 {
			p := pattern(rng.IntN(3000))
			if i%50 == 0 {
				p = pattern(3 * ReadSize)
			}
			var err error
			switch rng.IntN(4) {
			case 0:
				c.Queue(p)
				want = append(want, p...)
			case 1:
				want, _ = AppendPacket(want, c.Seq, p)
				c.WritePacket(p)
			case 2:
				_, err = c.Write(p)
				want = append(want, p...)
			case 3:
				err = c.Flush()
			}
			if err != nil {
				t.Fatal(err)
			}
			clear(p) // nothing of it may be kept
		}
		if err := c.Flush(); err != nil || c.Queued() != 0 {
			t.Fatal(err)
		}
		c.Close()
		if got := <-received; !bytes.Equal(got, want) {
			t.Errorf("%d bytes arrived, %d were sent, or in another order", len(got), len(want))
		}
	})
}

func TestAPastDeadlineInterruptsAWaitingRead(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		inBackground(t, func() error { return c.NetConn().SetDeadline(time.Unix(1, 0)) })
		_, err := c.ReadPacket(100)
		var ne net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
			t.Errorf("error %v, want a timeout", err)
		}
	})
}

func TestAClosedConnectionSaysSo(t *testing.T) {
	overTransports(t, func(t *testing.T, c *Conn, peer net.Conn) {
		c.WritePacket(pattern(3))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if c.buf != nil || c.out != nil || c.Queued() != 0 {
			t.Error("a closed connection holds buffers")
		}
		closed := func(err error) bool { return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) }
		if err := c.Fill(); !closed(err) {
			t.Errorf("Fill: %v", err)
		}
		if _, err := c.Write([]byte("x")); !closed(err) {
			t.Errorf("Write: %v", err)
		}
		c.WritePacket(nil)
		if err := c.Flush(); !closed(err) {
			t.Errorf("Flush: %v", err)
		}
	})
}

func TestAResetConnectionSaysSo(t *testing.T) {
	a, b := tcpPair(t)
	c := NewConn(a)
	defer c.Close()
	if err := b.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	b.Close()
	if err := c.Fill(); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want ECONNRESET", err)
	}
}

// stuck is a connection whose Read returns nothing and no error.
type stuck struct{ net.Conn }

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestAReadThatYieldsNothingIsAnError(t *testing.T) {
	if err := NewConn(stuck{}).Fill(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v, want io.ErrNoProgress", err)
	}
}

// Buffers change hands all the time; bytes of one connection must never show
// up on another.
func TestConnectionsDoNotSeeEachOthersBytes(t *testing.T) {
	defer goleak.VerifyNone(t)
	var group sync.WaitGroup
	for id := range 8 {
		a, b := tcpPair(t)
		group.Go(func() {
			defer a.Close()
			if err := echo(NewConn(a), 300); err != nil && err != io.EOF {
				t.Errorf("echo %d: %v", id, err)
			}
		})
		group.Go(func() {
			defer b.Close()
			c := NewConn(b)
			for i := range 300 {
				want := bytes.Repeat([]byte{byte(id)}, i*7%3000)
				if i%60 == 59 {
					want = bytes.Repeat([]byte{byte(id)}, 3*ReadSize)
				}
				c.Seq = 0
				c.WritePacket(want)
				if err := c.Flush(); err != nil {
					t.Errorf("connection %d: %v", id, err)
					return
				}
				if p, err := c.ReadPacket(1 << 20); err != nil || !bytes.Equal(p, want) {
					t.Errorf("connection %d got other bytes than its own, or %v", id, err)
					return
				}
				c.Idle()
			}
		})
	}
	group.Wait()
}

// echo answers n packets with what they hold.
func echo(c *Conn, n int) error {
	for range n {
		c.Seq = 0
		p, err := c.ReadPacket(1 << 20)
		if err != nil {
			return err
		}
		c.WritePacket(p)
		c.Idle() // the payload has been copied
		if err := c.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func TestAConnectionIsQuietUntilThePeerSaysSomethingOrGoes(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	for name, act := range map[string]func(net.Conn){
		"sends": func(nc net.Conn) { _, _ = nc.Write([]byte{1}) },
		"goes":  func(nc net.Conn) { _ = nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			peer, err := ln.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer peer.Close()
			c := NewConn(nc)
			if !c.Quiet() {
				t.Error("not quiet although nothing happened")
			}
			act(peer)
			deadline := time.Now().Add(5 * time.Second)
			for c.Quiet() {
				if time.Now().After(deadline) {
					t.Fatal("still quiet")
				}
				runtime.Gosched()
			}
		})
	}
}
