package pool

import (
	"testing"

	"github.com/telamondb/telamon/wire/wiretest"
)

// What a session pays for every statement that leaves no state.
func BenchmarkParkUnpark(b *testing.B) {
	c := newRig(b, newFake(b, wiretest.Options{}).Addr(), 1).acquire(1, plain)
	b.ReportAllocs()
	for b.Loop() {
		if !c.Park() {
			b.Fatal("not parked")
		}
		if ok, _ := c.Unpark(); !ok {
			b.Fatal("lost")
		}
	}
}

// What a session pays that has lost its connection and finds one in its state.
func BenchmarkAcquireReleaseSameProfile(b *testing.B) {
	r := newRig(b, newFake(b, wiretest.Options{}).Addr(), 1)
	p := (&Profile{Schema: "shop", Collation: 45}).With("sql_mode", "ANSI")
	req := Request{Owner: 1, Login: testLogin, Profile: p}
	b.ReportAllocs()
	for b.Loop() {
		c, err := r.pool.Acquire(b.Context(), &req)
		if err != nil {
			b.Fatal(err)
		}
		c.Release()
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	r := newRig(t, newFake(t, wiretest.Options{}).Addr(), 1)
	c := r.acquire(1, plain)
	if n := testing.AllocsPerRun(100, func() {
		c.Park()
		_, _ = c.Unpark()
	}); n != 0 {
		t.Errorf("Park and Unpark: %v allocations", n)
	}
}
