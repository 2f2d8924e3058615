package backend

import "time"

// appliedBits is how much of Server.applied is the mark; the rest are the low
// bits of the epoch it belongs to.
const appliedBits = 48

// Applied returns the highest mark (causal.Mark) of which it is known that the
// server has applied everything up to it, 0 when nothing is known in the
// present epoch. What a server has applied it keeps, as long as it is the same
// server: that is what an epoch says.
func (s *Server) Applied() uint64 {
	v := s.applied.Load()
	if v>>appliedBits != s.Epoch()&(1<<(64-appliedBits)-1) {
		return 0
	}
	return v & (1<<appliedBits - 1)
}

// NoteApplied notes that the server has applied everything up to mark, as seen
// through a connection of the given epoch.
func (s *Server) NoteApplied(epoch, mark uint64) {
	next := epoch<<appliedBits | mark&(1<<appliedBits-1)
	for {
		old := s.applied.Load()
		if epoch != s.Epoch() || old>>appliedBits == next>>appliedBits && old >= next {
			return
		}
		if s.applied.CompareAndSwap(old, next) {
			return
		}
	}
}

// behindFor is how long a replica that did not catch up in time is not asked
// again: all reads of that time would wait in vain.
const behindFor = 100 * time.Millisecond

// NoteBehind notes that the server did not catch up while a read waited for it.
func (s *Server) NoteBehind() { s.behindAt.Store(time.Now().UnixNano()) }

// Behind reports whether that was just now.
func (s *Server) Behind() bool {
	at := s.behindAt.Load()
	return at != 0 && time.Since(time.Unix(0, at)) < behindFor
}
