package load

import (
	"encoding/json"
	"fmt"
	"math/bits"
	"time"
)

// subBits is the number of bits a bucket resolves below the leading one: 64
// buckets per power of two, an error of at most 1.6 %.
const subBits = 6

// buckets covers all of int64.
const buckets = (64 - subBits) << subBits

// Histogram counts durations in log-linear buckets. The zero value is empty and
// ready; it is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
}

// Add counts one duration; negative ones count as zero.
func (h *Histogram) Add(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)))]++
	h.total++
}

// Count is the number of durations added.
func (h *Histogram) Count() uint64 { return h.total }

// Merge adds all of other.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
}

// Quantile returns a duration that the share q (0 to 1) of all durations does
// not exceed: the upper end of the bucket it falls into. It is 0 for an empty
// histogram.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(q*float64(h.total)+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return time.Duration(upperBound(i))
		}
	}
	return time.Duration(upperBound(buckets - 1))
}

// bucketOf maps v below 2^(subBits+1) to itself and anything above to the
// leading subBits+1 bits and their position.
func bucketOf(v uint64) int {
	shift := bits.Len64(v) - subBits - 1
	if shift <= 0 {
		return int(v)
	}
	return shift<<subBits + int(v>>shift)
}

func upperBound(bucket int) uint64 {
	if bucket < 2<<subBits {
		return uint64(bucket)
	}
	shift := bucket>>subBits - 1
	lead := uint64(bucket - shift<<subBits)
	return (lead+1)<<shift - 1
}

// MarshalJSON writes the buckets in use as [index, count] pairs.
func (h *Histogram) MarshalJSON() ([]byte, error) {
	pairs := [][2]uint64{}
	for i, n := range h.counts {
		if n > 0 {
			pairs = append(pairs, [2]uint64{uint64(i), n})
		}
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads what MarshalJSON wrote, replacing the contents.
func (h *Histogram) UnmarshalJSON(text []byte) error {
	var pairs [][2]uint64
	if err := json.Unmarshal(text, &pairs); err != nil {
		return fmt.Errorf("histogram: %w", err)
	}
	*h = Histogram{}
	for _, p := range pairs {
		if p[0] >= buckets {
			return fmt.Errorf("histogram: bucket %d of %d", p[0], buckets)
		}
		h.counts[p[0]] += p[1]
		h.total += p[1]
	}
	return nil
}
