package fakebackend

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/telamondb/telamon/integration/bench/dataset"
)

// skipBlanks drops leading white space and comments; a proxy's hints may stand
// there.
func skipBlanks(q []byte) []byte {
	for {
		q = bytes.TrimLeft(q, " \t\r\n")
		if !bytes.HasPrefix(q, []byte("/*")) || bytes.HasPrefix(q, []byte("/*!")) {
			return q
		}
		end := bytes.Index(q[2:], []byte("*/"))
		if end < 0 {
			return q
		}
		q = q[2+end+2:]
	}
}

// other answers what is not one of the benchmark's statements.
func (c *session) other(q string, binary bool) {
	q = strings.TrimRight(q, "; \t\r\n")
	words := strings.Fields(strings.ToUpper(q))
	if len(words) == 0 {
		c.fail(1065, "42000", "Query was empty")
		return
	}
	switch words[0] {
	case "SELECT":
		c.selectExpressions(q, binary)
	case "SHOW":
		c.show(words[1:], q, binary)
	case "SET":
		c.set(q)
	case "USE":
		c.server.others.Add(1)
		c.use(strings.Trim(strings.TrimSpace(q[3:]), "`"))
	case "BEGIN", "START":
		if words[0] == "START" && (len(words) < 2 || words[1] != "TRANSACTION") {
			c.unknown(q)
			return
		}
		c.server.others.Add(1)
		c.status |= statusInTrans
		c.ok(0, nil)
	case "COMMIT", "ROLLBACK":
		c.server.others.Add(1)
		c.endTransaction(words)
	case "INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER", "TRUNCATE":
		c.write(1)
	case "DO", "KILL", "FLUSH", "RELEASE", "SAVEPOINT":
		c.server.others.Add(1)
		c.ok(0, nil)
	default:
		c.unknown(q)
	}
}

func (c *session) unknown(q string) {
	c.server.unknown.Add(1)
	if len(q) > 200 {
		q = q[:200]
	}
	c.fail(1064, "42000", "fake backend: unknown statement: "+q)
}

func (c *session) endTransaction(words []string) {
	if len(words) > 1 && words[1] == "TO" { // ROLLBACK TO savepoint
		c.ok(0, nil)
		return
	}
	dirty := c.dirty && words[0] == "COMMIT"
	c.dirty = false
	c.status &^= statusInTrans
	if dirty {
		c.committed(0)
		return
	}
	c.ok(0, nil)
}

// rows sends a result of text columns made for this one statement.
func (c *session) rows(names []string, rows [][]value, binary bool) {
	c.server.reads.Add(1)
	columns := make([]column, len(names))
	for i, name := range names {
		columns[i] = column{name, typeVarString}
	}
	b := c.answer()
	b.resultSet("", columns, rows, encoding{c.deprecateEOF(), binary}, c.status)
	c.send(b.bytes)
}

// selectExpressions answers SELECTs without a table: system variables and the
// functions that clients and monitors ask for at login.
func (c *session) selectExpressions(q string, binary bool) {
	list := strings.TrimSpace(q[len("SELECT"):])
	if i := strings.Index(strings.ToUpper(list), " LIMIT "); i >= 0 {
		list = list[:i]
	}
	var names []string
	var row []value
	for _, expr := range splitTopLevel(list) {
		name := expr
		if i := strings.LastIndex(strings.ToUpper(expr), " AS "); i >= 0 {
			name = strings.Trim(strings.TrimSpace(expr[i+4:]), "`'\"")
			expr = strings.TrimSpace(expr[:i])
		}
		v, ok := c.evaluate(expr)
		if !ok {
			c.unknown(q)
			return
		}
		names, row = append(names, name), append(row, v)
	}
	c.rows(names, [][]value{row}, binary)
}

// splitTopLevel splits at the commas that stand outside of brackets and quotes.
func splitTopLevel(list string) []string {
	var parts []string
	depth, from, quote := 0, 0, byte(0)
	for i := 0; i < len(list); i++ {
		switch ch := list[i]; {
		case quote != 0:
			if ch == quote {
				quote = 0
			}
		case ch == '\'' || ch == '"' || ch == '`':
			quote = ch
		case ch == '(':
			depth++
		case ch == ')':
			depth--
		case ch == ',' && depth == 0:
			parts = append(parts, strings.TrimSpace(list[from:i]))
			from = i + 1
		}
	}
	return append(parts, strings.TrimSpace(list[from:]))
}

func (c *session) evaluate(expr string) (value, bool) {
	lower := strings.ToLower(expr)
	if name, ok := strings.CutPrefix(lower, "@@"); ok {
		name = strings.TrimPrefix(strings.TrimPrefix(name, "global."), "session.")
		v, ok := c.server.variable(strings.Trim(name, "`"))
		if name == "autocommit" && c.status&statusAutocommit == 0 {
			v = "0"
		}
		return value{text: v}, ok
	}
	switch name, _, _ := strings.Cut(lower, "("); strings.TrimSpace(name) {
	case "version":
		return value{text: c.server.version()}, true
	case "connection_id":
		return value{text: strconv.FormatUint(uint64(c.id), 10)}, true
	case "database", "schema":
		return value{text: c.schema, null: c.schema == ""}, true
	case "user", "current_user", "session_user":
		return value{text: "bench@localhost"}, true
	case "concat":
		return c.concat(expr)
	case "if":
		// Of what is asked of the server in this way everything holds: it has
		// a binary log and GTIDs.
		_, list, _ := strings.Cut(expr, "(")
		if parts := splitTopLevel(strings.TrimSuffix(strings.TrimSpace(list), ")")); len(parts) == 3 {
			return c.evaluate(parts[1])
		}
	case "hex":
		v, ok := c.evaluate(strings.TrimSuffix(strings.TrimSpace(expr)[len("hex("):], ")"))
		return value{text: fmt.Sprintf("%X", v.text)}, ok
	case "wait_for_executed_gtid_set", "master_gtid_wait", "last_insert_id":
		return value{text: "0"}, true
	}
	if _, err := strconv.ParseFloat(expr, 64); err == nil {
		return value{text: expr}, true
	}
	if n := len(expr); n >= 2 && expr[0] == expr[n-1] && (expr[0] == '\'' || expr[0] == '"') {
		return value{text: expr[1 : n-1]}, true
	}
	return value{null: true}, lower == "null"
}

func (c *session) concat(expr string) (value, bool) {
	_, list, _ := strings.Cut(expr, "(")
	var text strings.Builder
	for _, part := range splitTopLevel(strings.TrimSuffix(strings.TrimSpace(list), ")")) {
		v, ok := c.evaluate(part)
		if !ok {
			return value{}, false
		}
		text.WriteString(v.text)
	}
	return value{text: text.String()}, true
}

func (c *session) show(words []string, q string, binary bool) {
	rest := strings.Join(words, " ")
	switch {
	case rest == "REPLICA STATUS", rest == "SLAVE STATUS", rest == "ALL SLAVES STATUS", rest == "ALL REPLICAS STATUS":
		c.showReplica(rest, binary)
	case rest == "BINARY LOG STATUS", rest == "MASTER STATUS":
		c.rows([]string{"File", "Position", "Binlog_Do_DB", "Binlog_Ignore_DB", "Executed_Gtid_Set"},
			[][]value{{{text: "bin.000001"}, {text: "4"}, {}, {}, {text: c.server.executed()}}}, binary)
	case strings.Contains(rest, "VARIABLES"):
		c.showVariables(q, binary)
	case strings.HasSuffix(rest, "WARNINGS"):
		c.rows([]string{"Level", "Code", "Message"}, nil, binary)
	case strings.Contains(rest, "STATUS"):
		c.rows([]string{"Variable_name", "Value"}, nil, binary)
	case rest == "DATABASES":
		c.rows([]string{"Database"}, [][]value{{{text: dataset.Schema}}}, binary)
	default:
		c.unknown(q)
	}
}

// showVariables returns the variables whose names the statement contains, or
// those of a LIKE pattern, or all.
func (c *session) showVariables(q string, binary bool) {
	_, filter, filtered := strings.Cut(strings.ToLower(q), "variables")
	filter = strings.TrimSpace(filter)
	var rows [][]value
	for _, name := range variableNames {
		v, _ := c.server.variable(name)
		if !filtered || filter == "" || strings.Contains(filter, name) || likeMatches(filter, name) {
			rows = append(rows, []value{{text: name}, {text: v}})
		}
	}
	c.rows([]string{"Variable_name", "Value"}, rows, binary)
}

// likeMatches reports whether filter is LIKE 'prefix%' for name.
func likeMatches(filter, name string) bool {
	pattern, ok := strings.CutPrefix(filter, "like")
	if !ok {
		return false
	}
	prefix, ok := strings.CutSuffix(strings.Trim(strings.TrimSpace(pattern), "'\""), "%")
	return ok && strings.HasPrefix(name, prefix)
}
