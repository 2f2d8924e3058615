package proxy

import "testing"

func TestTheConsistencyOfASessionIsSetByAStatementThatNoServerSees(t *testing.T) {
	r := newRig(t)
	c := r.connect()
	for _, text := range []string{
		"SET @telamon_consistency = 'session'", "set @telamon_consistency:=OFF;", `SET @telamon_consistency="global"`,
		"SET @telamon_consistency = default",
	} {
		c.exec(text)
	}
	if got := r.primary.received("telamon_consistency"); len(got) != 0 {
		t.Errorf("the server got %v", got)
	}
	c.exec("SET @telamon_consistency = 'strict'") // not one of them: a user variable like any
	if got := r.primary.received("telamon_consistency"); len(got) != 1 {
		t.Errorf("the server got %v", got)
	}
}
