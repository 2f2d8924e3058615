package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The packets that end a result or a response: OK, EOF and ERR.

// endOfRows handles the EOF, or the OK with header 0xFE, behind the last row.
func (r *Response) endOfRows(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	if r.server.Has(DeprecateEOF) {
		return r.endOfRowsOK(packet)
	}
	if len(payload) != 5 {
		return r.fail(fmt.Errorf("EOF packet of %d bytes", len(payload)))
	}
	r.Warnings = binary.LittleEndian.Uint16(payload[1:])
	status := Status(binary.LittleEndian.Uint16(payload[3:]))
	if r.metaStatus.Has(PSOutParams) {
		// MySQL 9.7 ends the set of OUT parameters by an EOF without these
		// flags, though the OK of the CALL follows.
		status |= r.metaStatus & (PSOutParams | MoreResultsExist)
	}
	r.noteStatus(status)
	r.next(status)
	if !r.client.Has(DeprecateEOF) {
		r.advance(packet)
		return OpForward, len(packet)
	}
	r.received()
	r.appendOKasEOF(r.Warnings, status&^SessionStateChange)
	return OpReplace, len(packet)
}

// endOfRowsOK handles the OK with header 0xFE in the place of an EOF, behind
// rows or as a whole response.
func (r *Response) endOfRowsOK(packet []byte) (Op, int) {
	ok, err := r.parseOK(packet)
	if err != nil {
		return r.fail(err)
	}
	r.next(ok.Status)
	if r.client.Has(DeprecateEOF) {
		return r.passOK(packet, &ok)
	}
	status := ok.Status &^ SessionStateChange
	if r.metaDue && !status.Has(CursorExists) {
		r.appendEOF(0, status)
		r.foretold = true
	}
	if r.MySQL && r.foretold && status.Has(PSOutParams) {
		status &^= PSOutParams | MoreResultsExist // see endOfRows
	}
	r.metaDue = false
	r.received()
	r.appendEOF(ok.Warnings, status)
	return OpReplace, len(packet)
}

// okPacket handles an OK that is a whole response (or one of several).
func (r *Response) okPacket(packet []byte) (Op, int) {
	if packet[HeaderSize] == headerEOF {
		return r.endOfRows(packet) // COM_SET_OPTION and COM_DEBUG are answered like this
	}
	ok, err := r.parseOK(packet)
	if err != nil {
		return r.fail(err)
	}
	r.AffectedRows = ok.AffectedRows
	if ok.LastInsertID != 0 {
		r.LastInsertID = ok.LastInsertID
	}
	r.next(ok.Status)
	return r.passOK(packet, &ok)
}

// parseOK reads an OK packet and takes down what it says.
func (r *Response) parseOK(packet []byte) (OK, error) {
	ok, err := ParseOK(packet[HeaderSize:], r.server)
	if err != nil {
		return OK{}, err
	}
	if len(ok.SessionChanges) > 0 && r.observer != nil {
		r.observer.SessionChanges(ok.SessionChanges)
	}
	r.noteStatus(ok.Status)
	r.Warnings = ok.Warnings
	return ok, nil
}

// passOK sends an OK on to a client that understands it as such; session
// changes, and the flag that announces them, only to one that reads them, and
// only those it wants to see.
func (r *Response) passOK(packet []byte, ok *OK) (Op, int) {
	if !ok.Status.Has(SessionStateChange) || r.client.Has(SessionTrack) == r.server.Has(SessionTrack) && r.showAll(ok) {
		r.advance(packet)
		return OpForward, len(packet)
	}
	r.received()
	r.scratch = append(r.scratch, 0, 0, 0, r.seqOut)
	r.scratch = ok.Append(r.scratch, packet[HeaderSize], r.client)
	n := len(r.scratch) - HeaderSize
	r.scratch[0], r.scratch[1], r.scratch[2] = byte(n), byte(n>>8), byte(n>>16)
	r.seqOut++
	return OpReplace, len(packet)
}

// showAll reports whether the client sees an OK's session changes as they are;
// if not, it leaves those in ok that the client does see.
func (r *Response) showAll(ok *OK) bool {
	if r.View == nil || !r.client.Has(SessionTrack) {
		return true
	}
	r.visible = r.View.Append(r.visible[:0], ok.SessionChanges)
	if bytes.Equal(r.visible, ok.SessionChanges) {
		return true
	}
	ok.SessionChanges = r.visible
	return false
}

func (r *Response) noteStatus(s Status) {
	r.Status = s
	r.StatusSeen = true
}

// next goes on to a further result, or ends.
func (r *Response) next(status Status) {
	if status.Has(MoreResultsExist) && r.kind == ResponseQuery {
		r.phase = phaseFirst
		return
	}
	r.phase = phaseDone
}

func (r *Response) errPacket(packet []byte) (Op, int) {
	payload := packet[HeaderSize:]
	if len(payload) < 3 {
		return r.fail(fmt.Errorf("%w: ERR of %d bytes", errShortPacket, len(payload)))
	}
	code := binary.LittleEndian.Uint16(payload[1:])
	if code == progressReport && r.server.Has(MariaDBProgress) {
		return r.progress(packet)
	}
	r.ErrCode = code
	r.phase = phaseDone
	if r.metaDue {
		r.insertEOF(false)
		r.received()
		r.scratch, r.seqOut = AppendPacket(r.scratch, r.seqOut, payload)
		return OpReplace, len(packet)
	}
	r.advance(packet)
	return OpForward, len(packet)
}

// progressReport is in the place of an error's code in the packets by which
// MariaDB tells how far it has got; MariaDB KB, "Progress Reporting".
const progressReport = 0xffff

// progress passes a progress report on to a client that reads them. It stands
// before the packet it has nothing to do with.
func (r *Response) progress(packet []byte) (Op, int) {
	if r.client.Has(MariaDBProgress) {
		r.advance(packet)
		return OpForward, len(packet)
	}
	r.received()
	return OpReplace, len(packet)
}

func (r *Response) appendEOF(warnings uint16, status Status) {
	r.scratch, r.seqOut = AppendPacket(r.scratch, r.seqOut, []byte{
		headerEOF, byte(warnings), byte(warnings >> 8), byte(status), byte(status >> 8),
	})
}

// appendOKasEOF is the terminator of a result set with DEPRECATE_EOF.
func (r *Response) appendOKasEOF(warnings uint16, status Status) {
	r.scratch, r.seqOut = AppendPacket(r.scratch, r.seqOut, []byte{
		headerEOF, 0, 0, byte(status), byte(status >> 8), byte(warnings), byte(warnings >> 8),
	})
}
