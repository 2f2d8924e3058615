package pool

import (
	"fmt"
	"slices"

	"github.com/telamondb/telamon/wire"
)

// charsetVars and sql_mode are the variables that are part of what a
// statement's text means.
var charsetVars = [...]string{"character_set_client", "character_set_connection", "character_set_results", "collation_connection"}

// Prepare makes a prepared statement of text under the schema, sql_mode and
// character set of a profile, whatever the connection's present ones are; those
// are put back. It is recorded in Statements under the owner's number. An error
// that contains *wire.Err says that the statement cannot be prepared and leaves
// the connection as it was; after any other it must be discarded.
func (c *Conn) Prepare(number uint32, text []byte, under *Profile) error {
	there, back := c.contextSwitch(c.Profile, under), c.contextSwitch(under, c.Profile)
	err := c.run(there)
	if err == nil {
		// Without a deadline: as an execution would, it waits behind an ALTER
		// TABLE that waits for a transaction (measured, MariaDB 10.11 and MySQL 9.7).
		var st Statement
		if st, err = c.prepare(text); err == nil {
			c.SetStatement(number, st)
		}
	}
	if err != nil && !isServerError(err) {
		c.Dirt = MustClose
		return err
	}
	// What has been switched goes back even if only a part of it has been.
	if backErr := c.run(back); backErr != nil {
		c.Dirt = MustClose
		return fmt.Errorf("going back to the session's own settings: %v", backErr) // not as a *wire.Err
	}
	return err
}

type command struct {
	cmd wire.Command
	arg string
}

// run sends commands in one write and reads their answers.
func (c *Conn) run(cmds []command) error {
	if len(cmds) == 0 {
		return nil
	}
	return c.bounded(func() error {
		for _, cmd := range cmds {
			c.queue(cmd.cmd, cmd.arg)
		}
		return c.exchange(len(cmds))
	})
}

// contextSwitch returns the commands that go from one profile's context to
// another's. Between a schema and none it does not switch, as there is no way
// back: a text that could be prepared without a schema means the same with one,
// and one that needs a schema the session has lost is refused by the server.
func (c *Conn) contextSwitch(from, to *Profile) (cmds []command) {
	if from == to {
		return nil
	}
	if from.Schema != to.Schema && from.Schema != "" && to.Schema != "" {
		cmds = append(cmds, command{wire.ComInitDB, to.Schema})
	}
	var vars []Var
	if slices.ContainsFunc(charsetVars[:], func(name string) bool { return differs(name, from, to) }) {
		// From the login's character set on, which is what a variable has
		// that was not set since.
		cmds = append(cmds, command{wire.ComQuery, wire.SetNames(to.Collation, c.mariadb)})
		for _, name := range charsetVars {
			if value, ok := to.Value(name); ok {
				vars = append(vars, Var{name, value})
			}
		}
	}
	if differs("sql_mode", from, to) {
		mode, ok := to.Value("sql_mode")
		if !ok {
			mode = c.BaseMode
		}
		vars = append(vars, Var{"sql_mode", mode})
	}
	if set := appendSet(nil, &Profile{}, &Profile{Vars: vars}); len(set) > 0 {
		cmds = append(cmds, command{wire.ComQuery, string(set)})
	}
	return cmds
}

// differs reports whether a variable's value is not the same under two profiles
// of a session.
func differs(name string, p, q *Profile) bool {
	a, inP := p.Value(name)
	b, inQ := q.Value(name)
	return inP != inQ || a != b
}

// prepare sends COM_STMT_PREPARE and reads the whole answer.
func (c *Conn) prepare(text []byte) (st Statement, err error) {
	c.Wire.StartCommand()
	c.Wire.WritePacket(append([]byte{byte(wire.ComStmtPrepare)}, text...))
	if err := c.Wire.Flush(); err != nil {
		return st, err
	}
	c.Wire.Seq = 1
	p, err := c.Wire.ReadPacket(replyLimit)
	if err != nil {
		return st, err
	}
	if wire.IsErr(p) {
		return st, asError(p)
	}
	var ok wire.StmtPrepareOK
	if err := ok.Parse(p); err != nil {
		return st, err
	}
	if !c.Caps.Has(wire.DeprecateEOF) {
		return st, fmt.Errorf("%w: no CLIENT_DEPRECATE_EOF", ErrTooOld)
	}
	st = Statement{ID: ok.StatementID, Fresh: true}
	params := int(ok.Params)
	for i := range params + int(ok.Columns) {
		p, err := c.Wire.ReadPacket(replyLimit)
		if err != nil {
			return st, err
		}
		if i >= params && c.Caps.Has(wire.MariaDBCacheMetadata) {
			st.Definitions, _ = wire.AppendPacket(st.Definitions, 0, p)
		}
	}
	st.Metadata = wire.HashDefinitions(st.Definitions)
	c.Wire.Idle()
	return st, nil
}
