// Package admin is what operators look at and steer with: the SQL console,
// the HTTP port with status page, API and metrics, and nothing of the proxy
// itself.
//
// It sees the rest of the program through the small interfaces of deps.go,
// spoken in plain values; the command adapts them to the running parts. Both
// the console and the HTTP port render the same tables.
package admin
