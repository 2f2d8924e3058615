package backend

// schedule is the order of turns for reads: indexes into Topology.States, each
// as often as its weight demands. Taking entry tick % len is the whole balancer.
type schedule []uint16

// maxTurns bounds a schedule. Weights whose sum is larger are scaled down, so
// that a share is exact to 1/maxTurns of all reads, far below 1 %.
const maxTurns = 4096

// newSchedule spreads the servers with weight > 0 evenly: weights[i] is the
// weight of server i. Each server's turn k of w lies in the window
// [k*W/w, (k+1)*W/w) of the W turns; serving the earliest deadline first
// always meets all windows (the load is exactly 1), so that two turns of a
// server are less than 2*W/w+1 apart and its count in any prefix is off by less
// than one turn. The order of equal deadlines is that of the servers.
func newSchedule(weights []int) schedule {
	w, total := reduce(weights)
	if total == 0 {
		return nil
	}
	s := make(schedule, total)
	done := make([]int, len(w))
	for t := range s {
		best, bestEnd := -1, 0
		for i, wi := range w {
			if wi == 0 || done[i]*total/wi > t {
				continue // nothing to do, or its window is not open yet
			}
			end := ((done[i]+1)*total + wi - 1) / wi
			if best < 0 || end < bestEnd {
				best, bestEnd = i, end
			}
		}
		s[t] = uint16(best)
		done[best]++
	}
	return s
}

// reduce returns weights in lowest terms and their sum, at most maxTurns. No
// weight above 0 becomes 0.
func reduce(weights []int) (w []int, total int) {
	w = make([]int, len(weights))
	div := 0
	for i, x := range weights {
		w[i] = max(x, 0)
		div = gcd(w[i], div)
		total += w[i]
	}
	if total == 0 {
		return w, 0
	}
	total /= div
	for i := range w {
		w[i] /= div
	}
	if total <= maxTurns {
		return w, total
	}
	return scale(w, total)
}

// scale shrinks w to a sum of at most maxTurns, rounding down and giving the
// turns left over to the largest remainders.
func scale(w []int, sum int) ([]int, int) {
	rest := make([]int, len(w))
	total := 0
	for i, x := range w {
		rest[i] = x * maxTurns % sum
		w[i] = x * maxTurns / sum
		if x > 0 && w[i] == 0 {
			w[i], rest[i] = 1, 0
		}
		total += w[i]
	}
	for total < maxTurns {
		best := -1
		for i := range rest {
			if rest[i] > 0 && (best < 0 || rest[i] > rest[best]) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		w[best]++
		rest[best] = 0
		total++
	}
	for total > maxTurns { // many tiny weights were rounded up to 1
		largest := 0
		for i := range w {
			if w[i] > w[largest] {
				largest = i
			}
		}
		w[largest]--
		total--
	}
	return w, total
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
