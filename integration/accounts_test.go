//go:build integration

package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// accountsRig is a proxy without a list of users, whose accounts are those of the
// servers.
type accountsRig struct {
	t *testing.T
	c *localserver.Cluster
	p *localproxy.Proxy
}

func newAccountsRig(t *testing.T, c *localserver.Cluster, users ...localproxy.User) *accountsRig {
	t.Helper()
	cfg := harness.ProxyConfig(c)
	cfg.Users = append([]localproxy.User{}, users...)
	if len(users) > 0 {
		cfg.Consistency = ""
	}
	cfg.Settings["auth"] = `source = "backend"`
	return &accountsRig{t: t, c: c, p: suite.StartProxy(t, cfg)}
}

// as returns a new connection of a user, or why there is none.
func (r *accountsRig) as(user, password string) (*sql.Conn, error) {
	db := harness.Open(r.t, r.p.DSN(user, password, ""))
	db.SetMaxIdleConns(0)
	conn, err := db.Conn(r.t.Context())
	if err == nil {
		r.t.Cleanup(func() { conn.Close() })
	}
	return conn, err
}

// is returns what keeps a connection from being the user's at the server.
func (r *accountsRig) is(conn *sql.Conn, user string) error {
	var who string
	err := conn.QueryRowContext(r.t.Context(), "SELECT CURRENT_USER()").Scan(&who)
	if err == nil && !strings.HasPrefix(who, user+"@") {
		err = fmt.Errorf("is %s", who)
	}
	return err
}

func (r *accountsRig) mustBe(user, password string) *sql.Conn {
	r.t.Helper()
	conn, err := r.as(user, password)
	if err == nil {
		err = r.is(conn, user)
	}
	if err != nil {
		r.t.Fatalf("%s with %q: %v", user, password, err)
	}
	return conn
}

// soon is mustBe for what takes a while to be noticed.
func (r *accountsRig) soon(user, password string) *sql.Conn {
	r.t.Helper()
	var conn *sql.Conn
	harness.Eventually(r.t, 20*time.Second, func(context.Context) (err error) {
		if conn, err = r.as(user, password); err == nil {
			err = r.is(conn, user)
		}
		return err
	})
	return conn
}

// refused expects an error of the login with the number.
func (r *accountsRig) refused(user, password string, number uint16) {
	r.t.Helper()
	_, err := r.as(user, password)
	if loginErrno(err) != number {
		r.t.Errorf("%s with %q: %v, want error %d", user, password, err, number)
	}
}

// refusedSoon is refused for what takes a recheck to be noticed.
func (r *accountsRig) refusedSoon(user, password string, number uint16) {
	r.t.Helper()
	began := time.Now()
	harness.Eventually(r.t, 20*time.Second, func(context.Context) error {
		if _, err := r.as(user, password); loginErrno(err) != number {
			return fmt.Errorf("%v, want error %d", err, number)
		}
		return nil
	})
	r.t.Logf("%d after %v", number, time.Since(began).Round(time.Millisecond))
}

func loginErrno(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// goesOn expects a session to be served still.
func (r *accountsRig) goesOn(conn *sql.Conn) {
	r.t.Helper()
	var one int
	if err := conn.QueryRowContext(r.t.Context(), "SELECT 1").Scan(&one); err != nil {
		r.t.Errorf("a session that was there before: %v", err)
	}
}

// TestAccountsAreThoseOfTheServers: auth.source = "backend". What the monitor's
// account may read makes no difference to who gets in.
func TestAccountsAreThoseOfTheServers(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		for _, readable := range []bool{false, true} {
			t.Run(fmt.Sprintf("accounts readable %v", readable), func(t *testing.T) {
				grantAccounts(t, c, readable)
				r := newAccountsRig(t, c)
				r.tellAccounts(createAuthAccounts(t, c))
				r.tellChanges()
			})
		}
	})
}

// grantAccounts lets the monitor's account read those of the servers, and takes
// it back at the end of the test.
func grantAccounts(t *testing.T, c *localserver.Cluster, readable bool) {
	t.Helper()
	table := c.Primary.Flavour().AccountsTable()
	if !readable {
		db := harness.Open(t, c.Primary.DSN(localserver.MonitorUser, localserver.MonitorPassword, ""))
		if _, err := db.ExecContext(t.Context(), "SELECT User FROM "+table); loginErrno(err) != 1142 {
			t.Fatalf("the monitor's account can read %s: %v", table, err)
		}
		return
	}
	for _, host := range []string{"'%'", "localhost"} {
		harness.Exec(t, c, fmt.Sprintf("GRANT SELECT ON %s TO %s@%s", table, localserver.MonitorUser, host))
		t.Cleanup(func() {
			if err := c.Primary.Exec(context.Background(), fmt.Sprintf("REVOKE SELECT ON %s FROM %s@%s", table, localserver.MonitorUser, host)); err != nil {
				t.Error(err)
			}
		})
	}
}

// tellAccounts: every plugin of the flavour, right and wrong.
func (r *accountsRig) tellAccounts(users []localproxy.User) {
	for _, u := range users {
		if u.Name == "h_empty" {
			r.mustBe(u.Name, "")
			r.refused(u.Name, "wrong", 1045)
			continue
		}
		r.refused(u.Name, "wrong", 1045)
		r.refused(u.Name, "", 1045)
		r.mustBe(u.Name, "secret")
		r.mustBe(u.Name, "secret")
		r.refused(u.Name, "wrong", 1045) // FAULTS S6: connections are there, and do not help
	}
	r.refused("h_nobody", "secret", 1045)
	r.refused("h_nobody", "", 1045)
}

// tellChanges: what is done to an account holds for who comes afterwards, and
// not for who is there, as at a server.
func (r *accountsRig) tellChanges() {
	t, c := r.t, r.c
	createAccount(t, c, "h_changing", "BY 'first'")
	there := r.mustBe("h_changing", "first")

	alter := func(what string) {
		t.Helper()
		harness.Exec(t, c, "ALTER USER h_changing@'%' "+what, "ALTER USER h_changing@localhost "+what)
	}
	alter("IDENTIFIED BY 'second'")
	later := r.mustBe("h_changing", "second") // at once
	r.refusedSoon("h_changing", "first", 1045)
	r.goesOn(there)

	locked := uint16(3118)
	if c.Primary.Flavour() == localserver.MariaDB {
		locked = 4151
	}
	alter("ACCOUNT LOCK")
	r.refusedSoon("h_changing", "second", locked) // H35
	alter("ACCOUNT UNLOCK")
	r.soon("h_changing", "second")

	alter("PASSWORD EXPIRE") // H35
	if c.Primary.Flavour() == localserver.MariaDB {
		harness.Eventually(t, 20*time.Second, func(context.Context) error {
			conn, err := r.as("h_changing", "second")
			if err == nil {
				if err = r.is(conn, "h_changing"); loginErrno(err) == 1820 {
					return nil
				}
			}
			return fmt.Errorf("%v, want 1820 for the first statement", err)
		})
	} else {
		r.refusedSoon("h_changing", "second", 1862)
	}
	alter("IDENTIFIED BY 'third'")
	r.mustBe("h_changing", "third")

	harness.Exec(t, c, "DROP USER h_changing@'%', h_changing@localhost")
	r.refusedSoon("h_changing", "third", 1045)
	r.goesOn(later)

	// Somebody else of the same name gets no connection of the one before.
	createAccount(t, c, "h_changing", "BY 'third'")
	r.mustBe("h_changing", "third")
}

// TestAccountsKeepTheirSettings: [[users]] without a password.
func TestAccountsKeepTheirSettings(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createAccount(t, c, "h_limited", "BY 'secret'")
		r := newAccountsRig(t, c, localproxy.User{Name: "h_limited", Lines: "max_connections = 1"})
		first := r.mustBe("h_limited", "secret")
		r.refused("h_limited", "secret", 1203) // H35
		first.Close()
		harness.Eventually(t, 10*time.Second, func(context.Context) error {
			_, err := r.as("h_limited", "secret")
			return err
		})
	})
}

// TestAccountsConverseAsTheServers: where the hash of a native account can be
// read, and once Telamon knows a password, the packets are the server's own. A
// client whose password is not known yet is asked for it.
func TestAccountsConverseAsTheServers(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		grantAccounts(t, c, true)
		users := createAuthAccounts(t, c)
		r := newAccountsRig(t, c)
		r.mustBe(localserver.AppUser, localserver.AppPassword) // for COM_CHANGE_USER
		for _, u := range users {
			if u.Name == "h_ed25519" {
				continue // Telamon cannot log in with what that plugin shows
			}
			if c.Primary.Flavour() == localserver.MySQL && u.Name != "h_empty" {
				attempt{user: u.Name, password: "secret"}.make(t, c.Primary.Addr())
				attempt{user: u.Name, password: "secret"}.make(t, r.p.Addr())
			}
			for _, password := range []string{"secret", ""} {
				for _, again := range []bool{false, true} {
					a := attempt{user: u.Name, password: password, again: again}
					direct, through := a.make(t, c.Primary.Addr()), a.make(t, r.p.Addr())
					if diff := cmp.Diff(direct, through); diff != "" {
						t.Errorf("%+v\n- directly, + through the proxy:\n%s", a, diff)
					}
				}
			}
		}
	})
}

// TestAClientThatCannotShowItsPasswordIsToldWhatToDo: no plugins, and the hash
// cannot be read.
func TestAClientThatCannotShowItsPasswordIsToldWhatToDo(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		grantAccounts(t, c, false)
		r := newAccountsRig(t, c)
		createAccount(t, c, "h_old_client", "BY 'secret'")
		said := attempt{user: "h_old_client", password: "secret", plugin: auth.NativePassword, without: wire.PluginAuth | wire.PluginAuthLenenc}.make(t, r.p.Addr())
		if !strings.Contains(strings.Join(said, "\n"), "caching_sha2_password") {
			t.Errorf("%q", said)
		}
	})
}

// TestGuessesDoNotReachTheServers: a flood of wrong passwords through Telamon
// costs the servers a few logins, blocks nobody else, and does not have them
// block Telamon's host.
func TestGuessesDoNotReachTheServers(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createAccount(t, c, "h_guessed", "BY 'secret'")
		r := newAccountsRig(t, c)
		r.mustBe("h_guessed", "secret")
		before := connections(t, c.Primary)
		began := time.Now()
		for range 200 {
			r.refused("h_guessed", "wrong", 1045)
		}
		tried := connections(t, c.Primary) - before
		// 10 at once, one a second, a recheck a second, and what monitor and test do.
		if most := 10 + 12*int(time.Since(began).Seconds()+1); tried > most {
			t.Errorf("200 guesses were %d connections to the primary in %v, want at most %d", tried, time.Since(began), most)
		}
		t.Logf("200 guesses in %v: %d connections at the primary", time.Since(began).Round(time.Millisecond), tried)
		r.mustBe("h_guessed", "secret")
	})
}

func connections(t testing.TB, s *localserver.Server) int {
	t.Helper()
	text, err := s.Value(t.Context(), "SELECT VARIABLE_VALUE FROM "+statusTable(s)+" WHERE VARIABLE_NAME = 'Connections'")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if _, err := fmt.Sscan(text, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func statusTable(s *localserver.Server) string {
	if s.Flavour() == localserver.MariaDB {
		return "information_schema.GLOBAL_STATUS"
	}
	return "performance_schema.global_status"
}
