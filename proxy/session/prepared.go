package session

import (
	"encoding/binary"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// Prepared is a statement the client has prepared by COM_STMT_PREPARE.
type Prepared struct {
	// ID is the number the client knows it by. The servers have their own.
	ID uint32
	// Text as the client sent it, and what it is.
	Text  []byte
	Facts lex.Facts
	// Profile of the session when it was prepared: schema, sql_mode and
	// character set are part of what the text means.
	Profile *pool.Profile
	Params  uint16
	// Types are the parameter types the client bound last, two bytes each.
	// Generation grows whenever they change, from 1 at the first.
	Types      []byte
	Generation uint32
	// Cursor says that an open cursor reads its result; LongData that a
	// parameter has been sent ahead.
	Cursor, LongData bool
	// Metadata is a hash of the column definitions that the client has been sent
	// last; see wire.Response.
	Metadata uint64
	// Stuck says that an execution with parameters sent ahead has failed: they
	// may be why, and the server then repeats the error until COM_STMT_RESET.
	Stuck bool
	// Failed is the error of sending a parameter ahead. That command has no
	// answer, so the next execution is answered by it.
	Failed *wire.Err
}

// PreparedStore holds a session's prepared statements. The zero value is empty.
type PreparedStore struct {
	lastID   uint32
	latest   uint32 // see Latest
	byID     map[uint32]*Prepared
	textSize int
}

// NextID returns the number for a statement about to be prepared.
func (ps *PreparedStore) NextID() uint32 {
	for {
		ps.lastID++
		if ps.lastID == 0 || ps.lastID == Direct { // 0 is no id
			continue
		}
		if _, used := ps.byID[ps.lastID]; !used {
			return ps.lastID
		}
	}
}

// Add keeps a statement that has been prepared.
func (ps *PreparedStore) Add(p *Prepared) {
	if ps.byID == nil {
		ps.byID = map[uint32]*Prepared{}
	}
	ps.byID[p.ID] = p
	ps.latest = p.ID
	ps.textSize += len(p.Text)
}

// Get returns a statement, nil if there is none of that number.
func (ps *PreparedStore) Get(id uint32) *Prepared { return ps.byID[id] }

// Direct is the number by which clients of MariaDB mean Latest.
const Direct = 1<<32 - 1

// Latest returns the number of the statement prepared last, Direct if that has
// failed or the statement has been closed.
func (ps *PreparedStore) Latest() uint32 {
	if ps.latest == 0 {
		return Direct
	}
	return ps.latest
}

// Preparing says that the client prepares another statement.
func (ps *PreparedStore) Preparing() { ps.latest = 0 }

// Remove forgets a statement.
func (ps *PreparedStore) Remove(id uint32) {
	if id == ps.latest {
		ps.latest = 0
	}
	if p := ps.byID[id]; p != nil {
		ps.textSize -= len(p.Text)
		delete(ps.byID, id)
	}
}

// Clear forgets all of them. Numbers are not used again.
func (ps *PreparedStore) Clear() { ps.byID, ps.textSize, ps.latest = nil, 0, 0 }

// TextSize returns the bytes of text of all of them together.
func (ps *PreparedStore) TextSize() int { return ps.textSize }

// Len returns how many there are.
func (ps *PreparedStore) Len() int { return len(ps.byID) }

// Holding reports whether any statement has an open cursor, or long data.
func (ps *PreparedStore) Holding() (cursor, longData bool) {
	for _, p := range ps.byID {
		cursor = cursor || p.Cursor
		longData = longData || p.LongData
	}
	return cursor, longData
}

// Execute is the head of a COM_STMT_EXECUTE payload; protocol doc
// "COM_STMT_EXECUTE".
type Execute struct {
	ID    uint32
	Flags byte // cursor type
	// TypesAt is the offset of the new_params_bind_flag, 0 without parameters.
	TypesAt int
	// Bound says that parameter types follow the flag.
	Bound bool
	// Named says that the packet tells the number of its values and their
	// names; NullsAt and Values are then the offsets of the NULL bitmap and
	// of what stands behind the types.
	Named           bool
	NullsAt, Values int
	Bulk            bool // it is a COM_STMT_BULK_EXECUTE
}

// ParseExecute reads the head of an execute payload for a statement with the
// given number of parameters. ok is false if p is too short to hold it.
func ParseExecute(p []byte, params uint16) (e Execute, ok bool) {
	if len(p) < 10 {
		return e, false
	}
	e.ID = binary.LittleEndian.Uint32(p[1:])
	e.Flags = p[5] &^ wire.AttributesAvailable // which means nothing here (MySQL 9.7)
	if params == 0 {
		return e, true
	}
	e.TypesAt = 10 + (int(params)+7)/8
	if len(p) <= e.TypesAt {
		return e, false
	}
	e.Bound = p[e.TypesAt] != 0
	return e, !e.Bound || len(p) > e.TypesAt+2*int(params)
}

// Bind notes the types that an execute carries.
func (p *Prepared) Bind(types []byte) {
	if string(types) == string(p.Types) && p.Generation > 0 {
		return
	}
	p.Types = append(p.Types[:0], types...)
	p.Generation++
}
