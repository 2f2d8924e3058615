// Command bench measures what a proxy costs. It starts a near-free backend, the
// proxies and a load generator as processes of their own, drives the same
// statements through each in turn, and reports throughput, latency, the proxy's
// CPU time per statement and its memory per idle client, next to direct access
// and to HAProxy in TCP mode in the same run. docs/benchmarks.md says how to
// read the figures.
package main
