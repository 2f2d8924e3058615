package lex

import "unicode/utf8"

// Classes of bytes at the beginning of a token.
const (
	clWord = iota // letters, _ and $; with clDigit all that continues an ASCII word
	clDigit
	clOp
	clSpace
	clSingleQuote
	clDoubleQuote
	clBacktick
	clDot
	clOpen
	clClose
	clComma
	clSemicolon
	clAt
	clQuestion
	clSlash
	clStar
	clHash
	clDash
	clHigh
	clNUL
)

var (
	byteClass      = buildByteClass()
	wordBytes      = buildWordBytes(true)
	wordBytesASCII = buildWordBytes(false)
	opTail         = [256]bool{'=': true, '<': true, '>': true, '|': true, '&': true}
)

func buildByteClass() (t [256]uint8) {
	for c := range t {
		t[c] = clOp
		switch {
		case c >= '0' && c <= '9':
			t[c] = clDigit
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_', c == '$':
			t[c] = clWord
		case c >= 0x80:
			t[c] = clHigh
		}
	}
	// The blanks of the server's ctype tables (measured).
	for _, c := range " \t\n\v\f\r" {
		t[c] = clSpace
	}
	for c, cl := range map[byte]uint8{
		'\'': clSingleQuote, '"': clDoubleQuote, '`': clBacktick, '.': clDot, '(': clOpen, ')': clClose,
		',': clComma, ';': clSemicolon, '@': clAt, '?': clQuestion, '/': clSlash, '*': clStar,
		'#': clHash, '-': clDash, 0: clNUL,
	} {
		t[c] = cl
	}
	return t
}

func buildWordBytes(high bool) (t [256]bool) {
	for c := range t {
		cl := buildByteClass()[c]
		t[c] = cl == clWord || cl == clDigit || cl == clHigh && high
	}
	return t
}

// quotedChar returns how many bytes follow b[i] >= 0x80 in its character
// inside a quoted identifier. MySQL trusts the lead byte there, MariaDB looks
// at the whole character: where they disagree the end is not certain.
func (s *scanner) quotedChar(i int) int {
	b := s.b[i:]
	switch cs := s.mode.Charset; {
	case cs == CharsetUTF8:
		if r, n := utf8.DecodeRune(b); r != utf8.RuneError || n > 1 {
			return n - 1
		}
		s.f.Flags |= FlagUncertain
	case cs == CharsetSingle:
		// Of the sets in this group only the EUC ones have lead bytes.
		if len(b) > 1 && b[1] < 0x80 {
			s.f.Flags |= FlagUncertain
		}
	default:
		if n := cs.charLen(b); n > 0 {
			return n - 1
		}
		s.f.Flags |= FlagUncertain
	}
	return 0
}
