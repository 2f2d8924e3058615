package proxy

import (
	"strings"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// offered are the capabilities clients may use whatever the servers are: those
// that every server has and Telamon can carry. See offers for the others.
const offered = wire.FoundRows | wire.LongFlag | wire.ConnectWithDB | wire.NoSchema |
	wire.ODBC | wire.LocalFiles | wire.IgnoreSpace | wire.Protocol41 | wire.Interactive | wire.IgnoreSigpipe |
	wire.Transactions | wire.Reserved | wire.SecureConnection | wire.MultiStatements | wire.MultiResults |
	wire.PSMultiResults | wire.PluginAuth | wire.ConnectAttrs | wire.PluginAuthLenenc | wire.DeprecateEOF | wire.SessionTrack

// greeting makes the first packet, which looks like the primary's.
func (s *Session) greeting(cfg *Config) wire.HandshakeV10 {
	s.salt = auth.NewSalt()
	version, plugin := cfg.ServerVersion, auth.NativePassword
	if st := s.anyServer(); st != nil && st.Version != "" {
		if version == "" {
			version = greetingVersion(st)
		}
		if st.Flavor == backend.MySQL && !strings.HasPrefix(st.Version, "5.") {
			plugin = auth.CachingSHA2
		}
	}
	if version == "" {
		version = "5.7.0-telamon"
	}
	capabilities := s.offers() | s.compressions(cfg)
	if cfg.TLS.Config != nil {
		capabilities |= wire.SSL
	}
	return wire.HandshakeV10{
		ServerVersion: version, ConnectionID: s.id, Salt: s.salt, Capabilities: capabilities,
		Collation: defaultCollation, Status: wire.Autocommit, AuthPlugin: plugin,
	}
}

// greetingVersion is the version as the server itself greets: MariaDB up to
// 10.x puts "5.5.5-" in front of it.
func greetingVersion(st *backend.State) string {
	if st.Flavor == backend.MariaDB && strings.HasPrefix(st.Version, "10.") {
		return "5.5.5-" + st.Version
	}
	return st.Version
}
