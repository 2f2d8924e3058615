package proxy

import (
	"encoding/binary"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire"
)

// turnedAway reports whether the server's answer is that it is shutting down,
// and the statement a read that somebody else can answer. The packet is then not
// for the client. It is not where the error is final, such as for a write: the
// server's own words are passed on.
func (s *Session) turnedAway(c *pool.Conn) bool {
	const errHeader = wire.HeaderSize + 3
	b := c.Wire.Buffered()
	if len(b) < errHeader || b[wire.HeaderSize] != 0xff ||
		binary.LittleEndian.Uint16(b[wire.HeaderSize+1:]) != wire.CodeServerShutdown {
		return false
	}
	return c != s.pinned && s.mayRepeat(&lostError{server: c.Server})
}
