//go:build integration

package integration

import (
	"fmt"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// flagged are clients that differ in one capability, and a statement whose
// outcome depends on it.
var flagged = []struct {
	name string
	flag wire.Capability
	sql  string
}{
	{"FOUND_ROWS counts rows found", wire.FoundRows, "UPDATE a SET v = v WHERE id = 1"},
	{"FOUND_ROWS counts rows found by INSERT ... ON DUPLICATE KEY", wire.FoundRows, "INSERT INTO a (id, v) VALUES (1, 10) ON DUPLICATE KEY UPDATE v = 10"},
	{"MULTI_STATEMENTS allows several", wire.MultiStatements, "SELECT 1; SELECT 2"},
	{"IGNORE_SPACE allows blanks", wire.IgnoreSpace, "SELECT MAX (v) FROM a WHERE id = 3 FOR UPDATE"},
	{"NO_SCHEMA forbids schema.table.column", wire.NoSchema, "SELECT app.a.v FROM app.a WHERE id = 3 FOR UPDATE"},
	{"INTERACTIVE has another wait_timeout", wire.Interactive, "/*master*/ SELECT @@wait_timeout"},
	{"LOCAL_FILES allows LOAD DATA LOCAL", wire.LocalFiles, "LOAD DATA LOCAL INFILE 'no_such' INTO TABLE b"},
}

// TestS07FlagsOfTheLoginAreTheClientsOwn: clients with and without a capability
// take turns on the one connection there may be, and each gets what it would get
// from the server.
func TestS07FlagsOfTheLoginAreTheClientsOwn(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		for _, s := range c.Servers() {
			if err := s.Exec(t.Context(), "SET GLOBAL interactive_timeout = 12345"); err != nil {
				t.Fatal(err)
			}
		}
		p := suite.StartProxy(t, narrowConfig(c))
		for _, f := range flagged {
			t.Run(f.name, func(t *testing.T) {
				var direct [2]string
				for i, flags := range []wire.Capability{0, f.flag} {
					direct[i] = plain(t, c.Primary.Addr(), login{flags: flags}).outcome(f.sql)
				}
				if direct[0] == direct[1] && f.flag != wire.NoSchema { // which servers of these versions do not heed
					t.Fatalf("it makes no difference: %s", direct[0])
				}
				for turn := range 4 {
					i := turn % 2
					client := plain(t, p.Addr(), login{flags: []wire.Capability{0, f.flag}[i]})
					if got := client.outcome(f.sql); got != direct[i] {
						t.Errorf("turn %d: %s, directly %s", turn, got, direct[i])
					}
					if err := client.quit(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}

// outcome is what a client notices of a statement. Files asked for are refused.
func (c *plainClient) outcome(sql string) string {
	if err := c.patience(); err != nil {
		return err.Error()
	}
	if err := c.Command(wire.ComQuery, sql); err != nil {
		return err.Error()
	}
	var seen string
	for {
		b, err := c.Read()
		switch {
		case err != nil:
			return err.Error()
		case wire.IsErr(b):
			e, err := wire.ParseErr(b)
			return fmt.Sprint(seen, "error ", e.Code, err)
		case len(b) > 0 && b[0] == 0xfb:
			if err := c.Send(nil); err != nil { // an empty file
				return err.Error()
			}
			seen += "file "
			continue
		case b[0] == 0x00 || b[0] == 0xfe:
			ok, err := wire.ParseOK(b, c.Capabilities)
			seen += fmt.Sprintf("ok %d %v ", ok.AffectedRows, err)
			if !ok.Status.Has(wire.MoreResultsExist) {
				return seen
			}
			continue
		}
		seen += fmt.Sprintf("%q ", lastByteless(b))
	}
}

// lastByteless is a packet without what differs between equal answers: nothing of
// a row, all of a column's definition but its length.
func lastByteless(b []byte) string {
	if len(b) > 30 {
		return fmt.Sprint(len(b), " bytes")
	}
	return string(b)
}

// TestS09ReadsSentBehindASettingHaveIt: a client need not wait for the answer to a
// SET before it sends reads.
func TestS09ReadsSentBehindASettingHaveIt(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		for i := range 10 {
			client := plain(t, p.Addr(), login{})
			want := fmt.Sprintf("+0%d:00", i)
			texts := []string{"SET time_zone = '" + want + "'", "/*slave*/ SELECT @@time_zone", "/*master*/ SELECT @@time_zone", "/*slave*/ SELECT @@time_zone"}
			for _, text := range texts {
				client.Seq = 0
				client.WritePacket(append([]byte{byte(wire.ComQuery)}, text...))
			}
			if err := client.Flush(); err != nil {
				t.Fatal(err)
			}
			client.Seq = 1
			if err := client.acknowledged(); err != nil {
				t.Fatal(err)
			}
			for n := range texts[1:] {
				client.Seq = 1
				var packets []string
				for range 4 { // count, column, row, end
					b, err := client.Read()
					if err != nil {
						t.Fatal(err)
					}
					packets = append(packets, string(b))
				}
				if packets[2] != "\x06"+want {
					t.Errorf("read %d is answered by %q, want %s", n, packets[2], want)
				}
			}
		}
	})
}

// TestS28AMixedFleet: a primary of one flavour, and a server of the other one that
// takes reads. Settings only one of them knows keep reads on that one.
func TestS28AMixedFleet(t *testing.T) {
	mariadb, mysql := suite.Cluster(t, localserver.MariaDB), suite.Cluster(t, localserver.MySQL)
	for _, fleet := range []struct {
		name         string
		primary      *localserver.Cluster
		reads        *localserver.Cluster
		own, ownName string // a setting the reader does not know
	}{
		{"MariaDB writes, MySQL reads", mariadb, mysql, "SET max_statement_time = 7", "SELECT @@max_statement_time = 7"},
		{"MySQL writes, MariaDB reads", mysql, mariadb, "SET max_execution_time = 7000", "SELECT @@max_execution_time = 7000"},
	} {
		t.Run(fleet.name, func(t *testing.T) {
			cfg := harness.ProxyConfig(fleet.primary)
			cfg.Backends = []localproxy.Backend{
				{Address: fleet.primary.Primary.Addr(), Role: "rw"},
				{Address: fleet.reads.Primary.Addr(), Role: "ro", Weight: 1, MaxLag: "0s"},
			}
			p := suite.StartProxy(t, cfg)
			for _, collation := range []byte{0, 8, 255, 45} {
				client := plain(t, p.Addr(), login{collation: collation})
				for _, q := range [][2]string{
					{"SET NAMES utf8mb4", ""},
					{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", ""},
					{"SET time_zone = '+01:00', sql_mode = 'ANSI_QUOTES', sql_select_limit = 3", ""},
					{"/*slave*/ SELECT @@time_zone, @@sql_select_limit", "+01:00,3"},
					{"SELECT 'x' FROM DUAL", "x"},
					{fleet.own, ""},
					{"SELECT 'y' FROM DUAL", "y"},
					{fleet.ownName, "1"},
					{"SELECT 'z' FROM DUAL", "z"},
				} {
					if got, err := client.ask(q[0]); err != nil || q[1] != "" && got != q[1] {
						t.Errorf("collation %d: %s: %q, %v, want %q", collation, q[0], got, err, q[1])
					}
				}
				if err := client.command(wire.ComResetConnection, ""); err != nil {
					t.Error(err)
				}
				if got, err := client.ask("/*slave*/ SELECT @@time_zone = @@GLOBAL.time_zone"); err != nil || got != "1" {
					t.Errorf("after a reset: %q, %v", got, err)
				}
			}
		})
	}
}
