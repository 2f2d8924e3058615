package lex_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/telamondb/telamon/router/lex"
)

// items renders what SetItems finds: "@name kind value" for user variables.
func items(text string, mode lex.Mode) (list string, ok bool) {
	var f lex.Facts
	lex.Scan([]byte(text), mode, &f)
	var found []string
	ok = lex.SetItems(&f, func(item lex.SetItem) {
		s := string(item.Name)
		if item.User {
			kind := [...]string{"?", "null", "number", "string"}[item.Literal]
			s = fmt.Sprintf("@%s %s %s", s, kind, item.Value)
		}
		if item.Global {
			s += " global"
		}
		found = append(found, s)
	})
	return strings.Join(found, "; "), ok
}

func TestSetItems(t *testing.T) {
	for _, c := range []struct {
		text, want string
		mode       lex.Mode
	}{
		{text: "SET @a=1", want: "@a number 1"},
		{text: " /* c */ set @A := -1.50e+3 ;", want: "@A number -1.50e+3"},
		{text: "SET @a=.5, @b=5., @c=TRUE, @d=Null, @e=+7", want: "@a number .5; @b number 5.; @c number TRUE; @d null Null; @e number +7"},
		{text: `SET @a='x y', @b="it's"`, want: "@a string x y; @b string it's"},
		{text: "SET @`a.b`='', @c.d=18446744073709551616", want: "@a.b string ; @c.d number 18446744073709551616"},
		{text: "SET @a='é'", want: "@a string é"},
		{text: "SET time_zone='+00:00', @a=1, sql_mode=''", want: "time_zone; @a number 1; sql_mode"},
		{text: "SET SESSION time_zone='x,y', GLOBAL a=1, @@session.b=(1,2), @@GLOBAL . c=3, @@d=DEFAULT, LOCAL e=1",
			want: "time_zone; a global; b; c global; d; e"},
		{text: "SET NAMES utf8mb4 COLLATE utf8mb4_bin, @@`sql_mode`='a', character_set_results = NULL", want: "sql_mode; character_set_results"},
		{text: "SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE", want: ""},
		{text: "SET sql_mode=CONCAT(@@sql_mode,',STRICT_TRANS_TABLES'), wait_timeout=28800", want: "sql_mode; wait_timeout"},
		{text: "SET @a=1+1, @b=f(2), @c=x'41', @d=0x41, @e=- 1", want: "@a ? ; @b ? ; @c ? ; @d ? ; @e ? "},
		{text: `SET @a='x' 'y', @b='x''y', @c=N'x', @d=_latin1'x', @e='x' COLLATE utf8mb4_bin`, want: "@a ? ; @b ? ; @c ? ; @d ? ; @e ? "},
		{text: "SET @a=b'1', @b=DATE '2020-01-01', @c=NULL + 1, @d=1 /* c */", want: "@a ? ; @b ? ; @c ? ; @d number 1"},
		{text: `SET @a="x"`, mode: lex.Mode{SQLMode: lex.ANSIQuotes}, want: "@a ? "},
	} {
		if got, ok := items(c.text, c.mode); !ok || got != c.want {
			t.Errorf("%s: %q, %v, want %q", c.text, got, ok, c.want)
		}
	}
}

func TestSetItemsRefusesWhatMayAssignMore(t *testing.T) {
	for _, text := range []string{
		"SET @a=(@b:=1)", "SET time_zone=(@a:=1)", "SET @a=@b:=2", "SET @'a'=1", "SET @é=1", "SET @a=1; SET @b=2",
		"SET @a=1; SELECT 1", "/*!40101 SET @a=1 */", "SET @a=1 /*! , @b=f() */", "SET @a=1 -- x\n, @b=2", "SET @a=1 # x",
		"SET @a='x", "SET @a=?", "SET STATEMENT max_statement_time=1 FOR SET @a=1", "SELECT @a:=1", "SET @a", "SET", "SET ,", "SET @a=1,",
		`SET @a='\'', @b=1`, "BEGIN NOT ATOMIC SET @a=1; END",
	} {
		if got, ok := items(text, lex.Mode{}); ok {
			t.Errorf("%s: read as %q", text, got)
		}
	}
	if got, ok := items("SET @a='\x95', @b=1", lex.Mode{Charset: lex.CharsetGBK}); ok {
		t.Errorf("a lead byte before a quote: read as %q", got)
	}
}

func TestPlainAssignmentsAreAFact(t *testing.T) {
	for text, want := range map[string]bool{
		"SET @a=1":                    true,
		"SET @a='x', time_zone='UTC'": true,
		"SET NAMES utf8mb4, @a=1":     true,
		"SET NAMES utf8mb4, @a='x'":   false, // in which collation?
		"SET @a=1, @b=@a":             false,
		"SET time_zone='UTC'":         false,
		"SET time_zone=@a":            false,
		"SELECT @a:=1":                false,
	} {
		var f lex.Facts
		lex.Scan([]byte(text), lex.Mode{}, &f)
		if got := f.Flags.Has(lex.FlagPlainAssign); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// FuzzSetItems checks that what is taken for a list of assignments is made of
// nothing but them: the same statement put together from the items has them again.
func FuzzSetItems(f *testing.F) {
	f.Add("SET @a=1, @b='x', time_zone='UTC', @c=NULL")
	f.Add("SET @`a b`=-1.5e3 , @@session.x=(1,'2')")
	f.Fuzz(func(t *testing.T, text string) {
		var facts lex.Facts
		lex.Scan([]byte(text), lex.Mode{}, &facts)
		if !facts.Flags.Has(lex.FlagPlainAssign) {
			return
		}
		var parts []string
		lex.SetItems(&facts, func(item lex.SetItem) {
			value := string(item.Value)
			if item.Literal == lex.StringLiteral {
				if strings.ContainsAny(value, `\`) {
					t.Errorf("%q: escape in %q", text, value)
				}
				value = "'" + strings.ReplaceAll(value, "'", "") + "'"
			}
			if item.User {
				parts = append(parts, "@`"+string(item.Name)+"`="+value)
			}
		})
		again := "SET " + strings.Join(parts, ",")
		lex.Scan([]byte(again), lex.Mode{}, &facts)
		n := 0
		if ok := lex.SetItems(&facts, func(lex.SetItem) { n++ }); !ok || n != len(parts) {
			t.Errorf("%q: put together %q, read as %d items, %v", text, again, n, ok)
		}
	})
}

func TestAllSetItems(t *testing.T) {
	for _, c := range []struct {
		text, want string
		ok         bool
	}{
		{"SET a=1; SET SESSION b = DEFAULT , @@c='x;y' ;", "a b c", true},
		{"SET a = (SELECT 1; SET b=2", "", false},
		{"SET SQL_AUTO_IS_NULL = 0; SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "SQL_AUTO_IS_NULL", true},
		{"SET a=1; SELECT 1", "", false},
		{"SELECT 1; SET a=1", "", false},
		{"SET a=1; SET @b:=2; SET c=f(1)", "a @b c", true},
		{"SET sql_mode='ANSI_QUOTES'; SET a=1", "", false},
		{"SET NAMES gbk; SET a=1", "", false},
		{"SET a=1; /*!50000 SET b=1 */", "", false},
		{"SET a=1", "a", true},
	} {
		var f lex.Facts
		lex.Scan([]byte(c.text), lex.Mode{}, &f)
		var names []string
		ok := lex.AllSetItems(&f, func(item lex.SetItem) {
			at := ""
			if item.User {
				at = "@"
			}
			names = append(names, at+string(item.Name))
		})
		if got := strings.Join(names, " "); ok != c.ok || got != c.want {
			t.Errorf("%s: %q, %v; want %q, %v", c.text, got, ok, c.want, c.ok)
		}
	}
}

// FuzzAllSetItems: what is read to the end has no fewer assignments of system
// variables than the scanner has counted. (It has more where a variable is set
// for the next transaction.)
func FuzzAllSetItems(f *testing.F) {
	f.Add("SET a=1; SET SESSION b = DEFAULT , @@c='x;y', @d=2 ;")
	f.Add("SET a=(SELECT ';'); /* c */ SET TRANSACTION READ ONLY, ISOLATION LEVEL SERIALIZABLE;SET GLOBAL x=f(1,2)")
	f.Fuzz(func(t *testing.T, text string) {
		var facts lex.Facts
		lex.Scan([]byte(text), lex.Mode{}, &facts)
		n := 0
		ok := lex.AllSetItems(&facts, func(item lex.SetItem) {
			if len(item.Name) == 0 {
				t.Errorf("%q: no name", text)
			}
			if !item.User && !item.Global {
				n++
			}
		})
		if ok && n < facts.SetVars {
			t.Errorf("%q: %d assignments, the scanner has counted %d", text, n, facts.SetVars)
		}
	})
}
