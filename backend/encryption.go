package backend

import "crypto/tls"

// Encryption says how connections to a server are encrypted. The zero value
// means not at all. It is immutable.
type Encryption struct {
	// Config is the client's side of TLS, nil for none.
	Config *tls.Config
	// Optional: a server that does not offer TLS is used without it. Otherwise
	// it is told nothing, and not used.
	Optional bool
}
