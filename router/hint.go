package router

import "time"

// parseDuration reads the argument of max_lag, which the lexer has found to be
// digits and one of ms, s, m.
func parseDuration(b []byte) time.Duration {
	n, i := time.Duration(0), 0
	for i < len(b) && b[i]-'0' < 10 {
		n = n*10 + time.Duration(b[i]-'0')
		i++
	}
	switch {
	case len(b)-i == 2:
		return n * time.Millisecond
	case b[i]|0x20 == 's':
		return n * time.Second
	}
	return n * time.Minute
}

// parseConsistency reads the argument of consistency, which the lexer has
// found to be off, session or global.
func parseConsistency(b []byte) Consistency {
	switch b[0] | 0x20 {
	case 'o':
		return ConsistencyOff
	case 's':
		return ConsistencySession
	}
	return ConsistencyGlobal
}
