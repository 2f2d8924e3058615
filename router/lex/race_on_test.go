//go:build race

package lex_test

// The race detector has nothing to find in 16 MiB that is not in one.
const (
	worstCase = 1 << 20
	slowdown  = 100
)
