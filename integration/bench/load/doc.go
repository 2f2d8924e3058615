// Package load puts statements on a server and measures what comes back: a MySQL
// client that costs as little as it can (packets built beforehand, answers
// followed by their headers only), an event loop that drives many of them from
// one thread, and a latency histogram.
//
// Every answer is checked: number of rows, checksum of their bytes, affected
// rows, transaction flag and packet sequence. A wrong one ends the run.
package load
