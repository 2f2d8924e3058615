package proxy

import (
	"net"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/compress"
)

// compressions are the capabilities for compression that clients are offered:
// those of the configuration that a server like the primary has. MariaDB knows
// nothing of zstd.
func (s *Session) compressions(cfg *Config) wire.Capability {
	if st := s.anyServer(); st != nil && st.Flavor == backend.MariaDB {
		return cfg.Compression &^ wire.ZstdCompress
	}
	return cfg.Compression
}

// agreeOnCompression leaves one algorithm in the session's capabilities. A
// client that has both gets zlib, whatever its level for zstd is, as from MySQL
// 9.7.
func (s *Session) agreeOnCompression(hello *wire.HandshakeResponse) *wire.Err {
	switch {
	case s.caps.Has(wire.Compress):
		s.caps &^= wire.ZstdCompress
	case s.caps.Has(wire.ZstdCompress) && (hello.ZstdLevel < compress.MinZstdLevel || hello.ZstdLevel > compress.MaxZstdLevel):
		return wire.NewErr(wire.CodeCompressionLevel, "Invalid zstd compression level for algorithm 'zstd'.")
	}
	return nil
}

// compress makes everything after the OK of the login go through frames, until
// the session ends: neither COM_CHANGE_USER nor COM_RESET_CONNECTION ends it.
func (s *Session) compress() {
	algorithm, ok := compress.Negotiated(s.caps)
	if !ok {
		return
	}
	s.client.PushFrames(func(below net.Conn) wire.Frames {
		return compress.Server(below, algorithm)
	})
}
