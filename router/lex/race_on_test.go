//go:build race

package lex_test

const slowdown = 100
