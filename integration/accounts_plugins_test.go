//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// TestAccountsWithSeveralPlugins: MariaDB asks for one after the other, and any
// of the passwords will do.
func TestAccountsWithSeveralPlugins(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		if c.Primary.Flavour() != localserver.MariaDB {
			t.Skip("MySQL's accounts have one plugin")
		}
		for name, identified := range map[string]string{
			"h_ed_native":     "VIA ed25519 USING PASSWORD('one') OR mysql_native_password USING PASSWORD('two')",
			"h_native_ed":     "VIA mysql_native_password USING PASSWORD('one') OR ed25519 USING PASSWORD('two')",
			"h_native_native": "VIA mysql_native_password USING PASSWORD('one') OR mysql_native_password USING PASSWORD('two')",
			"h_socket_native": "VIA unix_socket OR mysql_native_password USING PASSWORD('one')",
		} {
			createAccount(t, c, name, identified)
		}
		for _, readable := range []bool{false, true} {
			t.Run(fmt.Sprintf("accounts readable %v", readable), func(t *testing.T) {
				grantAccounts(t, c, readable)
				r := newAccountsRig(t, c)
				for _, name := range []string{"h_ed_native", "h_native_ed", "h_native_native"} {
					for _, password := range []string{"one", "two", "one", "two", "two"} {
						r.mustBe(name, password)
						r.refused(name, "wrong", 1045)
						r.refused(name, "", 1045)
					}
				}
				r.mustBe("h_socket_native", "one")
				r.refused("h_socket_native", "two", 1045)
			})
		}
	})
}

// TestAccountsOfNobodyInParticular: an account without a name takes everybody
// who has no other.
func TestAccountsOfNobodyInParticular(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		drop := "DROP USER IF EXISTS ''@'%'"
		harness.Exec(t, c, drop, "CREATE USER ''@'%' IDENTIFIED BY 'secret'")
		t.Cleanup(func() {
			if err := c.Primary.Exec(context.Background(), drop); err != nil {
				t.Error(err)
			}
		})
		for _, readable := range []bool{false, true} {
			t.Run(fmt.Sprintf("accounts readable %v", readable), func(t *testing.T) {
				grantAccounts(t, c, readable)
				r := newAccountsRig(t, c)
				for range 2 {
					conn, err := r.as("h_whoever", "secret")
					if err == nil {
						err = r.is(conn, "")
					}
					if err != nil {
						t.Error(err)
					}
					r.refused("h_whoever", "wrong", 1045)
				}
			})
		}
	})
}

// TestAHashIsNoPassword: the answer to a plugin that a hash is of no use for is
// taken for no password, not even for an empty one.
func TestAHashIsNoPassword(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		how := map[string]string{"h_other": "WITH caching_sha2_password BY 'secret'", "h_other_empty": "WITH caching_sha2_password BY ''"}
		if c.Primary.Flavour() == localserver.MariaDB {
			how = map[string]string{"h_other": "VIA ed25519 USING PASSWORD('secret')", "h_other_empty": "VIA ed25519 USING PASSWORD('')"}
		}
		cfg := harness.ProxyConfig(c)
		cfg.Users = localproxy.DefaultUsers()
		for name, identified := range how {
			createAccount(t, c, name, identified)
			cfg.Users = append(cfg.Users, localproxy.User{
				Name: name,
				// Of "secret".
				Lines: `password_hash = "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7"` + "\n" + `plugin = "mysql_native_password"`,
			})
		}
		p := suite.StartProxy(t, cfg)
		for name := range how {
			conn, err := harness.Open(t, p.DSN(name, "secret", "")).Conn(t.Context())
			if err == nil {
				_, err = conn.ExecContext(t.Context(), "DO 1")
			}
			if err == nil || !strings.Contains(err.Error(), "hash") {
				t.Errorf("%s: %v, want an error that speaks of the hash", name, err)
			}
		}
	})
}
