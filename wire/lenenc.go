package wire

import "encoding/binary"

// ReadLenencInt reads the length-encoded integer p starts with and returns its
// value and the number of bytes it takes. n is 0 when p is too short or starts
// with 0xfb (NULL in a text row) or 0xff, which begin no integer; protocol doc
// "Protocol::LengthEncodedInteger".
func ReadLenencInt(p []byte) (v uint64, n int) {
	if len(p) == 0 {
		return 0, 0
	}
	switch first := p[0]; {
	case first < 0xfb:
		return uint64(first), 1
	case first == 0xfc && len(p) >= 3:
		return uint64(binary.LittleEndian.Uint16(p[1:])), 3
	case first == 0xfd && len(p) >= 4:
		return uint64(p[1]) | uint64(p[2])<<8 | uint64(p[3])<<16, 4
	case first == 0xfe && len(p) >= 9:
		return binary.LittleEndian.Uint64(p[1:]), 9
	}
	return 0, 0
}

// ReadLenencBytes reads the length-encoded string p starts with. b aliases p
// and is never nil on success; n counts the length prefix as well and is 0 when
// the prefix is malformed or announces more than p holds.
func ReadLenencBytes(p []byte) (b []byte, n int) {
	v, n := ReadLenencInt(p)
	if n == 0 || v > uint64(len(p)-n) {
		return nil, 0
	}
	end := n + int(v)
	return p[n:end:end], end
}

// AppendLenencInt appends v in its shortest encoding.
func AppendLenencInt(dst []byte, v uint64) []byte {
	switch {
	case v < 0xfb:
		return append(dst, byte(v))
	case v < 1<<16:
		return append(dst, 0xfc, byte(v), byte(v>>8))
	case v < 1<<24:
		return append(dst, 0xfd, byte(v), byte(v>>8), byte(v>>16))
	}
	return binary.LittleEndian.AppendUint64(append(dst, 0xfe), v)
}

// AppendLenencBytes appends b behind its length.
func AppendLenencBytes(dst, b []byte) []byte {
	return append(AppendLenencInt(dst, uint64(len(b))), b...)
}

// AppendLenencString appends s behind its length.
func AppendLenencString(dst []byte, s string) []byte {
	return append(AppendLenencInt(dst, uint64(len(s))), s...)
}
