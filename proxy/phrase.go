package proxy

import "strings"

// phrase reads a short statement word by word. lex.Scan has seen the statement
// before and found nothing doubtful in it: no executable comments, nothing that
// is left open.
type phrase []byte

// skip drops blanks and comments.
func (p *phrase) skip() {
	for b := *p; ; b = *p {
		switch {
		case len(b) > 0 && isBlank(b[0]):
			*p = b[1:]
		case hasPrefix(b, "/*"):
			p.behind("*/")
		case hasPrefix(b, "#"), hasPrefix(b, "--") && (len(b) == 2 || isBlank(b[2])):
			p.behind("\n")
		default:
			return
		}
	}
}

// behind drops everything up to the end of the next mark.
func (p *phrase) behind(mark string) {
	_, rest, _ := strings.Cut(string(*p), mark)
	*p = (*p)[len(*p)-len(rest):]
}

// take drops the word, which is in lower case, if it is next, and reports
// whether it was. What is no letter counts as a word of its own.
func (p *phrase) take(word string) bool {
	p.skip()
	b := *p
	if len(b) < len(word) || !strings.EqualFold(string(b[:len(word)]), word) {
		return false
	}
	if isNamePart(word[len(word)-1]) && len(b) > len(word) && isNamePart(b[len(word)]) {
		return false
	}
	*p = b[len(word):]
	return true
}

// name drops a name or number in plain ASCII and returns it, "" if none is next.
func (p *phrase) name() string {
	p.skip()
	n := 0
	for n < len(*p) && isNamePart((*p)[n]) {
		n++
	}
	name := string((*p)[:n])
	*p = (*p)[n:]
	return name
}

// quoted drops what stands between two of the quote and returns it. ok is false
// unless it is printable ASCII without any quote or backslash.
func (p *phrase) quoted(quote byte) (text string, ok bool) {
	b := *p
	for n := 1; n < len(b); n++ {
		switch c := b[n]; {
		case c == quote:
			*p = b[n+1:]
			return string(b[1:n]), len(b) == n+1 || b[n+1] != quote
		case c < ' ' || c > '~' || c == '\\' || c == '\'' || c == '"':
			return "", false
		}
	}
	return "", false
}

// done reports whether nothing but the end of the statement is left.
func (p *phrase) done() bool {
	for p.take(";") {
	}
	p.skip()
	return len(*p) == 0
}

func isBlank(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }

func isNamePart(c byte) bool {
	return c == '_' || c == '$' || c-'0' <= 9 || c|0x20-'a' <= 'z'-'a' && c < 0x80
}

func hasPrefix(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix
}
