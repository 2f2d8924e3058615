package proxy

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// A client that asks for its connection id wants the one that KILL takes, which
// is Telamon's. Where the question is all there is to the statement, Telamon
// answers it; an id amid other things comes from the server.

// idQuestion reports whether the statement in s.facts asks for the connection
// id and for nothing else, and describes the only column of the answer.
// Measured on MariaDB 10.11 and MySQL 9.7.
func (s *Session) idQuestion() (column wire.ColumnDef, ok bool) {
	const harmless = lex.FlagSysVarRead | lex.FlagUnknownHint
	if s.facts.Flags&^harmless != lex.FlagConnectionID || s.facts.Class != lex.Select || s.facts.Statements != 1 {
		return column, false
	}
	p := phrase(s.facts.Stmt)
	if !p.take("select") {
		return column, false
	}
	p.skip()
	expression := p
	column = wire.ColumnDef{Collation: wire.CollationBinary, Length: 21, Type: wire.TypeLongLong, Flags: wire.FlagUnsigned | wire.FlagBinary}
	switch {
	case p.take("connection_id"):
		column.Flags |= wire.FlagNotNull
		if s.state.Mode.Flavor == lex.FlavorMariaDB {
			column.Length, column.Type = 10, wire.TypeLong
		}
		if !p.take("(") || !p.take(")") {
			return column, false
		}
	case p.take("@@pseudo_thread_id"), p.take("@@session.pseudo_thread_id"):
	default:
		return column, false
	}
	column.Name = string(expression[:len(expression)-len(p)])
	if strings.ContainsAny(column.Name, "/#-") {
		return column, false // a comment within; servers differ about its part in the name
	}
	if !p.done() {
		if column.Name, ok = p.alias(); !ok || !p.done() {
			return column, false
		}
	}
	return column, true
}

// alias drops [AS] alias. A word that may be part of the grammar instead is
// left to the server.
func (p *phrase) alias() (name string, ok bool) {
	p.take("as")
	p.skip()
	if b := *p; len(b) > 0 && (b[0] == '`' || b[0] == '\'') {
		return p.quoted(b[0])
	}
	name = p.name()
	return name, name != "" && name[0] > '9' && (strings.EqualFold(name, "connection_id") || !lex.Known([]byte(name)))
}

// answerID answers the command being carried by the connection id.
func (s *Session) answerID(column wire.ColumnDef, bin bool) error {
	row := wire.AppendLenencString(nil, strconv.FormatUint(uint64(s.id), 10))
	switch {
	case bin && column.Type == wire.TypeLong: // header, bitmap of NULLs, value
		row = binary.LittleEndian.AppendUint32([]byte{0, 0}, s.id)
	case bin:
		row = binary.LittleEndian.AppendUint64([]byte{0, 0}, uint64(s.id))
	}
	packets, _ := wire.AppendResult(nil, s.cmd.last+1, s.caps, s.state.Status, []wire.ColumnDef{column}, [][]byte{row})
	_, err := s.client.Write(packets)
	return err
}
