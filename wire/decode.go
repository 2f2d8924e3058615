package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error of a decoder that was given bytes
// which are not the message it decodes. The connection they came from is out
// of step and must be closed.
var ErrMalformed = errors.New("malformed packet")

// decoder takes fields off the front of a payload. The first field that does
// not fit makes it fail; from then on every field is zero and err says which
// one it was, so callers check once at the end.
type decoder struct {
	rest    []byte
	message string // for errors: what is being decoded
	err     error
}

func (d *decoder) fail(field string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s: %s: %d bytes left", ErrMalformed, d.message, field, len(d.rest))
	}
	d.rest = nil
}

// take returns the next n bytes, aliasing the payload, or nil.
func (d *decoder) take(field string, n int) []byte {
	if d.err != nil || n > len(d.rest) {
		d.fail(field)
		return nil
	}
	b := d.rest[:n:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) skip(field string, n int) { d.take(field, n) }

func (d *decoder) byte(field string) byte {
	if b := d.take(field, 1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16(field string) uint16 {
	if b := d.take(field, 2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32(field string) uint32 {
	if b := d.take(field, 4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) lenencInt(field string) uint64 {
	v, n := ReadLenencInt(d.rest)
	if n == 0 {
		d.fail(field)
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) lenencBytes(field string) []byte {
	b, n := ReadLenencBytes(d.rest)
	if n == 0 {
		d.fail(field)
		return nil
	}
	d.rest = d.rest[n:]
	return b
}

// nulString returns the bytes before the next NUL and consumes both.
func (d *decoder) nulString(field string) []byte {
	i := bytes.IndexByte(d.rest, 0)
	if d.err != nil || i < 0 {
		d.fail(field)
		return nil
	}
	b := d.rest[:i:i]
	d.rest = d.rest[i+1:]
	return b
}

// lastString is nulString for a field that may end the payload without its
// NUL, as some clients send it and the servers accept.
func (d *decoder) lastString() []byte {
	i := bytes.IndexByte(d.rest, 0)
	if i < 0 {
		return d.take("", len(d.rest))
	}
	b := d.rest[:i:i]
	d.rest = d.rest[i+1:]
	return b
}
