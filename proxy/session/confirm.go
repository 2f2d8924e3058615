package session

import (
	"strings"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// CollationVariable is the variable that changes with the character set of the
// connection without being reported (measured, MariaDB 10.11 and MySQL 9.7).
const CollationVariable = "collation_connection"

// unreported reports whether a statement has made settings that the server did
// not tell of.
func (s *State) unreported(f *lex.Facts) bool {
	if !f.Flags.Has(lex.FlagSetTrackVars) {
		return s.reported < f.SetVars || s.reported == 0 && f.Flags.Has(lex.FlagSetNames)
	}
	// What is set along with the reporting is reported or not, depending on
	// the order and the flavour.
	return f.SetVars > 1 || f.Flags.Has(lex.FlagSetNames) || f.Statements > 1
}

// Unconfirmed returns the names of the variables that the statement, which has
// succeeded, has set without their being reported, so that the server can be
// asked; nil if none is missing, or asking would not be enough.
func (s *State) Unconfirmed(f *lex.Facts) []string {
	if !s.unconfirmed || f.Flags.Has(lex.FlagSetNextTransaction|lex.FlagSetRole) {
		return nil
	}
	var names []string
	portable := true
	ok := lex.AllSetItems(f, func(item lex.SetItem) {
		name := strings.ToLower(string(item.Name))
		switch {
		case item.User || item.Global || pool.Volatile(name):
		case !pool.Portable(name, "0") || // by its name; the value is looked at when it is known
			strings.ContainsAny(name, ".-"):
			portable = false
		default:
			names = append(names, name)
		}
	})
	if !ok || !portable {
		return nil
	}
	if f.Flags.Has(lex.FlagSetNames) {
		names = append(names, "character_set_client", "character_set_connection", "character_set_results")
		s.Unread = true
	}
	s.asked = len(names) > 0
	return names
}

// Confirming says that the server is about to report what is missing, after all;
// what it reports is no answer to the client's statement.
func (s *State) Confirming() {
	if s.asked {
		s.Pins &^= router.PinOpaque
	}
	s.unconfirmed, s.asked = false, false
}

// SchemaReported reports whether the server has reported the schema with the
// last statement.
func (s *State) SchemaReported() bool { return s.schemaSeen }

// SchemaRead takes over the schema that the server names when asked, "" for none.
func (s *State) SchemaRead(name string) { s.schemaChanged([]byte(name)) }
