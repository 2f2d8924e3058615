package proxy

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// errHangup ends a fake's connection, as a server that dies does.
var errHangup = errors.New("fake hangs up")

// fake is a server with real session state: variables and their reports,
// schemas, transactions, prepared statements, cursors, KILL. It has no tables;
// a SELECT returns what its expressions say (see expression).
type fake struct {
	*wiretest.Server
	name string

	mu    sync.Mutex
	conns map[uint32]*fakeConn
	log   []entry
	// before, if not nil, sees every command first; handled means that it
	// has been answered. errHangup closes the connection.
	before func(c *fakeConn, cmd wire.Command, arg []byte) (handled bool, err error)
	// limit is max_allowed_packet.
	limit int
	// altered is part of the names of all columns of prepared statements: the
	// tables are what somebody has made of them.
	altered string
}

// entry is a command a fake has received.
type entry struct {
	conn uint32
	cmd  wire.Command
	text string
}

// fakeConn is one connection of a fake.
type fakeConn struct {
	*wiretest.Peer
	fake      *fake
	id        uint32
	schema    string
	vars      map[string]string
	users     map[string]string // user variables
	tracked   map[string]bool
	insertID  uint64
	attribute string // the only query attribute sent with the statement
	prepared  map[uint32]*fakeStmt
	lastStmt  uint32
	multi     bool

	// killed is closed by KILL QUERY while a statement runs; guarded by fake.mu.
	killed  chan struct{}
	running bool
}

type fakeStmt struct {
	text   string
	schema string // when it was prepared
	params int
	types  []byte
	long   map[int]string
	rows   [][]wire.Value // of an open cursor
	open   bool
	known  string // definitions that the client has
}

var defaultVars = map[string]string{
	"sql_mode": "STRICT_TRANS_TABLES", "time_zone": "SYSTEM", "sql_select_limit": "18446744073709551615",
	"character_set_client": "utf8mb4", "character_set_connection": "utf8mb4", "character_set_results": "utf8mb4",
	"collation_connection": "utf8mb4_general_ci", "foreign_key_checks": "ON", "unique_checks": "ON", "group_concat_max_len": "1024",
	"session_track_schema": "ON", "session_track_state_change": "OFF", "session_track_transaction_info": "OFF",
	"session_track_gtids": "OFF", "unreported": "0", "wait_timeout": "28800", "sql_auto_is_null": "OFF",
	"session_track_system_variables": "time_zone,autocommit,character_set_client,character_set_results,character_set_connection",
}

// newFakeWith starts a server that has caps besides the usual ones.
func newFakeWith(t testing.TB, name string, caps wire.Capability) *fake {
	t.Helper()
	f := &fake{name: name, conns: map[uint32]*fakeConn{}, limit: 128 << 20}
	greeting := wiretest.DefaultGreeting()
	greeting.Capabilities |= caps
	if caps>>32 != 0 {
		greeting.ServerVersion = "10.11.0-MariaDB-fake"
		greeting.Capabilities &^= wire.LongPassword
	}
	f.Server = wiretest.NewServer(t, wiretest.Options{Greeting: greeting}, f.serve)
	return f
}

// intercept sets the function that sees commands first.
func (f *fake) intercept(before func(c *fakeConn, cmd wire.Command, arg []byte) (bool, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before = before
}

// onQuery intercepts one text.
func (f *fake) onQuery(sql string, do func(c *fakeConn) error) {
	f.intercept(func(c *fakeConn, cmd wire.Command, arg []byte) (bool, error) {
		if cmd != wire.ComQuery || string(arg) != sql {
			return false, nil
		}
		return true, do(c)
	})
}

// received returns the commands whose text contains part.
func (f *fake) received(part string) []entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []entry
	for _, e := range f.log {
		if strings.Contains(e.text, part) {
			found = append(found, e)
		}
	}
	return found
}

// commands returns how many commands of a kind came.
func (f *fake) commands(cmd wire.Command) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, e := range f.log {
		if e.cmd == cmd {
			n++
		}
	}
	return n
}

func (f *fake) serve(p *wiretest.Peer) error {
	c := &fakeConn{Peer: p, fake: f, id: p.Greeting.ConnectionID, schema: p.Login.Database,
		multi: p.Capabilities.Has(wire.MultiStatements)}
	c.reset()
	f.mu.Lock()
	f.conns[c.id] = c
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c.id)
	}()
	for {
		p.Seq = 0
		b, err := p.ReadPacket(f.limit)
		if errors.Is(err, wire.ErrPacketTooLarge) {
			_ = wiretest.Err(wire.CodePacketTooLarge, "Got a packet bigger than 'max_allowed_packet' bytes")(p)
			return nil
		}
		if err != nil {
			if wiretest.IsClosed(err) {
				return nil
			}
			return err
		}
		if len(b) == 0 {
			return errors.New("empty request")
		}
		if wire.Command(b[0]) == wire.ComQuit {
			return nil
		}
		if err := c.handle(wire.Command(b[0]), slices.Clone(b[1:])); err != nil {
			if errors.Is(err, errHangup) || wiretest.IsClosed(err) {
				return nil
			}
			return err
		}
	}
}

func (c *fakeConn) handle(cmd wire.Command, arg []byte) error {
	f := c.fake
	arg = c.takeAttributes(cmd, arg)
	text := string(arg)
	if len(text) > 1000 {
		text = text[:1000]
	}
	f.mu.Lock()
	f.log = append(f.log, entry{c.id, cmd, text})
	before := f.before
	c.killed, c.running = make(chan struct{}), true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		c.running = false
	}()
	if before != nil {
		if handled, err := before(c, cmd, arg); handled || err != nil {
			return err
		}
	}
	switch cmd {
	case wire.ComQuery:
		return c.query(string(arg))
	case wire.ComInitDB:
		return c.use(string(arg))
	case wire.ComResetConnection:
		c.reset()
		return c.ok(nil)
	case wire.ComSetOption:
		c.multi = arg[0] == 0
		if c.Capabilities.Has(wire.DeprecateEOF) {
			return c.Send((&wire.OK{Status: c.Status}).Append(nil, 0xfe, c.Capabilities))
		}
		return c.Send(wire.EOF{Status: c.Status}.Append(nil))
	case wire.ComStatistics:
		return c.Send([]byte("Uptime: 1"))
	case wire.ComStmtPrepare:
		return c.prepare(string(arg))
	case wire.ComStmtExecute:
		return c.execute(arg)
	case wire.ComStmtSendLongData:
		c.longData(arg)
		return nil
	case wire.ComStmtClose:
		delete(c.prepared, binary.LittleEndian.Uint32(arg))
		return nil
	case wire.ComStmtReset:
		if st := c.prepared[binary.LittleEndian.Uint32(arg)]; st != nil {
			st.long, st.open, st.rows = nil, false, nil
		}
		return c.ok(nil)
	case wire.ComStmtFetch:
		return c.fetch(arg)
	}
	return c.fail(wire.CodeUnknownCommand, "Unknown command")
}

func (c *fakeConn) reset() {
	c.vars, c.users, c.prepared, c.insertID = map[string]string{}, map[string]string{}, map[uint32]*fakeStmt{}, 0
	for k, v := range defaultVars {
		c.vars[k] = v
	}
	c.Status = wire.Autocommit
	c.track()
}

func (c *fakeConn) track() {
	c.tracked = map[string]bool{}
	for _, name := range strings.Split(c.vars["session_track_system_variables"], ",") {
		c.tracked[name] = true
	}
}

func (c *fakeConn) fail(code uint16, format string, args ...any) error {
	return wiretest.Err(code, fmt.Sprintf(format, args...))(c.Peer)
}

// ok answers with session changes.
func (c *fakeConn) ok(changes []byte) error {
	ok := wire.OK{Status: c.Status, SessionChanges: changes}
	if len(changes) > 0 {
		ok.Status |= wire.SessionStateChange
	}
	return c.Send(ok.Append(nil, 0, c.Capabilities))
}

func change(typ wire.ChangeType, data []byte) []byte {
	return wire.AppendLenencBytes([]byte{byte(typ)}, data)
}

func varChange(name, value string) []byte {
	return change(wire.ChangeSystemVariable, wire.AppendLenencString(wire.AppendLenencString(nil, name), value))
}

func (c *fakeConn) use(schema string) error {
	if strings.HasPrefix(schema, "missing") {
		return c.fail(wire.CodeBadDB, "Unknown database '%s'", schema)
	}
	c.schema = schema
	return c.ok(change(wire.ChangeSchema, wire.AppendLenencString(nil, schema)))
}

// query runs one or more statements of text.
func (c *fakeConn) query(sql string) error {
	parts := strings.Split(sql, ";")
	if len(parts) > 1 && !c.multi {
		return c.fail(wire.CodeParse, "You have an error in your SQL syntax")
	}
	for i, part := range parts {
		c.Status &^= wire.MoreResultsExist
		if i < len(parts)-1 {
			c.Status |= wire.MoreResultsExist
		}
		if stop, err := c.statement(strings.TrimSpace(part)); stop || err != nil {
			c.Status &^= wire.MoreResultsExist
			return err
		}
	}
	return nil
}

// statement runs one statement; stop says that it was answered by an ERR.
func (c *fakeConn) statement(sql string) (stop bool, err error) {
	if _, rest, ok := strings.Cut(sql, "*/"); ok && strings.HasPrefix(sql, "/*") {
		sql = strings.TrimSpace(rest) // a hint
	}
	verb, rest, _ := strings.Cut(sql, " ")
	switch strings.ToUpper(verb) {
	case "SELECT":
		columns, row := c.evaluate(rest, nil)
		if columns == nil {
			return true, c.fail(wire.CodeBadField, "Unknown column in %s", rest)
		}
		c.begin(false)
		return false, c.SendResult(columns, [][]wire.Value{row})
	case "DO":
	case "SET":
		return c.set(rest)
	case "USE":
		return false, c.use(strings.Trim(rest, "`"))
	case "BEGIN", "START":
		c.Status |= wire.InTrans
		if strings.Contains(sql, "READ ONLY") {
			c.Status |= wire.InTransReadOnly
		}
	case "COMMIT", "ROLLBACK":
		c.Status &^= wire.InTrans | wire.InTransReadOnly
	case "INSERT", "UPDATE", "DELETE", "CREATE", "DROP":
		return c.write(sql)
	case "KILL":
		return false, c.kill(rest)
	case "WAIT":
		<-c.killed
		return true, c.fail(wire.CodeQueryInterrupted, "Query execution was interrupted")
	default:
		return true, c.fail(wire.CodeParse, "You have an error in your SQL syntax near '%s'", sql)
	}
	return false, c.ok(nil)
}

func (c *fakeConn) begin(write bool) {
	if write && !c.Status.Has(wire.Autocommit) {
		c.Status |= wire.InTrans
	}
}

func (c *fakeConn) write(sql string) (bool, error) {
	switch {
	case strings.Contains(sql, "duplicate"):
		return true, c.fail(1062, "Duplicate entry")
	case strings.Contains(sql, "auto"):
		c.insertID++
		c.begin(true)
		return false, c.Send((&wire.OK{Status: c.Status, AffectedRows: 1, LastInsertID: c.insertID}).Append(nil, 0, c.Capabilities))
	}
	c.begin(true)
	return false, c.Send((&wire.OK{Status: c.Status, AffectedRows: 1}).Append(nil, 0, c.Capabilities))
}

// kill is KILL QUERY id: it ends whatever that connection runs at the moment.
func (c *fakeConn) kill(rest string) error {
	id, _ := strconv.ParseUint(strings.TrimPrefix(rest, "QUERY "), 10, 32)
	f := c.fake
	f.mu.Lock()
	victim := f.conns[uint32(id)]
	if victim != nil && victim.running {
		select {
		case <-victim.killed:
		default:
			close(victim.killed)
		}
	}
	f.mu.Unlock()
	if victim == nil {
		return c.fail(wire.CodeNoSuchThread, "Unknown thread id: %d", id)
	}
	return c.ok(nil)
}

// set is SET: assignments separated by commas outside of quotes.
func (c *fakeConn) set(rest string) (bool, error) {
	var changes []byte
	if charset, ok := strings.CutPrefix(rest, "NAMES "); ok {
		charset, _, _ = strings.Cut(strings.Trim(charset, "'"), " ")
		for _, name := range []string{"character_set_client", "character_set_connection", "character_set_results"} {
			changes = c.assign(changes, name, charset)
		}
		c.vars["collation_connection"] = charset + "_general_ci"
		return false, c.ok(changes)
	}
	retrack := false
	for _, item := range splitTop(strings.TrimPrefix(rest, "SESSION ")) {
		name, value, _ := strings.Cut(item, "=")
		name, value = strings.TrimSpace(name), strings.Trim(strings.TrimSpace(value), "'")
		name = strings.TrimPrefix(strings.TrimPrefix(name, "@@session."), "@@")
		if user, ok := strings.CutPrefix(name, "@"); ok {
			c.users[strings.Trim(user, "`")] = userValue(item)
			continue
		}
		if v, ok := strings.CutPrefix(value, "@@session."); ok {
			value = c.vars[v]
		}
		if name == "autocommit" {
			changes = c.autocommit(changes, value)
			continue
		}
		if _, ok := c.vars[name]; !ok {
			return true, c.fail(wire.CodeUnknownSystemVariable, "Unknown system variable '%s'", name)
		}
		changes = c.assign(changes, name, value)
		retrack = retrack || name == "session_track_system_variables"
		if retrack {
			c.track()
		}
	}
	return false, c.ok(changes)
}

// userValue returns what @x = ... assigns: a literal, or the proxy's spelling
// of one, _charset X'...' COLLATE collation.
func userValue(item string) string {
	_, value, _ := strings.Cut(item, "=")
	if _, digits, ok := strings.Cut(value, " X'"); ok {
		digits, _, _ = strings.Cut(digits, "'")
		if b, err := hex.DecodeString(digits); err == nil {
			return string(b)
		}
	}
	return strings.Trim(strings.TrimSpace(value), "'")
}

func (c *fakeConn) autocommit(changes []byte, value string) []byte {
	if value == "0" || value == "OFF" {
		c.Status &^= wire.Autocommit
		return append(changes, varChange("autocommit", "OFF")...)
	}
	c.Status = c.Status&^wire.InTrans | wire.Autocommit
	return append(changes, varChange("autocommit", "ON")...)
}

func (c *fakeConn) assign(changes []byte, name, value string) []byte {
	c.vars[name] = value
	if c.tracked[name] || c.tracked["*"] {
		changes = append(changes, varChange(name, value)...)
	}
	return changes
}

// splitTop splits at commas outside of quotes.
func splitTop(s string) (items []string) {
	quoted, from := false, 0
	for i := range len(s) {
		switch {
		case s[i] == '\'':
			quoted = !quoted
		case s[i] == ',' && !quoted:
			items = append(items, s[from:i])
			from = i + 1
		}
	}
	return append(items, s[from:])
}

// evaluate computes a select list, of which everything from " FROM " on is
// ignored. params replace question marks.
func (c *fakeConn) evaluate(list string, params []wire.Value) (columns []wire.ColumnDef, row []wire.Value) {
	list, _, _ = strings.Cut(list, " FROM ")
	for _, expr := range splitTop(list) {
		expr = strings.TrimSpace(expr)
		v := wire.Value{Text: expr}
		switch {
		case expr == "?":
			if len(params) > 0 {
				v, params = params[0], params[1:]
			}
		default:
			var ok bool
			if v, ok = c.expression(expr); !ok {
				return nil, nil
			}
		}
		columns = append(columns, wire.TextColumn(expr))
		row = append(row, v)
	}
	return columns, row
}

// expression knows literals, the session's state, and "columns" that show it
// without looking like a question about the session: server, conn, schema_,
// var_NAME.
func (c *fakeConn) expression(expr string) (wire.Value, bool) {
	switch {
	case expr == "server":
		return wire.Value{Text: c.fake.name}, true
	case expr == "conn":
		return wire.Value{Text: strconv.Itoa(int(c.id))}, true
	case expr == "schema_" || expr == "DATABASE()":
		return wire.Value{Text: c.schema, Null: c.schema == ""}, true
	case expr == "LAST_INSERT_ID()":
		return wire.Value{Text: strconv.FormatUint(c.insertID, 10)}, true
	case expr == "attribute":
		return wire.Value{Text: c.attribute}, true
	case expr == "missing":
		return wire.Value{}, false
	case strings.HasPrefix(expr, "var_"):
		return wire.Value{Text: c.vars[expr[4:]]}, true
	case strings.HasPrefix(expr, "uvar_"):
		v, ok := c.users[expr[5:]]
		return wire.Value{Text: v, Null: !ok}, true
	case strings.HasPrefix(expr, "@@"):
		v, ok := c.vars[expr[2:]]
		return wire.Value{Text: v}, ok
	case strings.HasPrefix(expr, "@"):
		v, ok := c.users[expr[1:]]
		return wire.Value{Text: v, Null: !ok}, true
	}
	return wire.Value{Text: strings.Trim(expr, "'")}, true
}
