//go:build integration

package monitor

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"testing"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/internal/localserver"
)

// A probe encrypts its password for the server it is meant for, like everyone
// else, and not for whoever answers.
func TestProbesUseTheKeyAServerIsKnownToHave(t *testing.T) {
	if err := localserver.Available(localserver.MySQL); err != nil {
		t.Skip(err)
	}
	s, err := localserver.Start(t.Context(), localserver.Options{Flavour: localserver.MySQL})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	text, err := s.Value(t.Context(), "SELECT VARIABLE_VALUE FROM performance_schema.global_status WHERE VARIABLE_NAME = 'Caching_sha2_password_rsa_public_key'")
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		t.Fatalf("no key: %q", text)
	}
	own, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		key  *rsa.PublicKey
		want Failure
	}{
		{"another's", &other.PublicKey, Auth},
		{"its own", own.(*rsa.PublicKey), OK},
		{"none, so that it is asked", nil, OK},
	} {
		t.Run(c.name, func(t *testing.T) {
			// The server has not seen the password of a new account yet, which is
			// when it has to be sent.
			if err := s.Exec(t.Context(), "DROP USER IF EXISTS probe", "CREATE USER probe IDENTIFIED WITH caching_sha2_password BY 'probing'",
				"GRANT REPLICATION CLIENT ON *.* TO probe"); err != nil {
				t.Fatal(err)
			}
			cfg := labConfig()
			cfg.Username, cfg.Password = "probe", "probing"
			cfg.ServerKey = func(*backend.Server) *rsa.PublicKey { return c.key }
			p := NewSQLProber(server(t, s.Addr()))
			defer p.Close()
			if obs := p.Probe(t.Context(), cfg); obs.Failure != c.want {
				t.Errorf("%v (%v), want %v", obs.Failure, obs.Err, c.want)
			}
		})
	}
}
