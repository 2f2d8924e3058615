package session

import (
	"bytes"

	"github.com/telamondb/telamon/router/lex"
)

// TempTables are the temporary tables that a session may have, by name. It errs
// to the side of a table existing. The zero value is none.
type TempTables struct {
	tables []tempTable
	// unknown: there may be others, of any name.
	unknown bool
}

// tempTable is one of them. schema is that which an unqualified name meant
// when it was created; a table created by a qualified name has anySchema.
type tempTable struct{ schema, name string }

const anySchema = "\x00"

// Any reports whether there may be a temporary table.
func (t *TempTables) Any() bool { return t.unknown || len(t.tables) > 0 }

// Sent takes note of what a statement may create.
func (t *TempTables) Sent(f *lex.Facts, schema string) {
	if !f.Flags.Has(lex.FlagTemporary) {
		return
	}
	nameless := f.NumTempCreated() == 0 && f.NumTempDropped() == 0
	if f.Flags.Has(lex.FlagTempOverflow) || f.Statements > 1 || nameless {
		t.unknown = true
		return
	}
	if bytes.IndexByte(f.Stmt, '.') >= 0 {
		schema = anySchema
	}
	for i := range f.NumTempCreated() {
		name := f.TempCreated(i)
		if !plainName(name) {
			t.unknown = true
			return
		}
		t.add(tempTable{schema, string(bytes.ToLower(name))})
	}
}

func (t *TempTables) add(table tempTable) {
	for _, have := range t.tables {
		if have == table {
			return // it replaces the other, or fails
		}
	}
	t.tables = append(t.tables, table)
}

// Succeeded takes note of what a statement that succeeded has dropped or
// renamed.
func (t *TempTables) Succeeded(f *lex.Facts, schema string) {
	if f.Class != lex.DDL || f.Statements > 1 || !t.Any() {
		return
	}
	if f.NumTempDropped() == 0 {
		if f.NumTempCreated() == 0 && t.Mentioned(f.Stmt) {
			t.unknown = true // ALTER or RENAME: it may have another name now
		}
		return
	}
	if f.Flags.Has(lex.FlagTempOverflow) || bytes.IndexByte(f.Stmt, '.') >= 0 {
		return // not clear which tables are meant
	}
	for i := range f.NumTempDropped() {
		t.remove(tempTable{schema, string(bytes.ToLower(f.TempDropped(i)))})
	}
}

func (t *TempTables) remove(table tempTable) {
	for i, have := range t.tables {
		if have == table {
			t.tables = append(t.tables[:i], t.tables[i+1:]...)
			return
		}
	}
}

// plainName reports whether a name is spelled in one way only, but for the
// case of its letters.
func plainName(name []byte) bool {
	for _, c := range name {
		if !nameByte(c) || c >= 0x80 {
			return false
		}
	}
	return len(name) > 0
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// Mentioned reports whether a statement may name one of the tables: whether
// the name occurs in its text as a word, in strings and comments too. A text
// that is not ASCII is not judged: characters such as the Kelvin sign become
// ASCII letters in lower case.
func (t *TempTables) Mentioned(stmt []byte) bool {
	if t.unknown {
		return true
	}
	for i := 0; i < len(stmt); {
		if !nameByte(stmt[i]) {
			i++
			continue
		}
		start := i
		for i < len(stmt) && nameByte(stmt[i]) {
			if stmt[i] >= 0x80 {
				return true
			}
			i++
		}
		if t.named(stmt[start:i]) {
			return true
		}
	}
	return false
}

func (t *TempTables) named(word []byte) bool {
	for i := range t.tables {
		if name := t.tables[i].name; len(name) == len(word) && equalLower(word, name) {
			return true
		}
	}
	return false
}

// equalLower compares a word with a name in lower case.
func equalLower(word []byte, name string) bool {
	for i, c := range word {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != name[i] {
			return false
		}
	}
	return true
}
