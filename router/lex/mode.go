package lex

import "strings"

// Mode is what the meaning of a statement's bytes depends on besides the bytes
// themselves. The zero value is a session of an unknown server with an ASCII
// compatible character set and the default sql_mode.
type Mode struct {
	// Charset is the session's character_set_client.
	Charset Charset
	// Flavor is the server that will run the statement. FlavorUnknown assumes
	// the worse of both.
	Flavor Flavor
	// SQLMode is what of the session's sql_mode matters.
	SQLMode SQLMode
}

// SQLMode are the sql_mode settings that change how a statement is read. They
// are bits and not fields so that a Mode has few enough fields for the compiler
// to keep in registers: a larger one is written to the stack and read again at
// once, in other pieces, for which the processor waits at every call.
type SQLMode uint8

// The settings.
const (
	// ANSIQuotes: "x" is an identifier.
	ANSIQuotes SQLMode = 1 << iota
	// NoBackslashEscapes: \ is an ordinary character in strings (also status
	// flag 0x0200).
	NoBackslashEscapes
	// IgnoreSpace allows blanks between a built-in function's name and its
	// parenthesis (also CLIENT_IGNORE_SPACE).
	IgnoreSpace
	// Oracle is MariaDB's ORACLE: BEGIN opens a block, seq.nextval is a
	// function call.
	Oracle
)

// Has reports whether any of the settings in mask is on.
func (m SQLMode) Has(mask SQLMode) bool { return m&mask != 0 }

// ParseSQLMode returns the settings that are on in a value of sql_mode, as
// servers show it: in capitals, the combined modes (ANSI, ...) together with
// those they stand for.
func ParseSQLMode(value string) SQLMode {
	var m SQLMode
	for value != "" {
		var name string
		name, value, _ = strings.Cut(value, ",")
		switch name {
		case "ANSI_QUOTES":
			m |= ANSIQuotes
		case "NO_BACKSLASH_ESCAPES":
			m |= NoBackslashEscapes
		case "IGNORE_SPACE":
			m |= IgnoreSpace
		case "ORACLE":
			m |= Oracle
		}
	}
	return m
}

// Flavor is the family of the server.
type Flavor uint8

// The server families.
const (
	FlavorUnknown Flavor = iota
	FlavorMySQL
	FlavorMariaDB
)

// String returns "unknown", "mysql" or "mariadb".
func (f Flavor) String() string {
	switch f {
	case FlavorMySQL:
		return "mysql"
	case FlavorMariaDB:
		return "mariadb"
	}
	return "unknown"
}
