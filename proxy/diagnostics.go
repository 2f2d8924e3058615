package proxy

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// Warnings and errors of a statement stay in the connection that ran it. So
// that a session does not occupy that for their sake, they are read before it
// goes to somebody else, and the usual questions about them are answered from
// the copy. What else is asked about a statement whose connection is gone gets
// an error: another connection would answer it about another statement.

// diagnosis is where the session finds the warnings and errors of the last
// statement that has left any; nowhere if there are none.
type diagnosis struct {
	conn *pool.Conn    // they are in this one
	kept *pool.Salvage // they were read from the connection, or went with it
	// ahead is the copy made while the statement was finished.
	ahead *pool.Salvage
}

func (d *diagnosis) any() bool { return d.conn != nil || d.kept != nil }

// note takes the end of a statement on c into account: whether it has left
// warnings or an error, and otherwise kept those of the one before.
func (d *diagnosis) note(c *pool.Conn, left, kept bool) {
	switch ahead := d.ahead; {
	case left && ahead != nil:
		*d = diagnosis{kept: ahead}
	case left:
		*d = diagnosis{conn: c}
	case !kept:
		*d = diagnosis{}
	}
	d.ahead = nil
}

// gone says that the session has c no more; read is what was read of it.
func (d *diagnosis) gone(c *pool.Conn, read *pool.Salvage) {
	if d.conn != c {
		return
	}
	if d.conn, d.kept = nil, read; read == nil {
		d.kept = pool.LostSalvage()
	}
}

// load has c's diagnostics read before it changes hands, if they are the last.
func (d *diagnosis) load(c *pool.Conn) {
	switch {
	case d.conn != c:
		c.Diagnostics = nil
	case c.Diagnostics == nil:
		c.Diagnostics = pool.NewSalvage(pool.WarningsQuery)
	}
}

// readAhead keeps the warnings of the statement just finished on c, as MySQL
// forgets them with the next that Telamon sends (measured on 9.7; MariaDB 10.11
// keeps them).
func (s *Session) readAhead(c *pool.Conn) {
	if s.response.Warnings > 0 && s.state.Mode.Flavor != lex.FlavorMariaDB {
		s.diagnosis.ahead = c.ReadAhead()
	}
}

// question is what a statement asks about the diagnostics.
type question struct {
	list    bool   // the list itself, not a count
	errors  bool   // errors only
	column  string // name of the count
	skip, n uint64 // LIMIT
}

// diagnosticsQuestion reads a statement that asks for the diagnostics and for
// nothing else. Measured on MariaDB 10.11 and MySQL 9.7.
func (s *Session) diagnosticsQuestion() (q question, ok bool) {
	const harmless = lex.FlagSysVarRead | lex.FlagUnknownHint | lex.FlagLastResult
	if s.facts.Flags&^harmless != 0 || s.facts.Statements != 1 {
		return q, false
	}
	p := phrase(s.facts.Stmt)
	switch s.facts.Class {
	case lex.Show:
		ok = p.take("show") && q.show(&p)
	case lex.Select:
		ok = p.take("select") && q.count(&p)
	}
	return q, ok
}

func (q *question) show(p *phrase) bool {
	counted := p.take("count")
	if counted && (!p.take("(") || !p.take("*") || !p.take(")")) {
		return false
	}
	q.column = "@@session.warning_count"
	if !p.take("warnings") {
		if q.errors, q.column = p.take("errors"), "@@session.error_count"; !q.errors {
			return false
		}
	}
	q.list, q.n = !counted, 1<<63
	if q.list && p.take("limit") {
		first, ok := p.number()
		if !ok {
			return false
		}
		q.n = first
		if p.take(",") {
			q.skip = first
			q.n, ok = p.number()
		} else if p.take("offset") {
			q.skip, ok = p.number()
		}
		if !ok {
			return false
		}
	}
	return p.done()
}

func (q *question) count(p *phrase) bool {
	p.skip()
	expression := *p
	switch {
	case p.take("@@warning_count"), p.take("@@session.warning_count"), p.take("@@local.warning_count"):
	case p.take("@@error_count"), p.take("@@session.error_count"), p.take("@@local.error_count"):
		q.errors = true
	default:
		return false
	}
	q.column = string(expression[:len(expression)-len(*p)])
	if p.done() {
		return true
	}
	var ok bool
	q.column, ok = p.alias()
	return ok && p.done()
}

func (p *phrase) number() (uint64, bool) {
	n, err := strconv.ParseUint(p.name(), 10, 63)
	return n, err == nil
}

// asksAboutLast reports whether the statement asks what only the connection of
// the one before knows: not SHOW STATUS and the like, which every connection
// has an answer to.
func (s *Session) asksAboutLast() bool {
	return s.decision.Target == router.Last && (s.facts.Class != lex.Show || s.facts.Show == lex.ShowDiagnostics)
}

// asksDiagnostics reports whether it asks about warnings and errors.
func (s *Session) asksDiagnostics() bool {
	_, ok := s.diagnosticsQuestion()
	return ok || s.facts.Class == lex.Diagnostics
}

// lastConn returns the connection that knows what the statement asks about the
// one before, nil if there is none.
func (s *Session) lastConn() *pool.Conn {
	if s.diagnosis.any() && s.asksDiagnostics() {
		return s.diagnosis.conn
	}
	return s.last
}

// answerLast answers a question about the statement before if its connection
// is gone; false says that it is not.
func (s *Session) answerLast() (answered bool, err error) {
	if !s.asksAboutLast() || s.pinned != nil && s.lastConn() == s.pinned || s.leaseLast() != nil {
		return false, nil
	}
	if !s.lastLost && s.diagnosis.kept == nil {
		return false, nil // there has been no statement before
	}
	q, ok := s.diagnosticsQuestion()
	if !ok || s.executing != nil {
		return true, s.answerError(errLastGone)
	}
	list, err := s.diagnostics(&q)
	if err != nil {
		return true, s.answerError(errLastGone)
	}
	return true, s.answerDiagnostics(&q, list)
}

var errLastGone = &wire.Err{Code: wire.CodeUnknown, State: stateGeneral, Message: "Telamon: the connection that ran " +
	"the previous statement has been given to another client, and what it knew about the statement is gone " +
	"(max_connections of the backend is low); ask in the same transaction"}

// diagnostics returns the list of the last statement, an empty one if it has
// left nothing. Only a list that is asked for has columns then.
func (s *Session) diagnostics(q *question) (*pool.Result, error) {
	if kept := s.diagnosis.kept; kept != nil {
		return kept.Result()
	}
	if !q.list {
		return &pool.Result{}, nil
	}
	s.decision.Target = router.Primary
	c, err := s.lease(nil)
	if err != nil {
		return nil, err
	}
	list, err := c.Ask(pool.WarningsQuery + " LIMIT 0")
	if err != nil {
		c.Dirt = pool.MustClose
		s.drop(c)
		return nil, err
	}
	s.park(c)
	return list, nil
}

// answerDiagnostics answers the command being carried from a list.
func (s *Session) answerDiagnostics(q *question, list *pool.Result) error {
	rows := list.Rows
	if q.errors {
		rows = slices.DeleteFunc(slices.Clone(rows), func(row []byte) bool {
			level, _ := wire.ReadLenencBytes(row)
			return !strings.EqualFold(string(level), "Error")
		})
	}
	columns := list.Columns
	if q.list {
		rows = rows[min(q.skip, uint64(len(rows))):]
		rows = rows[:min(q.n, uint64(len(rows)))]
	} else {
		columns = []wire.ColumnDef{{Name: q.column, Collation: wire.CollationBinary, Length: 21, Type: wire.TypeLongLong,
			Flags: wire.FlagUnsigned | wire.FlagBinary}}
		rows = [][]byte{wire.AppendLenencString(nil, strconv.Itoa(len(rows)))}
	}
	packets, _ := wire.AppendResult(nil, s.cmd.last+1, s.caps, s.state.Status, columns, rows)
	_, err := s.client.Write(packets)
	return err
}

// leaseLast returns the connection that knows what the statement asks about
// the one before, nil if it is not the session's any more.
func (s *Session) leaseLast() *pool.Conn {
	last := s.lastConn()
	i := slices.IndexFunc(s.leases, func(l lease) bool { return l.conn == last })
	if last == nil || i < 0 {
		return nil
	}
	c, ok := s.own(i)
	if !ok {
		return nil
	}
	if c.Profile == s.state.Profile {
		return c
	}
	// Settings made since, on another connection: MariaDB's diagnostics
	// outlast them.
	if err := c.Adopt(s.state.Profile); err != nil {
		if !errors.Is(err, pool.ErrUnclean) {
			c.Dirt = pool.MustClose
		}
		s.drop(c)
		return nil
	}
	return c
}
