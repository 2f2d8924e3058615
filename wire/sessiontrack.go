package wire

// ChangeType says what a session state change is about; protocol doc
// "enum_session_state_type".
type ChangeType byte

// Types of session state changes.
const (
	ChangeSystemVariable  ChangeType = 0 // Name and Value
	ChangeSchema          ChangeType = 1 // Value: the new default database
	ChangeState           ChangeType = 2 // Value: "1" when session state changed in any way
	ChangeGTIDs           ChangeType = 3 // Value: GTIDs of the transaction committed (MySQL only)
	ChangeTrxCharacterist ChangeType = 4 // Value: statements that restore the characteristics of the next transaction
	ChangeTrxState        ChangeType = 5 // Value: 8 characters, protocol doc "SESSION_TRACK_TRANSACTION_STATE"
)

// Change is one entry of OK.SessionChanges. A type that is none of the above
// has the raw data of the entry as Value.
type Change struct {
	Type  ChangeType
	Name  []byte // only of a system variable
	Value []byte
}

// Changes walks the changes of an OK packet:
//
//	for c := wire.NewChanges(ok.SessionChanges); c.Next(); {
//		use(c.Change())
//	}
//
// Everything aliases the block. Nothing is allocated unless the block is
// malformed.
type Changes struct {
	d      decoder
	vars   []byte // further variables of the entry that is being read
	change Change
}

// NewChanges starts a walk over block, which may be empty.
func NewChanges(block []byte) Changes {
	return Changes{d: decoder{rest: block, message: "session change"}}
}

// Next moves to the next change and reports whether there is one.
func (c *Changes) Next() bool {
	if len(c.vars) > 0 {
		return c.variable(c.vars)
	}
	if c.d.err != nil || len(c.d.rest) == 0 {
		return false
	}
	typ := ChangeType(c.d.byte("type"))
	data := c.d.lenencBytes("data")
	if c.d.err != nil {
		return false
	}
	switch typ {
	case ChangeSystemVariable:
		return c.variable(data)
	case ChangeSchema, ChangeTrxCharacterist, ChangeTrxState:
		return c.value(typ, data)
	case ChangeGTIDs:
		// One byte says how the GTIDs are encoded; 0, text, is the only
		// encoding there is.
		if len(data) == 0 {
			c.d.fail("GTID encoding")
			return false
		}
		return c.value(typ, data[1:])
	}
	// ChangeState is a single character, without a length of its own in spite
	// of the protocol doc.
	c.change = Change{Type: typ, Value: data}
	return true
}

// Change returns the change Next has moved to.
func (c *Changes) Change() Change { return c.change }

// Err returns what ended the walk early, nil if nothing did.
func (c *Changes) Err() error { return c.d.err }

// variable reads one pair from data. MySQL 9.7 and MariaDB 10.11 make an entry
// of each variable; MariaDB KB allows several in one, and so its connectors
// read them.
func (c *Changes) variable(data []byte) bool {
	name, n := ReadLenencBytes(data)
	value, m := ReadLenencBytes(data[n:])
	if n == 0 || m == 0 {
		c.d.fail("system variable")
		c.vars = nil
		return false
	}
	c.vars = data[n+m:]
	c.change = Change{Type: ChangeSystemVariable, Name: name, Value: value}
	return true
}

// AppendChange appends an entry about something without a name: the schema,
// or a transaction.
func AppendChange(dst []byte, typ ChangeType, value string) []byte {
	return AppendLenencBytes(append(dst, byte(typ)), AppendLenencString(nil, value))
}

// AppendVariableChange appends an entry about one system variable.
func AppendVariableChange(dst []byte, name, value string) []byte {
	pair := AppendLenencString(AppendLenencString(nil, name), value)
	return AppendLenencBytes(append(dst, byte(ChangeSystemVariable)), pair)
}

func (c *Changes) value(typ ChangeType, data []byte) bool {
	v, n := ReadLenencBytes(data)
	if n == 0 {
		c.d.fail("value")
		return false
	}
	c.change = Change{Type: typ, Value: v}
	return true
}
