package session

import (
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// play runs statements that all succeed, in schema d unless a USE says
// otherwise.
func play(t *testing.T, tables *TempTables, statements ...string) {
	t.Helper()
	schema := "d"
	for _, text := range statements {
		var f lex.Facts
		lex.Scan([]byte(text), lex.Mode{}, &f)
		if f.Class == lex.Use {
			schema = string(f.Schema())
		}
		tables.Sent(&f, schema)
		tables.Succeeded(&f, schema)
	}
}

func TestTemporaryTablesAreKnownByName(t *testing.T) {
	for name, c := range map[string]struct {
		run       []string
		mentioned []string
		free      []string
		none      bool
	}{
		"a table is mentioned in any spelling": {
			run:       []string{"CREATE TEMPORARY TABLE Tmp (id INT)"},
			mentioned: []string{"SELECT * FROM tmp", "select 1 from `TMP`", "SELECT d.tmp.id FROM x", "SELECT 1 /* tmp */", "SELECT 'tmp'"},
			free:      []string{"SELECT * FROM tmp2", "SELECT tmpx FROM a", "SELECT 1"},
		},
		"text that is not ASCII is not judged": {
			run:       []string{"CREATE TEMPORARY TABLE tmp (id INT)"},
			mentioned: []string{"SELECT 'é'", "SELECT * FROM tm\xe2\x84\xaa"},
		},
		"dropped it is gone": {
			run:  []string{"CREATE TEMPORARY TABLE tmp (id INT)", "DROP TEMPORARY TABLE tmp"},
			free: []string{"SELECT * FROM tmp"}, none: true,
		},
		"DROP TABLE drops it as well": {
			run:  []string{"CREATE TEMPORARY TABLE a (id INT)", "CREATE TEMPORARY TABLE b (id INT)", "DROP TABLE IF EXISTS A, b"},
			none: true,
		},
		"dropped in another schema it stays": {
			run:       []string{"CREATE TEMPORARY TABLE tmp (id INT)", "USE e", "DROP TABLE tmp"},
			mentioned: []string{"SELECT * FROM tmp"},
		},
		"created by a qualified name it stays": {
			run:       []string{"CREATE TEMPORARY TABLE e.tmp (id INT)", "DROP TABLE tmp"},
			mentioned: []string{"SELECT * FROM tmp"},
		},
		"dropped by a qualified name it stays": {
			run:       []string{"CREATE TEMPORARY TABLE tmp (id INT)", "DROP TABLE e.tmp"},
			mentioned: []string{"SELECT * FROM tmp"},
		},
		"created twice it is one": {
			run:  []string{"CREATE TEMPORARY TABLE tmp (id INT)", "CREATE TEMPORARY TABLE IF NOT EXISTS tmp (id INT)", "DROP TABLE tmp"},
			none: true,
		},
		"renamed it may have any name": {
			run:       []string{"CREATE TEMPORARY TABLE tmp (id INT)", "ALTER TABLE tmp RENAME TO other"},
			mentioned: []string{"SELECT * FROM other", "SELECT 1"},
		},
		"in one packet with others nothing is known": {
			run:       []string{"CREATE TEMPORARY TABLE a (id INT); CREATE TEMPORARY TABLE b (id INT)"},
			mentioned: []string{"SELECT 1"},
		},
		"a name with a quote in it hides any": {
			run:       []string{"CREATE TEMPORARY TABLE `x``y` (id INT)"},
			mentioned: []string{"SELECT 1"},
		},
		"other statements change nothing": {
			run:       []string{"CREATE TEMPORARY TABLE tmp (id INT)", "CREATE TABLE other (id INT)", "DROP TABLE third", "INSERT INTO tmp VALUES (1)"},
			mentioned: []string{"SELECT * FROM tmp"},
			free:      []string{"SELECT * FROM other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var tables TempTables
			play(t, &tables, c.run...)
			if tables.Any() == c.none {
				t.Errorf("any: %v", tables.Any())
			}
			for _, s := range c.mentioned {
				if !tables.Mentioned([]byte(s)) {
					t.Errorf("%s: not mentioned", s)
				}
			}
			for _, s := range c.free {
				if tables.Mentioned([]byte(s)) {
					t.Errorf("%s: mentioned", s)
				}
			}
		})
	}
}

func TestThePinEndsWithTheLastTemporaryTable(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	for _, step := range []struct {
		sql    string
		out    Outcome
		pinned bool
	}{
		{sql: "CREATE TEMPORARY TABLE tmp (id INT)", pinned: true},
		{sql: "CREATE TEMPORARY TABLE more (id INT)", pinned: true},
		{sql: "DROP TEMPORARY TABLE tmp", pinned: true},
		{sql: "DROP TEMPORARY TABLE more", out: Outcome{ErrCode: 1046}, pinned: true},
		{sql: "DROP TEMPORARY TABLE more"},
		{sql: "CREATE TEMPORARY TABLE tmp (id INT)", pinned: true},
		{sql: "ALTER TABLE tmp RENAME TO other", pinned: true},
		{sql: "DROP TEMPORARY TABLE tmp", pinned: true},
	} {
		run(t, s, step.sql, nil, step.out)
		if got := s.Pins.Has(router.PinTemporaryTables); got != step.pinned {
			t.Errorf("after %s: pinned %v, want %v", step.sql, got, step.pinned)
		}
	}
	f := facts(t, s, "SELECT * FROM other")
	if v := s.ViewOf(f); !v.Pins.Has(router.PinTemporaryTables) {
		t.Error("a renamed temporary table is not looked for")
	}
}
