package lex_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/telamondb/telamon/router/lex"
)

// run reads short names by itself; word and quoted must come to the same facts.
func TestShortNamesAreNothingSpecial(t *testing.T) {
	pieces := []string{
		"a", "id", "sbtest1", "created_at", "a_name_of_more_than_16_bytes", "$x", "x'41'", "N'x'", "_utf8'x'", "é", "aé", "1a", "12",
		"1.5", "1e5", ".", "..", "`a`", "`b`.`c`", "`sys`.`x`", "`a``b`", "`get_lock`", "``", "`é`", "mysql.user", "s.nextval", "`", "'",
		"'x'", "'it''s'", `'a\'b'`, `"`, `"q"`, "(", ")", ",", ", ", "=", "<=", "||", ":=", "@x", "@@x", "?", "-", "--", "-- ", "#", "\n",
		"/*", "*/", "/*!", "/* c */", ";", "NULL", "TRUE", "DEFAULT", "\xa0", "\x95\x5c", "\x00", "\\",
	}
	words := lex.Words()
	r := rand.New(rand.NewPCG(4, 4))
	n := 100_000
	if testing.Short() {
		n /= 10
	}
	for range n {
		var b strings.Builder
		b.WriteString([]string{"SELECT ", "UPDATE t SET ", "INSERT INTO t ", "SET ", "WITH ", "EXPLAIN ", "SHOW ", "CREATE ", "DROP TABLE ", "USE ", ""}[r.IntN(11)])
		for range r.IntN(20) {
			if r.IntN(3) == 0 {
				b.WriteString(words[r.IntN(len(words))])
			} else {
				b.WriteString(pieces[r.IntN(len(pieces))])
			}
			if r.IntN(2) == 0 {
				b.WriteByte(' ')
			}
		}
		bits := r.Uint32()
		checkShortcuts(t, []byte(b.String()), modeOf(uint16(bits)))
	}
}

func modeOf(bits uint16) lex.Mode {
	return lex.Mode{
		Charset: lex.Charset(bits & 7 % 6), Flavor: lex.Flavor(bits >> 3 & 3 % 3), SQLMode: lex.SQLMode(bits >> 5 & 15),
	}
}

func checkShortcuts(t *testing.T, stmt []byte, mode lex.Mode) {
	t.Helper()
	var quick, careful lex.Facts
	lex.Scan(stmt, mode, &quick)
	lex.ScanCarefully(stmt, mode, &careful)
	if a, b := allFacts(&quick), allFacts(&careful); a != b {
		t.Errorf("%q\n\tshortcuts make %s\n\tout of         %s", stmt, a, b)
	}
}

// allFacts lists what can be asked of a Facts.
func allFacts(f *lex.Facts) string {
	var temp []string
	for i := range f.NumTempCreated() {
		temp = append(temp, "+"+string(f.TempCreated(i)))
	}
	for i := range f.NumTempDropped() {
		temp = append(temp, "-"+string(f.TempDropped(i)))
	}
	return fmt.Sprintf("flags %x classes %x digest %x calls %x kill %d statements %d vars %d class %v inner %v show %d hint %q schema %q temp %q",
		uint64(f.Flags), uint64(f.Classes), f.Digest, f.Calls, f.KillID, f.Statements, f.SetVars, f.Class, f.Inner, f.Show, f.Hint, f.Schema(), temp)
}
