package pool

import (
	"encoding/binary"
	"fmt"

	"github.com/telamondb/telamon/wire"
)

// contextVars are the variables that are part of what a statement's text means.
var contextVars = [...]string{"character_set_client", "character_set_connection", "character_set_results", "collation_connection", "sql_mode"}

// Prepare makes a prepared statement of text under the schema, sql_mode and
// character set of a profile, whatever the connection's present ones are; those
// are put back. It is recorded in Statements under the owner's number.
func (c *Conn) Prepare(number uint32, text []byte, under *Profile) error {
	present := c.Profile
	there, back := c.contextSwitch(present, under), c.contextSwitch(under, present)
	n := c.queueAll(there)
	if err := c.exchange(n); err != nil {
		return err
	}
	st, err := c.prepare(text)
	if err == nil {
		c.Statements[number] = Statement{ID: st.StatementID}
	}
	if backErr := c.exchange(c.queueAll(back)); backErr != nil {
		c.Dirt = MustClose
		return backErr
	}
	return err
}

type command struct {
	cmd wire.Command
	arg string
}

func (c *Conn) queueAll(cmds []command) int {
	for _, cmd := range cmds {
		c.queue(cmd.cmd, cmd.arg)
	}
	return len(cmds)
}

// contextSwitch returns the commands that go from one profile's context to
// another's.
func (c *Conn) contextSwitch(from, to *Profile) (cmds []command) {
	if from == to {
		return nil
	}
	if from.Schema != to.Schema && to.Schema != "" {
		cmds = append(cmds, command{wire.ComInitDB, to.Schema})
	}
	set := []byte("SET ")
	for _, name := range contextVars {
		a, inA := from.Value(name)
		b, inB := to.Value(name)
		switch {
		case inB && (!inA || a != b):
			set = append(append(set, name...), '=')
			set = append(appendValue(set, Var{name, b}), ',')
		case inA && !inB && name == "sql_mode":
			set = append(set, "sql_mode=DEFAULT,"...)
		case inA && !inB && name == "character_set_client":
			cmds = append(cmds, command{wire.ComQuery, wire.SetNames(to.Collation, c.mariadb)})
		}
	}
	if len(set) > len("SET ") {
		cmds = append(cmds, command{wire.ComQuery, string(set[:len(set)-1])})
	}
	return cmds
}

// prepare sends COM_STMT_PREPARE and reads the whole answer.
func (c *Conn) prepare(text []byte) (wire.StmtPrepareOK, error) {
	var st wire.StmtPrepareOK
	c.Wire.Seq = 0
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
	if err := st.Parse(p); err != nil {
		return st, err
	}
	definitions := int(st.Params) + int(st.Columns)
	if !c.Caps.Has(wire.DeprecateEOF) {
		return st, fmt.Errorf("%w: no CLIENT_DEPRECATE_EOF", ErrTooOld)
	}
	for range definitions {
		if _, err := c.Wire.ReadPacket(replyLimit); err != nil {
			return st, err
		}
	}
	c.Wire.Idle()
	return st, nil
}

// CloseStatement closes a prepared statement, if the connection has it. The
// command has no answer.
func (c *Conn) CloseStatement(number uint32) error {
	st, ok := c.Statements[number]
	if !ok {
		return nil
	}
	delete(c.Statements, number)
	var p [9]byte
	p[0] = 5
	p[4] = byte(wire.ComStmtClose)
	binary.LittleEndian.PutUint32(p[5:], st.ID)
	_, err := c.Wire.Write(p[:])
	return err
}
