package backend

import (
	"math/rand/v2"
	"testing"
)

// dumbSchedule serves, at every turn, the server whose next turn must be over
// earliest, computed with fractions instead of rounded windows.
func dumbSchedule(weights []int) []int {
	total := 0
	for _, w := range weights {
		total += w
	}
	done := make([]int, len(weights))
	var out []int
	for t := range total {
		best := -1
		for i, w := range weights {
			if w == 0 || floorDiv(done[i]*total, w) > t {
				continue
			}
			if best < 0 || ceilDiv((done[i]+1)*total, w) < ceilDiv((done[best]+1)*total, weights[best]) {
				best = i
			}
		}
		out = append(out, best)
		done[best]++
	}
	return out
}

func floorDiv(a, b int) int { return a / b }

func ceilDiv(a, b int) int {
	if a%b == 0 {
		return a / b
	}
	return a/b + 1
}

func TestAScheduleOfSmallWeightsIsThatOfTheDumbTwin(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		weights := randomWeights(rng, 12)
		w, _ := reduce(weights)
		got, want := newSchedule(weights), dumbSchedule(w)
		if len(got) != len(want) {
			t.Fatalf("weights %v: %d turns, want %d", weights, len(got), len(want))
		}
		for i := range want {
			if int(got[i]) != want[i] {
				t.Fatalf("weights %v: turn %d is %d, want %d", weights, i, got[i], want[i])
			}
		}
	}
}

func TestAScheduleIsProportionalAndInterleavedForAnyWeights(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		weights := randomWeights(rng, MaxWeight)
		s := newSchedule(weights)
		sum := 0
		for _, w := range weights {
			sum += w
		}
		if sum == 0 {
			if len(s) != 0 {
				t.Fatalf("weights %v: a schedule of %d turns", weights, len(s))
			}
			continue
		}
		if len(s) == 0 || len(s) > maxTurns {
			t.Fatalf("weights %v: %d turns", weights, len(s))
		}
		for i, w := range weights {
			checkTurns(t, weights, s, i, float64(w)/float64(sum))
		}
	}
}

// checkTurns checks one server's share of s, its largest gap (cyclic) and that
// it is never more than a turn ahead or behind.
func checkTurns(t *testing.T, weights []int, s schedule, server int, share float64) {
	t.Helper()
	var at []int
	turns := countOf(s, server)
	for turn, who := range s {
		if int(who) == server {
			at = append(at, turn)
		}
		due := float64(turn+1) * float64(turns) / float64(len(s))
		if ahead := float64(len(at)) - due; ahead >= 1.000001 || ahead <= -1.000001 {
			t.Fatalf("weights %v: server %d is %.2f turns ahead at turn %d", weights, server, ahead, turn)
		}
	}
	if got := float64(len(at)) / float64(len(s)); got < share-0.01 || got > share+0.01 {
		t.Fatalf("weights %v: server %d has %.4f of the turns, want %.4f", weights, server, got, share)
	}
	if share == 0 {
		return
	}
	if len(at) == 0 {
		t.Fatalf("weights %v: server %d has no turn", weights, server)
	}
	limit := 2*len(s)/len(at) + 1
	for i := range at {
		next := at[(i+1)%len(at)]
		if i+1 == len(at) {
			next += len(s)
		}
		if gap := next - at[i]; gap > limit {
			t.Fatalf("weights %v: server %d waits %d turns, limit %d", weights, server, gap, limit)
		}
	}
}

func countOf(s schedule, server int) (n int) {
	for _, who := range s {
		if int(who) == server {
			n++
		}
	}
	return n
}

func randomWeights(rng *rand.Rand, limit int) []int {
	weights := make([]int, 1+rng.IntN(8))
	for i := range weights {
		weights[i] = rng.IntN(limit + 1)
	}
	return weights
}

func TestReadableSchedules(t *testing.T) {
	for _, c := range []struct {
		name    string
		weights []int
		want    string
	}{
		{"equal weights alternate, however large", []int{500, 500}, "ab"},
		{"one to five", []int{1, 5}, "bbbbab"},
		{"weight zero has no turn", []int{0, 1, 0}, "b"},
		{"no weights, no turns", []int{0, 0}, ""},
		{"three servers", []int{3, 2, 1}, "ababac"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := ""
			for _, who := range newSchedule(c.weights) {
				got += string(rune('a' + who))
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
