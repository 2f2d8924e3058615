package lex_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/telamondb/telamon/router/lex"
)

func scan(text string, mode lex.Mode) *lex.Facts {
	var f lex.Facts
	lex.Scan([]byte(text), mode, &f)
	return &f
}

func TestScanCountsStatementsAsTheServerRunsThem(t *testing.T) {
	// MINEFIELD C09, C23: the counts are the replies measured on both flavours.
	for _, tc := range []struct {
		text  string
		want  int
		class lex.Class
	}{
		{"", 0, lex.Empty},
		{" \n;; ", 0, lex.Empty},
		{"/* c */", 1, lex.Empty},
		{"SELECT 1", 1, lex.Select},
		{"SELECT 1;", 1, lex.Select},
		{"SELECT 1;; ", 1, lex.Select},
		{"SELECT 1; -- done", 2, lex.Select},
		{"SELECT 1; ;SELECT 2", 3, lex.Select},
		{";SELECT 1", 2, lex.Empty},
		{"SELECT ';', \";\", `;` /* ; */ -- ;\n# ;\n", 1, lex.Select},
		{"CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END", 1, lex.DDL},
		{"CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2", 2, lex.DDL},
		{"CREATE DEFINER=`a`@`b` TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN IF 1 THEN SET @a=1; END IF; END; DO 1", 2, lex.DDL},
		{"CREATE FUNCTION f() RETURNS INT BEGIN WHILE 1 DO BEGIN END; END WHILE; RETURN CASE 1 WHEN 1 THEN 2 END; END; DO 1", 2, lex.DDL},
		{"CREATE PROCEDURE p() SELECT 1; SELECT 2", 2, lex.DDL},
		{"BEGIN NOT ATOMIC SELECT 1; SELECT 2; END", 1, lex.Block},
		{"BEGIN; SELECT 1; COMMIT", 3, lex.Begin},
	} {
		if f := scan(tc.text, lex.Mode{}); f.Statements != tc.want || f.Class != tc.class {
			t.Errorf("%q: %d statements, class %v, want %d and %v", tc.text, f.Statements, f.Class, tc.want, tc.class)
		}
	}
}

func TestScanFlags(t *testing.T) {
	for _, tc := range []struct {
		name, text string
		mode       lex.Mode
		set, clear lex.Flags
	}{
		{"backslash escapes a quote", `SELECT 'a\' FOR UPDATE -- '`, lex.Mode{}, 0, lex.FlagLocking},
		{"unless NO_BACKSLASH_ESCAPES", `SELECT 'a\' FOR UPDATE -- '`, lex.Mode{SQLMode: lex.NoBackslashEscapes}, lex.FlagLocking, 0},
		{"no backslash in identifiers", "SELECT `a\\` FOR UPDATE -- `", lex.Mode{}, lex.FlagLocking, 0},
		{"double quotes are a string", `SELECT "\" FOR UPDATE -- "`, lex.Mode{}, 0, lex.FlagLocking},
		{"or an identifier under ANSI_QUOTES", `SELECT "\" FOR UPDATE -- "`, lex.Mode{SQLMode: lex.ANSIQuotes}, lex.FlagLocking, 0},
		{"a keyword behind a dot is a name", "SELECT a.for, b.update, c.into FROM t", lex.Mode{}, 0, lex.FlagLocking | lex.FlagInto},
		{"but not behind a dot and a blank", "SELECT a. into @x", lex.Mode{}, lex.FlagInto, 0},
		{"a number ends at its dot", "SELECT 1.FOR UPDATE", lex.Mode{}, lex.FlagLocking, 0},
		{"GBK trail byte is no backslash", "SELECT '\x95\\' FOR UPDATE -- '", lex.Mode{Charset: lex.CharsetGBK}, lex.FlagLocking, 0},
		{"SJIS trail byte is no backslash", "SELECT '\x95\\' FOR UPDATE -- '", lex.Mode{Charset: lex.CharsetSJIS}, lex.FlagLocking, 0},
		{"Big5 trail byte is no backslash", "SELECT '\xa5\\' FOR UPDATE -- '", lex.Mode{Charset: lex.CharsetBig5}, lex.FlagLocking, 0},
		{"GB18030 four bytes", "SELECT '\x81\x30\x81\x30\x95\\' FOR UPDATE -- '", lex.Mode{Charset: lex.CharsetGB18030}, lex.FlagLocking, 0},
		{"a lead byte without trail is alone", "SELECT '\x95' FOR UPDATE -- '", lex.Mode{Charset: lex.CharsetGBK}, lex.FlagLocking, 0},
		{"a backtick may be a trail byte", "SELECT `\x95`` FOR UPDATE", lex.Mode{Charset: lex.CharsetGBK}, lex.FlagLocking, 0},
		{"half a character before a closing quote", "SELECT `\xc3` FROM a", lex.Mode{}, lex.FlagUncertain, 0},
		{"a NUL", "SELECT 1 \x00 FROM a", lex.Mode{}, lex.FlagUnterminated, 0},
		{"an open string", "SELECT 'a", lex.Mode{}, lex.FlagUnterminated, 0},
		{"an open comment", "SELECT 1 /* a", lex.Mode{}, lex.FlagUnterminated, 0},
		{"a string that hides the end of a skipped comment", "/*!99999 SELECT '*/'", lex.Mode{}, lex.FlagUncertain, 0},
		{"a line comment that does", "/*!99999 SELECT 1 -- */ LOCK TABLES a READ\n*/", lex.Mode{}, lex.FlagUncertain, 0},
		{"a nested plain comment is no doubt", "/*!50000 SELECT /* x */ 1 */", lex.Mode{}, lex.FlagExecutableComment, lex.FlagUncertain},
		{"only a capital M begins MariaDB's", "/*m! LOCK TABLES a READ */ SELECT 1", lex.Mode{}, 0, lex.FlagExecutableComment},
		{"a blank before the ! makes it plain", "/* ! FOR UPDATE */ SELECT 1", lex.Mode{}, 0, lex.FlagExecutableComment | lex.FlagLocking},
		{"IGNORE_SPACE allows a blank", "SELECT COUNT (*) FROM a", lex.Mode{SQLMode: lex.IgnoreSpace}, 0, lex.FlagUnknownFunction},
		{"without it COUNT is a stored function", "SELECT COUNT (*) FROM a", lex.Mode{}, lex.FlagUnknownFunction, 0},
		{"a function of the other flavour", "SELECT UUID_TO_BIN('x')", lex.Mode{Flavor: lex.FlavorMariaDB}, lex.FlagUnknownFunction, 0},
		{"a function of this flavour", "SELECT UUID_TO_BIN('x')", lex.Mode{Flavor: lex.FlavorMySQL}, 0, lex.FlagUnknownFunction},
		{"of either if unknown", "SELECT UUID_TO_BIN('x')", lex.Mode{}, lex.FlagUnknownFunction, 0},
		{"a column list is no call", "INSERT INTO db.t(a) VALUES (1)", lex.Mode{}, 0, lex.FlagUnknownFunction},
		{"the value behind it may be", "INSERT INTO t(a) VALUES (f())", lex.Mode{}, lex.FlagUnknownFunction, 0},
		{"definitions run nothing", "CREATE TABLE t (a DECIMAL(1,2), KEY k(a))", lex.Mode{}, 0, lex.FlagUnknownFunction},
		{"CREATE TABLE AS SELECT does", "CREATE TABLE t AS SELECT f()", lex.Mode{}, lex.FlagUnknownFunction, 0},
		{"JSON_TABLE's columns", "SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$')) t", lex.Mode{Flavor: lex.FlavorMySQL}, 0, lex.FlagUnknownFunction},
		{"session_track variables", "SET session_track_schema=0", lex.Mode{}, lex.FlagSetTrackVars, 0},
		{"in any notation", "SET @@session.`session_track_gtids` = 'OFF'", lex.Mode{}, lex.FlagSetTrackVars, 0},
		{"behind other items", "SET a=(SELECT 1, 2), session_track_schema=0", lex.Mode{}, lex.FlagSetTrackVars, 0},
		{"GLOBAL is not the session's", "SET GLOBAL sql_mode=''", lex.Mode{}, lex.FlagSetGlobal, lex.FlagSetSQLMode},
		{"@@global likewise", "SET @@global.sql_mode=''", lex.Mode{}, lex.FlagSetGlobal, lex.FlagSetSQLMode},
		{"a quoted variable", "SET `sql_mode`=''", lex.Mode{}, lex.FlagSetSQLMode, 0},
		{"autocommit", "SET @@autocommit=1", lex.Mode{}, lex.FlagSetAutocommit, lex.FlagSysVarRead},
		{"SET CHAR SET", "SET CHAR SET utf8", lex.Mode{}, lex.FlagSetNames, 0},
		{"character_set_client", "SET character_set_client=gbk", lex.Mode{}, lex.FlagSetNames, 0},
		{"READ WRITE", "START TRANSACTION READ WRITE, WITH CONSISTENT SNAPSHOT", lex.Mode{}, lex.FlagReadWriteTrx | lex.FlagConsistentSnapshot, lex.FlagReadOnlyTrx},
		{"an account is no variable", "CREATE USER a@b", lex.Mode{}, 0, lex.FlagUserVarRead},
		{"LOAD DATA into a variable", "LOAD DATA LOCAL INFILE 'x' INTO TABLE t (a, @b)", lex.Mode{}, lex.FlagUserVarWrite | lex.FlagLocalInfile, 0},
		{"hint unknown", "/*sharding=3*/ SELECT 1", lex.Mode{}, lex.FlagUnknownHint, 0},
		{"a hint with a bad argument", "/*max_lag=soon*/ SELECT 1", lex.Mode{}, lex.FlagUnknownHint, 0},
		{"a hint with a good one", "/* MAX_LAG = 2S */ SELECT 1", lex.Mode{}, 0, lex.FlagUnknownHint},
		{"an ordinary comment", "/* ApplicationName=DBeaver 22 */ SELECT 1", lex.Mode{}, 0, lex.FlagUnknownHint},
		{"XML comment in a string", "SELECT '<!-- x -->'", lex.Mode{}, 0, lex.FlagUnterminated},
		{"arrow operators", "SELECT a->'$.x', a->>'$.y' FROM t", lex.Mode{}, 0, lex.FlagUnterminated},
		{"minus minus", "SELECT 1--f()", lex.Mode{}, lex.FlagUnknownFunction, 0},
		{"a placeholder", "SELECT ? FROM t", lex.Mode{}, lex.FlagPlaceholder, 0},
		{"no placeholder in a string", "SELECT '?', `?`, \"?\" /* ? */ FROM t", lex.Mode{}, 0, lex.FlagPlaceholder},
		{"a name that begins with a digit", "SELECT 1f(2)", lex.Mode{}, lex.FlagUnknownFunction, 0},
		{"an exponent", "SELECT 1e+5, 1.5E-3, .5e1, 0xAF, 0b01, 1.", lex.Mode{}, 0, lex.FlagUnknownFunction},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := scan(tc.text, tc.mode)
			if f.Flags&tc.set != tc.set {
				t.Errorf("%s: flags %#x lack %#x", tc.text, f.Flags, tc.set&^f.Flags)
			}
			if f.Flags.Has(tc.clear) {
				t.Errorf("%s: flags %#x have %#x", tc.text, f.Flags, f.Flags&tc.clear)
			}
		})
	}
}

func TestScanNames(t *testing.T) {
	for _, tc := range []struct{ text, schema, created, dropped string }{
		{"USE d2", "d2", "", ""},
		{"USE `d2` ;", "d2", "", ""},
		{"/*!40000 USE d2*/;", "d2", "", ""},
		{"SELECT 1; use D2 -- x", "D2", "", ""},
		{"CREATE TEMPORARY TABLE a (id INT)", "", "a", ""},
		{"CREATE TEMPORARY TABLE IF NOT EXISTS `x`.`y` LIKE z", "", "y", ""},
		{"CREATE OR REPLACE TEMPORARY TABLE a.b AS SELECT 1", "", "b", ""},
		{"CREATE TEMPORARY TABLE status (id INT)", "", "status", ""},
		{"CREATE TABLE a (id INT)", "", "", ""},
		{"DROP TEMPORARY TABLE IF EXISTS a, b.c, `d`", "", "", "a c d"},
		{"DROP TABLE a CASCADE", "", "", "a"},
		{"DROP TABLE a . b, c", "", "", "b c"},
		{"DROP PROCEDURE p", "", "", ""},
	} {
		f := scan(tc.text, lex.Mode{})
		var created, dropped []string
		for i := range f.NumTempCreated() {
			created = append(created, string(f.TempCreated(i)))
		}
		for i := range f.NumTempDropped() {
			dropped = append(dropped, string(f.TempDropped(i)))
		}
		got := fmt.Sprintf("%s|%s|%s", f.Schema(), strings.Join(created, " "), strings.Join(dropped, " "))
		if want := tc.schema + "|" + tc.created + "|" + tc.dropped; got != want {
			t.Errorf("%s: %s, want %s", tc.text, got, want)
		}
	}
	if f := scan("DROP TABLE a, b, c, d, e", lex.Mode{}); !f.Flags.Has(lex.FlagTempOverflow) {
		t.Error("five names do not overflow")
	}
	if f := scan("KILL QUERY 4711", lex.Mode{}); f.KillID != 4711 || !f.Flags.Has(lex.FlagKillQuery) {
		t.Errorf("KILL QUERY: id %d, flags %#x", f.KillID, f.Flags)
	}
}

func TestDigest(t *testing.T) {
	same := [][]string{
		{"SELECT a FROM t WHERE id=1", "select  A from T where ID = 'x' -- c", "SELECT `a` /* c */ FROM `t` WHERE `id` = ?"},
		{"SELECT 1 IN (1,2)", "SELECT 5 IN (1, 2 , 3,NULL)"},
		{"INSERT INTO t VALUES (1,2),(3,4)", "INSERT INTO t VALUES (1,2,3),(3,4,5),(6,7,8)"},
		{"SELECT 'a' 'b'", "SELECT 'ab'"},
		{"SELECT 1 AS x;", "SELECT 2 AS x"},
	}
	seen := map[uint64]string{}
	for _, group := range same {
		text := string(lex.DigestText(nil, []byte(group[0]), lex.Mode{}))
		digest := scan(group[0], lex.Mode{}).Digest
		for _, s := range group[1:] {
			if got := string(lex.DigestText(nil, []byte(s), lex.Mode{})); got != text {
				t.Errorf("%s: %s, want %s", s, got, text)
			}
			if got := scan(s, lex.Mode{}).Digest; got != digest {
				t.Errorf("%s: digest differs from that of %s", s, group[0])
			}
		}
		if other, ok := seen[digest]; ok {
			t.Errorf("%s and %s have one digest", other, text)
		}
		seen[digest] = text
	}
	for _, s := range []string{"SELECT a FROM t", "SELECT a FROM u", "SELECT a, b FROM t", "SELECT a.b FROM t", "SELECT a b FROM t",
		"SELECT (1), (2)", "SELECT 1, (2)", "SELECT f(1), f(2)", "SELECT @a", "SELECT @@a", "SELECT 1 IN (1)", "SELECT -1",
		"SELECT abcdefghijklmnopqrstuvw", "SELECT abcdefghijklmnopqrstuvx", "SELECT abcdefgh", "SELECT abcdefghi"} {
		d := scan(s, lex.Mode{}).Digest
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have one digest", other, s)
		}
		seen[d] = s
	}
}

func TestCallsFunction(t *testing.T) {
	for text, want := range map[string]bool{
		"SELECT SLEEP(1)": true, "SELECT sleep /**/ (1)": true, "SELECT `sleep`(1)": true, "SELECT mysleep(1)": false,
		"SELECT sleep FROM t": false, "SELECT 'sleep(1)'": false, "SELECT 1 -- sleep(1)": false, "SELECT a.sleep(1)": true,
		"SELECT `sleep` FROM t WHERE (1)": false,
	} {
		if got := lex.CallsFunction([]byte(text), lex.Mode{}, "sleep"); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
		if want && scan(text, lex.Mode{}).Calls&lex.FunctionBit("sleep") == 0 {
			t.Errorf("%s: the bit of sleep is not set", text)
		}
	}
}

func TestStringArgument(t *testing.T) {
	for text, want := range map[string]string{
		`PREPARE s FROM 'a''b\n\'c'`: "a'b\n'c",
		`EXECUTE IMMEDIATE "x"`:      "x",
		`PREPARE s FROM @v`:          "",
	} {
		if got := string(lex.StringArgument([]byte(text), lex.Mode{})); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestCharsetByName(t *testing.T) {
	for name, want := range map[string]lex.Charset{
		"utf8mb4": lex.CharsetUTF8, "utf8mb3": lex.CharsetUTF8, "utf8": lex.CharsetUTF8, "latin1": lex.CharsetSingle,
		"gbk": lex.CharsetGBK, "sjis": lex.CharsetSJIS, "cp932": lex.CharsetSJIS, "big5": lex.CharsetBig5,
		"gb18030": lex.CharsetGB18030, "ujis": lex.CharsetSingle, "what": lex.CharsetSingle,
	} {
		if got := lex.CharsetByName(name); got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{
		pointSelect, ormJoin, "SET @a=1, @@session.sql_mode='x'; SELECT 'a\\'b' /*!80000 FOR UPDATE */ -- x",
		"CREATE PROCEDURE p() BEGIN IF 1 THEN SELECT 1; END IF; END", "DROP TEMPORARY TABLE a, `b`.c", "KILL 5", "USE `d`",
		"/*slave@x*/ SELECT /*max_lag=1s*/ 1", "SELECT '\x95\\'", "INSERT INTO t VALUES (1,2),(3,4)", "@@", "/*", "x'", "`",
	} {
		f.Add([]byte(s), uint16(0))
		f.Add([]byte(s), uint16(0xffff))
	}
	f.Fuzz(func(t *testing.T, stmt []byte, bits uint16) {
		mode := modeOf(bits)
		checkShortcuts(t, stmt, mode)
		var a, b lex.Facts
		lex.Scan([]byte("/*slave@x*/ /*max_lag=1s*/ USE x; KILL 5; DROP TABLE a, b, c, d, e; SELECT f()"), mode, &b)
		lex.Scan(stmt, mode, &a)
		lex.Scan(stmt, mode, &b)
		if allFacts(&a) != allFacts(&b) {
			t.Error("a used Facts gives another answer than a fresh one")
		}
		for i := range a.NumTempCreated() {
			a.TempCreated(i)
		}
		for i := range a.NumTempDropped() {
			a.TempDropped(i)
		}
		text := lex.DigestText(nil, stmt, mode)
		if len(text) > 4*len(stmt)+16 {
			t.Errorf("the normalised text has %d bytes, the statement %d", len(text), len(stmt))
		}
		if a.Class == lex.Empty && a.Classes.Has(lex.Select) && a.Statements < 2 {
			t.Error("an empty statement that selects")
		}
	})
}
