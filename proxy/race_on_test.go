//go:build race

package proxy

// raceEnabled: the race detector allocates, and makes sync.Pool forget.
const raceEnabled = true
