package wire

import "encoding/binary"

// StmtPrepareOK is the first packet of a successful reply to COM_STMT_PREPARE;
// protocol doc "COM_STMT_PREPARE_OK". The definitions of parameters and then
// columns follow, each list ended by an EOF unless DeprecateEOF was agreed.
type StmtPrepareOK struct {
	StatementID uint32
	Columns     uint16
	Params      uint16
	Warnings    uint16
}

// Parse reads the packet.
func (s *StmtPrepareOK) Parse(p []byte) error {
	d := decoder{rest: p, message: "COM_STMT_PREPARE_OK"}
	if d.byte("status") != headerOK {
		d.fail("status")
	}
	ok := StmtPrepareOK{
		StatementID: d.uint32("statement id"),
		Columns:     d.uint16("columns"),
		Params:      d.uint16("parameters"),
	}
	d.skip("filler", 1)
	ok.Warnings = d.uint16("warnings")
	if d.err != nil {
		return d.err
	}
	*s = ok
	return nil
}

// Append appends the packet.
func (s *StmtPrepareOK) Append(dst []byte) []byte {
	dst = append(dst, headerOK)
	dst = binary.LittleEndian.AppendUint32(dst, s.StatementID)
	dst = binary.LittleEndian.AppendUint16(dst, s.Columns)
	dst = binary.LittleEndian.AppendUint16(dst, s.Params)
	dst = append(dst, 0)
	return binary.LittleEndian.AppendUint16(dst, s.Warnings)
}

// StatementID returns the statement id of a COM_STMT_* request that has one
// (EXECUTE, SEND_LONG_DATA, CLOSE, RESET, FETCH), command byte included; ok is
// false when the payload is too short for it.
func StatementID(payload []byte) (id uint32, ok bool) {
	if len(payload) < 5 {
		return 0, false
	}
	return binary.LittleEndian.Uint32(payload[1:]), true
}

// SetStatementID overwrites the statement id of such a request, or of a
// COM_STMT_PREPARE_OK, in place; payload holds at least 5 bytes.
func SetStatementID(payload []byte, id uint32) {
	binary.LittleEndian.PutUint32(payload[1:5], id)
}
