package account

import "time"

// What wrong offers cost. A client that offers more than this is refused
// without being tried, so that nobody can guess passwords faster through Telamon
// than at a server, or keep servers busy with it. Offers that prove right, and
// what is known, cost nothing.
const (
	// burstUser wrong offers of one user by one client are tried at once, then
	// one a second.
	burstUser = 10
	rateUser  = 1
	// burstClient is the same for all users of one client.
	burstClient = 100
	rateClient  = 20

	// maxBuckets bounds the memory of the limiter. A client alone cannot reach
	// it; where thousands of them guess, some get a little more than their share.
	maxBuckets = 10_000
)

// limiter counts wrong offers. The zero value is ready.
type limiter struct {
	buckets map[bucketKey]*bucket
}

// bucketKey is a client and a user, or a client alone.
type bucketKey struct{ client, user string }

// bucket holds what may be spent, as of a time.
type bucket struct {
	tokens float64
	at     time.Time
	burst  float64
	rate   float64
}

func (b *bucket) fill(now time.Time) {
	b.tokens = min(b.burst, b.tokens+b.rate*now.Sub(b.at).Seconds())
	b.at = now
}

// take pays for an offer and reports whether it may be tried.
func (l *limiter) take(user, client string, now time.Time) bool {
	all := l.bucket(bucketKey{client: client}, burstClient, rateClient, now)
	if all.tokens < 1 {
		return false
	}
	one := l.bucket(bucketKey{client, "u" + user}, burstUser, rateUser, now)
	if one.tokens < 1 {
		return false
	}
	all.tokens--
	one.tokens--
	return true
}

// giveBack undoes take.
func (l *limiter) giveBack(user, client string) {
	for _, key := range [...]bucketKey{{client: client}, {client, "u" + user}} {
		if b := l.buckets[key]; b != nil {
			b.tokens = min(b.burst, b.tokens+1)
		}
	}
}

// bucket returns a bucket as it is now.
func (l *limiter) bucket(key bucketKey, burst, rate float64, now time.Time) *bucket {
	b := l.buckets[key]
	if b != nil {
		b.fill(now)
		return b
	}
	if l.buckets == nil {
		l.buckets = map[bucketKey]*bucket{}
	}
	for other := range l.buckets {
		if len(l.buckets) < maxBuckets {
			break
		}
		delete(l.buckets, other)
	}
	b = &bucket{tokens: burst, at: now, burst: burst, rate: rate}
	l.buckets[key] = b
	return b
}
