//go:build integration

package wiretest

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"errors"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

func startServer(t *testing.T, o localserver.Options) *localserver.Server {
	t.Helper()
	if err := localserver.Available(o.Flavour); err != nil {
		t.Skip(err)
	}
	s, err := localserver.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func loginTo(t *testing.T, s *localserver.Server, c Credentials) (*Peer, error) {
	t.Helper()
	nc, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	return Login(nc, c)
}

// mustLogIn logs in and sees that the connection works afterwards.
func mustLogIn(t *testing.T, s *localserver.Server, c Credentials) *Peer {
	t.Helper()
	p, err := loginTo(t, s, c)
	if err != nil {
		t.Fatalf("%s: %v", c.User, err)
	}
	r, err := p.Query("SELECT CURRENT_USER(), NULL, @@collation_connection; SELECT 'x' FROM (SELECT 1) t WHERE 0")
	if err != nil || len(r) != 2 || len(r[0].Rows) != 1 || r[0].Rows[0][0].Text != c.User+"@%" || !r[0].Rows[0][1].Null || len(r[1].Rows) != 0 {
		t.Fatalf("%s: %+v, %v", c.User, r, err)
	}
	return p
}

func mustBeDenied(t *testing.T, s *localserver.Server, c Credentials) {
	t.Helper()
	_, err := loginTo(t, s, c)
	var e *wire.Err
	if !errors.As(err, &e) || e.Code != wire.CodeAccessDenied {
		t.Fatalf("%s with a wrong password: %v", c.User, err)
	}
}

func TestLoginAtMariaDB(t *testing.T) {
	s := startServer(t, localserver.Options{Flavour: localserver.MariaDB, Args: []string{"--plugin-load-add=auth_ed25519"}})
	if err := s.Exec(t.Context(),
		"CREATE USER native IDENTIFIED BY 'secret'",
		"CREATE USER nopass IDENTIFIED BY ''",
		"CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('secret')",
		"CREATE USER either IDENTIFIED VIA ed25519 USING PASSWORD('other') OR mysql_native_password USING PASSWORD('secret')",
	); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"native", "ed", "either"} {
		for _, plugin := range []string{"", auth.CachingSHA2, "unheard_of"} {
			t.Run(user+" naming "+plugin, func(t *testing.T) {
				p := mustLogIn(t, s, Credentials{User: user, Password: "secret", Plugin: plugin})
				if !p.Greeting.IsMariaDB() {
					t.Errorf("greeting %+v", p.Greeting)
				}
				mustBeDenied(t, s, Credentials{User: user, Password: "Secret", Plugin: plugin})
			})
		}
	}
	mustLogIn(t, s, Credentials{User: "nopass"})
	mustBeDenied(t, s, Credentials{User: "nopass", Password: "x"})

	// With MariaDB's own capabilities the columns carry more.
	p := mustLogIn(t, s, Credentials{User: "native", Password: "secret",
		Capabilities: Capabilities&^(clientOnly|wire.LongPassword) | wire.MariaDBExtMetadata | wire.MariaDBCacheMetadata | wire.MariaDBProgress})
	r, err := p.Query("SELECT CAST('::1' AS inet6)")
	if err != nil || r[0].Columns[0].Extended != "\x00\x05inet6" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestLoginAtMySQL(t *testing.T) {
	s := startServer(t, localserver.Options{Flavour: localserver.MySQL})
	if err := s.Exec(t.Context(), "CREATE USER sha2 IDENTIFIED BY 'secret'", "CREATE USER nopass IDENTIFIED BY ''"); err != nil {
		t.Fatal(err)
	}
	pem, err := s.Value(t.Context(), "SELECT variable_value FROM performance_schema.global_status WHERE variable_name='Caching_sha2_password_rsa_public_key'")
	if err != nil {
		t.Fatal(err)
	}
	key, err := auth.ParsePublicKey([]byte(pem))
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		Credentials
	}{
		{"RSA", Credentials{}},
		{"RSA with the key pinned", Credentials{ServerKey: key}},
		{"TLS", Credentials{TLS: &tls.Config{InsecureSkipVerify: true}}},
		{"RSA after a switch", Credentials{Plugin: auth.NativePassword}},
		{"without DEPRECATE_EOF and SESSION_TRACK", Credentials{Capabilities: Capabilities &^ (clientOnly | wire.DeprecateEOF | wire.SessionTrack)}},
		{"without PLUGIN_AUTH_LENENC", Credentials{Capabilities: Capabilities &^ (clientOnly | wire.PluginAuthLenenc)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, cached := range []bool{false, true} {
				if !cached {
					// Empties the cache of passwords, so that the whole
					// exchange is needed.
					if err := s.Exec(t.Context(), "FLUSH PRIVILEGES"); err != nil {
						t.Fatal(err)
					}
				}
				c := c.Credentials
				c.User, c.Password = "sha2", "Secret"
				mustBeDenied(t, s, c)
				c.Password = "secret"
				mustLogIn(t, s, c)
			}
		})
	}
	t.Run("RSA with another key pinned", func(t *testing.T) {
		if err := s.Exec(t.Context(), "FLUSH PRIVILEGES"); err != nil {
			t.Fatal(err)
		}
		mustBeDenied(t, s, Credentials{User: "sha2", Password: "secret", ServerKey: &other.PublicKey})
	})
	mustLogIn(t, s, Credentials{User: "nopass"})
	mustBeDenied(t, s, Credentials{User: "nopass", Password: "x"})
}

func TestMariaDBClientLogsInAtTheFakeServer(t *testing.T) {
	client, err := exec.LookPath("mariadb")
	if err != nil {
		t.Skip(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, plugin := range []string{auth.NativePassword, auth.CachingSHA2} {
		s := NewServer(t, Options{
			Greeting:  wire.HandshakeV10{AuthPlugin: plugin},
			Passwords: map[string]string{"app": "secret"},
			Key:       key,
		}, Answer(answerDriver))
		host, port, err := net.SplitHostPort(s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		run := func(password string) (string, error) {
			cmd := exec.CommandContext(t.Context(), client, "--no-defaults", "--skip-ssl", "-h", host, "-P", port, "-u", "app", "-p"+password, "-N", "-e", "SELECT name, n")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			return string(out) + stderr.String(), err
		}
		if out, err := run("secret"); err != nil || out != "a\t1\nNULL\t2\n" {
			t.Errorf("%s: %q, %v", plugin, out, err)
		}
		if out, err := run("Secret"); err == nil || out != "ERROR 1045 (28000): Access denied for user 'app'\n" {
			t.Errorf("%s with a wrong password: %q, %v", plugin, out, err)
		}
	}
}
