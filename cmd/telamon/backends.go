package main

import (
	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/conf"
	"github.com/telamondb/telamon/wire"
)

// compressionCapability is what stands for an algorithm in the handshake.
var compressionCapability = map[string]wire.Capability{"zlib": wire.Compress, "zstd": wire.ZstdCompress}

func offeredCompression(algorithms []string) (caps wire.Capability) {
	for _, name := range algorithms {
		caps |= compressionCapability[name]
	}
	return caps
}

// backendCompression says what is wanted of a server. Servers added on the
// console are spoken to without compression.
func backendCompression(cfg *conf.Config) func(*backend.Server) wire.Capability {
	byAddress := map[string]wire.Capability{}
	for _, b := range cfg.Backends {
		byAddress[b.Address] = compressionCapability[b.Compression]
	}
	return func(s *backend.Server) wire.Capability { return byAddress[s.String()] }
}

// backendProxyProtocol says whether a server is told clients' addresses.
func backendProxyProtocol(cfg *conf.Config) func(*backend.Server) bool {
	told := map[string]bool{}
	for _, b := range cfg.Backends {
		told[b.Address] = b.ProxyProtocol
	}
	return func(s *backend.Server) bool { return told[s.String()] }
}
