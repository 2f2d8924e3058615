package proxy

import (
	"encoding/binary"
	"fmt"

	"github.com/telamondb/telamon/wire"
)

// stmt is a prepared statement of a client.
type stmt struct {
	id              uint32
	params, columns int
}

// tryPrepare sends COM_STMT_PREPARE.
func (c *client) tryPrepare(sql string) (stmt, error) {
	if err := c.Command(wire.ComStmtPrepare, sql); err != nil {
		return stmt{}, err
	}
	b, err := c.packet()
	if err != nil {
		return stmt{}, err
	}
	var ok wire.StmtPrepareOK
	if err := ok.Parse(b); err != nil {
		return stmt{}, err
	}
	for _, n := range [...]int{int(ok.Params), int(ok.Columns)} {
		if n == 0 {
			continue
		}
		if !c.Capabilities.Has(wire.DeprecateEOF) {
			n++
		}
		for range n {
			if _, err := c.packet(); err != nil {
				return stmt{}, err
			}
		}
	}
	return stmt{ok.StatementID, int(ok.Params), int(ok.Columns)}, nil
}

// packet reads a packet; an ERR becomes the error.
func (c *client) packet() ([]byte, error) {
	b, err := c.Read()
	if err == nil && wire.IsErr(b) {
		e, err := wire.ParseErr(b)
		if err != nil {
			return nil, err
		}
		return nil, e
	}
	return b, err
}

func (c *client) prepare(sql string) stmt {
	c.t.Helper()
	st, err := c.tryPrepare(sql)
	if err != nil {
		c.t.Fatalf("prepare %s: %v", sql, err)
	}
	return st
}

// null is a parameter.
const null = "\x00NULL"

// executePacket makes a COM_STMT_EXECUTE of strings.
func executePacket(id uint32, flags byte, types bool, params ...string) string {
	p := binary.LittleEndian.AppendUint32(nil, id)
	p = append(p, flags, 1, 0, 0, 0)
	if len(params) == 0 {
		return string(p)
	}
	bitmap := make([]byte, (len(params)+7)/8)
	var kinds, values []byte
	for i, v := range params {
		kinds = append(kinds, byte(wire.TypeVarString), 0)
		if v == null {
			bitmap[i/8] |= 1 << (i % 8)
			continue
		}
		values = wire.AppendLenencString(values, v)
	}
	p = append(p, bitmap...)
	if types {
		return string(append(append(append(p, 1), kinds...), values...))
	}
	return string(append(append(p, 0), values...))
}

// tryExecute runs a statement and returns its rows, nil for an OK.
func (c *client) tryExecute(st stmt, types bool, params ...string) ([][]wire.Value, error) {
	if err := c.Command(wire.ComStmtExecute, executePacket(st.id, 0, types, params...)); err != nil {
		return nil, err
	}
	return c.binaryResult()
}

func (c *client) binaryResult() ([][]wire.Value, error) {
	b, err := c.packet()
	if err != nil || b[0] == 0 {
		return nil, err
	}
	columns := int(b[0])
	definitions := columns
	if !c.Capabilities.Has(wire.DeprecateEOF) {
		definitions++
	}
	for range definitions {
		if _, err := c.packet(); err != nil {
			return nil, err
		}
	}
	rows, _, err := c.binaryRows(columns)
	return rows, err
}

// binaryRows reads rows up to their end, whose status it returns.
func (c *client) binaryRows(columns int) (rows [][]wire.Value, status wire.Status, err error) {
	for {
		b, err := c.packet()
		if err != nil {
			return rows, 0, err
		}
		if b[0] == 0xfe {
			if c.Capabilities.Has(wire.DeprecateEOF) {
				ok, err := wire.ParseOK(b, c.Capabilities)
				return rows, ok.Status, err
			}
			eof, err := wire.ParseEOF(b)
			return rows, eof.Status, err
		}
		row := make([]wire.Value, columns)
		bitmap, p := b[1:1+(columns+9)/8], b[1+(columns+9)/8:]
		for i := range row {
			if row[i].Null = bitmap[(i+2)/8]&(1<<((i+2)%8)) != 0; row[i].Null {
				continue
			}
			v, n := wire.ReadLenencBytes(p)
			if n == 0 {
				return rows, 0, fmt.Errorf("row %q", b)
			}
			row[i].Text, p = string(v), p[n:]
		}
		rows = append(rows, row)
	}
}

// execute runs a statement that returns one row.
func (c *client) execute(st stmt, types bool, params ...string) []string {
	c.t.Helper()
	rows, err := c.tryExecute(st, types, params...)
	if err != nil {
		c.t.Fatalf("execute: %v", err)
	}
	if len(rows) != 1 {
		c.t.Fatalf("execute: %d rows", len(rows))
	}
	return texts(rows[0])
}

func idBytes(id uint32) string { return string(binary.LittleEndian.AppendUint32(nil, id)) }

// closeStmt sends COM_STMT_CLOSE, which has no answer.
func (c *client) closeStmt(id uint32) {
	c.t.Helper()
	if err := c.Command(wire.ComStmtClose, idBytes(id)); err != nil {
		c.t.Fatal(err)
	}
}

// longData sends COM_STMT_SEND_LONG_DATA, which has no answer.
func (c *client) longData(id uint32, param uint16, data string) {
	c.t.Helper()
	arg := binary.LittleEndian.AppendUint16([]byte(idBytes(id)), param)
	if err := c.Command(wire.ComStmtSendLongData, string(arg)+data); err != nil {
		c.t.Fatal(err)
	}
}

// cursor executes a statement with a cursor and fetches n rows.
func (c *client) cursor(st stmt, n byte) (rows [][]wire.Value, status wire.Status) {
	c.t.Helper()
	if status = c.openCursor(st); !status.Has(wire.CursorExists) {
		c.t.Fatalf("status %#x: no cursor", status)
	}
	rows, status, err := c.fetch(st, n)
	if err != nil {
		c.t.Fatal(err)
	}
	return rows, status
}

// openCursor executes a statement with a cursor.
func (c *client) openCursor(st stmt) wire.Status {
	c.t.Helper()
	if err := c.Command(wire.ComStmtExecute, executePacket(st.id, 1, false)); err != nil {
		c.t.Fatal(err)
	}
	b, err := c.packet()
	if err != nil {
		c.t.Fatal(err)
	}
	for range int(b[0]) {
		if _, err := c.packet(); err != nil {
			c.t.Fatal(err)
		}
	}
	_, status, err := c.binaryRows(st.columns)
	if err != nil {
		c.t.Fatal(err)
	}
	return status
}

// fetch fetches n rows of an open cursor.
func (c *client) fetch(st stmt, n byte) ([][]wire.Value, wire.Status, error) {
	c.t.Helper()
	if err := c.Command(wire.ComStmtFetch, idBytes(st.id)+string([]byte{n, 0, 0, 0})); err != nil {
		c.t.Fatal(err)
	}
	return c.binaryRows(st.columns)
}
