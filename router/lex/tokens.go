package lex

import (
	"bytes"
	"encoding/binary"
)

// number reads a number, or a name that begins with a digit such as 1a.
func (s *scanner) number(start int) int {
	b := s.b
	i := start
	for i < len(b) && byteClass[b[i]] == clDigit {
		i++
	}
	if i < len(b) && s.isWord[b[i]] {
		j := i
		for j < len(b) && s.isWord[b[j]] {
			j++
		}
		if !isNumber(b[start:j]) {
			if j < len(b) && (b[j] == '+' || b[j] == '-') && isMantissa(b[start:j]) &&
				j+1 < len(b) && byteClass[b[j+1]] == clDigit {
				return s.numberEnd(start, digits(b, j+1))
			}
			return s.word(start)
		}
		return s.numberEnd(start, j)
	}
	if i < len(b) && b[i] == '.' {
		i = digits(b, i+1)
		if i < len(b) && b[i]|0x20 == 'e' {
			j := i + 1
			if j < len(b) && (b[j] == '+' || b[j] == '-') {
				j++
			}
			if j < len(b) && byteClass[b[j]] == clDigit {
				i = digits(b, j)
			}
		}
	}
	return s.numberEnd(start, i)
}

func (s *scanner) numberEnd(start, end int) int {
	if s.phase == phKill {
		s.killID(start, end)
	}
	return s.literal(end)
}

func digits(b []byte, i int) int {
	for i < len(b) && byteClass[b[i]] == clDigit {
		i++
	}
	return i
}

// isNumber reports whether a word beginning with a digit is 0x41, 0b1 or 1e5.
func isNumber(w []byte) bool {
	if len(w) > 2 && w[0] == '0' && (w[1] == 'x' || w[1] == 'b') {
		for _, c := range w[2:] {
			if w[1] == 'b' && c != '0' && c != '1' || w[1] == 'x' && !isHex(c) {
				return false
			}
		}
		return true
	}
	i := digits(w, 0)
	return i < len(w)-1 && w[i]|0x20 == 'e' && digits(w, i+1) == len(w)
}

func isHex(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 6 }

// isMantissa reports whether w is digits and an e, the beginning of 1e+5.
func isMantissa(w []byte) bool {
	i := digits(w, 0)
	return i == len(w)-1 && w[i]|0x20 == 'e'
}

// str reads a string from its opening quote and returns its end.
func (s *scanner) str(start int) int {
	b, quote := s.b, s.b[start]
	lead := uint64(0) // the bits of bytes that may begin a character with an ASCII byte in it
	if s.mode.Charset.asciiTrail() {
		lead = highBits
	}
	for i := start + 1; i < len(b); i++ {
		if i+8 <= len(b) {
			if n := plain8(binary.LittleEndian.Uint64(b[i:]), quote, lead); n > 0 {
				i += n - 1
				continue
			}
		}
		switch c := b[i]; {
		case c == quote:
			if i+1 < len(b) && b[i+1] == quote {
				i++
				continue
			}
			if s.careful || s.wantString {
				s.stringEnd(start, i)
			}
			return i + 1
		case c == '\\':
			if !s.mode.SQLMode.Has(NoBackslashEscapes) {
				i++
			}
		case c >= 0x80 && lead != 0:
			if n := s.mode.Charset.charLen(b[i:]); n > 0 {
				i += n - 1
			}
		}
	}
	s.unterminated(start)
	return len(b)
}

// stringEnd takes the string between the quotes at start and end, which matters
// in executable comments, when modes change, and to those who want its content.
func (s *scanner) stringEnd(start, end int) {
	if s.exec > 0 {
		s.checkHidden(start, end)
	}
	if s.wantString && s.firstString == nil {
		s.firstString = s.unescape(start+1, end, s.b[start])
	}
	if s.modeChanged && (s.b[start] == '"' || !isPlain(s.b[start+1:end])) {
		s.f.Flags |= FlagUncertain
	}
}

// isPlain reports whether a string means the same in every charset and sql_mode.
func isPlain(content []byte) bool {
	for _, c := range content {
		if c == '\\' || c >= 0x80 {
			return false
		}
	}
	return true
}

// unescape returns the content of a string as the server would store it.
func (s *scanner) unescape(start, end int, quote byte) []byte {
	out := make([]byte, 0, end-start)
	for i := start; i < end; i++ {
		c := s.b[i]
		if n := s.mode.Charset.charLen(s.b[i:end]); n > 0 {
			out = append(out, s.b[i:i+n]...)
			i += n - 1
			continue
		}
		if (c == quote || c == '\\' && !s.mode.SQLMode.Has(NoBackslashEscapes)) && i+1 < end {
			i++
			c = s.b[i]
			if e := bytes.IndexByte([]byte("ntr0bZ"), c); e >= 0 && s.b[i-1] == '\\' {
				c = "\n\t\r\x00\b\x1A"[e]
			}
		}
		out = append(out, c)
	}
	return out
}

// unterminated notes that a token that began at start has no end.
func (s *scanner) unterminated(start int) {
	s.f.Flags |= FlagUnterminated
	if s.modeChanged {
		s.f.Flags |= FlagUncertain
	}
	s.checkHidden(start, len(s.b))
}

// checkHidden looks at a quoted token or comment inside an executable comment:
// a server that skips the comment looks for its end there.
func (s *scanner) checkHidden(start, end int) {
	if s.exec > 0 && (bytes.Contains(s.b[start:end], endComment) || bytes.Contains(s.b[start:end], beginComment)) {
		s.f.Flags |= FlagUncertain
	}
}

var (
	beginComment = []byte("/*")
	endComment   = []byte("*/")
)

// literal makes the literal that ends before end a token.
func (s *scanner) literal(end int) int {
	if s.state == listNone && !s.wantText { // what emitLiteral does then
		s.digest = mix(s.digest, hashLiteral)
		s.state, s.firstLit = listLiteral, s.last.prev() == tokOpen
	} else {
		s.emitLiteral()
	}
	s.setItem = false
	s.shift(tokLiteral, 0, end)
	return end
}

// quoted reads a quoted identifier.
func (s *scanner) quoted(start int) int {
	end, hash := s.quotedEnd(start+1, s.b[start])
	if end >= len(s.b) {
		s.unterminated(start)
		s.op(start)
		return len(s.b)
	}
	s.put(hash)
	if s.wantText {
		s.textQuoted(start+1, end)
	}
	if s.phase != phBody {
		s.name(start+1, end)
	}
	s.prevWord, s.prevHash, s.prevStart = 0, hash, start+1
	s.shift(tokQuoted, 0, end+1)
	return end + 1
}

// quotedEnd returns the position of the quote that ends the identifier whose
// content begins at start, and the content's hash. Without an end, the position
// is not in the statement.
func (s *scanner) quotedEnd(start int, quote byte) (end int, hash uint64) {
	b := s.b
	for end = start; end < len(b); end++ {
		c := b[end]
		if c == quote {
			if end+1 >= len(b) || b[end+1] != quote {
				s.checkHidden(start, end)
				if s.modeChanged && quote == '"' {
					s.f.Flags |= FlagUncertain
				}
				_, hash = foldWord(b, start, end)
				return end, hash
			}
			end++
		} else if c >= 0x80 {
			end += s.quotedChar(end)
		}
	}
	return end, 0
}

// op reads an operator. Characters that belong together are one token.
func (s *scanner) op(i int) int {
	b, start := s.b, i
	for i++; i < len(b) && opTail[b[i]]; i++ {
	}
	if b[start] == ':' && i-start == 2 && b[start+1] == '=' && s.last.prev() == tokVar {
		s.f.Flags |= FlagUserVarWrite
	}
	s.emitOp(start, i)
	s.shift(tokOp, 0, i)
	return i
}

// foreign reads a byte from 0x80 outside of quotes in a character set other
// than UTF-8. It may be a letter or, as 0xA0 in latin1 (measured: FOR<A0>UPDATE
// locks), a blank.
func (s *scanner) foreign(i int) int {
	s.f.Flags |= FlagForeignByte
	n := max(1, s.mode.Charset.charLen(s.b[i:]))
	s.emitOp(i, i+n)
	s.shift(tokOp, 0, i+n)
	return i + n
}

// variable reads @x, @'x', @`x`, @@x, @@session.x and the like.
func (s *scanner) variable(i int) int {
	b := s.b
	if i+1 < len(b) && b[i+1] == '@' {
		return s.systemVariable(i)
	}
	account := !s.setItem && (s.last.prev() == tokWord || s.last.prev() == tokLiteral || s.last.prev() == tokQuoted)
	start := i + 1
	end := start
	switch {
	case start >= len(b):
	case b[start] == '\'' || b[start] == '"':
		end = s.str(start)
	case b[start] == '`':
		end = s.skipBackticks(start)
	default:
		for end < len(b) && (s.isWord[b[end]] || b[end] == '.') {
			end++
		}
	}
	if !account || !s.class.namesAccounts() {
		s.userVariable()
	}
	s.emitVariable(i, end)
	s.setItem = false
	s.shift(tokVar, 0, end)
	return end
}

// namesAccounts reports whether user@host can occur in a statement.
func (c Class) namesAccounts() bool {
	return c == DDL || c == Account || c == Show || c == Set || c == Admin
}

func (s *scanner) userVariable() {
	if s.phase == phSet && s.setItem || s.into || s.class == Load || s.class == Diagnostics || s.class == Call {
		s.f.Flags |= FlagUserVarWrite
	}
	if !s.setItem {
		s.f.Flags |= FlagUserVarRead
	}
}

func (s *scanner) skipBackticks(start int) int {
	for i := start + 1; i < len(s.b); i++ {
		if s.b[i] == '`' {
			if i+1 < len(s.b) && s.b[i+1] == '`' {
				i++
				continue
			}
			return i + 1
		}
		if s.b[i] >= 0x80 {
			i += s.quotedChar(i)
		}
	}
	s.unterminated(start)
	return len(s.b)
}

// systemVariable reads @@x, @@scope.x and @@`x`; blanks may surround the dot.
func (s *scanner) systemVariable(i int) int {
	b := s.b
	start := i + 2
	nameStart, nameEnd, end := s.variableName(start)
	scope := keyword(0)
	if w := s.lookupName(nameStart, nameEnd); w != nil && isScope(w.kw) {
		if dot := skipSpace(b, end); dot < len(b) && b[dot] == '.' {
			scope = w.kw
			nameStart, nameEnd, end = s.variableName(skipSpace(b, dot+1))
		}
	}
	w := s.lookupName(nameStart, nameEnd)
	if s.phase == phSet && s.setItem {
		s.assign(w, nameStart, nameEnd, scope, true)
	} else {
		s.f.Flags |= FlagSysVarRead
		if scope != 0 && scope != kwSession && scope != kwLocal {
			s.f.Flags |= FlagServerVarRead
		}
		if w != nil {
			s.f.Flags |= w.sysvar
		}
	}
	s.emitVariable(i, end)
	s.shift(tokVar, 0, end)
	return end
}

func isScope(kw keyword) bool {
	return kw == kwGlobal || kw == kwSession || kw == kwLocal || kw == kwPersist || kw == kwPersistOnly
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && byteClass[b[i]] == clSpace {
		i++
	}
	return i
}

// variableName reads a name, quoted or not, and returns its bounds without
// quotes and its end.
func (s *scanner) variableName(i int) (start, end, next int) {
	b := s.b
	if i < len(b) && b[i] == '`' {
		next = s.skipBackticks(i)
		return i + 1, max(i+1, next-1), next
	}
	end = i
	for end < len(b) && s.isWord[b[end]] {
		end++
	}
	return i, end, end
}

func (s *scanner) lookupName(start, end int) *word {
	if start >= end {
		return nil
	}
	lo, hash := foldWord(s.b, start, end)
	i := lookup(s.b, start, end, lo, hash)
	if i == 0 || !equalFold(s.b[start:end], words[i].name) {
		return nil
	}
	return &words[i]
}
