package pool

import (
	"slices"

	"github.com/telamondb/telamon/wire"
)

// Result is the result set of a statement of Telamon's own.
type Result struct {
	Columns []wire.ColumnDef
	// Rows are the payloads of the rows, in the text protocol.
	Rows [][]byte
}

// First returns the first row, nil if there is none; NULL is "".
func (r *Result) First() ([]string, error) {
	if len(r.Rows) == 0 {
		return nil, nil
	}
	fields, err := wire.ParseTextRow(nil, r.Rows[0], len(r.Columns))
	if err != nil {
		return nil, err
	}
	row := make([]string, len(fields))
	for i, field := range fields {
		row[i] = string(field)
	}
	return row, nil
}

// Value returns the first column of the first row, "" for NULL or no row.
func (r *Result) Value() (string, error) {
	row, err := r.First()
	if err != nil || row == nil {
		return "", err
	}
	return row[0], nil
}

// Ask runs a statement of Telamon's own and returns its only result set.
// Errors are as for Query.
func (c *Conn) Ask(sql string) (r *Result, err error) {
	err = c.bounded(func() error {
		r, err = c.ask(sql)
		return err
	})
	return r, err
}

// QueryValue is Ask for a single value, "" for NULL or no row.
func (c *Conn) QueryValue(sql string) (string, error) {
	r, err := c.Ask(sql)
	if err != nil {
		return "", err
	}
	return r.Value()
}

// ask is Ask without a deadline of its own.
func (c *Conn) ask(sql string) (*Result, error) {
	c.queue(wire.ComQuery, sql)
	if err := c.Wire.Flush(); err != nil {
		return nil, err
	}
	return c.readResult()
}

// readRow reads a result set and returns its first row, as Result.First does.
func (c *Conn) readRow() ([]string, error) {
	r, err := c.readResult()
	if err != nil {
		return nil, err
	}
	return r.First()
}

// readResult reads a result set.
func (c *Conn) readResult() (*Result, error) {
	c.Wire.Seq = 1
	p, err := c.Wire.ReadPacket(replyLimit)
	if err != nil {
		return nil, err
	}
	if wire.IsErr(p) {
		return nil, asError(p)
	}
	columns, err := wire.ParseColumnCount(p)
	if err != nil {
		return nil, err
	}
	r := &Result{Columns: make([]wire.ColumnDef, columns)}
	for i := range r.Columns {
		if p, err = c.Wire.ReadPacket(replyLimit); err == nil {
			err = r.Columns[i].Parse(p, c.Caps)
		}
		if err != nil {
			return nil, err
		}
	}
	if !c.Caps.Has(wire.DeprecateEOF) {
		if _, err := c.Wire.ReadPacket(replyLimit); err != nil {
			return nil, err
		}
	}
	for {
		p, err := c.Wire.ReadPacket(replyLimit)
		switch {
		case err != nil:
			return nil, err
		case wire.IsErr(p):
			return nil, asError(p)
		case len(p) > 0 && p[0] == 0xfe && len(p) < wire.MaxPayload:
			c.Wire.Idle()
			return r, nil
		}
		r.Rows = append(r.Rows, slices.Clone(p))
	}
}
