package router

import (
	"bytes"
	"time"
)

// parseDuration reads the argument of max_lag: digits and one of ms, s, m.
func parseDuration(b []byte) (time.Duration, bool) {
	n, i := time.Duration(0), 0
	for i < len(b) && b[i]-'0' < 10 && n < 1<<40 {
		n = n*10 + time.Duration(b[i]-'0')
		i++
	}
	if i == 0 {
		return 0, false
	}
	switch string(bytes.TrimSpace(b[i:])) {
	case "ms", "MS":
		return n * time.Millisecond, true
	case "s", "S":
		return n * time.Second, true
	case "m", "M":
		return n * time.Minute, true
	}
	return 0, false
}

// parseConsistency reads the argument of consistency.
func parseConsistency(b []byte) (Consistency, bool) {
	for c, name := range [...]string{ConsistencyOff: "off", ConsistencySession: "session", ConsistencyGlobal: "global"} {
		if name != "" && bytes.EqualFold(b, []byte(name)) {
			return Consistency(c), true
		}
	}
	return ConsistencyDefault, false
}
