//go:build !race

package lex_test

const (
	worstCase = 16 << 20 // bytes
	slowdown  = 10
)
