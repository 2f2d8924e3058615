package fakebackend

import (
	"encoding/binary"
	"math"
)

// Status flags of OK and EOF packets (SERVER_STATUS_*).
const (
	statusInTrans        = 0x0001 // SERVER_STATUS_IN_TRANS
	statusAutocommit     = 0x0002 // SERVER_STATUS_AUTOCOMMIT
	statusSessionChanged = 0x4000 // SERVER_SESSION_STATE_CHANGED
)

// Column types (MYSQL_TYPE_*).
const (
	typeTiny      = 0x01
	typeShort     = 0x02
	typeLong      = 0x03
	typeLongLong  = 0x08
	typeVarString = 0xfd
)

// response is a complete answer to one command, built once and written many
// times. status holds the offsets of its status words, so that a session whose
// flags are not the usual ones gets a patched copy.
type response struct {
	bytes  []byte
	status []int
}

// builder assembles packets.
type builder struct {
	response
	seq   byte
	start int
}

// newBuilder starts the answer to a command of one packet: its first has
// sequence number 1.
func newBuilder() *builder { return &builder{seq: 1} }

func (b *builder) begin() {
	b.start = len(b.bytes)
	b.bytes = append(b.bytes, 0, 0, 0, b.seq)
	b.seq++
}

func (b *builder) end() {
	n := len(b.bytes) - b.start - 4
	b.bytes[b.start] = byte(n)
	b.bytes[b.start+1] = byte(n >> 8)
	b.bytes[b.start+2] = byte(n >> 16)
}

func (b *builder) u8(v byte)       { b.bytes = append(b.bytes, v) }
func (b *builder) u16(v uint16)    { b.bytes = binary.LittleEndian.AppendUint16(b.bytes, v) }
func (b *builder) u32(v uint32)    { b.bytes = binary.LittleEndian.AppendUint32(b.bytes, v) }
func (b *builder) raw(s string)    { b.bytes = append(b.bytes, s...) }
func (b *builder) nul(s string)    { b.raw(s); b.u8(0) }
func (b *builder) lenenc(v uint64) { b.bytes = appendLenenc(b.bytes, v) }
func (b *builder) str(s string)    { b.lenenc(uint64(len(s))); b.raw(s) }

func (b *builder) statusWord(v uint16) {
	b.response.status = append(b.response.status, len(b.bytes))
	b.u16(v)
}

func appendLenenc(to []byte, v uint64) []byte {
	switch {
	case v < 251:
		return append(to, byte(v))
	case v <= math.MaxUint16:
		return append(to, 0xfc, byte(v), byte(v>>8))
	case v < 1<<24:
		return append(to, 0xfd, byte(v), byte(v>>8), byte(v>>16))
	default:
		return binary.LittleEndian.AppendUint64(append(to, 0xfe), v)
	}
}

// ok appends an OK packet. state is the session state information of a session
// that negotiated CLIENT_SESSION_TRACK; empty means none changed.
func (b *builder) ok(affected uint64, status uint16, tracked bool, state []byte) {
	b.begin()
	b.u8(0)
	b.lenenc(affected)
	b.lenenc(0) // last insert id
	if tracked && len(state) > 0 {
		status |= statusSessionChanged
	}
	b.statusWord(status)
	b.u16(0) // warnings
	if tracked && len(state) > 0 {
		b.str("") // info
		b.str(string(state))
	}
	b.end()
}

// terminator ends a result set: EOF, or OK with header 0xfe under
// CLIENT_DEPRECATE_EOF.
func (b *builder) terminator(deprecateEOF bool, status uint16) {
	b.begin()
	b.u8(0xfe)
	if deprecateEOF {
		b.lenenc(0)
		b.lenenc(0)
		b.statusWord(status)
		b.u16(0)
	} else {
		b.u16(0)
		b.statusWord(status)
	}
	b.end()
}

func (b *builder) fail(code uint16, state, text string) {
	b.begin()
	b.u8(0xff)
	b.u16(code)
	b.raw("#" + state + text)
	b.end()
}

// column is one column of a result.
type column struct {
	name string
	typ  byte
}

func (b *builder) definition(table string, c column) {
	b.begin()
	b.str("def")
	b.str(schemaOf(table))
	b.str(table)
	b.str(table)
	b.str(c.name)
	b.str(c.name)
	b.u8(0x0c)
	charset, length := uint16(45), uint32(4096) // utf8mb4_general_ci
	if c.typ != typeVarString {
		charset, length = 63, 20 // binary
	}
	b.u16(charset)
	b.u32(length)
	b.u8(c.typ)
	b.u16(0) // flags
	b.u8(0)  // decimals
	b.u16(0)
	b.end()
}

// definitions appends column definitions and the EOF that follows them for
// clients without CLIENT_DEPRECATE_EOF.
func (b *builder) definitions(table string, columns []column, deprecateEOF bool) {
	for _, c := range columns {
		b.definition(table, c)
	}
	if !deprecateEOF && len(columns) > 0 {
		b.terminator(false, statusAutocommit)
	}
}

// value is one value of a row: null, or text; number is the same value for
// columns of an integer type in the binary protocol.
type value struct {
	text   string
	number int64
	null   bool
}

func (b *builder) textRow(row []value) {
	b.begin()
	for _, v := range row {
		if v.null {
			b.u8(0xfb)
			continue
		}
		b.str(v.text)
	}
	b.end()
}

func (b *builder) binaryRow(columns []column, row []value) {
	b.begin()
	b.u8(0)
	bitmap := make([]byte, (len(columns)+7+2)/8)
	for i, v := range row {
		if v.null {
			bitmap[(i+2)/8] |= 1 << ((i + 2) % 8)
		}
	}
	b.bytes = append(b.bytes, bitmap...)
	for i, v := range row {
		switch {
		case v.null:
		case columns[i].typ == typeLong:
			b.u32(uint32(v.number))
		case columns[i].typ == typeLongLong:
			b.bytes = binary.LittleEndian.AppendUint64(b.bytes, uint64(v.number))
		default:
			b.str(v.text)
		}
	}
	b.end()
}

// resultSet appends a complete result.
func (b *builder) resultSet(table string, columns []column, rows [][]value, enc encoding, status uint16) {
	b.begin()
	b.lenenc(uint64(len(columns)))
	b.end()
	b.definitions(table, columns, enc.deprecateEOF)
	for _, row := range rows {
		if enc.binary {
			b.binaryRow(columns, row)
		} else {
			b.textRow(row)
		}
	}
	b.terminator(enc.deprecateEOF, status)
}

// encoding is what decides the bytes of a given result.
type encoding struct {
	deprecateEOF bool
	binary       bool
}

func (e encoding) index() int {
	i := 0
	if e.deprecateEOF {
		i |= 1
	}
	if e.binary {
		i |= 2
	}
	return i
}
