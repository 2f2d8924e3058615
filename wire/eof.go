package wire

import "encoding/binary"

// EOF ends the column definitions and the rows of a result set unless
// DeprecateEOF was agreed; protocol doc "EOF_Packet".
type EOF struct {
	Warnings uint16
	Status   Status
}

// eofSize is the length of every EOF packet since 4.1.
const eofSize = 5

// IsEOF reports whether payload is an EOF packet. 0xfe is also the first byte
// of a row whose first column is 16 MiB or longer, and of the OK packet that
// ends rows under DeprecateEOF; neither is as short.
func IsEOF(payload []byte) bool {
	return len(payload) == eofSize && payload[0] == headerEOF
}

// ParseEOF reads an EOF packet.
func ParseEOF(payload []byte) (EOF, error) {
	d := decoder{rest: payload, message: "EOF"}
	if !IsEOF(payload) {
		d.fail("length")
	}
	d.skip("header", 1)
	e := EOF{Warnings: d.uint16("warnings"), Status: Status(d.uint16("status"))}
	if d.err != nil {
		return EOF{}, d.err
	}
	return e, nil
}

// Append appends the packet.
func (e EOF) Append(dst []byte) []byte {
	dst = append(dst, headerEOF)
	dst = binary.LittleEndian.AppendUint16(dst, e.Warnings)
	return binary.LittleEndian.AppendUint16(dst, uint16(e.Status))
}
