package admin

import (
	"errors"
	"strings"
)

// tokenKind is what a token is made of.
type tokenKind byte

const (
	tokenEnd    tokenKind = iota // after the last one
	tokenWord                    // keyword, number, name or address, as written
	tokenString                  // quoted by ' or "; text is the content
	tokenPunct                   // * , ; ( ) = < > <= >= <> != and the like
	tokenRest                    // all that follows EXPLAIN ROUTE, as written
)

// token is a piece of a statement. src[pos:end] is where it was written.
type token struct {
	kind tokenKind
	text string
	pos  int
	end  int
}

// is reports whether t is the word or the punctuation w; w is in lower case.
func (t token) is(w string) bool {
	return (t.kind == tokenWord || t.kind == tokenPunct) && strings.EqualFold(t.text, w)
}

var (
	errUnclosedString  = errors.New("a quoted string is not closed")
	errUnclosedComment = errors.New("a comment is not closed")
)

// scan cuts src into tokens. Blanks and comments (--, #, /* */) only separate.
// The words of the console's language are addresses and numbers as well as
// names, so a word is everything up to a blank, a quote or one of
// punctuation: 10.0.0.1:3306@5, unix:/run/db.sock and @@version are each one.
//
// What follows EXPLAIN ROUTE is not looked at: it is for the router, need not
// be well-formed, and its comments may be hints.
func scan(src string) ([]token, error) {
	var tokens []token
	for i := 0; ; {
		skipped, err := skipBlanks(src, i)
		if err != nil {
			return nil, err
		}
		if i = skipped; i == len(src) {
			return append(tokens, token{kind: tokenEnd, pos: i, end: i}), nil
		}
		t := token{pos: i}
		switch c := src[i]; {
		case c == '\'' || c == '"' || c == '`':
			if t.text, t.end, err = unquote(src, i); err != nil {
				return nil, err
			}
			t.kind = tokenString
			if c == '`' {
				t.kind = tokenWord
			}
		case isPunct(c):
			t.kind, t.end = tokenPunct, punctEnd(src, i)
			t.text = src[t.pos:t.end]
		default:
			t.kind, t.end = tokenWord, wordEnd(src, i)
			t.text = src[t.pos:t.end]
		}
		tokens = append(tokens, t)
		i = t.end
		if n := len(tokens); explainsRoute(tokens) {
			rest := strings.TrimRight(strings.TrimSpace(src[i:]), "; \t\r\n")
			return append(tokens[:n:n],
				token{kind: tokenRest, text: rest, pos: i, end: len(src)},
				token{kind: tokenEnd, pos: len(src), end: len(src)}), nil
		}
	}
}

// explainsRoute reports whether tokens end in a statement's first two words
// EXPLAIN ROUTE.
func explainsRoute(tokens []token) bool {
	n := len(tokens)
	return n >= 2 && tokens[n-1].is("route") && tokens[n-2].is("explain") &&
		(n == 2 || tokens[n-3].is(";"))
}

// skipBlanks returns where the next token starts.
func skipBlanks(src string, i int) (int, error) {
	for i < len(src) {
		switch {
		case isBlank(src[i]):
			i++
		case src[i] == '#' || isDashComment(src[i:]):
			n := strings.IndexByte(src[i:], '\n')
			if n < 0 {
				return len(src), nil
			}
			i += n + 1
		case strings.HasPrefix(src[i:], "/*"):
			n := strings.Index(src[i+2:], "*/")
			if n < 0 {
				return 0, errUnclosedComment
			}
			i += 2 + n + 2
		default:
			return i, nil
		}
	}
	return i, nil
}

// isDashComment: MySQL wants a blank (or the end) after the two dashes.
func isDashComment(s string) bool {
	return strings.HasPrefix(s, "--") && (len(s) == 2 || isBlank(s[2]))
}

// isBlank counts every control character as a blank, as MySQL does, so that
// none gets into a name.
func isBlank(c byte) bool { return c <= ' ' || c == 0x7f }

func isPunct(c byte) bool { return strings.IndexByte("*,;()=<>!", c) >= 0 }

func punctEnd(src string, i int) int {
	if i+1 < len(src) {
		switch src[i : i+2] {
		case "<=", ">=", "<>", "!=":
			return i + 2
		}
	}
	return i + 1
}

func wordEnd(src string, i int) int {
	for i++; i < len(src); i++ {
		c := src[i]
		if isBlank(c) || isPunct(c) || c == '\'' || c == '"' || c == '`' || strings.HasPrefix(src[i:], "/*") {
			break
		}
	}
	return i
}

// unquote returns the content of the quoted text at src[i] and where it ends.
// A doubled quote stands for itself; a backslash escapes the next byte except
// inside backquotes.
func unquote(src string, i int) (text string, end int, err error) {
	quote := src[i]
	var b strings.Builder
	for i++; i < len(src); i++ {
		switch c := src[i]; {
		case c == quote && i+1 < len(src) && src[i+1] == quote:
			b.WriteByte(quote)
			i++
		case c == quote:
			return b.String(), i + 1, nil
		case c == '\\' && quote != '`' && i+1 < len(src):
			i++
			if src[i] == '%' || src[i] == '_' {
				b.WriteByte('\\') // kept for LIKE
			}
			b.WriteByte(src[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, errUnclosedString
}
