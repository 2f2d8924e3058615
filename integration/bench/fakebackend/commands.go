package fakebackend

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"github.com/telamondb/telamon/integration/bench/dataset"
)

// Commands (COM_*).
const (
	comQuit            = 0x01
	comInitDB          = 0x02
	comQuery           = 0x03
	comFieldList       = 0x04
	comStatistics      = 0x09
	comProcessKill     = 0x0c
	comDebug           = 0x0d
	comPing            = 0x0e
	comChangeUser      = 0x11
	comStmtPrepare     = 0x16
	comStmtExecute     = 0x17
	comStmtSendLong    = 0x18
	comStmtClose       = 0x19
	comStmtReset       = 0x1a
	comSetOption       = 0x1b
	comResetConnection = 0x1f
)

// Session state types of OK packets (enum_session_state_type).
const (
	trackSystemVariables = 0
	trackSchema          = 1
	trackGTIDs           = 3
)

func (c *session) command(com byte, body []byte) {
	switch com {
	case comQuery:
		c.query(body, false)
		return
	case comStmtExecute:
		c.execute(body)
		return
	}
	c.server.others.Add(1)
	switch com {
	case comQuit:
		c.drop()
	case comPing, comProcessKill, comStmtReset:
		c.ok(0, nil)
	case comInitDB:
		c.use(string(body))
	case comStmtPrepare:
		c.prepare(body)
	case comStmtClose:
		if len(body) >= 4 {
			delete(c.prepared, binary.LittleEndian.Uint32(body))
		}
	case comStmtSendLong: // has no answer
	case comResetConnection:
		c.reset()
		c.ok(0, nil)
	case comChangeUser:
		c.changeUser(body)
	case comSetOption, comDebug, comFieldList:
		b := c.answer()
		b.terminator(c.deprecateEOF(), c.status)
		c.send(b.bytes)
	case comStatistics:
		b := c.answer()
		b.begin()
		b.raw("Uptime: 1  Threads: 1  Questions: 1")
		b.end()
		c.send(b.bytes)
	default:
		c.fail(1047, "08S01", "Unknown command")
	}
}

func (c *session) ok(affected uint64, state []byte) {
	b := c.answer()
	b.ok(affected, c.status, c.tracked(), state)
	c.send(b.bytes)
}

func (c *session) use(schema string) {
	c.schema = schema
	c.ok(0, stateItem(trackSchema, appendString(nil, schema)))
}

func (c *session) changeUser(body []byte) {
	_, p, _ := bytes.Cut(body, []byte{0})
	auth, p, ok := lengthPrefixed(p)
	if !ok {
		c.fail(1045, "28000", "Access denied")
		c.drop()
		return
	}
	schema, _, _ := bytes.Cut(p, []byte{0})
	c.reset()
	c.schema = string(schema)
	c.verify(0, auth)
}

func stateItem(typ byte, data []byte) []byte {
	return append(appendLenenc([]byte{typ}, uint64(len(data))), data...)
}

func appendString(to []byte, s string) []byte {
	return append(appendLenenc(to, uint64(len(s))), s...)
}

// committed counts a commit that changed rows and answers it, with its GTID
// when the session asked for one.
func (c *session) committed(affected uint64) {
	n := c.server.commits.Add(1)
	if !c.trackGTID {
		c.ok(affected, nil)
		return
	}
	gtid := c.server.gtid(n)
	if c.server.opt.Flavour == MariaDB {
		c.ok(affected, stateItem(trackSystemVariables, appendString(appendString(nil, "last_gtid"), gtid)))
		return
	}
	// The zero before the string is the encoding specification.
	c.ok(affected, stateItem(trackGTIDs, appendString([]byte{0}, gtid)))
}

// kind is what a statement is to the fake.
type kind int

const (
	kindOther  kind = iota
	kindPoint       // one row of bench
	kindSpan        // RangeRows rows of bench
	kindWide        // all of bench_wide
	kindUpdate      // one row of bench
)

// recognize looks only at the first bytes: the benchmark's statements must cost
// nothing. number is the first one of the text, 0 if it is a parameter.
func recognize(q []byte) (k kind, number int) {
	for _, known := range []struct {
		prefix string
		kind   kind
	}{
		{dataset.PointPrefix, kindPoint},
		{dataset.RangePrefix, kindSpan},
		{dataset.UpdatePrefix, kindUpdate},
		{dataset.Wide, kindWide},
	} {
		if len(q) >= len(known.prefix) && string(q[:len(known.prefix)]) == known.prefix {
			return known.kind, leadingNumber(q[len(known.prefix):])
		}
	}
	return kindOther, 0
}

func leadingNumber(p []byte) int {
	n := 0
	for _, ch := range p {
		if ch < '0' || ch > '9' || n > dataset.Rows {
			break
		}
		n = n*10 + int(ch-'0')
	}
	return n
}

func (c *session) query(q []byte, binary bool) {
	q = skipBlanks(q)
	k, number := recognize(q)
	if k == kindOther {
		c.other(string(q), binary)
		return
	}
	c.benchmark(k, number, binary)
}

// benchmark answers a statement of the dataset.
func (c *session) benchmark(k kind, number int, binary bool) {
	if c.status&statusAutocommit == 0 {
		c.status |= statusInTrans
	}
	if k == kindUpdate {
		c.update(number)
		return
	}
	c.server.reads.Add(1)
	r := &c.server.replies[encoding{c.deprecateEOF(), binary}.index()]
	switch {
	case k == kindWide:
		c.reply(&r.wide)
	case k == kindPoint && number >= 1 && number <= dataset.Rows:
		c.reply(&r.point[number])
	case k == kindSpan && number >= 1 && number <= dataset.Rows && number%dataset.RangeRows == 1:
		c.reply(&r.spans[number/dataset.RangeRows])
	default:
		c.server.unknown.Add(1)
		c.fail(1064, "42000", "fake backend: no row "+strconv.Itoa(number)+" or no range that starts there")
	}
}

func (c *session) update(number int) {
	if number < 1 || number > dataset.Rows {
		c.ok(0, nil)
		return
	}
	c.write(1)
}

// write answers a statement that changes rows.
func (c *session) write(affected uint64) {
	if c.server.replica.Load().readOnly() {
		c.fail(1290, "HY000", "The MySQL server is running with the --read-only option so it cannot execute this statement")
		return
	}
	c.server.writes.Add(1)
	if c.status&statusAutocommit == 0 {
		c.status |= statusInTrans
	}
	if c.status&statusInTrans != 0 {
		c.dirty = true
		c.ok(affected, nil)
		return
	}
	c.committed(affected)
}

// prepared is one prepared statement of a session.
type prepared struct {
	kind   kind
	number int
	text   string
	params int
	types  []byte // two bytes each, as the last execute bound them
}

func (c *session) prepare(q []byte) {
	if len(c.prepared) >= maxPreparedAtOnce {
		c.fail(1461, "42000", "Can't create more than max_prepared_stmt_count statements (current value: 16382)")
		return
	}
	q = skipBlanks(q)
	p := &prepared{text: string(q), params: bytes.Count(q, []byte{'?'})}
	p.kind, p.number = recognize(q)
	if c.prepared == nil {
		c.prepared = map[uint32]*prepared{}
	}
	c.lastStmt++
	c.prepared[c.lastStmt] = p

	table, columns := p.columns()
	b := c.answer()
	b.begin()
	b.u8(0)
	b.u32(c.lastStmt)
	b.u16(uint16(len(columns)))
	b.u16(uint16(p.params))
	b.u8(0)
	b.u16(0)
	b.end()
	params := make([]column, p.params)
	for i := range params {
		params[i] = column{"?", typeVarString}
	}
	b.definitions("", params, c.deprecateEOF())
	b.definitions(table, columns, c.deprecateEOF())
	c.send(b.bytes)
}

// columns are the result columns known when the statement is prepared. For
// statements outside the dataset the server promises none and sends them with
// the result, as servers do for SHOW.
func (p *prepared) columns() (table string, columns []column) {
	switch p.kind {
	case kindPoint:
		return "bench", []column{{"c", typeVarString}}
	case kindSpan:
		return "bench", []column{{"id", typeLong}, {"c", typeVarString}}
	case kindWide:
		return "bench_wide", []column{{"pad", typeVarString}}
	}
	return "", nil
}

func (c *session) execute(body []byte) {
	if len(body) < 9 {
		c.fail(1210, "HY000", "Incorrect arguments to mysqld_stmt_execute")
		return
	}
	p := c.prepared[binary.LittleEndian.Uint32(body)]
	if p == nil {
		c.fail(1243, "HY000", "Unknown prepared statement handler given to mysqld_stmt_execute")
		return
	}
	number := p.number
	if p.params > 0 {
		first, ok := p.firstParameter(body[9:])
		if !ok {
			c.fail(1210, "HY000", "Incorrect arguments to mysqld_stmt_execute")
			return
		}
		if number == 0 {
			number = first
		}
	}
	if p.kind == kindOther {
		c.other(p.text, true)
		return
	}
	c.benchmark(p.kind, number, true)
}

// firstParameter reads the first bound value, the only one that matters here.
func (p *prepared) firstParameter(body []byte) (int, bool) {
	bitmap := (p.params + 7) / 8
	if len(body) < bitmap+1 {
		return 0, false
	}
	null, bound, values := body[0]&1 != 0, body[bitmap] == 1, body[bitmap+1:]
	if bound {
		if len(values) < 2*p.params {
			return 0, false
		}
		p.types = append(p.types[:0], values[:2*p.params]...)
		values = values[2*p.params:]
	}
	if null {
		return 0, true
	}
	if len(p.types) == 0 {
		return 0, false
	}
	return firstValue(p.types[0], values)
}

func firstValue(typ byte, values []byte) (int, bool) {
	switch {
	case typ == typeLongLong && len(values) >= 8:
		return int(binary.LittleEndian.Uint64(values)), true
	case typ == typeLong && len(values) >= 4:
		return int(binary.LittleEndian.Uint32(values)), true
	case typ == typeShort && len(values) >= 2:
		return int(binary.LittleEndian.Uint16(values)), true
	case typ == typeTiny && len(values) >= 1:
		return int(values[0]), true
	case typ == typeLongLong, typ == typeLong, typ == typeShort, typ == typeTiny:
		return 0, false
	}
	text, _, ok := lengthPrefixed(values)
	return leadingNumber(text), ok
}
