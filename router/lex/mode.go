package lex

// Mode is what the meaning of a statement's bytes depends on besides the bytes
// themselves. The zero value is a session of an unknown server with an ASCII
// compatible character set and the default sql_mode.
type Mode struct {
	// Charset is the session's character_set_client.
	Charset Charset
	// Flavor is the server that will run the statement. FlavorUnknown assumes
	// the worse of both.
	Flavor Flavor
	// ANSIQuotes says that "x" is an identifier (sql_mode ANSI_QUOTES).
	ANSIQuotes bool
	// NoBackslashEscapes says that \ is an ordinary character in strings
	// (sql_mode NO_BACKSLASH_ESCAPES, status flag 0x0200).
	NoBackslashEscapes bool
	// IgnoreSpace allows blanks between a built-in function's name and its
	// parenthesis (sql_mode IGNORE_SPACE or CLIENT_IGNORE_SPACE).
	IgnoreSpace bool
	// Oracle is MariaDB's sql_mode ORACLE: BEGIN opens a block, seq.nextval is
	// a function call.
	Oracle bool
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
