package conf

import (
	"fmt"
	"strings"
)

// Problem is one thing that is wrong, or doubtful, in a configuration.
type Problem struct {
	// File is the name given to Load or Parse, or "environment" where the
	// value came from a TELAMON_ variable.
	File string
	// Path is the key, such as backends[1].weight with indexes from 0; empty
	// for a syntax error and for the file as a whole.
	Path string
	// Line counts from 1; 0 = the file has no line for it.
	Line int
	// Msg says what is wrong and, where there is one, the remedy. It never
	// contains a secret.
	Msg string
	// Warning means that the configuration can be used all the same.
	Warning bool
}

// String returns "FILE:LINE: KEY: MESSAGE", without the parts that are
// unknown.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
	}
	b.WriteString(": ")
	if p.Warning {
		b.WriteString("warning: ")
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Msg)
	return b.String()
}

// Fatal tells whether any of the problems is more than a warning. Load and
// Parse return a nil Config exactly in that case.
func Fatal(problems []Problem) bool {
	for _, p := range problems {
		if !p.Warning {
			return true
		}
	}
	return false
}
