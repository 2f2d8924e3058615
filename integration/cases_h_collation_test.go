//go:build integration

package integration

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// greeted returns the greeting at an address, before anybody logs in.
func greeted(t *testing.T, addr string) (g wire.HandshakeV10) {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if err := nc.SetDeadline(time.Now().Add(clientPatience)); err != nil {
		t.Fatal(err)
	}
	b, err := wire.NewConn(nc).ReadPacket(1 << 10)
	if err == nil {
		err = g.Parse(b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestH01TheGreetingNamesACollationThatEveryClientKnows: one byte of an id above
// 255 means something else, and PHP's mysqlnd refuses ids it does not know.
func TestH01TheGreetingNamesACollationThatEveryClientKnows(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		defaults, err := c.Primary.Value(t.Context(), "SELECT @@GLOBAL.collation_server")
		if err != nil {
			t.Fatal(err)
		}
		above := map[localserver.Flavour]string{
			localserver.MySQL: "utf8mb4_0900_as_ci", localserver.MariaDB: "utf8mb4_unicode_nopad_ci",
		}[c.Primary.Flavour()]
		const charsets = "SELECT @@character_set_client, @@collation_connection"
		want, err := plain(t, c.Primary.Addr(), login{}).ask(charsets)
		if err != nil {
			t.Fatal(err)
		}
		for _, collation := range []string{defaults, "latin1_swedish_ci", above} {
			for _, s := range c.Servers() {
				if err := s.Exec(t.Context(), "SET GLOBAL collation_server = '"+collation+"'"); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Exec(context.Background(), "SET GLOBAL collation_server = '"+defaults+"'") })
			}
			if got := greeted(t, p.Addr()).Collation; got != wire.CollationUTF8MB4 {
				t.Errorf("servers with %s: collation %d", collation, got)
			}
			client := plain(t, p.Addr(), login{})
			for _, hint := range []string{"/*master*/", "/*slave*/"} {
				if got, err := client.ask(hint + charsets); err != nil || got != want {
					t.Errorf("servers with %s: %s, %v, want %s", collation, got, err, want)
				}
			}
		}
	})
}

// sessionCharsets is what a session's character sets are.
const sessionCharsets = "SELECT @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection"

// TestH02CollationsOfTheLoginMeanTheSameOnEveryServer: MariaDB takes an id that
// it does not know, such as the default of MySQL's clients, for the server's
// default character set, which is latin1 unless configured otherwise.
func TestH02CollationsOfTheLoginMeanTheSameOnEveryServer(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		for _, collation := range []byte{255, 45, 46, 224, 33, 83, 8, 47, 28, 63, 95} {
			want, err := plain(t, c.Primary.Addr(), login{collation: collation}).ask(sessionCharsets)
			if err != nil {
				t.Fatal(err)
			}
			if collation == 255 && c.Primary.Flavour() == localserver.MariaDB {
				// The default of utf8mb4, whichever that is.
				if want, err = plain(t, c.Primary.Addr(), login{collation: 45}).ask(sessionCharsets); err != nil {
					t.Fatal(err)
				}
			}
			client := plain(t, p.Addr(), login{collation: collation})
			for _, hint := range []string{"/*master*/ ", "/*slave*/ ", "/*slave*/ "} {
				if got, err := client.ask(hint + sessionCharsets); err != nil || got != want {
					t.Errorf("collation %d, %s: %s, %v, want %s", collation, hint, got, err, want)
				}
			}
		}
		const text = "€😀é"
		client := plain(t, p.Addr(), login{collation: 255})
		for _, sql := range []string{"DROP TABLE IF EXISTS h02", "CREATE TABLE h02 (v VARCHAR(20) CHARACTER SET utf8mb4)", "INSERT INTO h02 VALUES ('" + text + "')"} {
			if _, err := client.ask(sql); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := c.Primary.Value(t.Context(), "SELECT HEX(v) FROM "+localserver.AppSchema+".h02"); err != nil || got != "E282ACF09F9880C3A9" {
			t.Errorf("stored as %s, %v", got, err)
		}
		if err := c.WaitCaughtUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := client.ask("SELECT v FROM h02"); err != nil || got != text {
			t.Errorf("read as %q, %v", got, err)
		}
		foreign := map[localserver.Flavour]string{
			localserver.MySQL: "uca1400_ai_ci", localserver.MariaDB: "utf8mb4_0900_ai_ci",
		}[c.Primary.Flavour()]
		_, direct := plain(t, c.Primary.Addr(), login{}).ask("SET NAMES utf8mb4 COLLATE " + foreign)
		_, through := client.ask("SET NAMES utf8mb4 COLLATE " + foreign)
		if fmt.Sprint(direct) != fmt.Sprint(through) { // MariaDB 11.8 knows MySQL's
			t.Errorf("a collation of the other flavour: %v, directly %v", through, direct)
		}
	})
}

// TestH03CollationIdsAbove255AreNotCut: a new server connection of a session
// with such a collation has it, not the one that the low byte of its id names.
func TestH03CollationIdsAbove255AreNotCut(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		collation := map[localserver.Flavour]string{
			localserver.MySQL: "utf8mb4_0900_as_ci", localserver.MariaDB: "utf8mb4_unicode_nopad_ci",
		}[c.Primary.Flavour()]
		id, err := c.Primary.Value(t.Context(), "SELECT id > 255 FROM information_schema.collations WHERE collation_name = '"+collation+"'")
		if err != nil || id != "1" {
			t.Fatalf("%s has no such id: %s, %v", collation, id, err)
		}
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		client := plain(t, p.Addr(), login{})
		if _, err := client.ask("SET NAMES utf8mb4 COLLATE " + collation); err != nil {
			t.Fatal(err)
		}
		for _, hint := range []string{"/*slave*/ ", "/*slave*/ ", "/*master*/ "} { // each on a connection of its own
			if got, err := client.ask(hint + sessionCharsets); err != nil || got != "utf8mb4,utf8mb4,utf8mb4,"+collation {
				t.Errorf("%s: %s, %v", hint, got, err)
			}
		}
	})
}
