package causal

import (
	"math/rand/v2"
	"sync"
	"testing"
)

const (
	u1 = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	u2 = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
)

func TestReportsAreMergedIntoTheSetToWaitFor(t *testing.T) {
	for name, c := range map[string]struct {
		reports []string
		want    string
	}{
		"one MySQL transaction":                           {[]string{u1 + ":5"}, u1 + ":5"},
		"consecutive ones grow together":                  {[]string{u1 + ":5", u1 + ":6", u1 + ":7"}, u1 + ":5-7"},
		"a gap of concurrent commits closes":              {[]string{u1 + ":5", u1 + ":7", u1 + ":6"}, u1 + ":5-7"},
		"a gap stays as long as it is one":                {[]string{u1 + ":5", u1 + ":9"}, u1 + ":5:9"},
		"repeated and overlapping reports change nothing": {[]string{u1 + ":5-9", u1 + ":7", u1 + ":1-6"}, u1 + ":1-9"},
		"two servers are kept apart":                      {[]string{u1 + ":5", u2 + ":1", u1 + ":6"}, u1 + ":5-6," + u2 + ":1"},
		"a whole gtid_executed with line breaks":          {[]string{u1 + ":1-5:7,\n" + u2 + ":1-3"}, u1 + ":1-5:7," + u2 + ":1-3"},
		"tags of MySQL 8.3 are sources of their own":      {[]string{u1 + ":1-2:blue:4:6-7", u1 + ":blue:5"}, u1 + ":1-2," + u1 + ":blue:4-7"},
		"one MariaDB transaction":                         {[]string{"0-1-8"}, "0-1-8"},
		"the highest of a domain counts":                  {[]string{"0-1-8", "0-1-10", "0-1-9"}, "0-1-10"},
		"domains are kept apart":                          {[]string{"0-1-8", "7-2-3", "0-1-9"}, "0-1-9,7-2-3"},
		"a new primary goes on in its name":               {[]string{"0-1-8", "0-2-9"}, "0-2-9"},
	} {
		t.Run(name, func(t *testing.T) {
			var l Log
			for i, r := range c.reports {
				if m := l.Wrote([]byte(r)); m != Mark(i+1) || l.Mark() != m {
					t.Errorf("mark %d after report %d", m, i+1)
				}
			}
			got, at, ok := l.Wait(nil)
			if string(got) != c.want || at != Mark(len(c.reports)) || !ok {
				t.Errorf("got %q at %d (%v), want %q", got, at, ok, c.want)
			}
		})
	}
}

func TestAReportThatCannotBeReadMakesReadsStayOnThePrimary(t *testing.T) {
	for _, bad := range []string{"nonsense", u1 + ":", u1 + ":0", u1 + ":7-5", "0-1", "0-1-x", u1 + ":99999999999999999999"} {
		var l Log
		l.Wrote([]byte(u1 + ":1"))
		l.Wrote([]byte(bad))
		if set, _, ok := l.Wait(nil); ok {
			t.Errorf("%q: wait for %q", bad, set)
		}
		l.Restart([]byte(u1 + ":1-9"))
		if _, at, ok := l.Wait(nil); !ok || at != 3 {
			t.Errorf("%q: after Restart mark %d, %v", bad, at, ok)
		}
	}
}

func TestAWriteWithoutGTIDCannotBeWaitedFor(t *testing.T) {
	var l Log
	if m := l.WroteBlind(); m != 1 {
		t.Errorf("mark %d", m)
	}
	if _, _, ok := l.Wait(nil); ok {
		t.Error("somebody would wait")
	}
}

func TestRestartForgetsWhatTheNewPrimaryLacks(t *testing.T) {
	var l Log
	l.Wrote([]byte(u1 + ":1-100"))
	l.Restart([]byte(u1 + ":1-99," + u2 + ":1"))
	got, at, ok := l.Wait(nil)
	if want := u1 + ":1-99," + u2 + ":1"; string(got) != want || at != 2 || !ok {
		t.Errorf("got %q at %d", got, at)
	}
}

func TestRestartKeepsWhatWasWrittenWhileThePrimaryWasAsked(t *testing.T) {
	var l Log
	l.Wrote([]byte(u1 + ":1-100"))
	l.WroteBlind()
	l.Collect()
	l.Wrote([]byte(u2 + ":8"))
	l.Restart([]byte(u1 + ":1-99," + u2 + ":1-7"))
	l.Wrote([]byte(u2 + ":9"))
	got, at, ok := l.Wait(nil)
	if want := u2 + ":1-9," + u1 + ":1-99"; string(got) != want || at != 5 || !ok {
		t.Errorf("got %q at %d (%v), want %q", got, at, ok, want)
	}
	l.Restart([]byte(u1 + ":1-99")) // Collect counts for one Restart
	if got, _, _ := l.Wait(nil); string(got) != u1+":1-99" {
		t.Errorf("got %q", got)
	}
}

func TestAWriteThatCannotBeWaitedForOutlivesARestartThatMayNotCoverIt(t *testing.T) {
	var l Log
	l.Collect()
	l.WroteBlind()
	if l.Restart([]byte(u1 + ":1")); !l.Blind() {
		t.Error("forgotten")
	}
	l.Collect()
	if l.Restart([]byte(u1 + ":1")); l.Blind() {
		t.Error("remembered although the primary was asked after it")
	}
}

func TestIntervalsAgreeWithABitmap(t *testing.T) {
	for range 300 {
		var src source
		var bits [200]bool
		for range 40 {
			first := 1 + rand.Uint64N(150)
			last := first + rand.Uint64N(10)
			src.add(interval{first, last})
			for i := first; i <= last; i++ {
				bits[i] = true
			}
			var got [200]bool
			prev := uint64(0)
			for _, iv := range src.intervals {
				if iv.first <= prev+1 && prev > 0 {
					t.Fatalf("intervals touch: %v", src.intervals)
				}
				prev = iv.last
				for i := iv.first; i <= iv.last; i++ {
					got[i] = true
				}
			}
			if got != bits {
				t.Fatalf("%v is not what was added", src.intervals)
			}
		}
	}
}

func TestManyGapsAreBoundedAndNothingWrittenIsForgotten(t *testing.T) {
	var src source
	for i := uint64(1); i < 1000; i += 2 {
		src.add(interval{i, i})
	}
	if len(src.intervals) > maxIntervals {
		t.Errorf("%d intervals", len(src.intervals))
	}
	if src.intervals[0].first != 1 || src.intervals[len(src.intervals)-1].last != 999 {
		t.Errorf("%v", src.intervals)
	}
}

func TestMarksAreUniqueUnderConcurrency(t *testing.T) {
	var l Log
	var wg sync.WaitGroup
	seen := make([]map[Mark]bool, 8)
	for g := range seen {
		seen[g] = map[Mark]bool{}
		wg.Go(func() {
			for range 1000 {
				seen[g][l.Wrote([]byte("0-1-5"))] = true
			}
		})
	}
	wg.Wait()
	all := map[Mark]bool{}
	for _, s := range seen {
		for m := range s {
			all[m] = true
		}
	}
	if len(all) != 8000 || l.Mark() != 8000 {
		t.Errorf("%d marks, last %d", len(all), l.Mark())
	}
}

func FuzzWrote(f *testing.F) {
	for _, s := range []string{u1 + ":1-5:7:blue:3", "0-1-8,1-2-3", ":", "-", ",", u1 + ":1-"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var l Log
		before := string(b)
		l.Wrote(b)
		if string(b) != before {
			t.Error("input changed")
		}
		set, _, ok := l.Wait(nil)
		if !ok {
			return
		}
		var again Log
		again.Wrote(set)
		if twice, _, ok := again.Wait(nil); !ok || string(twice) != string(set) {
			t.Errorf("%q reads back as %q", set, twice)
		}
	})
}

func BenchmarkWrote(b *testing.B) {
	var l Log
	b.ReportAllocs()
	for b.Loop() {
		l.Wrote([]byte("0-1-8"))
	}
}

func TestAPositionIsComparedWithTheRecord(t *testing.T) {
	for name, c := range map[string]struct {
		written, position string
		reached           bool // the position has all that was written
		new               bool // it has something that was not
	}{
		"the same":                              {u1 + ":1-5", u1 + ":1-5", true, false},
		"more of the same source":               {u1 + ":3-5", u1 + ":1-9", true, true},
		"less":                                  {u1 + ":1-5", u1 + ":1-4", false, false},
		"a gap in the position":                 {u1 + ":1-5", u1 + ":1-2:4-9", false, true},
		"a gap in the record":                   {u1 + ":1-2:4", u1 + ":1-9", true, true},
		"another source":                        {u1 + ":1-5", u1 + ":1-5," + u2 + ":1", true, true},
		"nothing":                               {u1 + ":1", "", false, false},
		"nothing written":                       {"", u1 + ":1", true, true},
		"the same of MariaDB":                   {"0-1-8", "0-1-8", true, false},
		"more of MariaDB, by another server":    {"0-1-8", "0-2-9", true, true},
		"less of MariaDB":                       {"0-1-8", "0-1-7", false, false},
		"another domain of MariaDB":             {"0-1-8", "0-1-8,7-1-1", true, true},
		"a domain of MariaDB that is not there": {"0-1-8,7-1-1", "0-1-8", false, false},
		"the other flavour":                     {u1 + ":1", "0-1-8", false, true},
		"something unreadable":                  {u1 + ":1", "?", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			var l Log
			l.Wrote([]byte(c.written))
			before := l.Mark()
			if at, ok := l.Reached([]byte(c.position)); ok != c.reached || ok && at != before {
				t.Errorf("reached %v at %d, want %v at %d", ok, at, c.reached, before)
			}
			if m := l.Saw([]byte(c.position)); m != l.Mark() || (m > before) != c.new {
				t.Errorf("seeing it moves the mark from %d to %d", before, m)
			}
			if !c.reached || c.position == "" {
				return
			}
			if at, ok := l.Reached([]byte(c.position)); !ok || at != l.Mark() {
				t.Errorf("after it was seen: reached %v at %d", ok, at)
			}
		})
	}
	var blind Log
	blind.WroteBlind()
	if _, ok := blind.Reached([]byte(u1 + ":1-9")); ok {
		t.Error("a write of which nothing is known is in a position")
	}
}
