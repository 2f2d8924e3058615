// Package monitor watches the database servers and tells the backend.Store
// what they are fit for. A Prober looks at one server and returns an
// Observation; a Detector, which does no I/O and has no clock, turns the
// sequence of observations into a debounced Verdict; the Monitor runs one
// goroutine per server that connects the two.
package monitor
