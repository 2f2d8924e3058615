package causal

import (
	"sync"
	"sync/atomic"
)

// Mark numbers the writes acknowledged so far. Marks only grow; the zero Mark
// stands for nothing written.
type Mark uint64

// Log collects acknowledged writes. It is safe for concurrent use; reading the
// current mark takes no lock.
type Log struct {
	mark atomic.Uint64

	mu      sync.Mutex
	written set
	// blind: there was a write whose GTID is not known, so that no replica can
	// be known to have all.
	blind bool
	// since is what was written since Collect, nil before it.
	since      *set
	sinceBlind bool
}

// Mark returns the mark of the last write.
func (l *Log) Mark() Mark { return Mark(l.mark.Load()) }

// Wrote notes a write by the GTIDs its server reports. It must be called before
// the client can learn that the write succeeded. gtids is not kept.
func (l *Log) Wrote(gtids []byte) Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := Mark(l.mark.Load() + 1)
	if !l.written.add(gtids) {
		l.blind, l.sinceBlind = true, true
	}
	if l.since != nil {
		l.since.add(gtids)
	}
	l.mark.Store(uint64(m))
	return m
}

// WroteBlind notes a write whose GTID is not known, because the server keeps
// none.
func (l *Log) WroteBlind() Mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := Mark(l.mark.Load() + 1)
	l.blind, l.sinceBlind = true, true
	l.mark.Store(uint64(m))
	return m
}

// Saw notes that somebody has seen the primary at a position: whatever is in it
// is waited for from now on as if it had been written through the proxy. It
// returns the mark that covers it.
func (l *Log) Saw(position []byte) Mark {
	l.mu.Lock()
	covered := !l.blind && l.written.within(position, true)
	m := Mark(l.mark.Load())
	l.mu.Unlock()
	if covered {
		return m
	}
	return l.Wrote(position)
}

// Reached reports whether a server at a position has everything on record, and
// up to which mark that is.
func (l *Log) Reached(position []byte) (at Mark, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.blind || !l.written.within(position, false) {
		return 0, false
	}
	return Mark(l.mark.Load()), true
}

// Blind reports whether a write is on record that cannot be waited for.
func (l *Log) Blind() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.blind
}

// Collect notes what is written from now on, for Restart. The primary is to be
// asked what it has after this.
func (l *Log) Collect() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.since, l.sinceBlind = &set{}, false
}

// Restart begins anew with what the primary has said to have, when asked after
// Collect, and with what has been written since Collect. All else is forgotten:
// what a primary before it wrote and it lacks is lost, and nobody should wait for
// it. Marks go on.
func (l *Log) Restart(gtids []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := Mark(l.mark.Load() + 1)
	l.written, l.blind = set{}, false
	if l.since != nil {
		l.written, l.blind = *l.since, l.sinceBlind
	}
	l.since = nil
	if !l.written.add(gtids) {
		l.blind = true
	}
	l.mark.Store(uint64(m))
}

// Wait appends what a replica has to have applied to be at the mark returned,
// the current one. ok is false if that cannot be said: reads then belong on
// the primary.
func (l *Log) Wait(dst []byte) (gtids []byte, at Mark, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.blind {
		return dst, 0, false
	}
	return l.written.append(dst), Mark(l.mark.Load()), true
}
