package router_test

import (
	"flag"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/pingcap/tidb/pkg/parser"
	"github.com/pingcap/tidb/pkg/parser/ast"
	_ "github.com/pingcap/tidb/pkg/parser/test_driver"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

var lexN = flag.Int("lex.n", 50_000, "statements the differential test generates")

// TestReplicaOnlyGetsWhatAParserCallsARead generates statements and compares
// the scanner with a real parser: whatever is sent to a replica has to be one
// SELECT, SHOW or EXPLAIN without locks, INTO, variables and functions that
// are not built in. What the parser rejects says nothing.
func TestReplicaOnlyGetsWhatAParserCallsARead(t *testing.T) {
	seed := uint64(20)
	if *lexN != 50_000 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	g := &generator{r: rand.New(rand.NewPCG(seed, 1))}
	p := parser.New()
	var f lex.Facts
	replica, parsed, reads, needless := 0, 0, 0, 0
	n := *lexN
	if testing.Short() {
		n /= 5
	}
	for range n {
		text := g.statement()
		lex.Scan([]byte(text), lex.Mode{Flavor: lex.FlavorMySQL}, &f)
		d := router.Route(&router.Request{Facts: &f, View: router.SessionView{Autocommit: true}}, nil)
		stmts, _, err := p.Parse(text, "", "")
		if err != nil {
			continue
		}
		parsed++
		problem := notARead(stmts)
		if problem == "" {
			reads++
		}
		switch {
		case d.Target == router.Primary && problem == "" && !onPrimaryByDesign[d.Reason]:
			needless++
		case d.Target == router.Replica || d.Target == router.Last:
			replica++
			if problem != "" && !(d.Reason == router.ReasonReadOnlyTransaction && problem == beginOnly) {
				t.Errorf("%s\n\tgoes to the %v (%v), but the parser sees %s", text, d.Target, d.Reason, problem)
			}
		}
	}
	t.Logf("%d statements, %d parsed, %d to replicas, %d of %d reads needlessly to the primary", n, parsed, replica, needless, reads)
	if needless*100 > reads {
		t.Errorf("%d of %d reads go to the primary without need, want less than 1%%", needless, reads)
	}
	if replica < n/20 {
		t.Errorf("only %d of %d statements went to replicas: the generator tests nothing", replica, n)
	}
}

// onPrimaryByDesign are the reasons of reads whose answer depends on the server,
// so that the primary's is the one that counts.
var onPrimaryByDesign = map[router.Reason]bool{
	router.ReasonSystemVariable: true, router.ReasonServerIdentity: true, router.ReasonServerSchema: true, router.ReasonShowServer: true,
}

// notARead says why statements are no harmless read, "" if they are one.
func notARead(stmts []ast.StmtNode) string {
	if len(stmts) != 1 {
		return "several statements"
	}
	stmt := stmts[0]
	if e, ok := stmt.(*ast.ExplainStmt); ok {
		if e.Stmt == nil {
			return "" // EXPLAIN 'plan digest' of TiDB; a syntax error elsewhere
		}
		stmt = e.Stmt
	}
	switch stmt.(type) {
	case *ast.SelectStmt, *ast.SetOprStmt, *ast.ShowStmt, *ast.HelpStmt:
	case *ast.BeginStmt:
		return beginOnly
	default:
		return "no read"
	}
	v := &effects{}
	stmt.Accept(v)
	return v.found
}

const beginOnly = "BEGIN"

// effects looks for what is not harmless.
type effects struct{ found string }

func (v *effects) Enter(n ast.Node) (ast.Node, bool) {
	switch n := n.(type) {
	case *ast.SelectStmt:
		if n.LockInfo != nil && n.LockInfo.LockType != ast.SelectLockNone {
			v.found = "a lock"
		}
		if n.SelectIntoOpt != nil {
			v.found = "INTO"
		}
	case *ast.VariableExpr:
		if !n.IsSystem {
			v.found = "a user variable"
		}
	case *ast.FuncCallExpr:
		name := n.FnName.L
		if n.Schema.L != "" || strings.HasPrefix(name, "f_") || dangerous[name] {
			v.found = "the function " + name
		}
	case *ast.InsertStmt, *ast.UpdateStmt, *ast.DeleteStmt, *ast.LoadDataStmt:
		v.found = "a write"
	}
	return n, false
}

func (v *effects) Leave(n ast.Node) (ast.Node, bool) { return n, true }

var dangerous = map[string]bool{
	"get_lock": true, "release_lock": true, "release_all_locks": true, "is_free_lock": true, "is_used_lock": true,
	"last_insert_id": true, "nextval": true, "setval": true, "lastval": true, "load_file": true,
	"master_pos_wait": true, "wait_for_executed_gtid_set": true,
}

// generator writes statements from a small grammar, spells them in odd ways
// and damages some of them.
type generator struct {
	// flavor of the server that is to execute the statements; 0 if none is.
	flavor lex.Flavor

	r     *rand.Rand
	out   []string
	depth int
}

func (g *generator) pick(choices ...string) string { return choices[g.r.IntN(len(choices))] }
func (g *generator) chance(percent int) bool       { return g.r.IntN(100) < percent }

// add writes the words of a piece, each a token of its own.
func (g *generator) add(piece string) { g.out = append(g.out, strings.Fields(piece)...) }

func (g *generator) statement() string {
	g.out, g.depth = g.out[:0], 0
	if g.flavor != lex.FlavorUnknown && g.chance(20) {
		g.add(g.pick("/*slave*/", "/*backend=127.0.0.1:1*/", "/*max_lag=1s*/"))
	}
	g.one()
	for g.chance(4) {
		g.add(";")
		g.one()
	}
	if g.chance(25) {
		g.damage()
	}
	return g.spell()
}

func (g *generator) one() {
	switch n := g.r.IntN(100); {
	case n < 62:
		g.query()
	case n < 66:
		g.add(g.pick("EXPLAIN", "DESC", "EXPLAIN FORMAT = 'json'", "EXPLAIN ANALYZE"))
		if g.chance(70) {
			g.query()
		} else {
			g.write()
		}
	case n < 72:
		g.add("SHOW")
		g.add(g.pick("TABLES", "FULL TABLES", "CREATE TABLE t1", "COLUMNS FROM t1", "INDEX FROM t1", "VARIABLES",
			"STATUS", "WARNINGS", "ERRORS", "PROCESSLIST", "GRANTS", "DATABASES", "MASTER STATUS"))
	case n < 80:
		g.write()
	case n < 84:
		g.add(g.pick("BEGIN", "START TRANSACTION", "START TRANSACTION READ ONLY", "COMMIT", "ROLLBACK", "SAVEPOINT s"))
	case n < 90:
		g.add(g.pick("SET @a = 1", "SET NAMES utf8mb4", "SET SESSION sql_mode = ''", "SET autocommit = 0",
			"SET TRANSACTION READ ONLY", "SET GLOBAL max_connections = 5"))
	default:
		g.add(g.pick("CALL p ( )", "DO f_1 ( )", "LOCK TABLES t1 READ", "UNLOCK TABLES", "DROP TABLE t1", "TRUNCATE TABLE t1",
			"CREATE TABLE t9 ( id INT )", "CREATE TEMPORARY TABLE t9 ( id INT )", "ANALYZE TABLE t1", "KILL 5",
			"FLUSH TABLES", "USE d2", "PREPARE s FROM 'SELECT 1'", "EXECUTE s", "CREATE USER u", "DESC t1"))
	}
}

func (g *generator) write() {
	switch g.r.IntN(4) {
	case 0:
		g.add("INSERT INTO t1 ( a , b ) VALUES ( 1 ,")
		g.expr()
		g.add(")")
	case 1:
		g.add("UPDATE t1 SET a =")
		g.expr()
		g.add("WHERE b = 1")
	case 2:
		g.add("DELETE FROM t1 WHERE")
		g.expr()
	case 3:
		g.add("REPLACE INTO t1")
		g.query()
	}
}

func (g *generator) query() {
	g.depth++
	defer func() { g.depth-- }()
	if g.chance(6) && g.depth < 3 {
		g.add("WITH c AS (")
		g.query()
		g.add(")")
	}
	parens := g.chance(8)
	if parens {
		g.add("(")
	}
	g.selectCore()
	if parens {
		g.add(")")
	}
	if g.chance(8) && g.depth < 3 {
		g.add(g.pick("UNION", "UNION ALL"))
		g.selectCore()
	}
}

func (g *generator) selectCore() {
	g.add("SELECT")
	if g.chance(8) {
		g.add(g.pick("DISTINCT", "SQL_NO_CACHE", "SQL_CALC_FOUND_ROWS", "STRAIGHT_JOIN", "HIGH_PRIORITY"))
	}
	g.expr()
	for g.chance(30) {
		g.add(",")
		g.expr()
	}
	if g.chance(10) {
		g.add(g.pick("AS `for update`", "AS x", "AS 'into'"))
	}
	if g.chance(80) {
		g.add("FROM")
		g.table()
		if g.chance(20) {
			g.add(g.pick("JOIN", "LEFT JOIN", ","))
			g.table()
		}
		if g.chance(50) {
			g.add("WHERE")
			g.expr()
		}
		if g.chance(10) {
			g.add("GROUP BY a ORDER BY b DESC LIMIT 5")
		}
		if g.chance(7) {
			g.add(g.pick("FOR UPDATE", "FOR SHARE", "LOCK IN SHARE MODE", "FOR UPDATE NOWAIT", "FOR UPDATE SKIP LOCKED",
				"INTO OUTFILE 'telamon_out'", "FOR UPDATE OF t1"))
		}
	}
}

func (g *generator) table() {
	if g.chance(8) && g.depth < 3 {
		g.add("(")
		g.query()
		g.add(") AS d")
		return
	}
	g.add(g.pick("t1", "t2", "d.t1", "`t1`", "`d`.`t2`", "t1 AS x", "t1 USE INDEX ( i )"))
}

func (g *generator) expr() {
	g.depth++
	defer func() { g.depth-- }()
	if g.depth > 4 {
		g.add(g.pick("1", "a"))
		return
	}
	switch n := g.r.IntN(100); {
	case g.flavor != lex.FlavorUnknown && n < 20:
		g.builtin()
	case n < 55:
		g.add(g.pick("a", "b", "t1.a", "`a`", "`select`", "t1.`for`", "1", "1.5e3", ".5", "0x41", "'x'", "'it''s'", `'a\'b'`,
			`"for update"`, "NULL", "-1", "x'41'", "'/*'", "'--'", "'*/'", "'`'", "b'1'", "N'x'", "?", "t1.update"))
	case n < 70:
		g.expr()
		g.add(g.pick("+", "-", "=", "AND", "OR", "<=>", "LIKE", "<", "!=", "||"))
		g.expr()
	case n < 82:
		g.add(g.pick("abs", "LOWER", "COALESCE", "ifnull", "concat", "LEFT", "IF", "date_format", "greatest", "sleep"))
		g.add("(")
		g.expr()
		g.add(",")
		g.expr()
		g.add(")")
	case n < 85:
		g.add(g.pick("COUNT( * )", "MAX( a )", "NOW( )", "CAST( a AS CHAR ( 10 ) )", "CASE a WHEN 1 THEN 2 ELSE 3 END",
			"EXISTS ( SELECT 1 )", "ROW_NUMBER() OVER ( ORDER BY a )", "INTERVAL ( 1 , 2 )", "a IN ( 1 , 2 , 'x' )"))
	case n < 88:
		g.add("(")
		g.query()
		g.add(")")
	case n < 96:
		g.add("(")
		g.expr()
		g.add(")")
	case n < 98:
		g.add(g.pick("@@version", "@@session.sql_mode", "CONNECTION_ID ( )", "DATABASE ( )", "FOUND_ROWS ( )", "ROW_COUNT ( )"))
	default:
		g.add(g.pick("f_1 ( )", "f_2 ( a , 1 )", "d.f_1 ( )", "`f_1` ( 1 )", "GET_LOCK ( 'a' , 1 )", "`get_lock` ( 'a' , 1 )",
			"RELEASE_LOCK ( 'a' )", "LAST_INSERT_ID ( )", "LAST_INSERT_ID ( 7 )", "@x", "@x := 1", "@`y`", "LOAD_FILE ( 'x' )", "NEXTVAL ( s )"))
	}
}

// builtin calls any of the words the scanner knows.
func (g *generator) builtin() {
	name := knownWords[g.r.IntN(len(knownWords))]
	if name == "sleep" || name == "benchmark" {
		name = "abs" // they would take their time
	}
	g.add(name + "(")
	for i := range g.r.IntN(4) {
		if i > 0 {
			g.add(",")
		}
		g.expr()
	}
	g.add(")")
}

// damage deletes, doubles, swaps and inserts tokens.
func (g *generator) damage() {
	for range 1 + g.r.IntN(3) {
		if len(g.out) < 2 {
			return
		}
		i, j := g.r.IntN(len(g.out)), g.r.IntN(len(g.out))
		switch g.r.IntN(5) {
		case 0:
			g.out = append(g.out[:i], g.out[i+1:]...)
		case 1:
			g.out[i], g.out[j] = g.out[j], g.out[i]
		case 2:
			g.out[i] = g.out[j]
		default:
			g.out[i] = g.pick("FOR", "UPDATE", "INTO", "@x", ";", "(", ")", "'", "\"", "`", "/*", "*/", "--", "#", "f_1", ".", ",", "LOCK",
				"IN", "SHARE", "MODE", "SELECT", "DELETE", "WITH", "AS", "/*!", "/*!50000", "\\", "FROM", "get_lock", "END", "1", ":=", "/*+")
		}
	}
}

// spell joins the tokens with odd blanks and comments, in odd cases.
func (g *generator) spell() string {
	var b strings.Builder
	odd := g.chance(30)
	for i, tok := range g.out {
		if i > 0 {
			switch {
			case !odd || g.chance(70):
				b.WriteByte(' ')
			default:
				b.WriteString(g.pick("\n", "\t", "  ", "/* x */", "/**/", " -- c\n", "#c '\n", "\r\n", "/* ' */", " /* ; */ "))
			}
		}
		if odd && !strings.ContainsAny(tok, "'\"`\\") {
			switch g.r.IntN(3) {
			case 0:
				tok = strings.ToLower(tok)
			case 1:
				tok = strings.ToUpper(tok)
			}
		}
		if tok == "?" && g.flavor != lex.FlavorUnknown {
			tok = "2"
		}
		b.WriteString(tok)
	}
	if odd && g.chance(20) {
		b.WriteString(g.pick(";", " ;; ", " -- end", "/* end */", " #"))
	}
	return b.String()
}
