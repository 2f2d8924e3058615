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
	r.advance(packet)
	return OpForward, len(packet)
}

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

// insertEOF makes the EOF after definitions that the server leaves out. Real
// servers set warnings there only in answer to COM_STMT_PREPARE, and then those
// of COM_STMT_PREPARE_OK (MySQL 9.7, MariaDB 10.11).
func (r *Response) insertEOF() {
	var warnings uint16
	if r.kind == ResponsePrepare {
		warnings = r.Warnings
	}
	r.metaDue = false
	r.scratch = r.scratch[:0]
	r.appendEOF(warnings, r.Status&sessionStatus)
}
