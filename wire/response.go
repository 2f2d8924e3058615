package wire

import (
	"errors"
	"fmt"
)

// ResponseKind is the grammar a server's answer follows; it depends on the command.
type ResponseKind uint8

// The kinds, protocol doc "Command Phase".
const (
	// ResponseNone: the command has no answer (COM_STMT_CLOSE, COM_STMT_SEND_LONG_DATA, COM_QUIT).
	ResponseNone ResponseKind = iota
	// ResponseQuery: any number of OK packets and result sets, or LOCAL INFILE
	// requests (COM_QUERY, COM_STMT_EXECUTE, COM_PROCESS_INFO).
	ResponseQuery
	// ResponsePrepare: COM_STMT_PREPARE_OK and definitions.
	ResponsePrepare
	// ResponseFields: column definitions up to an EOF (COM_FIELD_LIST).
	ResponseFields
	// ResponseRows: rows up to an EOF (COM_STMT_FETCH).
	ResponseRows
	// ResponseOK: one OK, EOF or ERR packet.
	ResponseOK
	// ResponseString: one packet without structure, or ERR (COM_STATISTICS).
	ResponseString
)

// Op says what the caller of Response.Step is to do next.
type Op uint8

// Operations. N is the count that Step returned with them.
const (
	// OpMore: the bytes given end within something that has to be seen whole. Read more and step again.
	OpMore Op = iota
	// OpForward: send the first N bytes on to the client as they are now.
	OpForward
	// OpReplace: drop the first N bytes and send Packet() instead (which may be empty).
	OpReplace
	// OpInfile: send the first N bytes on; the server then expects a file from
	// the client. Pass that on, call InfileSent, and step again.
	OpInfile
	// OpFail: the server broke the protocol; Err says how. Nothing more can be read from it.
	OpFail
)

type phase uint8

const (
	phaseFirst   phase = iota // OK, ERR, LOCAL INFILE, column count or COM_STMT_PREPARE_OK
	phaseColumns              // left column definitions to come
	phaseParams               // left parameter definitions to come (prepare)
	phaseMetaEOF              // the EOF after column or parameter definitions
	phaseRows
	phaseInfile // waiting for InfileSent
	phaseDone
)

// SessionObserver is told of session state changes that a server reports
// inside OK packets. The block aliases the read buffer: it is valid during the call.
type SessionObserver interface {
	SessionChanges(block []byte)
}

// Response follows one server response packet by packet, without copying rows
// and without keeping any of it: it sees packet headers, definitions' count,
// OK, EOF and ERR packets. While doing so it translates between what the
// server speaks and what the client understands: sequence ids, the form of
// definitions and whether they are there, progress reports, the EOF packets
// that CLIENT_DEPRECATE_EOF leaves out, and the session state that only
// CLIENT_SESSION_TRACK knows.
//
// It neither blocks nor allocates in the usual case; the zero value is ready for Begin.
type Response struct {
	server, client Capability
	kind           ResponseKind
	phase          phase
	started        bool // a packet has been seen
	metaDue        bool // the client is owed an EOF after the definitions just passed
	afterParams    bool // prepare: column definitions follow once parameters are through
	continued      bool // the next physical packet continues a payload of MaxPayload
	foretold       bool // the client has been told of OUT parameters before them
	hashing        bool // the payload being passed belongs into Metadata
	seqIn, seqOut  byte
	left           uint64 // definitions still to come
	skip           int    // payload bytes of the current physical packet still to pass
	metaStatus     Status // of the server's EOF after the definitions of this result set

	observer SessionObserver
	scratch  []byte
	visible  []byte // what the client sees of a block of session changes

	// View selects what a client with SessionTrack sees of session changes;
	// nil is everything. It is only read.
	View *TrackView
	// PreparedID replaces the statement id in a COM_STMT_PREPARE answer.
	PreparedID uint32
	// KeepRow asks for a copy of the first row, see Row. Set it after Begin.
	KeepRow bool
	row     [keptRow]byte
	rowLen  uint8
	// Call says that the statement is a CALL and nothing else: every result set
	// is followed by another result. MySQL says that the server is MySQL, which
	// tells that of OUT parameters only in the EOF before them.
	Call, MySQL bool
	// Definitions are the packets of column definitions that the client does
	// not have, for a server that leaves them out (MariaDBCacheMetadata). They
	// are only read.
	Definitions []byte

	// What the response said so far; final once Done.

	Status       Status // of the last OK or EOF packet; the one given to Begin until then
	StatusSeen   bool   // whether such a packet came
	AffectedRows uint64 // of the last OK packet
	LastInsertID uint64 // of the last OK packet with one
	Warnings     uint16
	ErrCode      uint16 // of the ERR packet that ended it, 0 when none
	Rows         uint64
	ResultSets   int
	StatementID  uint32 // COM_STMT_PREPARE: the server's own id
	Columns      uint16 // COM_STMT_PREPARE
	Params       uint16 // COM_STMT_PREPARE
	// Metadata is a hash of the column definitions that were sent to the client
	// last, 0 when there were none; only of a server with MariaDBCacheMetadata.
	Metadata uint64
	err      error
}

var errShortPacket = errors.New("packet is too short")

// sessionStatus are the flags that describe the session, not one statement. An
// inserted EOF carries these alone: what the statement at hand will set is not
// known before its end.
const sessionStatus = InTrans | Autocommit | NoBackslashEscapes | InTransReadOnly

// Begin starts following a new response of the given kind. server and client
// are what the two connections negotiated, status is the session's status so
// far (an inserted EOF repeats the flags that last), observer may be nil.
func (r *Response) Begin(kind ResponseKind, server, client Capability, status Status, observer SessionObserver) {
	*r = Response{
		server: server, client: client, kind: kind, observer: observer,
		seqIn: 1, seqOut: 1, Status: status & sessionStatus,
		scratch: r.scratch[:0], visible: r.visible[:0],
	}
	switch kind {
	case ResponseNone:
		r.phase = phaseDone
	case ResponseRows:
		r.phase = phaseRows
	case ResponseFields:
		r.phase = phaseColumns
		r.left = 1 << 62
	}
}

// StartAt sets the sequence id of the first packet, for a request that took
// more than one packet: the answer goes on counting behind its last one.
// It is called right after Begin.
func (r *Response) StartAt(seq byte) { r.seqIn, r.seqOut = seq, seq }

// Done reports whether the response is complete. Until it is, Step may have
// something to insert even though no byte is left unread.
func (r *Response) Done() bool {
	return r.phase == phaseDone && r.skip == 0 && !r.continued && !r.metaDue
}

// Started reports whether any packet of the response has been seen.
func (r *Response) Started() bool { return r.started }

// NextSeq is the sequence id of the next packet the client expects: a proxy
// that has to end the response by an error of its own uses it.
func (r *Response) NextSeq() byte { return r.seqOut }

// MidPacket reports whether the client has received part of a packet, so that
// nothing but its rest may follow.
func (r *Response) MidPacket() bool { return r.skip > 0 || r.continued }

// Packet returns the packets to send for OpReplace, valid until the next Step.
func (r *Response) Packet() []byte { return r.scratch }

// Err returns why Step returned OpFail.
func (r *Response) Err() error { return r.err }

// InfileSent resumes after OpInfile. seqIn is the sequence id the server's
// next packet carries, seqOut the one the client expects.
func (r *Response) InfileSent(seqIn, seqOut byte) {
	r.seqIn, r.seqOut = seqIn, seqOut
	r.phase = phaseFirst
}

// InfileSeq returns the sequence ids that the file's packets carry: from the
// client, and towards the server.
func (r *Response) InfileSeq() (client, server byte) { return r.seqOut, r.seqIn }

// Step looks at p, all unread bytes from the server, and says what to do with
// the beginning of it; it changes sequence ids in p. The caller carries that
// out, drops the n bytes and steps again until Done or an error.
func (r *Response) Step(p []byte) (op Op, n int) {
	if r.err != nil {
		return OpFail, 0
	}
	for {
		if r.skip > 0 && n < len(p) {
			k := min(r.skip, len(p)-n)
			if r.hashing {
				r.hash(p[n : n+k])
			}
			r.skip -= k
			n += k
		}
		h := p[n:]
		if r.Done() || r.skip > 0 || !r.headerComplete(h) && !r.metaDueNow() {
			break
		}
		if r.metaDueNow() && r.isBody(h) {
			if n > 0 {
				return OpForward, n
			}
			out, known := r.foresee(h)
			if !known {
				return OpMore, 0
			}
			r.insertEOF(out)
			return OpReplace, 0
		}
		if !r.headerComplete(h) {
			break
		}
		size := PacketLen(h)
		if h[3] != r.seqIn && r.server&framing == 0 {
			if n > 0 {
				break // what was in order goes out first
			}
			return r.fail(fmt.Errorf("%w: got sequence id %d from the server, want %d", ErrSequence, h[3], r.seqIn))
		}
		if r.KeepRow && r.keepsRow(h, size) {
			if len(h) < HeaderSize+size {
				break
			}
			r.rowLen = uint8(copy(r.row[:], h[HeaderSize:HeaderSize+size]))
		}
		if r.continued || r.passesThrough(h[HeaderSize:], size) {
			r.pass(h, size)
			n += HeaderSize
			r.skip = size
			continue
		}
		if n > 0 {
			break
		}
		if size == MaxPayload {
			return r.fail(fmt.Errorf("packet 0x%02x of %d bytes or more", h[HeaderSize], size))
		}
		if len(h) < HeaderSize+size {
			return OpMore, 0
		}
		op, n = r.control(h[:HeaderSize+size])
		if op != OpForward {
			return op, n
		}
	}
	if n > 0 {
		return OpForward, n
	}
	return OpMore, 0
}

// headerComplete reports whether h starts with a packet header and the first
// payload byte, if there is one.
func (r *Response) headerComplete(h []byte) bool {
	return len(h) > HeaderSize || len(h) == HeaderSize && PacketLen(h) == 0
}

// metaDueNow reports whether the definitions are through and the client waits
// for the EOF behind them.
func (r *Response) metaDueNow() bool { return r.metaDue && r.skip == 0 && !r.continued }

// isBody reports whether the owed EOF goes before h: it does unless h is the
// terminator or ERR, which decide themselves (an EOF that announces a cursor
// is the only one), or is not known yet.
func (r *Response) isBody(h []byte) bool {
	if r.kind == ResponsePrepare {
		return true
	}
	if !r.headerComplete(h) || PacketLen(h) == 0 {
		return false
	}
	return h[4] != headerERR && !r.isEOF(h[4], PacketLen(h))
}

// passesThrough tells packets whose content does not matter (definitions,
// rows) from those that have to be read whole, by the start of the payload.
// No definition and no row begins with 0xFF; a definition does not begin with
// 0xFE, and for rows isEOF decides.
func (r *Response) passesThrough(payload []byte, size int) bool {
	if size == 0 {
		return false // every row and definition has at least one byte
	}
	switch first := payload[0]; r.phase {
	case phaseColumns, phaseParams:
		return r.isDefinition(first, size) && !r.translatesDefinitions()
	case phaseRows:
		return first != headerERR && !r.isEOF(first, size)
	case phaseFirst:
		return r.kind == ResponseString && first != headerERR
	}
	return false
}

// isEOF applies the rule that tells a terminator from a row whose first column
// is 16 MiB or longer, protocol doc "EOF_Packet" and "OK_Packet".
func (r *Response) isEOF(first byte, size int) bool {
	if first != headerEOF {
		return false
	}
	if r.server.Has(DeprecateEOF) {
		return size < MaxPayload
	}
	return size < 9
}

// keptRow is the length of the longest row that Row returns: enough for a
// number in either protocol.
const keptRow = 24

// keepsRow reports whether h begins the row that Row is to return.
func (r *Response) keepsRow(h []byte, size int) bool {
	return r.phase == phaseRows && r.Rows == 0 && r.ResultSets == 1 && !r.continued &&
		size <= keptRow && r.passesThrough(h[HeaderSize:], size)
}

// Row returns the payload of the first row of the first result set, if KeepRow
// was set, and nothing if there was none or it was longer than 24 bytes. It is valid
// until the next Begin.
func (r *Response) Row() []byte { return r.row[:r.rowLen] }

// pass accounts for a physical packet that goes through unread.
func (r *Response) pass(h []byte, size int) {
	r.advance(h)
	r.hashing = r.phase == phaseColumns && r.server.Has(MariaDBCacheMetadata)
	r.continued = size == MaxPayload
	if !r.continued {
		r.payloadPassed()
	}
}

// payloadPassed moves on once the last physical packet of a payload is under way.
func (r *Response) payloadPassed() {
	switch r.phase {
	case phaseRows:
		r.Rows++
	case phaseFirst: // ResponseString
		r.phase = phaseDone
	case phaseColumns, phaseParams:
		r.left--
		if r.left == 0 {
			r.definitionsPassed()
		}
	}
}

// control handles a packet that is read whole; it stands at the start of the
// unread bytes.
func (r *Response) control(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	r.scratch = r.scratch[:0]
	if len(payload) == 0 {
		return r.fail(fmt.Errorf("%w: empty packet", errShortPacket))
	}
	first := payload[0]
	switch {
	case r.phase == phaseMetaEOF:
		return r.metaEOF(packet)
	case first == headerERR:
		return r.errPacket(packet)
	case (r.phase == phaseColumns || r.phase == phaseParams) && r.isDefinition(first, len(payload)):
		return r.translateDefinition(packet)
	case r.phase == phaseRows || r.phase == phaseColumns:
		return r.endOfRows(packet)
	case r.kind == ResponsePrepare:
		return r.prepared(packet)
	case first == headerOK, r.kind == ResponseOK && first == headerEOF:
		return r.okPacket(packet)
	case r.kind != ResponseQuery:
		return r.fail(fmt.Errorf("unexpected packet 0x%02x in answer to the command", first))
	case first == headerLocalInfile:
		r.advance(packet)
		r.phase = phaseInfile
		return OpInfile, len(packet)
	}
	return r.columnCount(packet)
}

// advance numbers a packet for the client.
func (r *Response) advance(packet []byte) {
	packet[3] = r.seqOut
	r.received()
	r.seqOut++
}

// received counts a packet from the server.
func (r *Response) received() {
	r.seqIn++
	r.started = true
}

func (r *Response) fail(err error) (Op, int) {
	r.err = err
	return OpFail, 0
}
