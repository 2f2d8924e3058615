//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// heldTales are about what a session holds by name, and for how long: what is
// measured here is also what the session's books rely on.
var heldTales = []tale{
	{name: "S25 a lock is released as often as it was taken", acts: []act{
		{who: "A", do: "SELECT GET_LOCK('s25', 0)", want: "1"},
		{who: "A", do: "SELECT GET_LOCK('s25', 0)", want: "1"},
		{who: "A", do: "SELECT RELEASE_LOCK('s25')", want: "1"},
		{who: "A", do: "SELECT IS_USED_LOCK('s25') IS NULL", on: onPrimary, want: "0"},
		{who: "A", do: shadowed, on: onPrimary},
		{who: "A", do: "SELECT RELEASE_LOCK('s25')", want: "1"},
		{who: "B", do: otherUser},
		{who: "A", do: shadowed, on: onReplica, want: "10"},
	}},
	{name: "S25 a lock that was not got keeps no connection", wide: true, acts: []act{
		{who: "B", do: "SELECT GET_LOCK('s25', 0)", want: "1"},
		{who: "A", do: "SELECT GET_LOCK('s25', 0)", want: "0"},
		{who: "A", do: shadowed, on: onReplica, want: "10"},
		{who: "A", do: "!prepare ps SELECT GET_LOCK('s25', 0)"},
		{who: "A", do: "!execute ps"},
		{who: "A", do: shadowed, on: onReplica, want: "10"},
		{who: "B", do: "SELECT RELEASE_LOCK('s25')", want: "1"},
		{who: "A", do: "!execute ps"},
		{who: "A", do: shadowed, on: onPrimary, want: "10"},
		{who: "A", do: "DO RELEASE_LOCK('s25')"},
		{who: "A", do: shadowed, on: onReplica, want: "10"},
	}},
	{name: "S25 RELEASE_LOCK of a lock that is not held frees none", acts: []act{
		{who: "A", do: "SELECT GET_LOCK('s25', 0)", want: "1"},
		{who: "A", do: "SELECT RELEASE_LOCK('s25b')", want: "NULL"},
		{who: "A", do: shadowed, on: onPrimary},
		{who: "A", do: "SELECT RELEASE_ALL_LOCKS()", want: "1"},
		{who: "B", do: otherUser},
	}},
	{name: "S25 the connection stays as long as one lock is held", acts: []act{
		{who: "B", do: otherUser},
		{who: "A", do: "SELECT GET_LOCK('s25', 0)", want: "1"},
		{who: "A", do: "SELECT GET_LOCK('s25b', 0)", want: "1"},
		{who: "A", do: "SELECT RELEASE_LOCK('s25b')", want: "1"},
		{who: "B", do: otherUser, errno: 1040},
		{who: "A", do: "SELECT RELEASE_LOCK('s25')", want: "1"},
		{who: "B", do: otherUser},
	}},
	{name: "S25 PREPARE, EXECUTE and DEALLOCATE leave the session free", acts: []act{
		{who: "B", do: otherUser},
		{who: "A", do: "PREPARE s1 FROM 'SELECT v FROM a WHERE id = ?'"},
		{who: "A", do: "SET @id = 1"},
		{who: "A", do: "EXECUTE s1 USING @id", on: onPrimary, want: "10"},
		{who: "B", do: otherUser, errno: 1040},
		{who: "A", do: "DEALLOCATE PREPARE s1"},
		{who: "B", do: otherUser},
		{who: "A", do: shadowed, on: onReplica, want: "10"},
		{who: "A", do: "EXECUTE s1", errno: 1243},
	}},
	{name: "S25 EXECUTE of a text that is not known keeps the connection", acts: []act{
		{who: "B", do: otherUser},
		{who: "A", do: "SET @text = 'SET @y = 1'"},
		{who: "A", do: "PREPARE s1 FROM @text"},
		{who: "A", do: "EXECUTE s1"},
		{who: "A", do: "DEALLOCATE PREPARE s1"},
		{who: "B", do: otherUser, errno: 1040},
		{who: "A", do: "SELECT @y", want: "1"},
	}},
	{name: "S25 the connection stays as long as one HANDLER is open", acts: []act{
		{who: "B", do: otherUser},
		{who: "A", do: "HANDLER a OPEN"},
		{who: "A", do: "HANDLER app.a OPEN AS h"},
		{who: "A", do: "HANDLER a CLOSE"},
		{who: "B", do: otherUser, errno: 1040},
		{who: "A", do: "HANDLER h READ FIRST", want: "1,10"},
		{who: "A", do: "HANDLER h CLOSE"},
		{who: "A", do: "HANDLER no_such OPEN", errno: 1146},
		{who: "B", do: otherUser},
	}},
	{name: "S14 temporary tables that come and go in a transaction send no read to the primary", wide: true, acts: []act{
		{who: "B", do: shadowed, on: onReplica},
		{who: "A", do: "BEGIN"},
		{who: "A", do: "CREATE TEMPORARY TABLE x (v INT)"},
		{who: "A", do: "DROP TEMPORARY TABLE x"},
		{who: "B", do: shadowed, on: onReplica},
		{who: "A", do: "COMMIT"},
		{who: "A", do: shadowed, on: onReplica},
		{who: "B", do: shadowed, on: onReplica},
	}},
	{name: "S25 a variable whose value is not known keeps the connection", acts: []act{
		{who: "B", do: otherUser},
		{who: "A", do: "SET @x = 7"},
		{who: "A", do: "SELECT @x := @x + 1", want: "8"},
		{who: "B", do: otherUser, errno: 1040},
		{who: "A", do: "SELECT @x", want: "8"},
	}},
	{name: "S25 a variable set in a READ ONLY transaction on a replica holds on the primary", acts: []act{
		{who: "A", do: "SET @x = 7"},
		{who: "A", do: "START TRANSACTION READ ONLY"},
		{who: "A", do: "SELECT @x", on: onReplica, want: "7"},
		{who: "A", do: "SET @y = 8", on: onReplica},
		{who: "A", do: "COMMIT"},
		{who: "A", do: "SELECT @x, @y", on: onPrimary, want: "7,8"},
	}},
	{name: "S16 variables of one name are each client's own", acts: []act{
		{who: "A", do: "SET @tenant = 'a'"},
		{who: "B", do: "SET @tenant = NULL"},
		{who: "A", do: "SELECT @tenant", want: "a"},
		{who: "B", do: "SELECT @tenant", want: "NULL"},
		{who: "C", do: "SELECT @tenant", want: "NULL"},
		{who: "A", do: "!quit"},
		{who: "D", do: "SELECT @tenant", want: "NULL"},
	}},
}

func TestCasesOfWhatASessionHolds(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) { s.play(t, heldTales) })
}

// TestCaseS25VariablesAreTheSameElsewhere compares what SELECT tells about a user
// variable, in rows and in definitions, directly and after the connection has
// been given to somebody else and back.
func TestCaseS25VariablesAreTheSameElsewhere(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) {
		harness.Exec(t, s.cluster, "CREATE DATABASE IF NOT EXISTS "+caseSchema)
		for _, sets := range [][]string{
			{"SET @x = 7"}, {"SET @x = -7"}, {"SET @x = 18446744073709551615"}, {"SET @x = 18446744073709551616"},
			{"SET @x = 7.50"}, {"SET @x = -.5"}, {"SET @x = 1.5e3"}, {"SET @x = TRUE"}, {"SET @x = NULL"},
			{"SET @x = 'abc'"}, {"SET @x = ''"}, {"SET NAMES utf8mb4", "SET @x = 'é€😀'"}, {`SET @x = "it's"`},
			{"SET NAMES latin1", "SET @x = 'abc'"},
			{"SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci", "SET @x = 'abc'"},
			{"SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SET @x = 'abc'", "SET NAMES latin1"},
			{"SET NAMES binary", "SET @x = 'abc'"},
			{"SET @x = 'abc'", "SET character_set_connection = latin1"},
			{"SET @x = 1", "SET @x = 'abc'"}, {"SET @x = 'abc'", "SET @x = 1"},
			{"SET @x = 7.5", "SET @x = NULL"}, {"SET @x = 18446744073709551615", "SET @x = NULL"},
			{"SET @x = 'abc'", "SET @x = NULL"}, {"SET @x = 'abc', @y = 1", "SET @x = NULL", "SET @x = 2"},
		} {
			t.Run(fmt.Sprint(sets), func(t *testing.T) {
				const look = "SELECT @x, CHARSET(@x), COLLATION(@x), COERCIBILITY(@x)"
				for _, collation := range []byte{45, 255, 8} {
					directly := collation
					if collation == 255 && s.cluster.Primary.Flavour() == localserver.MariaDB {
						directly = 45 // what it stands for there: docs/compatibility.md, Collation 255
					}
					direct := dialCase(t, s.cluster.Primary.Addr(), localserver.AppUser, caseCapabilities, directly)
					a := dialCase(t, s.narrow.Addr(), localserver.AppUser, caseCapabilities, collation)
					b := dialCase(t, s.narrow.Addr(), localserver.AppUser, caseCapabilities, collation)
					for _, set := range sets {
						direct.query(set)
						a.query(set)
					}
					if r := b.query("UPDATE app.a SET v = v WHERE id = 1"); r.errno != 0 {
						t.Fatal("the connection is not given on: ", r.packets)
					}
					want, got := direct.query(look).packets, a.query(look).packets
					if !slices.Equal(got, want) {
						t.Errorf("collation %d: got\n%q\nwant\n%q", collation, got, want)
					}
					for _, c := range []*caseClient{direct, a, b} {
						c.quit()
					}
				}
			})
		}
	})
}
