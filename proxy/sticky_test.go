package proxy

import (
	"fmt"
	"testing"
	"time"

	"github.com/telamondb/telamon/proxy/session"
)

func TestReadsOfOneUserTakeOneTurnForTheTimeGiven(t *testing.T) {
	sticky := Sticky{By: StickyUser, For: 20 * time.Second}
	a, b := &Session{state: session.State{User: "a"}}, &Session{state: session.State{User: "a"}}
	start := time.Unix(1_700_000_000, 0)
	moves := 0
	last, _ := a.stickyTurn(sticky, start)
	for i := range 600 { // ten minutes
		now := start.Add(time.Duration(i) * time.Second)
		turn, ok := a.stickyTurn(sticky, now)
		if other, _ := b.stickyTurn(sticky, now); !ok || other != turn {
			t.Fatalf("two sessions of a user take turns %d and %d", turn, other)
		}
		if turn != last {
			moves++
			last = turn
		}
	}
	if moves != 29 && moves != 30 {
		t.Errorf("%d moves in 600 s, want one every 20 s", moves)
	}
}

func TestUsersAreSpreadOverTheTurns(t *testing.T) {
	sticky := Sticky{By: StickyUser, For: 20 * time.Second}
	now := time.Now()
	var count [6]int
	for i := range 6000 {
		s := &Session{state: session.State{User: fmt.Sprint("user", i)}}
		turn, _ := s.stickyTurn(sticky, now)
		count[turn%6]++
	}
	for i, n := range count {
		if n < 800 || n > 1200 {
			t.Errorf("turn %d of 6 is taken by %d of 6000 users", i, n)
		}
	}
}

func TestWithoutStickinessASessionTakesItsOwnTurns(t *testing.T) {
	if _, ok := (&Session{}).stickyTurn(Sticky{For: time.Second}, time.Now()); ok {
		t.Error("a turn is given")
	}
}
