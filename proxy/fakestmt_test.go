package proxy

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/telamondb/telamon/wire"
)

// The binary protocol of the fake.

func (c *fakeConn) prepare(sql string) error {
	if strings.HasPrefix(sql, "BAD") {
		return c.fail(wire.CodeParse, "You have an error in your SQL syntax")
	}
	c.lastStmt += 7
	st := &fakeStmt{text: sql, schema: c.schema, params: strings.Count(sql, "?")}
	c.prepared[c.lastStmt] = st
	var columns []wire.ColumnDef
	if rest, ok := strings.CutPrefix(sql, "SELECT "); ok {
		list, _, _ := strings.Cut(rest, " FROM ")
		for _, name := range splitTop(list) {
			columns = append(columns, wire.TextColumn(strings.TrimSpace(name)))
		}
	}
	head := wire.StmtPrepareOK{StatementID: c.lastStmt, Columns: uint16(len(columns)), Params: uint16(st.params)}
	packets := [][]byte{head.Append(nil)}
	def := wire.TextColumn("?")
	for range st.params {
		packets = append(packets, def.Append(nil, c.Capabilities))
	}
	definitions := c.definitions(columns)
	st.known = string(bytes.Join(definitions, nil))
	return c.Send(append(packets, definitions...)...)
}

// definitions are the packets about columns as the table is now.
func (c *fakeConn) definitions(columns []wire.ColumnDef) (packets [][]byte) {
	c.fake.mu.Lock()
	altered := c.fake.altered
	c.fake.mu.Unlock()
	for _, col := range columns {
		col.Name += altered
		packets = append(packets, col.Append(nil, c.Capabilities))
	}
	return packets
}

// header are the packets in front of the rows of a prepared statement.
func (c *fakeConn) header(st *fakeStmt, columns []wire.ColumnDef) [][]byte {
	count, definitions := []byte{byte(len(columns))}, c.definitions(columns)
	if !c.Capabilities.Has(wire.MariaDBCacheMetadata) {
		return append([][]byte{count}, definitions...)
	}
	all := string(bytes.Join(definitions, nil))
	if st.known == all {
		return [][]byte{append(count, 0)}
	}
	st.known = all
	return append([][]byte{append(count, 1)}, definitions...)
}

func (c *fakeConn) longData(arg []byte) {
	if len(arg) < 6 {
		return
	}
	st := c.prepared[binary.LittleEndian.Uint32(arg)]
	if st == nil {
		return
	}
	if st.long == nil {
		st.long = map[int]string{}
	}
	st.long[int(binary.LittleEndian.Uint16(arg[4:]))] += string(arg[6:])
}

func (c *fakeConn) execute(arg []byte) error {
	if len(arg) < 9 {
		return c.fail(1210, "Incorrect arguments to mysqld_stmt_execute")
	}
	id := binary.LittleEndian.Uint32(arg)
	st := c.prepared[id]
	if st == nil {
		return c.fail(wire.CodeUnknownStmt, "Unknown prepared statement handler (%d) given to mysqld_stmt_execute", id)
	}
	params, ok := st.bind(arg[9:])
	st.long, st.open = nil, false
	if !ok {
		return c.fail(1210, "Incorrect arguments to mysqld_stmt_execute")
	}
	rest, isSelect := strings.CutPrefix(st.text, "SELECT ")
	if !isSelect {
		text := st.text
		for _, p := range params {
			text = strings.Replace(text, "?", "'"+p.Text+"'", 1)
		}
		_, err := c.statement(text)
		return err
	}
	columns, row := c.evaluate(rest, params)
	for i := range row {
		if columns[i].Name == "prepared_schema" {
			row[i] = wire.Value{Text: st.schema}
		}
	}
	packets := c.header(st, columns)
	if arg[4] == 1 { // CURSOR_TYPE_READ_ONLY
		st.open, st.rows = true, [][]wire.Value{row, row, row}
		return c.Send(append(packets, c.end(wire.CursorExists))...)
	}
	return c.Send(append(packets, binaryRow(row), c.end(0))...)
}

func (c *fakeConn) fetch(arg []byte) error {
	if len(arg) < 8 {
		return c.fail(1835, "Malformed communication packet.")
	}
	st := c.prepared[binary.LittleEndian.Uint32(arg)]
	if st == nil || !st.open {
		return c.fail(1421, "The statement has no open cursor.")
	}
	n := min(int(binary.LittleEndian.Uint32(arg[4:])), len(st.rows))
	var packets [][]byte
	for _, row := range st.rows[:n] {
		packets = append(packets, binaryRow(row))
	}
	st.rows = st.rows[n:]
	flag := wire.CursorExists
	if len(st.rows) == 0 {
		flag, st.open = wire.LastRowSent, false
	}
	return c.Send(append(packets, c.end(flag))...)
}

// end is the packet behind rows.
func (c *fakeConn) end(flag wire.Status) []byte {
	if c.Capabilities.Has(wire.DeprecateEOF) {
		return (&wire.OK{Status: c.Status | flag}).Append(nil, 0xfe, c.Capabilities)
	}
	return wire.EOF{Status: c.Status | flag}.Append(nil)
}

func binaryRow(row []wire.Value) []byte {
	b := make([]byte, 1+(len(row)+7+2)/8)
	for i, v := range row {
		if v.Null {
			b[1+(i+2)/8] |= 1 << ((i + 2) % 8)
			continue
		}
		b = wire.AppendLenencString(b, v.Text)
	}
	return b
}

// bind reads parameters behind the fixed part of an execute. It is not ok if they
// end too soon.
func (st *fakeStmt) bind(p []byte) (params []wire.Value, ok bool) {
	if st.params == 0 {
		return nil, true
	}
	short := false
	take := func(n int) []byte {
		if n > len(p) {
			short, p = true, nil
			return make([]byte, n)
		}
		b := p[:n]
		p = p[n:]
		return b
	}
	bitmap := take((st.params + 7) / 8)
	if take(1)[0] == 1 {
		st.types = slices.Clone(take(2 * st.params))
	}
	if st.types == nil || short {
		return nil, false
	}
	for i := range st.params {
		long, isLong := st.long[i]
		switch {
		case isLong:
			params = append(params, wire.Value{Text: long})
		case bitmap[i/8]&(1<<(i%8)) != 0:
			params = append(params, wire.Value{Null: true})
		case st.types[2*i] == byte(wire.TypeLongLong):
			params = append(params, wire.Value{Text: strconv.FormatUint(binary.LittleEndian.Uint64(take(8)), 10)})
		default:
			b, n := wire.ReadLenencBytes(p)
			if n == 0 {
				return nil, false
			}
			params = append(params, wire.Value{Text: string(b)})
			p = p[n:]
		}
	}
	return params, !short // more is ignored, as servers do
}
