//go:build !race

// The race detector makes sync.Pool forget at random, so that neither times
// nor allocations mean anything under it.

package wire

import (
	"io"
	"net"
	"testing"
)

// pointSelect is the answer to a select of one row.
func pointSelect(columns int, caps Capability) []byte {
	rs := resultSet{metaStatus: Autocommit, end: OK{Status: Autocommit}, rows: [][]byte{nil}}
	for range columns {
		rs.defs = append(rs.defs, modelDef{
			names: [6]string{"def", "sbtest", "sbtest1", "sbtest1", "c", "c"},
			rest:  []byte("\x0c\x2d\x00\xe0\x01\x00\x00\xfe\x01\x00\x00\x00\x00"),
		})
		rs.rows[0] = AppendLenencString(rs.rows[0], "08566691963-88624912351-16662227201")
	}
	m := &model{kind: ResponseQuery, status: Autocommit, seq: 1, parts: []part{rs}}
	return m.sent(caps)
}

// stepThrough relays one response from memory to nowhere and returns the
// number of operations.
func stepThrough(r *Response, p []byte, server, client Capability) (ops int) {
	r.Begin(ResponseQuery, server, client, Autocommit, nil)
	for ; !r.Done(); ops++ {
		op, n := r.Step(p)
		if op != OpForward && op != OpReplace {
			panic(r.Err())
		}
		p = p[n:]
	}
	return ops
}

var relayCases = []struct {
	name           string
	columns        int
	server, client Capability
}{
	{"1 column, same capabilities", 1, DeprecateEOF | SessionTrack, DeprecateEOF | SessionTrack},
	{"7 columns, same capabilities", 7, DeprecateEOF | SessionTrack, DeprecateEOF | SessionTrack},
	{"7 columns, EOF packets on both sides", 7, 0, 0},
	{"7 columns, EOF packets inserted", 7, DeprecateEOF, 0},
	{"7 columns, EOF packets dropped", 7, 0, DeprecateEOF},
}

func BenchmarkResponse(b *testing.B) {
	for _, c := range relayCases {
		b.Run(c.name, func(b *testing.B) {
			original := pointSelect(c.columns, c.server)
			p := make([]byte, len(original))
			b.SetBytes(int64(len(p)))
			b.ReportAllocs()
			var r Response
			ops := 0
			for b.Loop() {
				copy(p, original) // Step numbers the packets anew
				ops += stepThrough(&r, p, c.server, c.client)
			}
			b.ReportMetric(float64(ops)/float64(b.N), "steps/op")
		})
	}
}

func TestFollowingAResponseDoesNotAllocate(t *testing.T) {
	for _, c := range relayCases {
		t.Run(c.name, func(t *testing.T) {
			original := pointSelect(c.columns, c.server)
			p := make([]byte, len(original))
			var r Response
			if n := testing.AllocsPerRun(1000, func() {
				copy(p, original)
				stepThrough(&r, p, c.server, c.client)
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

// echoServer answers packets until its peer closes.
func echoServer(tb testing.TB) *Conn {
	tb.Helper()
	a, b := tcpPair(tb)
	done := make(chan error, 1)
	go func() {
		defer b.Close()
		done <- echo(NewConn(b), 1<<62)
	}()
	tb.Cleanup(func() {
		a.Close()
		if err := <-done; err != io.EOF {
			tb.Errorf("echo: %v", err)
		}
	})
	return NewConn(a)
}

// roundTrip sends a packet and reads the answer in the two ways there are:
// joined, and raw as it comes.
func roundTrip(c *Conn, payload []byte, raw bool) error {
	c.Seq = 0
	c.WritePacket(payload)
	if err := c.Flush(); err != nil {
		return err
	}
	if !raw {
		_, err := c.ReadPacket(1 << 20)
		c.Idle()
		return err
	}
	for left := HeaderSize + len(payload); left > 0; {
		if err := c.Fill(); err != nil {
			return err
		}
		left -= len(c.Buffered())
		c.Discard(len(c.Buffered()))
	}
	return nil
}

func TestARoundTripDoesNotAllocateOnEitherSide(t *testing.T) {
	for name, raw := range map[string]bool{"joined packets": false, "raw bytes": true} {
		t.Run(name, func(t *testing.T) {
			c := echoServer(t)
			payload := pattern(200)
			// The average of many, rounded down: a collection in between empties the pool.
			if n := testing.AllocsPerRun(2000, func() {
				if err := roundTrip(c, payload, raw); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func BenchmarkConnRoundTrip(b *testing.B) {
	for _, raw := range []bool{false, true} {
		name := "joined packets"
		if raw {
			name = "raw bytes"
		}
		b.Run(name, func(b *testing.B) {
			c := echoServer(b)
			payload := pattern(200)
			b.ReportAllocs()
			for b.Loop() {
				if err := roundTrip(c, payload, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNetConnRoundTrip is the same exchange with nothing but net.Conn.
func BenchmarkNetConnRoundTrip(b *testing.B) {
	client, server := tcpPair(b)
	done := make(chan struct{})
	go func(nc net.Conn) {
		defer close(done)
		_, _ = io.CopyBuffer(struct{ io.Writer }{nc}, struct{ io.Reader }{nc}, make([]byte, ReadSize))
	}(server)
	defer func() { client.Close(); <-done; server.Close() }()
	p := packets(0, pattern(200))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(p); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(client, p); err != nil {
			b.Fatal(err)
		}
	}
}
