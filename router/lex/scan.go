package lex

import "bytes"

// Scan reads one statement text (the payload of COM_QUERY or COM_STMT_PREPARE
// without the command byte) and fills f with its facts.
func Scan(stmt []byte, mode Mode, f *Facts) {
	*f = Facts{Stmt: stmt}
	w := bytes.Fields(stmt)
	f.Statements = 1
	if len(w) == 0 {
		f.Statements, f.Class = 0, Empty
		return
	}
	for c := Class(0); c < NumClasses; c++ {
		if bytes.EqualFold(w[0], []byte(c.String())) {
			f.Class = c
		}
	}
	f.Classes = f.Class.Set()
}
