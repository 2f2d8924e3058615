//go:build integration

package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// trickle sends bytes one by one, so slowly that they take so long. It returns how many
// were sent when the connection had ended, an error if it had not.
func trickle(nc net.Conn, b []byte, long time.Duration) (sent int, err error) {
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, nc)
		ended <- err
	}()
	pause := time.NewTicker(long / time.Duration(len(b)))
	defer pause.Stop()
	for sent < len(b) {
		select {
		case err := <-ended:
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return sent, err
			}
			return sent, nil
		case <-pause.C:
			_, _ = nc.Write(b[sent : sent+1])
			sent++
		}
	}
	return sent, errors.New("all of it was taken")
}

// slowClients are the phases in which a client can take its time: each brings a
// connection to where the bytes would come next.
var slowClients = []struct {
	name string
	come func(t *testing.T, c *rawClient, g *wire.HandshakeV10) (next []byte)
}{
	{"its login", func(_ *testing.T, _ *rawClient, g *wire.HandshakeV10) []byte {
		h := appLogin(g)
		return loginPacket(h.Append(nil))
	}},
	{"the header of a large login", func(*testing.T, *rawClient, *wire.HandshakeV10) []byte {
		return append([]byte{0, 0xff, 0, 1}, make([]byte, 60)...)
	}},
	{"its hello of TLS", func(_ *testing.T, c *rawClient, _ *wire.HandshakeV10) []byte {
		c.write(sslRequest())
		return tlsHello()
	}},
	{"its login inside TLS", func(_ *testing.T, c *rawClient, g *wire.HandshakeV10) []byte {
		h := appLogin(g)
		h.Capabilities |= wire.SSL
		c.encrypt(&h)
		b, _ := wire.AppendPacket(nil, 2, h.Append(nil))
		return b
	}},
	{"the answer to an AuthSwitchRequest", func(t *testing.T, c *rawClient, g *wire.HandshakeV10) []byte {
		h := appLogin(g)
		h.AuthPlugin, h.AuthResponse = "no_such_plugin", nil
		c.write(loginPacket(h.Append(nil)))
		c.seq = 2
		return c.switched(t)
	}},
	{"the answer in a COM_CHANGE_USER", func(t *testing.T, c *rawClient, g *wire.HandshakeV10) []byte {
		attempt{user: localserver.AppUser, password: localserver.AppPassword}.log(c, g)
		u := wire.ChangeUser{User: localserver.AppUser, Collation: 45, AuthPlugin: "no_such_plugin"}
		b, _ := wire.AppendPacket(nil, 0, u.Append(nil, c.caps))
		c.write(b)
		return c.switched(t)
	}},
}

// switched reads an AuthSwitchRequest and returns the answer.
func (c *rawClient) switched(t *testing.T) []byte {
	t.Helper()
	plugin, salt, err := auth.ParseSwitchRequest(c.payload())
	if err != nil {
		t.Fatal(err)
	}
	answer, _ := auth.Respond(plugin, localserver.AppPassword, salt)
	b, _ := wire.AppendPacket(nil, c.seq, answer)
	return b
}

// TestH37SlowClients: what a client sends byte by byte does not give it more time than
// proxy.connect_timeout has for all of its login. Of the servers MySQL 9.7 cuts such a
// client too; MariaDB 10.11's connect_timeout begins anew with every byte.
func TestH37SlowClients(t *testing.T) {
	const connectTimeout = 1500 * time.Millisecond
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		cfg := harness.ProxyConfig(c)
		cfg.Settings["proxy.tls"] = `mode = "preferred"`
		cfg.Settings["proxy"] = fmt.Sprintf("connect_timeout = %q", connectTimeout)
		p := suite.StartProxy(t, cfg)
		inside, err := dialPlain(p.Addr(), login{})
		if err != nil {
			t.Fatal(err)
		}
		defer inside.nc.Close()
		before := footprintOf(t, p)
		t.Run("cut", func(t *testing.T) {
			t.Run("directly", func(t *testing.T) { t.Parallel(); trickleDirectly(t, c) })
			for _, slow := range slowClients {
				t.Run(slow.name, func(t *testing.T) {
					t.Parallel()
					client, g := helloFrom(t, p.Addr())
					next := slow.come(t, client, g)
					began := time.Now()
					sent, err := trickle(client.nc, next, 10*connectTimeout)
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("cut after %v and %d of %d bytes", time.Since(began).Round(time.Millisecond), sent, len(next))
				})
			}
		})
		if got, err := inside.ask("SELECT 'inside'"); err != nil || got != "inside" {
			t.Errorf("who is through: %q, %v", got, err)
		}
		harness.Eventually(t, 20*time.Second, func(context.Context) error { return footprintOf(t, p).beyond(before) })
	})
}

// trickleDirectly finds out what a server does. Its least connect_timeout is two seconds.
func trickleDirectly(t *testing.T, c *localserver.Cluster) {
	if err := c.Primary.Exec(t.Context(), "SET GLOBAL connect_timeout = 2"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Primary.Exec(context.Background(), "SET GLOBAL connect_timeout = DEFAULT") }()
	client, g := helloFrom(t, c.Primary.Addr())
	h := appLogin(g)
	sent, err := trickle(client.nc, loginPacket(h.Append(nil)), 6*time.Second)
	if cut := err == nil; cut != (c.Primary.Flavour() == localserver.MySQL) {
		t.Errorf("cut: %t, after %d bytes, %v", cut, sent, err)
	}
}

// TestH37ManySlowClientsKeepNobodyOut: hundreds of them are there while somebody logs
// in, and where they fill proxy.max_connections he gets in when they are cut.
func TestH37ManySlowClientsKeepNobodyOut(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		for _, test := range []struct {
			name, settings string
			many           int
		}{
			{"with room for more", `connect_timeout = "1m"`, 300},
			{"where they take all the room", "connect_timeout = \"2s\"\nmax_connections = 50", 50},
		} {
			t.Run(test.name, func(t *testing.T) {
				cfg := harness.ProxyConfig(c)
				cfg.Settings["proxy"] = test.settings
				p := suite.StartProxy(t, cfg)
				before := footprintOf(t, p)
				leave := crowd(t, p.Addr(), test.many)
				harness.Eventually(t, 20*time.Second, func(context.Context) error {
					if f := footprintOf(t, p); f.clients < test.many {
						return fmt.Errorf("%d clients", f.clients)
					}
					return nil
				})
				began, refused := time.Now(), 0
				harness.Eventually(t, 20*time.Second, func(context.Context) error {
					client, err := dialPlain(p.Addr(), login{})
					if err != nil {
						if errno(err) != 1040 {
							t.Errorf("refused by %v", err)
						}
						refused++
						return err
					}
					defer client.nc.Close()
					if got, err := client.ask("SELECT 'let in'"); err != nil || got != "let in" {
						t.Errorf("got %q, %v", got, err)
					}
					return nil
				})
				t.Logf("let in after %v, refused %d times", time.Since(began).Round(time.Millisecond), refused)
				if test.many > 50 && (refused > 0 || footprintOf(t, p).clients < test.many) {
					t.Errorf("refused %d times, amid %d", refused, footprintOf(t, p).clients)
				}
				leave()
				harness.Eventually(t, 20*time.Second, func(context.Context) error { return footprintOf(t, p).beyond(before) })
			})
		}
	})
}

// crowd has many clients who send a byte of their login now and then, until they are
// cut or told to leave.
func crowd(t *testing.T, addr string, many int) (leave func()) {
	t.Helper()
	var wg sync.WaitGroup
	var all []net.Conn
	leave = func() {
		for _, nc := range all {
			_ = nc.Close()
		}
		wg.Wait()
	}
	t.Cleanup(leave)
	for range many {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, nc)
		_ = nc.SetDeadline(time.Now().Add(rawTimeout))
		wg.Go(func() { _, _ = trickle(nc, loginPacket(wellFormed()), time.Minute) })
	}
	return leave
}

// staller stands before a server and, once it is told to, takes its time with all who
// come: what the server says comes byte by byte from some packet on.
type staller struct {
	ln net.Listener
	to string
	wg sync.WaitGroup

	mu      sync.Mutex
	packets int // that pass first; all of them while negative
	conns   map[net.Conn]struct{}
}

// startStaller lets everything pass.
func startStaller(t *testing.T, to string) *staller {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &staller{ln: ln, to: to, packets: -1, conns: map[net.Conn]struct{}{}}
	s.wg.Go(s.accept)
	t.Cleanup(func() {
		_ = ln.Close()
		s.pass(-1)
		s.wg.Wait()
	})
	return s
}

func (s *staller) addr() string { return s.ln.Addr().String() }

// pass breaks the connections that are, and lets so many packets of the server's pass
// on those that come, all of them if the number is negative.
func (s *staller) pass(packets int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.packets = packets
	for nc := range s.conns {
		_ = nc.Close()
	}
	clear(s.conns)
}

func (s *staller) accept() {
	for {
		client, err := s.ln.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", s.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		s.mu.Lock()
		s.conns[client], s.conns[server] = struct{}{}, struct{}{}
		packets := s.packets
		s.mu.Unlock()
		s.wg.Go(func() {
			_, _ = io.Copy(server, client)
			_ = errors.Join(client.Close(), server.Close())
		})
		s.wg.Go(func() {
			answer(client, server, packets)
			_ = errors.Join(client.Close(), server.Close())
		})
	}
}

// answer passes what a server says on: so many packets, and then, until an end of the
// connection is gone, a byte now and then.
func answer(client io.Writer, server io.Reader, packets int) {
	if packets < 0 {
		_, _ = io.Copy(client, server)
		return
	}
	for range packets {
		h := make([]byte, wire.HeaderSize)
		if _, err := io.ReadFull(server, h); err != nil {
			return
		}
		rest := io.LimitReader(server, int64(wire.PacketLen(h)))
		if _, err := io.Copy(client, io.MultiReader(bytes.NewReader(h), rest)); err != nil {
			return
		}
	}
	pause := time.NewTicker(400 * time.Millisecond)
	defer pause.Stop()
	for {
		<-pause.C
		if _, err := io.CopyN(client, server, 1); err != nil {
			return
		}
	}
}

// TestH37SlowServers: a server that creeps through its handshake is given up when the
// three seconds are over that there are for opening a connection, however busy it looks.
// A read goes to another server then, a write gets an error that says which server it
// is about, and who needs neither notices nothing.
func TestH37SlowServers(t *testing.T) {
	const (
		givenUp = 3 * time.Second
		atOnce  = 2500 * time.Millisecond // nobody would have waited for a server that is given up
	)
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		primary, replica := startStaller(t, c.Primary.Addr()), startStaller(t, c.Replicas[0].Addr())
		cfg := harness.ProxyConfig(c)
		cfg.Backends[0].Address, cfg.Backends[1].Address = primary.addr(), replica.addr()
		cfg.Backends[1].Weight, cfg.Backends[2].Weight = 1000, 1 // a read tries the slow one first
		cfg.Settings["monitor"] = "fall = 100"                   // it is the clients who have to find out
		p := suite.StartProxy(t, cfg)
		reader, writer, bystander := plain(t, p.Addr(), login{}), plain(t, p.Addr(), login{}), plain(t, p.Addr(), login{})
		timed := func(cl *plainClient, sql string) (got string, took time.Duration, err error) {
			began := time.Now()
			got, err = cl.ask(sql)
			return got, time.Since(began), err
		}
		elsewhere := fmt.Sprintf("/*backend=%s*/ SELECT v FROM split WHERE id = 1", cfg.Backends[2].Address)
		if got, _, err := timed(bystander, elsewhere); err != nil || got != "10" {
			t.Fatalf("before: %q, %v", got, err)
		}
		before := footprintOf(t, p)

		primary.pass(0) // not even the greeting
		replica.pass(1) // the answer to the login
		var wg sync.WaitGroup
		wg.Go(func() {
			got, took, err := timed(reader, "SELECT v FROM split WHERE id = 1")
			if err != nil || got != "10" || took < givenUp/2 {
				t.Errorf("the read: %q, %v, after %v", got, err, took)
			}
		})
		wg.Go(func() {
			_, took, err := timed(writer, "UPDATE split SET v = 11 WHERE id = 2")
			if errno(err) != 1429 || !strings.Contains(err.Error(), "no connection to "+primary.addr()) || took < givenUp/2 {
				t.Errorf("the write: %v, after %v", err, took)
			}
		})
		decided := make(chan struct{})
		go func() {
			wg.Wait()
			close(decided)
		}()
		for served := 0; ; served++ {
			got, took, err := timed(bystander, elsewhere)
			if err != nil || got != "10" || took > atOnce {
				t.Errorf("a bystander's read: %q, %v, after %v", got, err, took)
			}
			select {
			case <-decided:
			case <-time.After(10 * time.Millisecond):
				continue
			}
			t.Logf("%d reads of a bystander meanwhile", served)
			break
		}
		primary.pass(-1)
		replica.pass(-1)
		harness.Eventually(t, 20*time.Second, func(context.Context) error {
			_, err := writer.ask("UPDATE split SET v = 12 WHERE id = 2")
			return err
		})
		harness.Eventually(t, 20*time.Second, func(context.Context) error { return footprintOf(t, p).beyond(before) })
	})
}
