package compress

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/certs"
	"github.com/telamondb/telamon/wire"
)

// waitLong bounds what must happen; no test waits for it to pass.
const waitLong = 20 * time.Second

// pair returns two ends of a socket, compressed, perhaps inside TLS.
func pair(t *testing.T, a Algorithm, inTLS bool) (client, server *wire.Conn, frames *Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	client, server = wire.NewConn(near), wire.NewConn(far)
	for _, c := range []*wire.Conn{client, server} {
		if err := c.SetDeadline(time.Now().Add(waitLong)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	if inTLS {
		startTLS(t, client, server)
	}
	client.PushFrames(func(below net.Conn) wire.Frames { return Client(below, a) })
	server.PushFrames(func(below net.Conn) wire.Frames {
		frames = Server(below, a)
		return frames
	})
	return client, server, frames
}

func startTLS(t *testing.T, client, server *wire.Conn) {
	t.Helper()
	cert, err := certs.SelfSigned(certs.Request{Name: "wire", Hosts: []string{"wire.test"}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := client.StartTLS(tls.Client, &tls.Config{RootCAs: cert.Pool(), ServerName: "wire.test"}); err != nil {
			t.Error(err)
		}
	})
	err = server.StartTLS(tls.Server, &tls.Config{Certificates: []tls.Certificate{cert.TLS()}})
	wg.Wait()
	if err != nil {
		t.Fatal(err)
	}
}

// overLayers runs f over a socket and inside TLS, with every algorithm.
func overLayers(t *testing.T, f func(t *testing.T, client, server *wire.Conn, frames *Conn)) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			client, server, frames := pair(t, a, false)
			f(t, client, server, frames)
		})
		t.Run(a.String()+" inside TLS", func(t *testing.T) {
			client, server, frames := pair(t, a, true)
			f(t, client, server, frames)
		})
	}
}

func TestPacketsOfAnySizeGoThroughFrames(t *testing.T) {
	overLayers(t, func(t *testing.T, client, server *wire.Conn, _ *Conn) {
		for _, size := range []int{0, 1, 45, 46, 16 << 10, maxContents - wire.HeaderSize, maxContents, wire.MaxPayload - 1, wire.MaxPayload, wire.MaxPayload + 1} {
			p := make([]byte, size)
			copy(p, rows(min(size, 1000)))
			var wg sync.WaitGroup
			wg.Go(func() {
				client.StartCommand()
				client.WritePacket(p)
				if err := client.Flush(); err != nil {
					t.Error(err)
				}
			})
			server.Seq = 0
			got, err := server.ReadPacket(1 << 30)
			wg.Wait()
			if err != nil || !bytes.Equal(got, p) {
				t.Fatalf("%d bytes: got %d, %v", size, len(got), err)
			}
		}
	})
}

func TestNothingIsHeldWhileThereIsNothingToRead(t *testing.T) {
	overLayers(t, func(t *testing.T, client, server *wire.Conn, frames *Conn) {
		for range 3 {
			if _, err := client.Write(rows(1000)); err != nil {
				t.Fatal(err)
			}
			for len(server.Buffered()) < 1000 {
				if err := server.Fill(); err != nil {
					t.Fatal(err)
				}
			}
			server.Discard(1000)
			if err := server.SetDeadline(time.Now().Add(time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if err := server.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
			if frames.buf != nil || frames.pooled != nil || frames.inflater != nil {
				t.Error("a buffer is held")
			}
			// An interruption leaves the connection as it was.
			if err := server.SetDeadline(time.Now().Add(waitLong)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestAFrameInPiecesIsWaitedForAcrossDeadlines(t *testing.T) {
	client, server, _ := pair(t, Zlib, false)
	frame := packed(t, Zlib, 0, rows(1000))
	for i := range frame {
		if _, err := client.NetConn().Write(frame[i : i+1]); err != nil {
			t.Fatal(err)
		}
		if i+1 == len(frame) {
			break
		}
		if err := server.SetDeadline(time.Now().Add(100 * time.Microsecond)); err != nil {
			t.Fatal(err)
		}
		if err := server.Fill(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("byte %d of %d: %v", i+1, len(frame), err)
		}
	}
	if err := server.SetDeadline(time.Now().Add(waitLong)); err != nil {
		t.Fatal(err)
	}
	for len(server.Buffered()) < 1000 {
		if err := server.Fill(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestQuietSeesThroughFrames(t *testing.T) {
	overLayers(t, func(t *testing.T, client, server *wire.Conn, _ *Conn) {
		if !server.Quiet() || !client.Quiet() {
			t.Error("not quiet at the beginning")
		}
		if _, err := client.Write([]byte("something")); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() bool { return !server.Quiet() })
		server.Discard(len(server.Buffered()))
		if !server.Quiet() {
			t.Error("not quiet after all was read")
		}
		_ = client.Close()
		eventually(t, func() bool { return !server.Quiet() })
		if err := server.Fill(); err != io.EOF && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Error(err)
		}
	})
}

// eventually polls: a system call that does not wait is what is tested.
func eventually(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(waitLong); !f(); {
		if time.Now().After(end) {
			t.Fatal("it does not come about")
		}
	}
}

func TestQueuedCommandsBeginFramesOfTheirOwn(t *testing.T) {
	client, server, frames := pair(t, Zlib, false)
	for range 3 {
		client.StartCommand()
		client.WritePacket([]byte("\x0e"))
	}
	if err := client.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		server.Seq = 9 // not looked at
		p, err := server.ReadPacket(100)
		if err != nil || string(p) != "\x0e" || frames.next != 1 {
			t.Errorf("%q, then frame %d, %v", p, frames.next, err)
		}
	}
}
