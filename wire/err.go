package wire

import (
	"encoding/binary"
	"fmt"
)

// Err is an ERR packet, from a server or made by Telamon; protocol doc
// "ERR_Packet". It is an error; take it out of a chain with errors.As.
type Err struct {
	Code  uint16
	State string // SQLSTATE, 5 characters; empty when the packet has none
	// Message is shown to users. At most 512 bytes of it are read by clients.
	Message string
}

// NewErr makes an error with the SQLSTATE that belongs to code.
func NewErr(code uint16, format string, args ...any) *Err {
	return &Err{Code: code, State: SQLState(code), Message: fmt.Sprintf(format, args...)}
}

// Error formats the error as the command line client does.
func (e *Err) Error() string {
	state := e.State
	if state == "" {
		state = stateGeneral
	}
	return fmt.Sprintf("ERROR %d (%s): %s", e.Code, state, e.Message)
}

// IsErr reports whether payload is an ERR packet. MariaDB's progress reports
// have the same header; see IsProgress.
func IsErr(payload []byte) bool { return len(payload) > 0 && payload[0] == headerERR }

// progressCode in the place of the error code marks a progress report.
const progressCode = 0xffff

// IsProgress reports whether payload, which looks like an ERR packet, is one of
// the progress reports that a MariaDB server sends during long statements to
// clients with MariaDBProgress. It does not end the response (MariaDB KB,
// "ERR_Packet").
func IsProgress(payload []byte) bool {
	return len(payload) >= 3 && payload[0] == headerERR &&
		binary.LittleEndian.Uint16(payload[1:]) == progressCode
}

// ParseErr reads an ERR packet. It keeps nothing of payload. The SQLSTATE is
// missing in errors that a server sends instead of its greeting.
func ParseErr(payload []byte) (*Err, error) {
	d := decoder{rest: payload, message: "ERR"}
	if d.byte("header") != headerERR {
		d.fail("header")
	}
	e := &Err{Code: d.uint16("code")}
	if len(d.rest) >= 6 && d.rest[0] == '#' {
		e.State = string(d.take("SQLSTATE", 6)[1:])
	}
	if d.err != nil {
		return nil, d.err
	}
	e.Message = string(d.rest)
	return e, nil
}

// Append appends the packet; without its SQLSTATE when State is not 5 bytes.
func (e *Err) Append(dst []byte) []byte {
	dst = append(dst, headerERR)
	dst = binary.LittleEndian.AppendUint16(dst, e.Code)
	if len(e.State) == 5 {
		dst = append(append(dst, '#'), e.State...)
	}
	return append(dst, e.Message...)
}
