package wire

import (
	"encoding/binary"
	"fmt"
)

// What stands before the rows: definitions and the EOF behind them.

// prepared handles COM_STMT_PREPARE_OK and puts the client's statement id in.
func (r *Response) prepared(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	if payload[0] != headerOK || len(payload) < 12 {
		return r.fail(fmt.Errorf("malformed answer to COM_STMT_PREPARE"))
	}
	r.StatementID = binary.LittleEndian.Uint32(payload[1:])
	r.Columns = binary.LittleEndian.Uint16(payload[5:])
	r.Params = binary.LittleEndian.Uint16(payload[7:])
	r.Warnings = binary.LittleEndian.Uint16(payload[10:])
	if r.PreparedID != 0 {
		binary.LittleEndian.PutUint32(payload[1:], r.PreparedID)
	}
	switch {
	case r.Params > 0:
		r.phase, r.left = phaseParams, uint64(r.Params)
	case r.Columns > 0:
		r.phase, r.left = phaseColumns, uint64(r.Columns)
	default:
		r.phase = phaseDone
	}
	if r.Columns > 0 {
		r.beginHash()
	}
	r.advance(packet)
	return OpForward, len(packet)
}

// columnCount handles the packet that opens a result set. With
// MariaDBCacheMetadata a byte behind the count says whether the definitions
// follow (MariaDB 10.11, in the text protocol too, where they always do).
func (r *Response) columnCount(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	count, n := ReadLenencInt(payload)
	follow := true
	if r.server.Has(MariaDBCacheMetadata) && n > 0 && len(payload) == n+1 && payload[n] <= 1 {
		follow = payload[n] == 1
		payload = payload[:n]
	} else if r.server.Has(MariaDBCacheMetadata) {
		n = 0
	}
	if n == 0 || n != len(payload) || count == 0 {
		return r.fail(fmt.Errorf("malformed column count"))
	}
	r.ResultSets++
	r.left = count
	r.phase = phaseColumns
	r.foretold = false
	switch {
	case !follow && r.Definitions != nil:
		return r.insertDefinitions(packet, payload)
	case !follow && !r.client.Has(MariaDBCacheMetadata):
		return r.fail(fmt.Errorf("definitions are left out that the client needs"))
	case !follow:
		r.definitionsPassed()
	default:
		r.beginHash()
	}
	if r.client.Has(MariaDBCacheMetadata) == r.server.Has(MariaDBCacheMetadata) {
		r.advance(packet)
		return OpForward, len(packet)
	}
	r.received()
	r.appendCount(payload)
	return OpReplace, len(packet)
}

// appendCount makes the packet that opens a result set whose definitions follow.
func (r *Response) appendCount(count []byte) {
	r.scratch = append(r.scratch, byte(len(count)), 0, 0, r.seqOut)
	r.scratch = append(r.scratch, count...)
	if r.client.Has(MariaDBCacheMetadata) {
		r.scratch[0]++
		r.scratch = append(r.scratch, 1)
	}
	r.seqOut++
}

// insertDefinitions puts in the definitions that the server has left out.
func (r *Response) insertDefinitions(packet, count []byte) (Op, int) {
	r.received()
	r.appendCount(count)
	r.beginHash()
	for rest := r.Definitions; len(rest) > 0; r.left-- {
		payload := rest[HeaderSize : HeaderSize+PacketLen(rest)]
		r.hash(payload)
		if r.translatesDefinitions() || r.left == 0 {
			return r.fail(fmt.Errorf("definitions of another form"))
		}
		r.scratch, r.seqOut = AppendPacket(r.scratch, r.seqOut, payload)
		rest = rest[HeaderSize+len(payload):]
	}
	if r.left > 0 {
		return r.fail(fmt.Errorf("%d definitions are missing", r.left))
	}
	r.definitionsPassed()
	return OpReplace, len(packet)
}

// isDefinition reports whether a packet where definitions are expected is one.
func (r *Response) isDefinition(first byte, size int) bool {
	return first != headerERR && !(r.kind == ResponseFields && r.isEOF(first, size))
}

// translatesDefinitions reports whether definitions have to be changed for the
// client: MariaDBExtMetadata puts one more string into them.
func (r *Response) translatesDefinitions() bool {
	return r.client.Has(MariaDBExtMetadata) != r.server.Has(MariaDBExtMetadata)
}

// translateDefinition adds MariaDB's extended metadata, empty, or takes it out.
func (r *Response) translateDefinition(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	d := decoder{rest: payload, message: "column definition"}
	for range 6 { // catalog, schema, table, original table, name, original name
		d.lenencBytes("name")
	}
	at := len(payload) - len(d.rest)
	if r.server.Has(MariaDBExtMetadata) {
		d.lenencBytes("extended metadata")
	}
	if d.err != nil {
		return r.fail(d.err)
	}
	n := at + len(d.rest)
	r.scratch = append(r.scratch, 0, 0, 0, r.seqOut)
	r.scratch = append(r.scratch, payload[:at]...)
	if r.client.Has(MariaDBExtMetadata) {
		r.scratch = append(r.scratch, 0)
		n++
	}
	r.scratch = append(r.scratch, d.rest...)
	r.scratch[0], r.scratch[1], r.scratch[2] = byte(n), byte(n>>8), byte(n>>16)
	if r.phase == phaseColumns {
		r.hash(payload)
	}
	r.received()
	r.seqOut++
	r.payloadPassed()
	return OpReplace, len(packet)
}

// beginHash starts Metadata anew, hash adds to it: FNV-1a of 64 bits.
func (r *Response) beginHash() {
	if r.server.Has(MariaDBCacheMetadata) {
		r.Metadata = hashStart
	}
}

func (r *Response) hash(b []byte) {
	if r.Metadata != 0 {
		r.Metadata = addHash(r.Metadata, b)
	}
}

func addHash(h uint64, b []byte) uint64 {
	for _, c := range b {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return h
}

// HashDefinitions returns what Response.Metadata is for the column definitions
// in the packets, 0 for none.
func HashDefinitions(packets []byte) uint64 {
	if len(packets) == 0 {
		return 0
	}
	h := uint64(hashStart)
	for len(packets) > 0 {
		end := HeaderSize + PacketLen(packets)
		h = addHash(h, packets[HeaderSize:end])
		packets = packets[end:]
	}
	return h
}

const hashStart = 14695981039346656037

// definitionsPassed moves on after the last column or parameter definition.
func (r *Response) definitionsPassed() {
	if !r.server.Has(DeprecateEOF) {
		r.phaseAfterDefinitions()
		r.afterParams = r.phase == phaseColumns
		r.phase = phaseMetaEOF
		return
	}
	r.metaDue = !r.client.Has(DeprecateEOF)
	r.phaseAfterDefinitions()
}

func (r *Response) phaseAfterDefinitions() {
	switch {
	case r.kind != ResponsePrepare:
		r.phase = phaseRows
	case r.phase == phaseParams && r.Columns > 0:
		r.phase = phaseColumns
		r.left = uint64(r.Columns)
	default:
		r.phase = phaseDone
	}
}

// metaEOF handles the server's EOF after definitions.
func (r *Response) metaEOF(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	if payload[0] == headerERR {
		return r.errPacket(packet)
	}
	if payload[0] != headerEOF || len(payload) != 5 {
		return r.fail(fmt.Errorf("packet 0x%02x where the EOF after definitions belongs", payload[0]))
	}
	status := Status(binary.LittleEndian.Uint16(payload[3:]))
	r.noteStatus(status)
	r.metaStatus = status
	switch {
	case r.kind == ResponsePrepare && r.afterParams:
		r.afterParams = false
		r.phase = phaseColumns
	case r.kind == ResponsePrepare:
		r.phase = phaseDone
	default:
		r.phase = phaseRows
	}
	if status.Has(CursorExists) {
		// A cursor was opened: there are no rows, this EOF ends the response.
		r.Warnings = binary.LittleEndian.Uint16(payload[1:])
		r.phase = phaseDone
	}
	if !r.client.Has(DeprecateEOF) {
		r.advance(packet)
		return OpForward, len(packet)
	}
	r.received()
	if status.Has(CursorExists) {
		r.appendOKasEOF(r.Warnings, status&^SessionStateChange)
	}
	return OpReplace, len(packet)
}

// foreseeable is how long a row with OUT parameters may be to be looked behind.
const foreseeable = 64 << 10

// foresee finds out whether the row that h begins with is the set of OUT
// parameters of a CALL: a server with DEPRECATE_EOF says so at its end, while a
// client without needs to know before. There is but one such row, so that it is
// enough to look behind it. known is false while that has not arrived.
func (r *Response) foresee(h []byte) (out, known bool) {
	if !r.Call || r.kind != ResponseQuery {
		return false, true
	}
	end := HeaderSize + PacketLen(h)
	switch {
	case end > foreseeable:
		return false, true
	case len(h) < end || !r.headerComplete(h[end:]):
		return false, false
	}
	next := h[end:]
	size := PacketLen(next)
	if size == 0 || !r.isEOF(next[HeaderSize], size) {
		return false, true
	}
	if len(next) < HeaderSize+size {
		return false, size > foreseeable // which no OK is
	}
	ok, err := ParseOK(next[HeaderSize:HeaderSize+size], r.server)
	return err == nil && ok.Status.Has(PSOutParams), true
}

// insertEOF makes the EOF after definitions that the server leaves out; out
// says that OUT parameters follow. Real servers set warnings there only in
// answer to COM_STMT_PREPARE, and then those of COM_STMT_PREPARE_OK (MySQL 9.7,
// MariaDB 10.11).
func (r *Response) insertEOF(out bool) {
	var warnings uint16
	status := r.Status & sessionStatus
	if r.kind == ResponsePrepare {
		warnings = r.Warnings
	}
	if r.Call && r.kind == ResponseQuery {
		status |= MoreResultsExist
	}
	if out {
		status |= PSOutParams
	}
	r.metaDue, r.foretold = false, out
	r.scratch = r.scratch[:0]
	r.appendEOF(warnings, status)
}
