package proxy

import (
	"hash/maphash"
	"time"
)

// StickyBy says whose reads stay together.
type StickyBy uint8

// The choices.
const (
	StickyNone StickyBy = iota
	StickyClientIP
	StickyUser
)

// Sticky is routing.sticky: reads of the same client address or user go to the
// same replica for a time, all sessions together. The time runs in windows of
// For that begin at a moment of their own for each client, so that they do not
// all move at once. A replica that stops serving is left at once.
type Sticky struct {
	By  StickyBy
	For time.Duration
}

var stickySeed = maphash.MakeSeed()

// stickyTurn returns the turn of the balancer that the session takes, and false
// if it takes its own turns.
func (s *Session) stickyTurn(sticky Sticky, now time.Time) (uint32, bool) {
	var key string
	switch sticky.By {
	case StickyClientIP:
		key = s.host()
	case StickyUser:
		key = s.state.User
	default:
		return 0, false
	}
	h := maphash.String(stickySeed, key)
	length := uint64(max(sticky.For, time.Second))
	window := (uint64(now.UnixNano()) + h%length) / length
	return uint32(maphash.Comparable(stickySeed, [2]uint64{h, window})), true
}
