package lex_test

import (
	"testing"

	"github.com/telamondb/telamon/router/lex"
)

func TestUserLock(t *testing.T) {
	for _, c := range []struct {
		text    string
		call    lex.LockCall
		name    string
		answers bool
	}{
		{"SELECT GET_LOCK('a', 10)", lex.GetLock, "a", true},
		{"/* c */ select get_lock ( \"a b\" , -1.5 ) AS `got`;", lex.GetLock, "a b", true},
		{"SELECT GET_LOCK(?, ?)", lex.GetLock, "", true},
		{"DO GET_LOCK('a', 0)", lex.GetLock, "a", false},
		{"DO RELEASE_LOCK('a')", lex.ReleaseLock, "a", false},
		{"SELECT RELEASE_LOCK('a') x", lex.ReleaseLock, "a", true},
		{"SELECT RELEASE_ALL_LOCKS()", lex.ReleaseAllLocks, "", true},
		{"SELECT GET_LOCK('é', 0)", lex.NoLockCall, "", true},
		{`SELECT GET_LOCK('a\'', 0)`, lex.NoLockCall, "", true},
		{"SELECT GET_LOCK(CONCAT('a', 'b'), 0)", lex.NoLockCall, "", true},
		{"SELECT GET_LOCK('a', 0), GET_LOCK('b', 0)", lex.NoLockCall, "", true},
		{"SELECT GET_LOCK('a', 0) FROM t", lex.NoLockCall, "", true},
		{"SELECT RELEASE_ALL_LOCKS() FROM t WHERE 0", lex.NoLockCall, "", true},
		{"SELECT IF(0, RELEASE_ALL_LOCKS(), 0)", lex.NoLockCall, "", true},
		{"SELECT IS_FREE_LOCK('a')", lex.NoLockCall, "", true},
		{"SELECT 1; SELECT RELEASE_ALL_LOCKS()", lex.NoLockCall, "", true},
		{"/*!99999 SELECT RELEASE_ALL_LOCKS() */", lex.NoLockCall, "", true},
	} {
		var f lex.Facts
		lex.Scan([]byte(c.text), lex.Mode{}, &f)
		got := lex.UserLock(&f)
		if got.Call != c.call || got.Call != lex.NoLockCall && (string(got.Name) != c.name || got.Answers != c.answers) {
			t.Errorf("%s: %d %q %v", c.text, got.Call, got.Name, got.Answers)
		}
	}
}

func TestNamed(t *testing.T) {
	for _, c := range []struct {
		text string
		call lex.NamedCall
		name string
	}{
		{"PREPARE s1 FROM 'SELECT 1'", lex.OpenNamed, "s1"},
		{"prepare `s-1` from @x", lex.OpenNamed, "s-1"},
		{"EXECUTE s1", lex.UseNamed, "s1"},
		{"EXECUTE s1 USING @a, @b", lex.UseNamed, "s1"},
		{"EXECUTE IMMEDIATE 'SELECT 1'", lex.NoNamedCall, ""},
		{"DEALLOCATE PREPARE s1", lex.CloseNamed, "s1"},
		{"DROP PREPARE s1;", lex.CloseNamed, "s1"},
		{"HANDLER a OPEN", lex.OpenNamed, "a"},
		{"HANDLER d.a OPEN AS h", lex.OpenNamed, "h"},
		{"HANDLER d.a OPEN h", lex.OpenNamed, "h"},
		{"HANDLER a READ FIRST", lex.UseNamed, "a"},
		{"HANDLER a CLOSE", lex.CloseNamed, "a"},
		{"HANDLER é OPEN", lex.NoNamedCall, ""},
		{"HANDLER `a``b` OPEN", lex.NoNamedCall, ""},
		{"PREPARE s1 FROM 'SELECT 1'; DEALLOCATE PREPARE s1", lex.NoNamedCall, ""},
		{"/*!40101 DEALLOCATE PREPARE s1 */", lex.NoNamedCall, ""},
		{"SELECT 1", lex.NoNamedCall, ""},
	} {
		var f lex.Facts
		lex.Scan([]byte(c.text), lex.Mode{}, &f)
		if call, name := lex.Named(&f); call != c.call || string(name) != c.name {
			t.Errorf("%s: %d %q", c.text, call, name)
		}
	}
}
