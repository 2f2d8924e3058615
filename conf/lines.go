package conf

import (
	"strconv"
	"strings"
)

// keyLines finds the line of every key, table and list entry of a TOML text:
// "proxy.listen", "backends[1]", "backends[1].weight", "proxy.allow[2]". The
// TOML library reports positions of syntax errors only.
//
// The text must have passed the TOML parser. On other text the result is
// incomplete or wrong, and no more than that.
func keyLines(text string) map[string]int {
	f := &lineFinder{text: text, line: 1, lines: map[string]int{}, entries: map[string]int{}}
	table := ""
	for {
		f.skipBlank(true)
		if f.pos >= len(f.text) {
			return f.lines
		}
		start := f.pos
		if f.peek() == '[' {
			table = f.header()
		} else {
			f.assignment(table)
		}
		if f.pos == start { // not TOML; never stand still
			f.pos++
		}
	}
}

type lineFinder struct {
	text    string
	pos     int
	line    int // of pos, from 1
	lines   map[string]int
	entries map[string]int // entries so far of each list of tables
}

func (f *lineFinder) peek() byte {
	if f.pos < len(f.text) {
		return f.text[f.pos]
	}
	return 0
}

// advance moves n bytes on, counting lines.
func (f *lineFinder) advance(n int) {
	n = min(n, len(f.text)-f.pos)
	f.line += strings.Count(f.text[f.pos:f.pos+n], "\n")
	f.pos += n
}

// skipBlank skips blanks and, if asked to, newlines and comments.
func (f *lineFinder) skipBlank(newlines bool) {
	for f.pos < len(f.text) {
		switch c := f.peek(); {
		case c == ' ' || c == '\t' || c == '\r':
			f.pos++
		case c == '\n' && newlines:
			f.advance(1)
		case c == '#' && newlines:
			if i := strings.IndexByte(f.text[f.pos:], '\n'); i >= 0 {
				f.pos += i
			} else {
				f.pos = len(f.text)
			}
		default:
			return
		}
	}
}

func (f *lineFinder) record(path string) {
	if _, seen := f.lines[path]; !seen {
		f.lines[path] = f.line
	}
}

// header reads [a.b] or [[a.b]] and returns the path of the table it opens.
func (f *lineFinder) header() string {
	brackets := 1
	if strings.HasPrefix(f.text[f.pos:], "[[") {
		brackets = 2
	}
	f.pos += brackets
	parts := f.key()
	path := ""
	for i, part := range parts {
		path = join(path, part)
		last := i == len(parts)-1
		if last && brackets == 2 {
			f.record(path)
			path = entry(path, f.entries[path])
			f.entries[stripEntry(path)]++
		} else if n := f.entries[path]; n > 0 {
			// A name that is a list means its newest entry.
			path = entry(path, n-1)
		}
	}
	f.record(path)
	f.skipBlank(false)
	for i := 0; i < brackets && f.peek() == ']'; i++ {
		f.pos++
	}
	return path
}

// key reads a dotted key; parts may be quoted.
func (f *lineFinder) key() []string {
	var parts []string
	for {
		f.skipBlank(false)
		start := f.pos
		if c := f.peek(); c == '"' || c == '\'' {
			f.str()
			parts = append(parts, unquote(f.text[start:f.pos]))
		} else {
			for f.pos < len(f.text) && isBare(f.text[f.pos]) {
				f.pos++
			}
			parts = append(parts, f.text[start:f.pos])
		}
		f.skipBlank(false)
		if f.peek() != '.' {
			return parts
		}
		f.pos++
	}
}

func isBare(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

func unquote(text string) string {
	if s, err := strconv.Unquote(text); err == nil && text[0] == '"' {
		return s
	}
	return strings.Trim(text, text[:1])
}

// assignment reads KEY = VALUE inside the table at path.
func (f *lineFinder) assignment(path string) {
	line := f.line
	for _, part := range f.key() {
		path = join(path, part)
		if _, seen := f.lines[path]; !seen {
			f.lines[path] = line
		}
	}
	f.skipBlank(false)
	if f.peek() == '=' {
		f.pos++
		f.skipBlank(false)
		f.value(path)
	}
}

// value reads the value of the key at path.
func (f *lineFinder) value(path string) {
	switch f.peek() {
	case '"', '\'':
		f.str()
	case '[':
		f.pos++
		f.members(']', func(i int) {
			f.record(entry(path, i))
			f.value(entry(path, i))
		})
	case '{':
		f.pos++
		f.members('}', func(int) { f.assignment(path) })
	default: // number, boolean, date
		for f.pos < len(f.text) && !strings.ContainsRune(",]}#\r\n", rune(f.text[f.pos])) {
			f.pos++
		}
	}
}

// members calls read for each of the comma separated things up to end.
func (f *lineFinder) members(end byte, read func(i int)) {
	for i := 0; ; i++ {
		f.skipBlank(true)
		if f.pos >= len(f.text) || f.peek() == end {
			f.pos = min(f.pos+1, len(f.text))
			return
		}
		start := f.pos
		read(i)
		f.skipBlank(true)
		if f.peek() == ',' {
			f.pos++
		}
		if f.pos == start { // not TOML; never stand still
			f.pos++
		}
	}
}

// str skips a string of any of the four kinds, the cursor on its first quote.
func (f *lineFinder) str() {
	quote := f.text[f.pos : f.pos+1]
	if triple := strings.Repeat(quote, 3); strings.HasPrefix(f.text[f.pos:], triple) {
		quote = triple
	}
	end := f.pos + len(quote)
	for end < len(f.text) && !strings.HasPrefix(f.text[end:], quote) {
		if f.text[end] == '\\' && quote[0] == '"' {
			end++
		}
		end++
	}
	end += len(quote)
	// Up to two quotes may stand directly before the closing three.
	for i := 0; i < 2 && len(quote) == 3 && end < len(f.text) && f.text[end] == quote[0]; i++ {
		end++
	}
	f.advance(end - f.pos)
}

// join and entry build paths as Problem shows them.
func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func entry(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

func stripEntry(path string) string {
	return path[:strings.LastIndexByte(path, '[')]
}
