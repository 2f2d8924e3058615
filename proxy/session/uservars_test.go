package session

import (
	"strings"
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
)

func TestUserVariablesSetToLiteralsArePartOfTheProfile(t *testing.T) {
	done := Outcome{Status: wire.Autocommit, StatusSeen: true}
	for name, c := range map[string]struct {
		texts []string
		want  string
	}{
		"numbers as they are written": {[]string{"SET @a=7, @b = -1.50, @C=1e3"}, "@`a`=7;@`b`=-1.50;@`c`=1e3"},
		"strings with their collation": {
			[]string{"SET @a='x'"}, "@`a`=_utf8mb4 X'78' COLLATE utf8mb4_general_ci",
		},
		"a string that is not ASCII":   {[]string{"SET @a='é'"}, "@`a`=_utf8mb4 X'c3a9' COLLATE utf8mb4_general_ci"},
		"the last value":               {[]string{"SET @a=1", "SET @A=2"}, "@`a`=2"},
		"NULL with the type before it": {[]string{"SET @a=1.5", "SET @a=NULL", "SET @a=NULL"}, "@`a`=1.5,@`a`=NULL"},
		"NULL alone":                   {[]string{"SET @a=NULL"}, "@`a`=NULL"},
		"a value after NULL":           {[]string{"SET @a=1", "SET @a=NULL", "SET @a=2"}, "@`a`=2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			for _, text := range c.texts {
				run(t, s, text, nil, done)
			}
			var sets []string
			for _, v := range s.Profile.UserVars {
				sets = append(sets, v.Set)
			}
			if got := strings.Join(sets, ";"); got != c.want || !s.Releasable() {
				t.Errorf("got %q, releasable %v, want %q", got, s.Releasable(), c.want)
			}
		})
	}
}

func TestUserVariablesThatCannotBeCarriedPin(t *testing.T) {
	done := Outcome{Status: wire.Autocommit, StatusSeen: true}
	for name, texts := range map[string][]string{
		"a long string":             {"SET @a='" + strings.Repeat("x", maxUserValue+1) + "'"},
		"bytes that are not UTF-8":  {"SET @a='\xff'"},
		"too many":                  {manyAssignments(maxUserVars + 1)},
		"an expression":             {"SET @a=1, @b=@a+1"},
		"assigned inside of others": {"SELECT @a:=1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			for _, text := range texts {
				run(t, s, text, nil, done)
			}
			if !s.Pins.Has(router.PinUserVariables) || len(s.Profile.UserVars) > 0 {
				t.Errorf("pins %q, variables %v", s.Pins, s.Profile.UserVars)
			}
		})
	}
	t.Run("a string whose collation is not known", func(t *testing.T) {
		s := fresh(utf8mb4, "", 0)
		run(t, s, "SET NAMES latin1", variable("character_set_connection", "latin1"), done)
		run(t, s, "SET @a='x'", nil, done)
		if !s.Pins.Has(router.PinUserVariables) {
			t.Error("not pinned")
		}
	})
}

func manyAssignments(n int) string {
	var list []string
	for i := range n {
		list = append(list, "@v"+strings.Repeat("x", i)+"=1")
	}
	return "SET " + strings.Join(list, ",")
}
