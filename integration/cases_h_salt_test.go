//go:build integration

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// salts are those of many connections to one address.
type salts struct {
	addr string

	mu     sync.Mutex
	seen   map[string]bool
	counts [256]int // of bytes

	repeated int // AuthSwitchRequests with the salt of the greeting before them
}

// add takes one salt in; a second one of the same bytes is an error.
func (s *salts) add(salt []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen[string(salt)] {
		return fmt.Errorf("%s sends %q again", s.addr, salt)
	}
	s.seen[string(salt)] = true
	for _, b := range salt {
		s.counts[b]++
	}
	return nil
}

// bytes are those that occur, in order.
func (s *salts) bytes() (all []byte) {
	for b, n := range s.counts {
		if n > 0 {
			all = append(all, byte(b))
		}
	}
	return all
}

// takeSalts connects as often as told and takes the salts of the greetings, and
// of every tenth connection that of an AuthSwitchRequest too.
func takeSalts(t *testing.T, addr string, connections int) *salts {
	t.Helper()
	s := &salts{addr: addr, seen: make(map[string]bool, connections)}
	const workers = 4
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < connections; i += workers {
				if err := s.take(t, i%10 == 0); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return s
}

// take makes one connection, which it drops so that no address stays in use.
func (s *salts) take(t *testing.T, switched bool) error {
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.(*net.TCPConn).SetLinger(0)
	c := greetable(t, nc)
	greeting := c.payload()
	salt, err := greetedSalt(greeting)
	if err != nil {
		return fmt.Errorf("%s greets by %q: %w", s.addr, greeting, err)
	}
	if err := s.add(salt); err != nil || !switched {
		return err
	}
	h := wire.HandshakeResponse{Capabilities: attemptCapabilities, MaxPacket: 1 << 24, Collation: 45, User: localserver.AppUser, AuthPlugin: "no_such_plugin"}
	c.write(loginPacket(h.Append(nil)))
	c.seq = 2
	request := c.payload()
	another, err := switchedSalt(request)
	if err != nil {
		return fmt.Errorf("%s asks for another plugin by %q: %w", s.addr, request, err)
	}
	if bytes.Equal(another, salt) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.repeated++
		return nil
	}
	return s.add(another)
}

var errNoSalt = errors.New("there are not 20 bytes of salt and a NUL")

// greetedSalt reads the salt of a greeting at the places where it lies, in the
// plainest way (protocol doc "Protocol::HandshakeV10"): 8 bytes and a NUL, and
// behind the 19 bytes from the lower capabilities on, which tell its length, 12
// bytes and a NUL.
func greetedSalt(p []byte) ([]byte, error) {
	end := bytes.IndexByte(p, 0) // of the version
	if end < 0 || len(p) < end+1+4+9+18+13 {
		return nil, errNoSalt
	}
	first, rest := p[end+1+4:][:9], p[end+1+4+9:]
	second := rest[18:][:13]
	if first[8] != 0 || rest[7] != wire.SaltSize+1 || second[12] != 0 {
		return nil, errNoSalt
	}
	return slices.Concat(first[:8], second[:12]), nil
}

// switchedSalt is what stands behind the plugin's name in an AuthSwitchRequest.
func switchedSalt(p []byte) ([]byte, error) {
	if len(p) < 1 || p[0] != 0xfe {
		return nil, errNoSalt
	}
	_, salt, _ := bytes.Cut(p[1:], []byte{0})
	if len(salt) != wire.SaltSize+1 || salt[wire.SaltSize] != 0 {
		return nil, errNoSalt
	}
	return salt[:wire.SaltSize], nil
}

// TestH04SaltsAreReadableAndNeverTheSame: drivers take a salt for a C string, some
// for one of signed characters. Of 20 bytes of 7 bits without NUL are the salts of
// both flavours. MariaDB 10.11 keeps to what can be printed, MySQL 9.7 sends control
// characters, too, and leaves out the "$" at which it splits its hashes. Telamon's are
// printable and have no "$". Asking for another plugin servers repeat the salt they have
// greeted with, Telamon makes a new one.
func TestH04SaltsAreReadableAndNeverTheSame(t *testing.T) {
	const direct = 2000
	through := 3000
	if harness.Long() {
		through = 100_000
	}
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		cfg := harness.ProxyConfig(c)
		cfg.Settings["log"] = `level = "info"`
		p := suite.StartProxy(t, cfg)

		greeted := takeSalts(t, c.Primary.Addr(), direct)
		if greeted.repeated != direct/10 {
			t.Errorf("the server repeats its salt in %d of %d AuthSwitchRequests", greeted.repeated, direct/10)
		}
		servers := greeted.bytes()
		if bad := slices.IndexFunc(servers, func(b byte) bool { return b == 0 || b > 0x7f }); bad >= 0 {
			t.Errorf("the server's salts contain %q", servers[bad])
		}
		if controls := servers[0] < ' '; controls != (c.Primary.Flavour() == localserver.MySQL) {
			t.Errorf("control characters in the server's salts: %t", controls)
		}
		if dollar := bytes.IndexByte(servers, '$') >= 0; dollar != (c.Primary.Flavour() == localserver.MariaDB) {
			t.Errorf("a $ in the server's salts: %t", dollar)
		}

		var want []byte
		for b := byte('!'); b <= '~'; b++ {
			if b != '$' {
				want = append(want, b)
			}
		}
		taken := takeSalts(t, p.Addr(), through)
		if got := taken.bytes(); taken.repeated > 0 || !bytes.Equal(got, want) {
			t.Errorf("%d connections, %d repetitions, salts made of %q, want %q", through, taken.repeated, got, want)
		}
	})
}
