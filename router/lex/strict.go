package lex

// reader reads a statement by a narrow grammar, for those few statements of
// which more has to be known than the scanner tells. What it does not know it
// refuses, and the caller takes the statement for one that may do anything.
type reader struct {
	b    []byte
	i    int
	mode Mode
	// several: a semicolon ends a statement, it does not make the reader give up.
	several bool
}

func newReader(f *Facts) reader {
	r := reader{b: f.Stmt, mode: f.Mode}
	for n := len(r.b); n > 0 && (r.b[n-1] == ';' || byteClass[r.b[n-1]] == clSpace); n-- {
		r.b = r.b[:n-1]
	}
	r.skip()
	return r
}

// skip passes over blanks and comments. One that a server may run or take for
// a hint is none.
func (r *reader) skip() {
	for r.i < len(r.b) {
		switch c := r.b[r.i]; {
		case byteClass[c] == clSpace:
			r.i++
		case c == '/' && r.i+2 < len(r.b) && r.b[r.i+1] == '*' && r.b[r.i+2] != '!' && r.b[r.i+2] != 'M' && r.b[r.i+2] != '+':
			end := r.i + 2
			for end+1 < len(r.b) && (r.b[end] != '*' || r.b[end+1] != '/') {
				end++
			}
			if end+1 >= len(r.b) {
				return
			}
			r.i = end + 2
		default:
			return
		}
	}
}

func (r *reader) done() bool { return r.i == len(r.b) }

// peek returns the next byte, 0 at the end.
func (r *reader) peek() byte {
	if r.done() {
		return 0
	}
	return r.b[r.i]
}

// take passes over one byte and what may stand behind it, if it comes next.
func (r *reader) take(c byte) bool {
	if r.peek() != c || r.done() {
		return false
	}
	r.i++
	r.skip()
	return true
}

// word reads a word of ASCII letters, digits, _ and $; nil if there is none.
func (r *reader) word() []byte {
	start := r.i
	for r.i < len(r.b) && wordBytesASCII[r.b[r.i]] {
		r.i++
	}
	if r.i == start || r.i < len(r.b) && r.b[r.i] >= 0x80 {
		r.i = start // none, or a longer one
		return nil
	}
	w := r.b[start:r.i]
	r.skip()
	return w
}

// keyword passes over a word, given in lower case, if it comes next.
func (r *reader) keyword(name string) bool {
	at := r.i
	if equalFold(r.word(), name) {
		return true
	}
	r.i = at
	return false
}

// assign passes over = or :=.
func (r *reader) assign() bool {
	if r.peek() == ':' && r.i+1 < len(r.b) && r.b[r.i+1] == '=' {
		r.i++
	}
	return r.take('=')
}

// name reads an identifier that has but one spelling, apart from the case of
// its letters: ASCII, in backticks or not.
func (r *reader) name() []byte {
	if r.peek() != '`' {
		return r.word()
	}
	start := r.i + 1
	for i := start; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == '`' && i > start && !(i+1 < len(r.b) && r.b[i+1] == '`'):
			r.i = i + 1
			r.skip()
			return r.b[start:i]
		case !wordBytesASCII[c] && c != '.' && c != '-':
			return nil
		}
	}
	return nil
}

// text reads a string that is written as what it says: without backslashes and
// doubled quotes. A further string behind it would be a part of it.
func (r *reader) text() ([]byte, bool) {
	quote := r.peek()
	if quote != '\'' && (quote != '"' || r.mode.SQLMode.Has(ANSIQuotes)) {
		return nil, false
	}
	for i := r.i + 1; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == quote:
			s := r.b[r.i+1 : i]
			r.i = i + 1
			r.skip()
			next := r.peek()
			return s, next != '\'' && next != '"'
		case c == '\\', c >= 0x80 && r.mode.Charset != CharsetUTF8:
			return nil, false
		}
	}
	return nil, false
}

// number reads an unsigned number in digits, with or without fraction and exponent.
func (r *reader) number() []byte {
	start := r.i
	i := digits(r.b, start)
	if i < len(r.b) && r.b[i] == '.' {
		i = digits(r.b, i+1)
	}
	if i == start || i == start+1 && r.b[start] == '.' {
		return nil
	}
	if i < len(r.b) && r.b[i]|0x20 == 'e' {
		e := i + 1
		if e < len(r.b) && (r.b[e] == '+' || r.b[e] == '-') {
			e++
		}
		if i = digits(r.b, e); i == e {
			return nil
		}
	}
	if i < len(r.b) && (wordBytes[r.b[i]] || r.b[i] == '.') {
		return nil
	}
	r.i = i
	n := r.b[start:i]
	r.skip()
	return n
}

// value passes over an expression up to the comma or parenthesis that ends it.
// It reports false for one that may assign a user variable, or that it cannot
// find the end of.
func (r *reader) value() bool {
	for depth := 0; !r.done(); {
		switch c := r.b[r.i]; {
		case c == ',' && depth == 0, c == ';' && depth == 0 && r.several:
			return true
		case c == '\'' || c == '"':
			if !r.quoted(c, c == '\'' || !r.mode.SQLMode.Has(ANSIQuotes)) {
				return false
			}
			continue
		case c == '`':
			if !r.quoted(c, false) {
				return false
			}
			continue
		case c == '(':
			depth++
		case c == ')':
			if depth == 0 {
				return true
			}
			depth--
		case c == ':', c == ';', c == '#', c == '\\', c >= 0x80 && r.mode.Charset.asciiTrail():
			return false
		case c == '-' && r.i+1 < len(r.b) && r.b[r.i+1] == '-':
			return false
		}
		at := r.i
		if r.skip(); r.i == at {
			r.i++
		}
	}
	return true
}

// quoted passes over a quoted part.
func (r *reader) quoted(quote byte, isString bool) bool {
	for i := r.i + 1; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case c == '\\' && isString, c >= 0x80 && r.mode.Charset.asciiTrail():
			return false
		case c == quote && i+1 < len(r.b) && r.b[i+1] == quote:
			i++
		case c == quote:
			r.i = i + 1
			return true
		}
	}
	return false
}
