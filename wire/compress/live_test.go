//go:build integration

package compress

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// patience bounds what must happen; no test waits for it to pass.
const patience = 30 * time.Second

// tap keeps what is received.
type tap struct {
	net.Conn
	got bytes.Buffer
}

func (t *tap) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.got.Write(p[:n])
	return n, err
}

// frame is the header of a frame received.
type frame struct {
	seq            byte
	size, contents int
}

// frames returns what has been received since the last call.
func (t *tap) frames() (list []frame) {
	for b := t.got.Bytes(); len(b) >= headerSize; {
		f := frame{b[3], wire.PacketLen(b), wire.PacketLen(b[4:])}
		list = append(list, f)
		b = b[headerSize+f.size:]
	}
	t.got.Reset()
	return list
}

// server is a real one.
type server struct {
	*localserver.Server
	Algorithm
	t *testing.T
}

// login opens a connection, which is compressed only if c.Frames is set.
func (s *server) login(c wiretest.Credentials) (*wiretest.Peer, *tap, error) {
	s.t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(patience))
	c.User, c.Password = localserver.AppUser, localserver.AppPassword
	const notJustSo = wire.ConnectWithDB | wire.FoundRows | wire.NoSchema | wire.IgnoreSpace | wire.Interactive
	c.Capabilities |= wiretest.Capabilities&^notJustSo | wire.LocalFiles | wire.LongPassword
	t := &tap{Conn: nc}
	p, err := wiretest.Login(t, c)
	t.got.Reset()
	return p, t, err
}

// compressed logs in and compresses.
func (s *server) compressed() (*wiretest.Peer, *tap) {
	s.t.Helper()
	c := wiretest.Credentials{Capabilities: wire.Compress, Frames: clientFrames}
	if s.Algorithm == Zstd {
		c.Capabilities, c.ZstdLevel = wire.ZstdCompress, DefaultZstdLevel
	}
	p, t, err := s.login(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return p, t
}

// bare logs in for compression and lets the caller make the frames.
func (s *server) bare() (net.Conn, *Conn) {
	s.t.Helper()
	c := wiretest.Credentials{Capabilities: wire.Compress}
	if s.Algorithm == Zstd {
		c.Capabilities, c.ZstdLevel = wire.ZstdCompress, DefaultZstdLevel
	}
	_, nc, err := s.login(c)
	if err != nil {
		s.t.Fatal(err)
	}
	return nc, Client(nc, s.Algorithm)
}

func clientFrames(below net.Conn, agreed wire.Capability) wire.Frames {
	a, _ := Negotiated(agreed)
	return Client(below, a)
}

// eachServer runs f with every server and algorithm there is.
func eachServer(t *testing.T, f func(t *testing.T, s *server)) {
	harness.InEachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		real, err := localserver.Start(t.Context(), localserver.Options{Flavour: flavour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := real.Close(); err != nil {
				t.Error(err)
			}
		})
		if err := real.Exec(t.Context(), "CREATE DATABASE app", "CREATE TABLE app.t (a LONGTEXT)"); err != nil {
			t.Fatal(err)
		}
		for _, a := range algorithms {
			if a == Zstd && flavour == localserver.MariaDB {
				continue // 10.11 does not have it
			}
			t.Run(a.String(), func(t *testing.T) { f(t, &server{real, a, t}) })
		}
	})
}

func packet(seq byte, payload string) string {
	p, _ := wire.AppendPacket(nil, seq, []byte(payload))
	return string(p)
}

const (
	ping    = "\x0e"
	query   = "\x03"
	okReply = "\x07\x00\x00\x01\x00"
)

func TestServersKeepToTheFrames(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		send := func(nc net.Conn, frames ...[]byte) {
			t.Helper()
			if _, err := nc.Write(bytes.Join(frames, nil)); err != nil {
				t.Fatal(err)
			}
		}
		receive := func(c *Conn) string {
			t.Helper()
			p := make([]byte, 1<<10)
			n, err := c.Read(p)
			if err != nil {
				t.Fatal(err)
			}
			return string(p[:n])
		}
		t.Run("the ids of packets in frames are not looked at", func(t *testing.T) {
			nc, c := s.bare()
			send(nc, stored(0, packet(7, ping)))
			if got := receive(c); !strings.HasPrefix(got, okReply) {
				t.Errorf("%q", got)
			}
		})
		t.Run("a packet's header may be in two frames", func(t *testing.T) {
			nc, c := s.bare()
			p := packet(0, ping)
			send(nc, stored(0, p[:2]), stored(1, ""), stored(2, p[2:]))
			if got := receive(c); got[3] != 3 || c.next != 4 {
				t.Errorf("%q, then frame %d", got, c.next)
			}
		})
		t.Run("two commands in two frames are answered", func(t *testing.T) {
			nc, c := s.bare()
			send(nc, stored(0, packet(0, ping)), stored(0, packet(0, ping)))
			for range 2 {
				if got := receive(c); !strings.HasPrefix(got, okReply) || c.next != 2 {
					t.Errorf("%q, then frame %d", got, c.next)
				}
			}
		})
		t.Run("of two commands in a frame one is answered", func(t *testing.T) {
			nc, c := s.bare()
			send(nc, stored(0, packet(0, ping)+packet(0, ping)))
			if got := receive(c); len(got) != len(okReply)+6 {
				t.Errorf("%q", got)
			}
			_ = nc.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			if n, err := c.Read(make([]byte, 100)); err == nil {
				t.Errorf("%d bytes more; good news: this server can do it", n)
			}
		})
		t.Run("a frame with a wrong number is refused", func(t *testing.T) {
			nc, c := s.bare()
			send(nc, stored(3, packet(0, ping)))
			if got := receive(c); !strings.Contains(got, "#08S01Got packets out of order") {
				t.Errorf("%q", got)
			}
		})
	})
}

func TestServersFrameAnswers(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		p, nc := s.compressed()
		t.Run("several results go back to the frame's number", func(t *testing.T) {
			if _, err := p.Query("SELECT 1; SELECT 2; SELECT 3"); err != nil {
				t.Fatal(err)
			}
			b := bytes.Clone(nc.got.Bytes())
			list := nc.frames()
			if len(list) != 3 {
				t.Fatalf("%+v", list)
			}
			for i, f := range list {
				first := b[headerSize+3]
				if f.seq != byte(i+1) || first != f.seq || f.contents != 0 {
					t.Errorf("%+v, first packet %d", f, first)
				}
				b = b[headerSize+f.size:]
			}
		})
		t.Run("contents from 50 bytes on are compressed", func(t *testing.T) {
			// 5 for the count, 4+22+n for the column, 6 for the row, 11 for the end.
			for n := 1; n <= 20; n++ {
				if _, err := p.Query("SELECT 1 AS " + strings.Repeat("a", n)); err != nil {
					t.Fatal(err)
				}
				whole := 48 + n
				f := nc.frames()[0]
				if stored := f.contents == 0; stored && f.size != whole || stored && whole >= 70 || !stored && (f.contents < minContents || f.contents != whole) {
					t.Errorf("%d bytes: %+v", whole, f)
				}
			}
		})
		t.Run("a long row is in frames of up to 16 MiB", func(t *testing.T) {
			r, err := p.Query("SELECT REPEAT('a', 20000000)")
			if err != nil || len(r[0].Rows[0][0].Text) != 20000000 {
				t.Fatal(err)
			}
			largest := frame{}
			for _, f := range nc.frames() {
				if f.contents > largest.contents {
					largest = f
				}
			}
			if largest.contents < 16<<20-32<<10 || largest.size > 20<<10 {
				t.Errorf("%+v", largest)
			}
		})
		t.Run("a long statement arrives", func(t *testing.T) {
			want := 20 << 20
			r, err := p.Query("SELECT LENGTH('" + strings.Repeat("b", want) + "')")
			if err != nil || r[0].Rows[0][0].Text != fmt.Sprint(want) {
				t.Error(err)
			}
		})
	})
}

func TestServersNegotiate(t *testing.T) {
	eachServer(t, func(t *testing.T, s *server) {
		if s.Algorithm == Zlib {
			t.Skip("nothing to negotiate")
		}
		for _, level := range []byte{0, 23, 255} {
			_, _, err := s.login(wiretest.Credentials{Capabilities: wire.ZstdCompress, ZstdLevel: level})
			var e *wire.Err
			if !errors.As(err, &e) || e.Code != 3923 || e.State != "HY000" || e.Message != "Invalid zstd compression level for algorithm 'zstd'." {
				t.Errorf("level %d: %v", level, err)
			}
		}
		p, nc, err := s.login(wiretest.Credentials{Capabilities: wire.ZstdCompress | wire.Compress, ZstdLevel: 3, Frames: clientFrames})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Query("SELECT REPEAT('a', 1000)"); err != nil {
			t.Fatal(err)
		}
		if b := nc.got.Bytes(); b[headerSize] != 0x78 {
			t.Errorf("with both: % x is no zlib stream", b[:20])
		}
		r, err := p.Query("SHOW STATUS LIKE 'Compression_algorithm'")
		if err != nil || r[0].Rows[0][1].Text != "zlib" {
			t.Errorf("with both: %+v, %v", r, err)
		}
		_, _, err = s.login(wiretest.Credentials{Capabilities: wire.ZstdCompress | wire.Compress, ZstdLevel: 0})
		if err != nil {
			t.Errorf("with both, the level matters: %v", err)
		}
	})
}
