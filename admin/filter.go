package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// condition is one `column operator literal` of a WHERE.
type condition struct {
	column string // empty = the first one (SHOW … LIKE)
	op     string // = < > <= >= != like
	want   value  // NULL only for IS [NOT] NULL
	not    bool
}

// filter is the tail of a SELECT or SHOW: what to leave out and how to order.
type filter struct {
	where  []condition // all must hold
	order  []ordering
	limit  int // -1 = none
	offset int
}

type ordering struct {
	column string
	desc   bool
}

// parser walks over tokens. The last token is always tokenEnd.
type parser struct {
	tokens []token
	i      int
}

func (p *parser) peek() token { return p.tokens[p.i] }

func (p *parser) next() token {
	t := p.tokens[p.i]
	if t.kind != tokenEnd {
		p.i++
	}
	return t
}

// accept consumes the words if they come next, all of them or none.
func (p *parser) accept(words ...string) bool {
	for n, w := range words {
		if p.i+n >= len(p.tokens) || !p.tokens[p.i+n].is(w) {
			return false
		}
	}
	p.i += len(words)
	return true
}

func (p *parser) unexpected(want string) error {
	t := p.peek()
	if t.kind == tokenEnd {
		return fmt.Errorf("%s expected at the end", want)
	}
	return fmt.Errorf("%s expected at %q", want, shorten(t.text, 40))
}

// parseFilter reads [LIKE 'x' | WHERE …] [ORDER BY …] [LIMIT …] up to the end.
func parseFilter(p *parser) (filter, error) {
	f := filter{limit: -1}
	if p.peek().is("like") {
		c, err := p.condition("")
		if err != nil {
			return f, err
		}
		f.where = append(f.where, c)
	} else if p.accept("where") {
		for {
			name := p.peek()
			if name.kind != tokenWord {
				return f, p.unexpected("a column name")
			}
			p.next()
			c, err := p.condition(name.text)
			if err != nil {
				return f, err
			}
			f.where = append(f.where, c)
			if !p.accept("and") {
				break
			}
		}
	}
	if p.accept("order", "by") {
		if err := f.parseOrder(p); err != nil {
			return f, err
		}
	}
	if p.accept("limit") {
		if err := f.parseLimit(p); err != nil {
			return f, err
		}
	}
	if p.peek().kind != tokenEnd {
		return f, p.unexpected("WHERE, ORDER BY, LIMIT or nothing")
	}
	return f, nil
}

// condition reads `op literal`, `[NOT] LIKE 'x'` or `IS [NOT] NULL`.
func (p *parser) condition(column string) (condition, error) {
	c := condition{column: column}
	if p.accept("is") {
		c.op, c.not, c.want = "=", p.accept("not"), null()
		if !p.accept("null") {
			return c, p.unexpected("NULL")
		}
		return c, nil
	}
	c.not = p.accept("not")
	op := p.peek()
	switch {
	case op.is("like"):
		c.op = "like"
	case c.not:
		return c, p.unexpected("LIKE")
	case op.is("="), op.is("<"), op.is(">"), op.is("<="), op.is(">="), op.is("!="):
		c.op = op.text
	case op.is("<>"):
		c.op = "!="
	default:
		return c, p.unexpected("an operator")
	}
	p.next()
	literal := p.peek()
	if literal.kind != tokenString && literal.kind != tokenWord {
		return c, p.unexpected("a value")
	}
	p.next()
	c.want = str(literal.text)
	return c, nil
}

func (f *filter) parseOrder(p *parser) error {
	for {
		t := p.peek()
		if t.kind != tokenWord {
			return p.unexpected("a column name")
		}
		p.next()
		o := ordering{column: t.text}
		if p.accept("desc") {
			o.desc = true
		} else {
			p.accept("asc")
		}
		f.order = append(f.order, o)
		if !p.accept(",") {
			return nil
		}
	}
}

// parseLimit reads `n`, `offset, n` or `n OFFSET offset`.
func (f *filter) parseLimit(p *parser) error {
	first, err := p.count()
	if err != nil {
		return err
	}
	f.limit = first
	switch {
	case p.accept(","):
		f.offset = first
		f.limit, err = p.count()
	case p.accept("offset"):
		f.offset, err = p.count()
	}
	return err
}

func (p *parser) count() (int, error) {
	n, err := strconv.ParseUint(p.peek().text, 10, 31)
	if p.peek().kind != tokenWord || err != nil {
		return 0, p.unexpected("a number")
	}
	p.next()
	return int(n), nil
}

// apply leaves in t the rows the filter wants, in its order.
func (f filter) apply(t *table) error {
	for _, c := range f.where {
		i, err := t.find(c.column)
		if err != nil {
			return err
		}
		t.rows = slices.DeleteFunc(t.rows, func(row []value) bool { return !c.holds(t.columns[i], row[i]) })
	}
	if err := f.sort(t); err != nil {
		return err
	}
	t.rows = t.rows[min(f.offset, len(t.rows)):]
	if f.limit >= 0 {
		t.rows = t.rows[:min(f.limit, len(t.rows))]
	}
	return nil
}

func (f filter) sort(t *table) error {
	by := make([]int, len(f.order))
	for n, o := range f.order {
		i, err := t.find(o.column)
		if err != nil {
			return err
		}
		by[n] = i
	}
	slices.SortStableFunc(t.rows, func(a, b []value) int {
		for n, o := range f.order {
			order := t.columns[by[n]].compare(a[by[n]], b[by[n]])
			if o.desc {
				order = -order
			}
			if order != 0 {
				return order
			}
		}
		return 0
	})
	return nil
}

// find is column with an error that lists what there is; "" is the first.
func (t *table) find(name string) (int, error) {
	if name == "" {
		return 0, nil
	}
	if i, ok := t.column(name); ok {
		return i, nil
	}
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return 0, fmt.Errorf("unknown column %q; there are: %s", shorten(name, 64), strings.Join(names, ", "))
}

// holds decides as SQL does: a comparison with NULL never holds.
func (c condition) holds(col column, v value) bool {
	if c.want.Null {
		return v.Null != c.not
	}
	if v.Null {
		return false
	}
	if c.op == "like" {
		return like(v.Text, c.want.Text) != c.not
	}
	order := col.compare(v, c.want)
	switch c.op {
	case "=":
		return order == 0
	case "!=":
		return order != 0
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	default:
		return order >= 0
	}
}

// like matches s against an SQL pattern regardless of case: % is any text, _
// any character, a backslash takes the next one literally. It works byte by
// byte and in time len(s)·len(pattern) at most.
func like(s, pattern string) bool {
	s, pattern = strings.ToLower(s), strings.ToLower(pattern)
	i, j := 0, 0
	star, from := -1, 0 // after the last %, and what it has matched up to
	for i < len(s) {
		if j < len(pattern) && pattern[j] == '%' {
			j++
			star, from = j, i
			continue
		}
		if width, ok := likeOne(s[i], pattern[j:]); ok {
			i++
			j += width
			continue
		}
		if star < 0 {
			return false
		}
		from++
		i, j = from, star
	}
	return strings.Trim(pattern[j:], "%") == ""
}

// likeOne matches one byte with the first element of pattern and returns that
// element's length.
func likeOne(c byte, pattern string) (width int, ok bool) {
	switch {
	case pattern == "":
		return 0, false
	case pattern[0] == '\\' && len(pattern) > 1:
		return 2, c == pattern[1]
	default:
		return 1, pattern[0] == '_' || pattern[0] == c
	}
}

// shorten cuts s for a message.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
