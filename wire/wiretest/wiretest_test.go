package wiretest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPipeMovesBytesBothWaysAndEndsWithEOF(t *testing.T) {
	client, server := Pipe()
	for _, ends := range [][2]net.Conn{{client, server}, {server, client}} {
		if _, err := ends[0].Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	_ = client.Close()
	got, err := io.ReadAll(server)
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	if _, err := server.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to a closed reader: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if _, err := client.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

func TestPipeBlocksTheWriterWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe()
		big := bytes.Repeat([]byte("x"), PipeSize+100)
		done := make(chan error, 1)
		go func() {
			_, err := client.Write(big)
			done <- err
		}()
		synctest.Wait()
		select {
		case <-done:
			t.Fatal("the write ended with more bytes than the pipe holds")
		default:
		}
		got := make([]byte, len(big))
		if _, err := io.ReadFull(server, got); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, big) {
			t.Fatal("bytes differ")
		}
	})
}

func TestPipeDeadlinesInterruptAndCanBeLifted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := Pipe()
		start := time.Now()
		_ = server.SetDeadline(start.Add(time.Minute))
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		if d := time.Since(start); d != time.Minute {
			t.Fatalf("interrupted after %v", d)
		}
		_ = server.SetDeadline(time.Time{})
		go func() { _, _ = client.Write([]byte("x")) }()
		if _, err := server.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		go func() {
			synctest.Wait() // until the read below blocks
			_ = server.SetReadDeadline(time.Now())
		}()
		if _, err := server.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a deadline set during the read: %v", err)
		}
	})
}

func TestFaultConnChunksReadsButLosesNothing(t *testing.T) {
	client, server := Pipe()
	faulty := NewFaultConn(server, Faults{Chunk: 3, Seed: 1})
	want := []byte(strings.Repeat("abcdefg", 100))
	_, _ = client.Write(want)
	_ = client.Close()
	var got []byte
	buf := make([]byte, 64)
	sizes := map[int]bool{}
	for {
		n, err := faulty.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			break
		}
		sizes[n] = true
	}
	if !bytes.Equal(got, want) {
		t.Fatal("bytes differ")
	}
	if !sizes[1] || !sizes[2] || !sizes[3] || len(sizes) != 3 {
		t.Fatalf("sizes read: %v, want 1 to 3", sizes)
	}
}

func TestFaultConnAtItsLimits(t *testing.T) {
	t.Run("reset after so many bytes read", func(t *testing.T) {
		client, server := Pipe()
		faulty := NewFaultConn(server, Faults{ReadLimit: 4})
		_, _ = client.Write([]byte("abcdefg"))
		got, err := io.ReadAll(faulty)
		if string(got) != "abcd" || !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %q, %v", got, err)
		}
		if _, err := client.Write([]byte("x")); err == nil {
			t.Fatal("the connection underneath is still open")
		}
	})
	t.Run("reset after so many bytes written", func(t *testing.T) {
		client, server := Pipe()
		faulty := NewFaultConn(server, Faults{WriteLimit: 4})
		if n, err := faulty.Write([]byte("abcdefg")); n != 4 || !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("got %d, %v", n, err)
		}
		if got, _ := io.ReadAll(client); string(got) != "abcd" {
			t.Fatalf("peer got %q", got)
		}
	})
	t.Run("stall swallows both directions until the deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client, server := Pipe()
			faulty := NewFaultConn(server, Faults{ReadLimit: 1, WriteLimit: 1, AtLimit: Stall})
			_, _ = client.Write([]byte("abc"))
			if n, err := faulty.Write([]byte("abc")); n != 3 || err != nil {
				t.Fatalf("write: %d, %v", n, err)
			}
			_ = faulty.SetDeadline(time.Now().Add(time.Minute))
			got, err := io.ReadAll(faulty)
			if string(got) != "a" || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read %q, %v", got, err)
			}
			_ = faulty.Close()
			if got, _ := io.ReadAll(client); string(got) != "a" {
				t.Fatalf("peer got %q", got)
			}
		})
	})
	t.Run("reset of TCP is an RST", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		faulty := NewFaultConn(server, Faults{WriteLimit: 1})
		_, _ = faulty.Write([]byte("ab"))
		if _, err := io.ReadAll(client); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("peer saw %v", err)
		}
	})
}

func dial(t *testing.T, s *Server) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return nc
}

func TestScriptedServerAnswersScriptedClient(t *testing.T) {
	for _, caps := range []wire.Capability{Capabilities, Capabilities &^ wire.DeprecateEOF, Capabilities &^ (wire.SessionTrack | wire.PluginAuthLenenc)} {
		t.Run(fmt.Sprintf("%x", uint64(caps)), func(t *testing.T) {
			s := NewServer(t, Options{Greeting: wire.HandshakeV10{Capabilities: caps}}, Script(
				ExpectQuery("SELECT a, b"),
				Rows([]string{"a", "b"}, []string{"1", "x"}, []string{"2", strings.Repeat("y", 70000)}),
				ExpectCommand(wire.ComPing, ""),
				OK(wire.OK{AffectedRows: 3}),
				ExpectQuery("oops"),
				Err(wire.CodeParse, "100% wrong"),
				ExpectClose(),
			))
			p, err := Login(dial(t, s), Credentials{User: "app", Password: "any", Database: "t"})
			if err != nil {
				t.Fatal(err)
			}
			if p.Capabilities.Has(wire.DeprecateEOF) != caps.Has(wire.DeprecateEOF) {
				t.Fatal("capabilities not agreed")
			}
			results, err := p.Query("SELECT a, b")
			if err != nil {
				t.Fatal(err)
			}
			if len(results) != 1 || len(results[0].Columns) != 2 || len(results[0].Rows) != 2 || len(results[0].Rows[1][1].Text) != 70000 {
				t.Fatalf("got %+v", results)
			}
			if !results[0].Final.Status.Has(wire.Autocommit) {
				t.Fatalf("status %b", results[0].Final.Status)
			}
			if err := p.Command(wire.ComPing, ""); err != nil {
				t.Fatal(err)
			}
			if r, err := p.readResult(); err != nil || r.Final.AffectedRows != 3 {
				t.Fatalf("got %+v, %v", r, err)
			}
			_, err = p.Query("oops")
			var e *wire.Err
			if !errors.As(err, &e) || e.Error() != "ERROR 1064 (42000): 100% wrong" {
				t.Fatalf("got %v", err)
			}
			_ = p.Command(wire.ComQuit, "")
			_ = p.Close()
		})
	}
}

func TestServerChecksPasswords(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []string{auth.NativePassword, auth.CachingSHA2} {
		s := NewServer(t, Options{
			Greeting:  wire.HandshakeV10{AuthPlugin: plugin},
			Passwords: map[string]string{"app": "secret", "nopass": ""},
			Key:       key,
		}, Answer(func(p *Peer, _ wire.Command, _ []byte) error { return OK(wire.OK{})(p) }))
		for _, c := range []struct {
			name string
			Credentials
			ok bool
		}{
			{"right", Credentials{User: "app", Password: "secret"}, true},
			{"wrong", Credentials{User: "app", Password: "Secret"}, false},
			{"missing", Credentials{User: "app"}, false},
			{"none needed", Credentials{User: "nopass"}, true},
			{"too much", Credentials{User: "nopass", Password: "x"}, false},
			{"unknown user", Credentials{User: "nobody", Password: "secret"}, false},
			{"right after a switch", Credentials{User: "app", Password: "secret", Plugin: "dialog"}, true},
			{"wrong after a switch", Credentials{User: "app", Password: "Secret", Plugin: "dialog"}, false},
		} {
			t.Run(plugin+" "+c.name, func(t *testing.T) {
				p, err := Login(dial(t, s), c.Credentials)
				if !c.ok {
					var e *wire.Err
					if !errors.As(err, &e) || e.Code != wire.CodeAccessDenied {
						t.Fatalf("got %v, want 1045", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Query("DO 1"); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

func TestServerCountsAndKicks(t *testing.T) {
	s := NewServer(t, Options{}, Answer(func(p *Peer, _ wire.Command, _ []byte) error { return OK(wire.OK{})(p) }))
	var peers []*Peer
	for range 4 {
		p, err := Login(dial(t, s), Credentials{User: "app"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Query("DO 1"); err != nil {
			t.Fatal(err)
		}
		peers = append(peers, p)
	}
	if s.Logins() != 4 || s.Open() != 4 {
		t.Errorf("%d logins, %d open, want 4 of each", s.Logins(), s.Open())
	}
	s.Kick()
	for _, p := range peers {
		if _, err := p.Query("DO 1"); !IsClosed(err) {
			t.Errorf("after Kick: %v", err)
		}
	}
	if _, err := Login(dial(t, s), Credentials{User: "app"}); err != nil {
		t.Errorf("login after Kick: %v", err)
	}
}

// errorRecorder is a testing.TB that notes errors instead of failing.
type errorRecorder struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (r *errorRecorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestServerReportsWhatItDidNotExpect(t *testing.T) {
	r := &errorRecorder{TB: t}
	s := NewServer(r, Options{}, Script(ExpectQuery("SELECT 1"), OK(wire.OK{})))
	p, err := Login(dial(t, s), Credentials{User: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Query("SELECT 2"); !IsClosed(err) {
		t.Fatalf("got %v, want the connection closed", err)
	}
	s.Close()
	if len(r.errors) != 1 || r.errors[0] != `fake server: step 1: got "\x03SELECT 2", want "\x03SELECT 1"` {
		t.Fatalf("reported %q", r.errors)
	}
}
