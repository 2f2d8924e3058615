// Package localproxy runs the telamon program as a child process in front of
// servers of internal/localserver, for `telamon demo`, the integration suite and
// the benchmarks.
package localproxy
