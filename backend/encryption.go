package backend

import (
	"crypto/tls"
	"time"
)

// Encryption says how connections to a server are encrypted. The zero value
// means not at all. It is immutable.
type Encryption struct {
	// Config is the client's side of TLS, nil for none.
	Config *tls.Config
	// Optional: a server that does not offer TLS is used without it. Otherwise
	// it is told nothing, and not used.
	Optional bool
}

// NoteCertificate remembers when the certificate ends that the server has shown.
func (s *Server) NoteCertificate(end time.Time) { s.certEnd.Store(end.Unix()) }

// CertificateEnd is when the certificate ends that the server has shown last,
// the zero time if it has shown none.
func (s *Server) CertificateEnd() time.Time {
	if end := s.certEnd.Load(); end != 0 {
		return time.Unix(end, 0)
	}
	return time.Time{}
}
