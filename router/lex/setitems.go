package lex

// ValueKind says what kind of literal a user variable is set to.
type ValueKind uint8

// The kinds of literals.
const (
	NoLiteral     ValueKind = iota // not a literal, or not a user variable
	NullLiteral                    // NULL
	NumberLiteral                  // a number with or without a sign, TRUE, FALSE
	StringLiteral                  // a string in quotes
)

// SetItem is one assignment of a SET. The slices are parts of the statement.
type SetItem struct {
	// Name of the variable, without @ and quotes, in ASCII.
	Name []byte
	// User says that it is a user variable. Literal and Value are what it is
	// set to: numbers as they are written, strings without their quotes.
	User    bool
	Literal ValueKind
	Value   []byte
	// Global says that it is not the session's variable that is set.
	Global bool
}

// SetItems calls f for the assignments of a SET that is the only statement, in
// their order; NAMES, TRANSACTION and the like are none. It reports false for a
// statement that may assign something else as well: one it cannot read to the
// end, or that assigns user variables inside of expressions. f may have been
// called then.
func SetItems(facts *Facts, f func(SetItem)) bool {
	return facts.Statements == 1 && AllSetItems(facts, f)
}

// AllSetItems is SetItems for a packet of any number of SETs and nothing else.
func AllSetItems(facts *Facts, f func(SetItem)) bool {
	const doubtful = FlagExecutableComment | FlagUncertain | FlagUnterminated | FlagForeignByte | FlagSetStatement | FlagPlaceholder | FlagInto
	several := facts.Statements > 1
	if facts.Classes != Set.Set() || facts.Flags.Has(doubtful) || several && facts.Flags.Has(FlagSetSQLMode|FlagSetNames) {
		return false // what comes after those may have to be read differently
	}
	r := newReader(facts)
	r.several = several
	if !r.keyword("set") {
		return false
	}
	for vars := 0; ; {
		item, ok := r.setItem()
		if !ok {
			return false
		}
		if item.Name != nil {
			f(item)
			if !item.User && !item.Global {
				vars++
			}
		}
		switch {
		case r.done():
			return vars >= facts.SetVars // or the scanner has seen others
		case r.take(','):
		case r.take(';') && r.keyword("set"):
		default:
			return false
		}
	}
}

// setItem reads an assignment; one without a name if it is something else.
func (r *reader) setItem() (item SetItem, ok bool) {
	at := r.i
	switch {
	case r.peek() == '@' && r.i+1 < len(r.b) && r.b[r.i+1] == '@':
		r.i += 2
		item.Name = r.name()
	case r.peek() == '@':
		return r.userItem()
	default:
		item.Name = r.name()
	}
	if item.Name == nil {
		return item, false
	}
	if scope := item.Name; isScopeName(scope) && (r.peek() == '.' || r.b[at] != '@') {
		r.take('.')
		if item.Name = r.name(); item.Name == nil {
			return item, false
		}
		item.Global = !equalFold(scope, "session") && !equalFold(scope, "local")
	}
	if !r.assign() {
		item.Name = nil
	}
	return item, r.value()
}

func isScopeName(w []byte) bool {
	for _, scope := range [...]string{"session", "local", "global", "persist", "persist_only"} {
		if equalFold(w, scope) {
			return true
		}
	}
	return false
}

// userItem reads the assignment of a user variable.
func (r *reader) userItem() (item SetItem, ok bool) {
	r.i++
	item.User = true
	start := r.i
	if r.peek() == '`' {
		item.Name = r.name()
	} else {
		for r.i < len(r.b) && (wordBytesASCII[r.b[r.i]] || r.b[r.i] == '.') {
			r.i++
		}
		item.Name = r.b[start:r.i]
		r.skip()
	}
	if len(item.Name) == 0 || !r.assign() {
		return item, false
	}
	at := r.i
	if item.Value, item.Literal = r.literal(); item.Literal != NoLiteral && (r.done() || r.peek() == ',') {
		return item, true
	}
	r.i, item.Value, item.Literal = at, nil, NoLiteral
	return item, r.value()
}

// literal reads one that means the same in every session.
func (r *reader) literal() ([]byte, ValueKind) {
	start := r.i
	switch c := r.peek(); {
	case c == '\'' || c == '"':
		if s, ok := r.text(); ok {
			return s, StringLiteral
		}
	case c == '-' || c == '+' || c == '.' || byteClass[c] == clDigit:
		if c == '-' || c == '+' {
			r.i++ // a comment begins with two
		}
		digits := r.i
		if n := r.number(); n != nil {
			return r.b[start : digits+len(n)], NumberLiteral
		}
	default:
		switch w := r.word(); {
		case equalFold(w, "null"):
			return w, NullLiteral
		case equalFold(w, "true"), equalFold(w, "false"):
			return w, NumberLiteral
		}
	}
	return nil, NoLiteral
}

// plainAssignments reports whether all user variables that a statement assigns
// are set to literals by SET.
func plainAssignments(f *Facts) bool {
	plain := true
	ok := SetItems(f, func(item SetItem) {
		if item.User && (item.Literal == NoLiteral || item.Literal == StringLiteral && f.Flags.Has(FlagSetNames)) {
			plain = false
		}
	})
	return ok && plain
}
