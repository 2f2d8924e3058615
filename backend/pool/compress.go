package pool

import (
	"net"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/compress"
)

// compression returns the capability that stands for the compression wanted of
// a server.
func (d *Dialer) compression(server *backend.Server) wire.Capability {
	if d.Compression == nil {
		return 0
	}
	return d.Compression(server)
}

// compress makes everything go through frames if that has been agreed on: it
// begins behind the OK of the login.
func (c *Conn) compress() {
	algorithm, ok := compress.Negotiated(c.Caps)
	if !ok {
		return
	}
	c.Wire.PushFrames(func(below net.Conn) wire.Frames {
		return compress.Client(below, algorithm)
	})
}
