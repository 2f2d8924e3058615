package proxy

import (
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/proxy/session"
	"github.com/telamondb/telamon/wire"
)

// malformedAttributes is MySQL's answer to a COM_QUERY whose attributes cannot
// be read; only MySQL has them.
var malformedAttributes = wire.NewErr(wire.CodeMalformedPacket, "Malformed communication packet.")

// queryText returns the statement of a COM_QUERY, without the attributes that a
// client with CLIENT_QUERY_ATTRIBUTES puts before it. ok is false if they are
// malformed. Attributes so long that the text has not arrived leave it empty,
// to be judged as what it is: the beginning of something.
func (s *Session) queryText() (text []byte, ok bool) {
	s.cmd.textAt = 1
	if s.caps.Has(wire.QueryAttributes) {
		at, err := wire.QueryText(s.cmd.payload)
		if err != nil {
			at = len(s.cmd.payload)
		}
		if s.cmd.textAt = at; err != nil && !s.cmd.streamed {
			return nil, false
		}
	}
	return s.cmd.payload[s.cmd.textAt:], true
}

// errAttributes refuses what would take splitting all the packets anew.
var errAttributes = &wire.Err{Code: wire.CodeUnknown, State: stateGeneral, Message: "Telamon: the statement of 16 MiB or more " +
	"has query attributes, which its server does not know"}

// request returns the command as c understands it: without query attributes for
// a server that came to the others later and is too old for them.
func (s *Session) request(c *pool.Conn) ([]byte, error) {
	if s.cmd.code != wire.ComQuery || !s.caps.Has(wire.QueryAttributes) || c.Caps.Has(wire.QueryAttributes) {
		return s.cmd.packet, nil
	}
	text := s.cmd.payload[s.cmd.textAt:]
	if s.cmd.full || s.cmd.streamed && len(text) == 0 {
		return nil, &refusedError{errAttributes}
	}
	n := 1 + len(text) + s.cmd.left
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, byte(wire.ComQuery)}, text...), nil
}

func (s *Session) parseExecute(params uint16) (session.Execute, bool) {
	if s.cmd.code == wire.ComStmtBulkExecute {
		return session.ParseBulk(s.cmd.payload, params)
	}
	if s.caps.Has(wire.QueryAttributes) {
		return session.ParseNamedExecute(s.cmd.payload, params)
	}
	return session.ParseExecute(s.cmd.payload, params)
}
