package wire

import "fmt"

// Value is one field of a row in text form.
type Value struct {
	Text string
	Null bool
}

// nullField stands for NULL in a text row.
const nullField = 0xfb

// AppendTextRow appends the payload of a row of the text protocol.
func AppendTextRow(dst []byte, row []Value) []byte {
	for _, v := range row {
		if v.Null {
			dst = append(dst, nullField)
		} else {
			dst = AppendLenencString(dst, v.Text)
		}
	}
	return dst
}

// ParseTextRow splits a row of the text protocol into columns fields, which it
// appends to fields; NULL is a nil slice, every other field is non-nil and
// aliases payload. The number of columns is not trusted: memory grows only with
// the fields that are there.
func ParseTextRow(fields [][]byte, payload []byte, columns int) ([][]byte, error) {
	p := payload
	for i := range columns {
		if len(p) > 0 && p[0] == nullField {
			fields = append(fields, nil)
			p = p[1:]
			continue
		}
		b, n := ReadLenencBytes(p)
		if n == 0 {
			return fields, fmt.Errorf("%w: row: column %d of %d", ErrMalformed, i+1, columns)
		}
		fields = append(fields, b)
		p = p[n:]
	}
	if len(p) > 0 {
		return fields, fmt.Errorf("%w: row: %d bytes behind %d columns", ErrMalformed, len(p), columns)
	}
	return fields, nil
}

// ParseColumnCount reads the packet that opens a result set. It is
// malformed when it counts no columns or more than 4096, the most any server
// can produce.
func ParseColumnCount(payload []byte) (int, error) {
	v, n := ReadLenencInt(payload)
	// With MariaDBCacheMetadata or OptionalMetadata a byte behind the count says
	// whether the definitions follow; who agrees to those takes care of it.
	if n == 0 || v == 0 || v > maxColumns {
		return 0, fmt.Errorf("%w: column count", ErrMalformed)
	}
	return int(v), nil
}

// maxColumns is the servers' limit for the columns of a table and of a result.
const maxColumns = 4096

// AppendTextResult appends the packets of a complete result set in the text
// protocol for a client with capabilities caps, the first with sequence id
// seq, and returns the sequence id after the last. Every row must have as many
// values as there are columns.
func AppendTextResult(dst []byte, seq byte, caps Capability, status Status, columns []ColumnDef, rows [][]Value) ([]byte, byte) {
	payloads := make([][]byte, len(rows))
	for i, row := range rows {
		payloads[i] = AppendTextRow(nil, row)
	}
	return AppendResult(dst, seq, caps, status, columns, payloads)
}

// AppendResult is AppendTextResult for rows that are payloads already, of
// either protocol.
func AppendResult(dst []byte, seq byte, caps Capability, status Status, columns []ColumnDef, rows [][]byte) ([]byte, byte) {
	status &^= SessionStateChange
	var payload []byte
	put := func() {
		dst, seq = AppendPacket(dst, seq, payload)
		payload = payload[:0]
	}
	payload = AppendLenencInt(payload, uint64(len(columns)))
	if caps.Has(MariaDBCacheMetadata) {
		payload = append(payload, 1) // the definitions follow
	}
	put()
	for i := range columns {
		payload = columns[i].Append(payload, caps)
		put()
	}
	if !caps.Has(DeprecateEOF) {
		payload = EOF{Status: status}.Append(payload)
		put()
	}
	for _, row := range rows {
		dst, seq = AppendPacket(dst, seq, row)
	}
	if caps.Has(DeprecateEOF) {
		payload = (&OK{Status: status}).Append(payload, headerEOF, caps)
	} else {
		payload = EOF{Status: status}.Append(payload)
	}
	put()
	return dst, seq
}
