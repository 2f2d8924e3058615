package session

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// finishedAssigning takes user variables that were set to literals into the
// profile, or pins the session to its connection if they cannot be.
func (s *State) finishedAssigning(f *lex.Facts, code uint16) {
	if code == wire.CodeParse {
		return // nothing has run
	}
	profile := s.Profile
	portable := code == 0 && lex.SetItems(f, func(item lex.SetItem) {
		if !item.User || profile == nil {
			return
		}
		value, ok := s.literal(&item)
		if !ok {
			profile = nil
			return
		}
		profile = profile.WithUserVar(strings.ToLower(string(item.Name)), value)
	})
	if !portable || profile == nil || len(profile.UserVars) > maxUserVars {
		s.Pins |= router.PinUserVariables
		return
	}
	s.Profile = profile
}

// maxUserVars is how many user variables a profile holds.
const maxUserVars = 32

// maxUserValue is the longest string, in bytes, that is kept for a user variable.
const maxUserValue = 512

// literal returns an expression of the value and type that a user variable has
// been set to, wherever and under whatever settings it is evaluated; "NULL" for
// NULL.
func (s *State) literal(item *lex.SetItem) (string, bool) {
	switch item.Literal {
	case lex.NullLiteral:
		return "NULL", true
	case lex.NumberLiteral:
		return string(item.Value), len(item.Value) <= maxUserValue
	case lex.StringLiteral:
	default:
		return "", false
	}
	charset, collation, ok := s.stringCollation()
	if !ok || len(item.Value) > maxUserValue {
		return "", false
	}
	if bytes.ContainsFunc(item.Value, func(r rune) bool { return r >= utf8.RuneSelf }) {
		if s.clientCharset() != "utf8mb4" || charset != "utf8mb4" || !utf8.Valid(item.Value) {
			return "", false // the server has converted it
		}
	}
	return "_" + charset + " X'" + hex.EncodeToString(item.Value) + "'" + collation, true
}

// stringCollation returns the character set and the COLLATE clause, "" for the
// character set's default, of a string literal of the session.
func (s *State) stringCollation() (charset, collation string, ok bool) {
	if s.Unread {
		return "", "", false
	}
	if name, set := s.Profile.Value("collation_connection"); set {
		charset, _, _ = strings.Cut(name, "_")
		collation = " COLLATE " + name
	} else {
		names := wire.SetNames(s.Profile.Collation, s.Mode.Flavor == lex.FlavorMariaDB)
		charset, collation, ok = strings.Cut(strings.TrimPrefix(names, "SET NAMES "), " COLLATE ")
		if ok {
			collation = " COLLATE " + collation
		}
	}
	switch charset {
	case "binary": // it has but one, and servers take no COLLATE for it
		return charset, "", true
	case "", "ucs2", "utf16", "utf16le", "utf32": // ASCII is not written in single bytes there
		return "", "", false
	}
	return charset, collation, true
}

// clientCharset returns the name of character_set_client.
func (s *State) clientCharset() string {
	if name, set := s.Profile.Value("character_set_client"); set {
		return name
	}
	c, _ := wire.CollationByID(s.Profile.Collation)
	return c.Charset
}
