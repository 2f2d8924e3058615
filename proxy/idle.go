package proxy

import (
	"math"
	"strconv"
	"time"
)

// noteWaitTimeout takes over the client's own wait_timeout: it ends the client's
// connection, not only the server's, which the client would not notice.
func (s *Session) noteWaitTimeout() {
	limit := uint32(0)
	if value, ok := s.state.Profile.Value("wait_timeout"); ok {
		if seconds, err := strconv.ParseUint(value, 10, 32); err == nil {
			limit = uint32(min(seconds*uint64(time.Second/tick), math.MaxUint32))
		}
	}
	if s.idleLimit.Load() != limit {
		s.idleLimit.Store(limit)
	}
}
