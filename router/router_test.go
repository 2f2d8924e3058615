package router_test

import (
	"strings"
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

func BenchmarkRoute(b *testing.B) {
	for _, bm := range []struct{ name, text string }{
		{"read", "SELECT c FROM sbtest1 WHERE id=12345"},
		{"write", "UPDATE sbtest1 SET k=k+1 WHERE id=1"},
		{"hint", "/*slave@report*/ SELECT 1"},
	} {
		b.Run(bm.name, func(b *testing.B) {
			var f lex.Facts
			lex.Scan([]byte(bm.text), lex.Mode{}, &f)
			req := router.Request{Facts: &f, View: router.SessionView{Autocommit: true}}
			rules := &router.Rules{Guard: router.Guard{DenyNoWhere: true}, Tags: []string{"report"}}
			b.ReportAllocs()
			for b.Loop() {
				router.Route(&req, rules)
			}
		})
	}
}

func TestRouteDoesNotAllocate(t *testing.T) {
	rules := &router.Rules{
		Guard: router.Guard{DenyNoWhere: true, DeniedFunctions: []string{"sleep", "benchmark"}},
		Tags:  []string{"report"}, Backends: []string{"10.0.0.1:3306"},
	}
	for _, text := range []string{
		"SELECT c FROM sbtest1 WHERE id=12345", "UPDATE a SET v=1 WHERE id=1", "SELECT COUNT(*) FROM a",
		"/*slave@report*/ SELECT 1", "/*backend=10.0.0.1:3306*/ /*max_lag=1s*/ /*consistency=off*/ SELECT 1",
		"SET @a=1", "BEGIN", "SELECT f1()",
	} {
		var f lex.Facts
		lex.Scan([]byte(text), lex.Mode{}, &f)
		req := router.Request{Facts: &f, View: router.SessionView{Autocommit: true, Pins: router.PinUserVariables}}
		if n := testing.AllocsPerRun(100, func() { router.Route(&req, rules) }); n != 0 {
			t.Errorf("%s: %v allocations, want 0", text, n)
		}
	}
}

// A decision may name a replica only for what is a read in a session without
// state, whatever the view, the hints and the rules say.
func TestNoStateLetsAWriteReachAReplica(t *testing.T) {
	rules := []*router.Rules{
		nil, {ReadOnlyTrxOnPrimary: true},
		{Rules: []router.Rule{{Route: router.RouteReplica}}}, {Rules: []router.Rule{{Route: router.RouteTag, Arg: "x"}}},
	}
	writes := []string{
		"INSERT INTO a VALUES (1)", "SELECT 1 FOR UPDATE", "SELECT f1()", "SELECT GET_LOCK('a',1)", "CALL p()", "DROP TABLE a",
		"SELECT 1 INTO @x", "SELECT 1; DELETE FROM a", "SET @a=1", "LOCK TABLES a WRITE", "what", "EXPLAIN DELETE FROM a",
	}
	for _, hint := range []string{"", "/*slave*/ ", "/*slave@x*/ ", "/*backend=x:1*/ "} {
		for _, text := range writes {
			var f lex.Facts
			lex.Scan([]byte(hint+text), lex.Mode{}, &f)
			for bits := range 1 << 4 {
				for _, listener := range []router.Listener{router.Auto, router.WriteOnly, router.ReadOnly} {
					view := router.SessionView{
						InTransaction: bits&1 != 0, Autocommit: bits&2 != 0, LastWasPrimary: bits&4 != 0, Listener: listener,
					}
					if bits&8 != 0 {
						view.Pins = router.PinUserVariables
					}
					for _, r := range rules {
						d := router.Route(&router.Request{Facts: &f, View: view}, r)
						if d.Target == router.Replica || d.Target == router.Last {
							t.Errorf("%s%s in %+v goes to %v (%v)", hint, text, view, d.Target, d.Reason)
						}
					}
				}
			}
		}
	}
}

func TestReasonsHaveANameAndASentence(t *testing.T) {
	seen := map[string]bool{}
	for r := router.Reason(0); r < router.NumReasons; r++ {
		if name := r.String(); name == "" || seen[name] || strings.ToLower(name) != name {
			t.Errorf("reason %d has the name %q", r, name)
		}
		seen[r.String()] = true
		if !strings.HasSuffix(r.Explain(), ".") {
			t.Errorf("%v: %q is no sentence", r, r.Explain())
		}
	}
}

func TestDecisionPinsAndReleases(t *testing.T) {
	for _, tc := range []struct {
		name, text   string
		held         router.PinSet
		pin, release router.PinSet
	}{
		{"UNLOCK TABLES ends table locks", "UNLOCK TABLES", router.PinTableLocks | router.PinBackupLock, 0, router.PinTableLocks},
		{"UNLOCK INSTANCE ends the backup lock", "UNLOCK INSTANCE", router.PinTableLocks | router.PinBackupLock, 0, router.PinBackupLock},
		{"RELEASE_ALL_LOCKS is counted by the session", "DO RELEASE_ALL_LOCKS()", router.PinUserLocks, 0, 0},
		{"RELEASE_LOCK may leave others", "DO RELEASE_LOCK('a')", router.PinUserLocks, 0, 0},
		{"COMMIT uses up SET TRANSACTION", "COMMIT", router.PinNextTransaction, 0, router.PinNextTransaction},
		{"an autocommit write uses it up too", "INSERT INTO a VALUES (1)", router.PinNextTransaction, 0, router.PinNextTransaction},
		{"SET does not", "SET time_zone='+00:00'", router.PinNextTransaction, 0, 0},
		{"several statements release nothing", "UNLOCK TABLES; LOCK TABLES a READ", router.PinTableLocks, router.PinTableLocks, 0},
		{"any other statement ends FOUND_ROWS", "SELECT 1", router.PinFoundRows, 0, router.PinFoundRows},
		{"FOUND_ROWS may be asked twice", "SELECT FOUND_ROWS()", router.PinFoundRows, 0, 0},
		{"a stored program pins nothing", "CREATE PROCEDURE p() BEGIN SET @a := 1; DO GET_LOCK('a',1); END", 0, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f lex.Facts
			lex.Scan([]byte(tc.text), lex.Mode{}, &f)
			d := router.Route(&router.Request{Facts: &f, View: router.SessionView{Autocommit: true, Pins: tc.held}}, nil)
			if d.Pin != tc.pin || d.Release != tc.release {
				t.Errorf("pin %v release %v, want %v and %v", d.Pin, d.Release, tc.pin, tc.release)
			}
		})
	}
}
