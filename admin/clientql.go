package admin

import (
	"slices"
	"strconv"
	"strings"

	"github.com/telamondb/telamon/wire"
)

// What clients send on their own, at login or around the user's statements, is
// answered here so that every driver can be used with the console. It is a
// fixed set of statements and variables, not SQL.

// clientStatement answers such a statement; known is false when it is none.
func (r *request) clientStatement(tokens []token) (t *table, known bool, err error) {
	p := &parser{tokens: tokens}
	first := p.next()
	switch strings.ToLower(first.text) {
	case "select":
		return r.selectItems(p)
	case "set":
		known, err := setVariables(p)
		return nil, known, err
	case "show":
		return r.showForClient(p)
	case "use":
		return nil, p.next().kind == tokenWord && p.peek().kind == tokenEnd, nil
	case "begin", "commit", "rollback":
		p.accept("work")
		return nil, p.peek().kind == tokenEnd, nil
	case "start":
		return nil, p.accept("transaction"), nil
	}
	return nil, false, nil
}

// ignoredVariables are the session settings that clients set and that mean
// nothing here. Any other SET is an error rather than a false success.
var ignoredVariables = []string{
	"autocommit", "character_set_client", "character_set_connection", "character_set_results",
	"collation_connection", "foreign_key_checks", "interactive_timeout", "lc_messages",
	"max_execution_time", "net_read_timeout", "net_write_timeout", "profiling", "resultset_metadata",
	"session_track_gtids", "session_track_schema", "session_track_state_change",
	"session_track_system_variables", "session_track_transaction_info", "sql_auto_is_null", "sql_mode",
	"sql_quote_show_create", "sql_safe_updates", "sql_select_limit", "time_zone",
	"transaction_isolation", "transaction_read_only", "tx_isolation", "tx_read_only", "unique_checks",
	"wait_timeout",
}

// setVariables accepts SET NAMES, SET CHARACTER SET, SET TRANSACTION and
// assignments to ignoredVariables.
func setVariables(p *parser) (known bool, err error) {
	if p.accept("session", "transaction") || p.accept("transaction") {
		return true, nil
	}
	for {
		assigned, err := setOne(p)
		if !assigned || err != nil {
			return assigned, err
		}
		if p.peek().kind == tokenEnd {
			return true, nil
		}
		if !p.accept(",") {
			return false, nil
		}
	}
}

func setOne(p *parser) (assigned bool, err error) {
	if p.accept("names") || p.accept("character", "set") || p.accept("charset") {
		p.skipValue()
		return true, nil
	}
	if !p.accept("session") {
		p.accept("local")
	}
	t := p.next()
	name, glued, hasValue := strings.Cut(t.text, ":") // a := b
	if t.kind != tokenWord || hasValue && glued != "" || !p.accept("=") {
		return false, nil
	}
	name = variableName(name)
	if !slices.Contains(ignoredVariables, name) {
		return true, unknownVariable(name)
	}
	p.skipValue()
	return true, nil
}

// skipValue moves to the comma or the end behind a value, which may be an
// expression: CONCAT(@@sql_mode, ',STRICT_TRANS_TABLES').
func (p *parser) skipValue() {
	for depth := 0; p.peek().kind != tokenEnd; p.next() {
		switch t := p.peek(); {
		case t.is("("):
			depth++
		case t.is(")"):
			depth--
		case t.is(",") && depth <= 0:
			return
		}
	}
}

// variableName takes @@, @@session. and the like off and lowers the case.
func variableName(s string) string {
	s = strings.ToLower(strings.TrimPrefix(s, "@@"))
	for _, scope := range []string{"session.", "global.", "local."} {
		s = strings.TrimPrefix(s, scope)
	}
	return s
}

func unknownVariable(name string) error {
	return mysqlError(wire.CodeUnknownSystemVariable, "Unknown system variable '%s'", shorten(name, 64))
}

// maxItems bounds the columns of selectItems.
const maxItems = 256

// selectItems answers SELECT of constants, variables and the functions of
// clientFunction: `select @@version_comment limit 1`.
func (r *request) selectItems(p *parser) (t *table, known bool, err error) {
	t = newTable()
	var row []value
	for {
		name, typ, v, known, err := r.item(p)
		if !known || err != nil {
			return nil, known, err
		}
		if p.accept("as") || p.peek().kind == tokenString || p.peek().kind == tokenWord && !p.peek().is("limit") && !p.peek().is("from") {
			name = p.next().text
		}
		t.columns = append(t.columns, column{name, typ})
		row = append(row, v)
		if !p.accept(",") {
			break
		}
		if len(row) == maxItems {
			return nil, false, nil
		}
	}
	t.add(row...)
	p.accept("from", "dual")
	if p.accept("limit") {
		if _, err := p.count(); err != nil {
			return nil, false, nil
		}
	}
	return t, p.peek().kind == tokenEnd, nil
}

// item reads one expression and names it as MySQL does, by its text.
func (r *request) item(p *parser) (name string, typ columnType, v value, known bool, err error) {
	t := p.next()
	switch {
	case t.kind == tokenString:
		return t.text, text, str(t.text), true, nil
	case t.kind != tokenWord:
		return "", text, null(), false, nil
	case isNumber(t.text):
		return t.text, bignum, str(t.text), len(t.text) <= 18, nil
	case t.is("null"):
		return t.text, text, null(), true, nil
	case strings.HasPrefix(t.text, "@@"):
		variable := variableName(t.text)
		content, ok := r.variables()[variable]
		if !ok {
			return "", text, null(), true, unknownVariable(variable)
		}
		return t.text, typeOf(content), str(content), true, nil
	case p.accept("(", ")"):
		v, known = r.clientFunction(strings.ToLower(t.text))
		return t.text + "()", text, v, known, nil
	case t.is("current_user"):
		v, known = r.clientFunction("current_user")
		return t.text, text, v, known, nil
	}
	return "", text, null(), false, nil
}

func typeOf(content string) columnType {
	if isNumber(content) {
		return bignum
	}
	return text
}

func (r *request) clientFunction(name string) (v value, known bool) {
	switch name {
	case "version":
		return str(serverVersion), true
	case "connection_id":
		return num(r.id), true
	case "user", "current_user", "session_user", "system_user":
		return str(r.user + "@" + r.host), true
	case "database", "schema", "last_insert_id":
		return null(), true
	}
	return null(), false
}

// variables are the ones that clients ask for, with the values that keep them
// from doing anything clever.
func (r *request) variables() map[string]string {
	return map[string]string{
		"auto_increment_increment": "1",
		"autocommit":               "1",
		"character_set_client":     "utf8mb4",
		"character_set_connection": "utf8mb4",
		"character_set_database":   "utf8mb4",
		"character_set_results":    "utf8mb4",
		"character_set_server":     "utf8mb4",
		"collation_connection":     "utf8mb4_general_ci",
		"collation_database":       "utf8mb4_general_ci",
		"collation_server":         "utf8mb4_general_ci",
		"have_ssl":                 "DISABLED",
		"hostname":                 "telamon",
		"init_connect":             "",
		"interactive_timeout":      strconv.Itoa(int(idleTimeout.Seconds())),
		"license":                  "Apache-2.0",
		"lower_case_table_names":   "1",
		"max_allowed_packet":       strconv.Itoa(maxStatement),
		"net_buffer_length":        "16384",
		"net_write_timeout":        "60",
		"performance_schema":       "0",
		"query_cache_size":         "0",
		"query_cache_type":         "OFF",
		"sql_mode":                 "",
		"system_time_zone":         "UTC",
		"time_zone":                "SYSTEM",
		"transaction_isolation":    "READ-COMMITTED",
		"transaction_read_only":    "0",
		"tx_isolation":             "READ-COMMITTED",
		"tx_read_only":             "0",
		"version":                  serverVersion,
		"version_comment":          "Telamon console " + r.console.cfg.Version,
		"wait_timeout":             strconv.Itoa(int(idleTimeout.Seconds())),
	}
}

// showForClient answers SHOW VARIABLES, SHOW WARNINGS and the like.
func (r *request) showForClient(p *parser) (t *table, known bool, err error) {
	if !p.accept("session") {
		p.accept("global")
	}
	switch what := p.next(); {
	case what.is("variables"):
		t = newTable(column{"Variable_name", text}, column{"Value", text})
		for name, content := range r.variables() {
			t.add(str(name), str(content))
		}
		slices.SortFunc(t.rows, func(a, b []value) int { return strings.Compare(a[0].Text, b[0].Text) })
	case what.is("status"):
		t = newTable(column{"Variable_name", text}, column{"Value", text})
	case what.is("warnings"), what.is("errors"):
		t = newTable(column{"Level", text}, column{"Code", number}, column{"Message", text})
	case what.is("databases"), what.is("schemas"):
		t = newTable(column{"Database", text})
	case what.is("tables"):
		t = r.showTables()
	default:
		return nil, false, nil
	}
	f, err := parseFilter(p)
	if err == nil {
		err = f.apply(t)
	}
	return t, true, err
}

// showTables lists what SELECT * FROM works on, for clients that complete
// names.
func (r *request) showTables() *table {
	t := newTable(column{"Tables", text})
	for _, rule := range r.console.grammar {
		if name, ok := strings.CutPrefix(rule.pattern, "SELECT * FROM "); ok {
			t.add(str(name))
		}
	}
	return t
}
