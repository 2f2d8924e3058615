// Package backoff waits longer and longer between attempts that fail.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff doubles from a first delay up to a limit, with jitter. It is not
// safe for concurrent use.
type Backoff struct{ first, limit, next time.Duration }

// New returns a Backoff; first and limit are positive.
func New(first, limit time.Duration) *Backoff {
	return &Backoff{first: first, limit: limit, next: first}
}

// Reset starts over after a success.
func (b *Backoff) Reset() { b.next = b.first }

// Next returns the delay before the next attempt: between half of the nominal
// one and all of it, so that many who failed together do not come back together.
func (b *Backoff) Next() time.Duration {
	d := b.next
	b.next = min(2*b.next, b.limit)
	return d/2 + rand.N(d/2+1)
}

// Sleep waits for Next, or until ctx ends, whose error it then returns.
func (b *Backoff) Sleep(ctx context.Context) error {
	t := time.NewTimer(b.Next())
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
