//go:build integration

package integration

import (
	"fmt"
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
)

// leftover is state that one client makes and the next must not meet.
type leftover struct {
	name  string
	only  string // flavour
	user  string // "" is the application's; who checks is the same
	do    []string
	check string // run on the primary, as a first statement
	want  string
	errno uint16
	open  string // as in a tale
}

var leftovers = []leftover{
	{name: "S01 role", do: []string{"SET ROLE case_role", "SELECT v FROM sec.x"}, check: "SELECT v FROM sec.x FOR UPDATE", errno: 1142},
	{name: "S01 role in an executable comment", do: []string{"/*!50000 SET ROLE case_role */", "/*master*/ SELECT v FROM sec.x"},
		check: "/*master*/ SELECT v FROM sec.x", errno: 1142},
	{name: "S01 role behind another statement", do: []string{"!multi on", "SELECT 1; SET ROLE case_role"},
		check: "/*master*/ SELECT v FROM sec.x", errno: 1142},
	{name: "S01 role by SQL-level PREPARE", only: "MariaDB", do: []string{"PREPARE r FROM 'SET ROLE case_role'", "EXECUTE r", "/*master*/ SELECT v FROM sec.x"},
		check: "/*master*/ SELECT v FROM sec.x", errno: 1142},
	{name: "S05 FOUND_ROWS", do: []string{"SELECT SQL_CALC_FOUND_ROWS v FROM a LIMIT 1"}, check: "SELECT FOUND_ROWS() < 3", want: "1"},
	{name: "S10 sql_safe_updates", do: []string{"SET sql_safe_updates = 1"}, check: "SELECT @@sql_safe_updates", want: "0"},
	{name: "S10 sql_mode", do: []string{"SET sql_mode = ''"}, check: "SELECT @@sql_mode = @@GLOBAL.sql_mode", want: "1"},
	{name: "S10 foreign_key_checks", do: []string{"SET foreign_key_checks = 0"}, check: "SELECT @@foreign_key_checks", want: "1"},
	{name: "S10 sql_log_bin", user: localserver.DBAUser, do: []string{"SET sql_log_bin = 0"}, check: "SELECT @@sql_log_bin", want: "1"},
	{name: "S10 time_zone", do: []string{"SET time_zone = '+05:00'"}, check: "SELECT @@time_zone = @@GLOBAL.time_zone", want: "1"},
	{name: "S10 max_join_size", do: []string{"SET max_join_size = 77"}, check: "SELECT @@max_join_size = @@GLOBAL.max_join_size", want: "1"},
	{name: "S10 isolation", only: "MariaDB", do: []string{"SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"},
		check: "SELECT @@tx_isolation", want: "REPEATABLE-READ"},
	{name: "S10 isolation", only: "MySQL", do: []string{"SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE"},
		check: "SELECT @@transaction_isolation", want: "REPEATABLE-READ"},
	{name: "S10 read only sessions", do: []string{"SET SESSION TRANSACTION READ ONLY"}, check: "UPDATE a SET v = 10 WHERE id = 1", want: "ok"},
	{name: "S10 read only next transaction", do: []string{"SET TRANSACTION READ ONLY"}, check: "UPDATE a SET v = 10 WHERE id = 1", want: "ok"},
	{name: "S10 autocommit", do: []string{"SET autocommit = 0"}, check: "SELECT @@autocommit", want: "1"},
	{name: "S10 timestamp", do: []string{"SET timestamp = 1000000000"}, check: "/*master*/ SELECT YEAR(NOW()) > 2001", want: "1"},
	{name: "S10 insert_id", do: []string{"SET insert_id = 4711"}, check: "SELECT @@insert_id", want: "0"},
	{name: "S10 variable set by a dump's header", do: []string{"/*!40014 SET @OLD_UNIQUE_CHECKS=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */"},
		check: "SELECT @@unique_checks, @OLD_UNIQUE_CHECKS", want: "1,NULL"},
	{name: "S14 temporary table", do: []string{"CREATE TEMPORARY TABLE a (v INT)"}, check: "/*master*/ SELECT v FROM a WHERE id = 1", want: "10"},
	{name: "S14 temporary table in a transaction", do: []string{"BEGIN", "CREATE TEMPORARY TABLE a (v INT)"},
		check: "/*master*/ SELECT v FROM a WHERE id = 1", want: "10"},
	{name: "S15 prepared statement", do: []string{"PREPARE s1 FROM 'SELECT 1'"}, check: "EXECUTE s1", errno: 1243},
	{name: "S16 user variable", do: []string{"SET @tenant = 7"}, check: "SELECT @tenant", want: "NULL"},
	{name: "S16 user variable by :=", do: []string{"SELECT @tenant := 7"}, check: "SELECT @tenant", want: "NULL"},
	{name: "S16 user variable by INTO", do: []string{"SELECT 7 INTO @tenant"}, check: "SELECT @tenant", want: "NULL"},
	{name: "S16 user variable by CALL", do: []string{"CALL p1(@tenant)"}, check: "SELECT @tenant", want: "NULL"},
	{name: "S24 last insert id", do: []string{"INSERT INTO a (v) VALUES (0)"}, check: "SELECT LAST_INSERT_ID()", want: "0"},
	{name: "S24 open transaction", do: []string{"BEGIN", "UPDATE a SET v = 99 WHERE id = 1"}, check: "SELECT v FROM a WHERE id = 1 FOR UPDATE", want: "10"},
	{name: "S24 user lock", do: []string{"SELECT GET_LOCK('s24', 0)"}, check: "SELECT IS_FREE_LOCK('s24')", want: "1"},
	{name: "S24 table lock", do: []string{"LOCK TABLES a READ"}, check: "UPDATE a SET v = 10 WHERE id = 1", want: "ok"},
	{name: "S24 global read lock", user: localserver.DBAUser, do: []string{"FLUSH TABLES WITH READ LOCK"}, check: "UPDATE a SET v = 10 WHERE id = 1", want: "ok"},
	{name: "S24 handler", do: []string{"HANDLER a OPEN"}, check: "HANDLER a READ FIRST", errno: 1109},
}

// TestClientsLeaveNothingBehind: the connection of a client that has left, or
// started afresh, is clean. Both proxies' clients share one connection per server.
func TestClientsLeaveNothingBehind(t *testing.T) {
	leave := []struct{ name, do string }{
		{"who quits", "!quit"},
		{"who vanishes", "!vanish"},
		{"who resets the connection", "!reset"},
		{"who changes the user", "!user"},
	}
	eachStage(t, func(t *testing.T, s *stage) {
		var tales []tale
		for _, l := range leftovers {
			for _, way := range leave {
				ta := tale{name: l.name + " of a client " + way.name, only: l.only, open: l.open, clients: map[string]login{"A": {user: l.user}, "B": {user: l.user}}}
				for _, do := range l.do {
					ta.acts = append(ta.acts, act{who: "A", do: do})
				}
				next := "B"
				switch way.do {
				case "!user":
					user := localserver.AppUser
					if l.user != "" {
						user = l.user
					}
					ta.acts, next = append(ta.acts, act{who: "A", do: fmt.Sprintf("!user %s %s", user, localserver.AppSchema)}), "A"
				case "!reset":
					ta.acts, next = append(ta.acts, act{who: "A", do: way.do}), "A"
				default:
					ta.acts = append(ta.acts, act{who: "A", do: way.do})
				}
				ta.acts = append(ta.acts, act{who: next, do: l.check, on: onPrimary, want: l.want, errno: l.errno})
				tales = append(tales, ta)
			}
		}
		s.play(t, tales)
	})
}
