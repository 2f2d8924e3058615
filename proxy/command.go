package proxy

import (
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// wholeCommand is the largest command that is read completely before it is
// looked at. Longer ones are judged by their beginning, sent to the primary,
// and streamed.
const wholeCommand = 256 << 10

// maxCommand is the size of a command that no server takes: the largest
// max_allowed_packet there is (manual, both flavours).
const maxCommand = 1 << 30

// command is a request of the client. Its bytes lie in the client's read
// buffer, which nobody touches until the command is finished.
type command struct {
	code wire.Command
	// packet is the request with its header, payload what follows the header;
	// of a streamed one, the part that has arrived.
	packet, payload []byte
	// textAt is where the statement begins in payload (COM_QUERY).
	textAt int
	// size is the number of bytes to discard from the buffer at the end.
	size int
	// streamed: more of it follows on the connection, left bytes of the first
	// physical packet and, if that is one of MaxPayload, further packets.
	streamed bool
	left     int
	full     bool // the first physical packet has MaxPayload bytes
	// total is the size of the payload, of a streamed command as far as it has
	// been announced; limit is the size a streamed one must not reach.
	total, limit int
	// last is the sequence id of the last physical packet read of it: the
	// answer begins with the one after.
	last byte
}

// readCommand waits for a request. The buffer then starts with it.
func (s *Session) readCommand() error {
	for {
		b := s.client.Buffered()
		if len(b) >= wire.HeaderSize {
			n := wire.PacketLen(b)
			if s.client.Framed() {
				b[3] = 0
			}
			if b[3] != 0 {
				s.client.Seq = b[3] + 1
				return wire.ErrSequence
			}
			end := wire.HeaderSize + n
			switch {
			case n == 0:
				s.cmd = command{code: wire.ComSleep, packet: b[:end], size: end}
				return nil
			case len(b) >= end && n < wire.MaxPayload:
				s.cmd = command{code: wire.Command(b[4]), packet: b[:end], payload: b[wire.HeaderSize:end], size: end}
				return nil
			case len(b) >= wholeCommand:
				have := min(len(b), end)
				s.cmd = command{
					code: wire.Command(b[4]), packet: b[:have], payload: b[wire.HeaderSize:have], size: have,
					streamed: true, left: end - have, full: n == wire.MaxPayload, total: n, limit: maxCommand,
				}
				return nil
			case len(b) >= wire.ReadSize:
				s.client.Grow(min(end, wholeCommand))
			}
		}
		if err := s.client.Fill(); err != nil {
			return err
		}
	}
}

// dispatch carries the command out. An error ends the session.
func (s *Session) dispatch() error {
	switch s.cmd.code {
	case wire.ComQuery:
		return s.query()
	case wire.ComStmtExecute:
		return s.stmtExecute()
	case wire.ComStmtPrepare:
		return s.stmtPrepare()
	case wire.ComStmtClose:
		return s.stmtClose()
	case wire.ComStmtReset:
		return s.stmtReset()
	case wire.ComStmtFetch:
		return s.stmtFetch()
	case wire.ComStmtSendLongData:
		return s.stmtSendLongData()
	case wire.ComStmtBulkExecute:
		if s.state.Mode.Flavor == lex.FlavorMariaDB {
			return s.stmtBulkExecute()
		}
	case wire.ComPing:
		return s.answerOK()
	case wire.ComInitDB:
		return s.initDB()
	case wire.ComQuit:
		return errEnd
	case wire.ComChangeUser:
		return s.changeUser()
	case wire.ComResetConnection:
		return s.resetConnection()
	case wire.ComSetOption:
		return s.setOption()
	case wire.ComFieldList:
		return s.passToPrimary(wire.ResponseFields)
	case wire.ComStatistics:
		return s.passToPrimary(wire.ResponseString)
	case wire.ComProcessInfo:
		return s.passToPrimary(wire.ResponseQuery)
	case wire.ComProcessKill:
		return s.processKill()
	case wire.ComDebug, wire.ComRefresh:
		return s.passToPrimary(wire.ResponseOK)
	case wire.ComShutdown:
		return s.shutdown()
	case wire.ComBinlogDump, wire.ComBinlogDumpGTID, wire.ComRegisterSlave:
		return s.answerError(wire.NewErr(wire.CodeUnknownCommand,
			"Telamon does not serve replicas and readers of the binary log: connect them to a server"))
	}
	return s.answerError(wire.NewErr(wire.CodeUnknownCommand, "Unknown command"))
}

// shutdown refuses COM_SHUTDOWN in the words the servers have for those who may
// not: which server is to go is not for a client to find out afterwards. MySQL 9
// does not know the command at all.
func (s *Session) shutdown() error {
	if s.state.Mode.Flavor == lex.FlavorMySQL {
		return s.answerError(wire.NewErr(wire.CodeUnknownCommand, "Unknown command"))
	}
	return s.answerError(wire.NewErr(wire.CodeSpecificAccessDenied,
		"Access denied; you need (at least one of) the SHUTDOWN privilege(s) for this operation"))
}

// answerMalformed answers a command that is too short.
func (s *Session) answerMalformed() error {
	text := "Malformed communication packet"
	if s.state.Mode.Flavor == lex.FlavorMySQL {
		text += "."
	}
	return s.answerError(wire.NewErr(wire.CodeMalformedPacket, "%s", text))
}

// passToPrimary forwards a command without statement text.
func (s *Session) passToPrimary(kind wire.ResponseKind) error {
	s.facts = lex.Facts{}
	s.decision = router.Decision{Target: s.state.TransactionOn}
	return s.carry(kind, false)
}
