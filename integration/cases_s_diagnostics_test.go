//go:build integration

package integration

import (
	"fmt"
	"slices"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// diagnosticTales are about what is asked about a statement whose connection
// somebody else has used since.
var diagnosticTales = []tale{
	{name: "S17 GET DIAGNOSTICS says that it cannot tell", acts: []act{
		{who: "A", do: "INSERT IGNORE INTO a (id, v) VALUES (1, 'x')"},
		{who: "B", do: otherUser},
		{who: "A", do: "GET DIAGNOSTICS @n = NUMBER", errno: 1105},
		{who: "A", do: "SHOW COUNT(*) WARNINGS", want: "2"},
	}},
	{name: "S17 GET DIAGNOSTICS tells as long as the connection is there", acts: []act{
		{who: "A", do: "INSERT IGNORE INTO a (id, v) VALUES (1, 'x')"},
		{who: "A", do: "GET DIAGNOSTICS @n = NUMBER"},
		{who: "A", do: "SELECT @n", want: "2"},
	}},
	{name: "S17 ROW_COUNT() says that it cannot tell", acts: []act{
		{who: "A", do: "UPDATE a SET v = v + 1 WHERE id = 2"},
		{who: "B", do: otherUser},
		{who: "A", do: "SELECT ROW_COUNT()", errno: 1105},
		{who: "A", do: "UPDATE a SET v = v - 1 WHERE id = 2"},
		{who: "A", do: "SELECT ROW_COUNT()", want: "1"},
	}},
	{name: "S17 warnings that went with a broken connection are an error, not none", acts: []act{
		{who: "A", do: "INSERT IGNORE INTO a (id, v) VALUES (1, 'x')"},
		{do: "!kill"},
		{who: "A", do: "SHOW WARNINGS", errno: 1105},
		{who: "A", do: "SELECT v FROM a WHERE id = 1"},
		{who: "A", do: "SHOW WARNINGS", want: ""},
	}},
	{name: "S17 the next statement replaces them", acts: []act{
		{who: "A", do: "INSERT IGNORE INTO a (id, v) VALUES (1, 'x')"},
		{who: "B", do: otherUser},
		{who: "A", do: otherUser},
		{who: "A", do: "SHOW COUNT(*) WARNINGS", want: "0"},
		{who: "B", do: otherUser},
		{who: "A", do: "SHOW COUNT(*) WARNINGS", want: "0"},
		{who: "A", do: "SHOW WARNINGS", want: ""},
		{who: "A", do: "SELECT @@warning_count", want: "0"},
	}},
	{name: "S17 SHOW STATUS needs no connection of its own", acts: []act{
		{who: "A", do: otherUser},
		{who: "B", do: otherUser},
		{who: "A", do: "SHOW STATUS LIKE 'no_such'"},
	}},
	{name: "S17 the warnings of a SET are there though Telamon asks about its effect", acts: []act{
		{who: "A", do: "SET NAMES utf8mb4, @@div_precision_increment = 100"},
		{who: "A", do: "SHOW COUNT(*) WARNINGS", want: "1"},
		{who: "B", do: otherUser},
		{who: "A", do: "SHOW COUNT(*) WARNINGS", want: "1"},
	}},
	{name: "S17 MariaDB's warnings outlast settings made elsewhere", only: "MariaDB", acts: []act{
		{who: "A", do: "INSERT IGNORE INTO a (id, v) VALUES (1, 'x')"},
		{who: "B", do: otherUser},
		{who: "A", do: "SET time_zone = '+01:00'"},
		{who: "A", do: "SHOW COUNT(*) WARNINGS", want: "2"},
	}},
}

func TestCasesOfDiagnostics(t *testing.T) {
	eachStage(t, func(t *testing.T, s *stage) { s.play(t, diagnosticTales) })
}

// TestCaseS17DiagnosticsAreTheServersOwn compares answers to the byte, directly
// and when somebody else has used the connection since. Each question follows
// the statement anew.
func TestCaseS17DiagnosticsAreTheServersOwn(t *testing.T) {
	questions := []string{
		"SHOW WARNINGS", "show /* c */ errors;", "SHOW WARNINGS LIMIT 1", "SHOW WARNINGS LIMIT 1, 1", "SHOW WARNINGS LIMIT 1 OFFSET 1",
		"SHOW WARNINGS LIMIT 0", "SHOW ERRORS LIMIT 5, 5", "SHOW COUNT(*) WARNINGS", "SHOW COUNT(*) ERRORS", "SELECT @@warning_count",
		"SELECT @@session.error_count AS `e`", "SELECT @@local.warning_count w",
	}
	eachStage(t, func(t *testing.T, s *stage) {
		harness.Exec(t, s.cluster, "CREATE DATABASE IF NOT EXISTS "+caseSchema)
		for _, statement := range []string{
			"INSERT IGNORE INTO app.a (id, v) VALUES (1, 'é')", "INSERT INTO app.a VALUES (1, 1)", "SELECT * FROM no_such",
			"UPDATE app.a SET v = v WHERE id = 1",
		} {
			for _, collation := range []byte{45, 8} {
				for _, caps := range [...]string{"", " with DEPRECATE_EOF"} {
					t.Run(fmt.Sprint(statement, collation, caps), func(t *testing.T) {
						flags := caseCapabilities
						if caps != "" {
							flags |= wire.DeprecateEOF
						}
						direct := dialCase(t, s.cluster.Primary.Addr(), localserver.AppUser, flags, collation)
						a := dialCase(t, s.narrow.Addr(), localserver.AppUser, flags, collation)
						b := dialCase(t, s.narrow.Addr(), localserver.AppUser, flags, 45)
						for _, q := range questions {
							direct.query(statement)
							a.query(statement)
							if r := b.query("UPDATE app.a SET v = v WHERE id = 2"); r.errno != 0 {
								t.Fatal("the connection is not given on: ", r.packets)
							}
							want, got := direct.query(q).packets, a.query(q).packets
							if !slices.Equal(got, want) {
								t.Errorf("%s: got\n%q\nwant\n%q", q, got, want)
							}
						}
						for _, c := range []*caseClient{direct, a, b} {
							c.quit()
						}
					})
				}
			}
		}
	})
}
