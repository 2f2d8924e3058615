package session

import (
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire"
)

// heldStep is a statement, what it answers, and whether the pin is there then.
type heldStep struct {
	sql    string
	answer Answer
	code   uint16
	pinned bool
}

func playHeld(t *testing.T, pin router.PinSet, steps []heldStep) {
	t.Helper()
	s := fresh(utf8mb4, "", 0)
	for _, st := range steps {
		out := Outcome{Status: wire.Autocommit, StatusSeen: st.code == 0, ErrCode: st.code, Answer: st.answer}
		run(t, s, st.sql, nil, out)
		if got := s.Pins.Has(pin); got != st.pinned {
			t.Errorf("after %s: pinned %v, want %v", st.sql, got, st.pinned)
		}
	}
}

func TestThePinOfUserLocksEndsWithTheLastOne(t *testing.T) {
	const yes, no = AnswerYes, AnswerNo
	for name, steps := range map[string][]heldStep{
		"one lock":                  {{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT RELEASE_LOCK('a')", yes, 0, false}},
		"one that was not got":      {{"SELECT GET_LOCK('a',1)", no, 0, false}, {"SELECT RELEASE_LOCK('a')", no, 0, false}},
		"a deadlock":                {{"SELECT GET_LOCK('a',1)", 0, 3058, false}},
		"an error that may be late": {{"SELECT GET_LOCK('a',1)", 0, 1317, true}, {"SELECT RELEASE_ALL_LOCKS()", no, 0, false}},
		"twice the same": {
			{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT GET_LOCK('a',1)", yes, 0, true},
			{"SELECT RELEASE_LOCK('a')", yes, 0, true}, {"SELECT RELEASE_LOCK('a')", yes, 0, false},
		},
		"a second that was not got keeps nothing": {
			{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT GET_LOCK('b',0)", no, 0, true}, {"SELECT RELEASE_LOCK('a')", yes, 0, false},
		},
		"another lock stays": {
			{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT GET_LOCK('b',1)", yes, 0, true},
			{"SELECT RELEASE_LOCK('a')", yes, 0, true}, {"SELECT RELEASE_LOCK('a')", no, 0, true}, {"SELECT RELEASE_LOCK('b')", yes, 0, false},
		},
		"names in parameters": {{"SELECT GET_LOCK(?,?)", yes, 0, true}, {"SELECT RELEASE_LOCK(?)", yes, 0, false}},
		"a release that failed": {
			{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT RELEASE_LOCK('a')", 0, 1317, true},
		},
		"DO does not answer: the name counts": {
			{"DO GET_LOCK('a',1)", 0, 0, true}, {"DO RELEASE_LOCK('b')", 0, 0, true}, {"DO RELEASE_LOCK('a')", 0, 0, false},
		},
		"DO of a name that another spelling has released": {
			{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT GET_LOCK('b',1)", yes, 0, true},
			{"SELECT RELEASE_LOCK('A')", yes, 0, true}, {"DO RELEASE_LOCK('a')", 0, 0, true}, {"DO RELEASE_ALL_LOCKS()", 0, 0, false},
		},
		"in a larger statement": {
			{"SELECT IF(GET_LOCK('a',1), 1, 0)", yes, 0, true}, {"SELECT RELEASE_LOCK('a')", yes, 0, true}, {"SELECT RELEASE_ALL_LOCKS()", yes, 0, false},
		},
		"a release that perhaps does not run": {
			{"SELECT GET_LOCK('a',1)", yes, 0, true}, {"SELECT RELEASE_ALL_LOCKS() FROM t", yes, 0, true}, {"SELECT IS_FREE_LOCK('a')", no, 0, true},
		},
	} {
		t.Run(name, func(t *testing.T) { playHeld(t, router.PinUserLocks, steps) })
	}
}

func TestThePinOfPreparedTextEndsWithTheLastOne(t *testing.T) {
	for name, steps := range map[string][]heldStep{
		"one": {{"PREPARE s FROM 'SELECT 1'", 0, 0, true}, {"EXECUTE s", 0, 0, true}, {"DEALLOCATE PREPARE s", 0, 0, false}},
		"two": {
			{"PREPARE s FROM 'SELECT 1'", 0, 0, true}, {"PREPARE t FROM 'SELECT 1'", 0, 0, true},
			{"DROP PREPARE s", 0, 0, true}, {"DEALLOCATE PREPARE t", 0, 0, false},
		},
		"one that failed":       {{"PREPARE s FROM 'SELEC 1'", 0, 1064, false}},
		"twice the same is one": {{"PREPARE s FROM 'SELECT 1'", 0, 0, true}, {"PREPARE s FROM 'SELECT 2'", 0, 0, true}, {"DEALLOCATE PREPARE s", 0, 0, false}},
		"one that does not exist": {
			{"PREPARE s FROM 'SELECT 1'", 0, 0, true}, {"DEALLOCATE PREPARE t", 0, 1243, true}, {"DEALLOCATE PREPARE s", 0, 1243, false},
		},
		"in one packet": {{"PREPARE s FROM 'SELECT 1'; DEALLOCATE PREPARE s", 0, 0, true}, {"DEALLOCATE PREPARE s", 0, 0, true}},
	} {
		t.Run(name, func(t *testing.T) { playHeld(t, router.PinSQLPrepared, steps) })
	}
}

func TestAnExecutionIsOpaqueUnlessItsTextIsKnown(t *testing.T) {
	for text, opaque := range map[string]bool{
		"'SELECT v FROM a WHERE id = ?'": false,
		"'INSERT INTO a VALUES (?)'":     false,
		"'SELECT @x := 1'":               true,
		"'SELECT f1()'":                  true,
		"'CALL p()'":                     true,
		"'SET time_zone=?'":              true,
		`'SELECT "a"'`:                   true, // ANSI_QUOTES decides what that is
		"@text":                          true,
	} {
		playHeld(t, router.PinOpaque, []heldStep{
			{"PREPARE s FROM " + text, 0, 0, false}, {"EXECUTE s", 0, 0, opaque},
		})
	}
	playHeld(t, router.PinOpaque, []heldStep{{"EXECUTE s", 0, 0, true}})
	playHeld(t, router.PinOpaque, []heldStep{
		{"PREPARE s FROM 'SELECT 1'", 0, 0, false}, {"PREPARE s FROM 'CALL p()'", 0, 0, false}, {"EXECUTE s", 0, 0, true},
	})
}

func TestThePinOfHandlersEndsWithTheLastOne(t *testing.T) {
	for name, steps := range map[string][]heldStep{
		"one":             {{"HANDLER a OPEN", 0, 0, true}, {"HANDLER a READ FIRST", 0, 0, true}, {"HANDLER a CLOSE", 0, 0, false}},
		"by another name": {{"HANDLER d.a OPEN AS h", 0, 0, true}, {"HANDLER a CLOSE", 0, 1109, true}, {"HANDLER h CLOSE", 0, 0, false}},
		"one that failed": {{"HANDLER a OPEN", 0, 1146, false}},
		"odd names":       {{"HANDLER `a``b` OPEN", 0, 0, true}, {"HANDLER `a``b` CLOSE", 0, 0, true}},
	} {
		t.Run(name, func(t *testing.T) { playHeld(t, router.PinHandler, steps) })
	}
}
