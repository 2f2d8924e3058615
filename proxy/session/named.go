package session

import (
	"bytes"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// Named are the things of one kind that a session has in its connection by
// name: statements of PREPARE, open HANDLERs. It errs to the side of one being
// there. A name counts as it is written: how servers compare names does not
// matter then, something merely lasts longer that is closed by another spelling.
// The zero value is none.
type Named struct {
	// plain says of each whether using it leaves nothing behind.
	plain   map[string]bool
	unknown bool
}

// maxNamed bounds the names remembered.
const maxNamed = 64

// Any reports whether there may be one.
func (n *Named) Any() bool { return n.unknown || len(n.plain) > 0 }

// Finished takes note of what a statement has done, which ended with error
// code, 0 for none.
func (n *Named) Finished(f *lex.Facts, code uint16) {
	switch call, name := lex.Named(f); {
	case call == lex.NoNamedCall:
		n.unknown = n.unknown || f.Class != lex.Deallocate || f.Statements > 1
	case call == lex.OpenNamed && code == 0:
		if len(n.plain) >= maxNamed {
			n.unknown = true
			return
		}
		if n.plain == nil {
			n.plain = map[string]bool{}
		}
		n.plain[string(name)] = f.Class == lex.Prepare && plainText(f)
	case call == lex.CloseNamed && (code == 0 || code == codeUnknownStmt || code == codeUnknownTable):
		delete(n.plain, string(name))
	}
}

// Errors that say there is nothing of the name: ER_UNKNOWN_STMT_HANDLER and
// ER_UNKNOWN_TABLE.
const (
	codeUnknownStmt  = 1243
	codeUnknownTable = 1109
)

// plainUse reports whether an EXECUTE runs a statement known to leave nothing
// in the connection.
func (n *Named) plainUse(f *lex.Facts) bool {
	if f.Class != lex.Execute || n.unknown {
		return false
	}
	call, name := lex.Named(f)
	return call == lex.UseNamed && n.plain[string(name)]
}

// plainText reports whether the text behind PREPARE is one that leaves nothing
// in the connection besides what servers report, whatever sql_mode it is read
// under.
func plainText(f *lex.Facts) bool {
	text := lex.StringArgument(f.Stmt, f.Mode)
	if text == nil || bytes.ContainsAny(text, "\"\\") {
		return false
	}
	var inner lex.Facts
	lex.Scan(text, f.Mode, &inner)
	switch inner.Class {
	case lex.Select, lex.Insert, lex.Replace, lex.Update, lex.Delete:
		d := router.Route(&router.Request{Facts: &inner}, nil)
		return inner.Statements == 1 && d.Pin == 0
	}
	return false
}
