package pool

import (
	"slices"
	"strings"

	"github.com/telamondb/telamon/wire"
)

// Var is a session variable with its value as the server reported it.
type Var struct{ Name, Value string }

// Profile is the part of a session's state that can be established on any
// connection: the schema, the character set of the login, and variables that
// were set since. Profiles are immutable; equal ones may be different values.
type Profile struct {
	// Schema is the default schema, "" for none.
	Schema string
	// Collation is the id of the login's collation, which decides the
	// character set unless Vars says otherwise.
	Collation byte
	// Vars are the variables set since the login, sorted by name.
	Vars []Var
	// UserVars are the user variables set since the login, sorted by name.
	UserVars []UserVar
}

// With returns p with one variable changed.
func (p *Profile) With(name, value string) *Profile {
	other := setAlong[name]
	_, superseded := p.find(other)
	i, found := p.find(name)
	if found && p.Vars[i].Value == value && !superseded {
		return p
	}
	q := *p
	q.Vars = slices.Clone(p.Vars)
	if found {
		q.Vars[i].Value = value
	} else {
		q.Vars = slices.Insert(q.Vars, i, Var{name, value})
	}
	if superseded {
		i, _ := q.find(other)
		q.Vars = slices.Delete(q.Vars, i, i+1)
	}
	return &q
}

func (p *Profile) find(name string) (i int, found bool) {
	return slices.BinarySearchFunc(p.Vars, name, func(v Var, name string) int {
		return strings.Compare(v.Name, name)
	})
}

// setAlong has the variables that are set by setting another: a second name for
// it, or what follows from its value (measured, MariaDB 10.11 and 11.8, MySQL
// 9.7). What they were set to before is no part of the state any more.
var setAlong = map[string]string{
	"tx_isolation": "transaction_isolation", "transaction_isolation": "tx_isolation",
	"tx_read_only": "transaction_read_only", "transaction_read_only": "tx_read_only",
	"tmp_table_size": "tmp_memory_table_size", "tmp_memory_table_size": "tmp_table_size",
	"long_query_time": "log_slow_query_time", "log_slow_query_time": "long_query_time",
	"slow_query_log": "log_slow_query", "log_slow_query": "slow_query_log",
	"min_examined_row_limit": "log_slow_min_examined_row_limit", "log_slow_min_examined_row_limit": "min_examined_row_limit",
	"old_alter_table": "alter_algorithm", "alter_algorithm": "old_alter_table",
	"storage_engine": "default_storage_engine", "default_storage_engine": "storage_engine",
	"character_set_server": "collation_server", "collation_server": "character_set_server",
	"character_set_database": "collation_database", "collation_database": "character_set_database",
	"max_join_size": "sql_big_selects",
}

// WithSchema returns p with another default schema.
func (p *Profile) WithSchema(schema string) *Profile {
	if p.Schema == schema {
		return p
	}
	q := *p
	q.Schema = schema
	return &q
}

// Value returns the value of a variable, and whether it was set since the login.
func (p *Profile) Value(name string) (string, bool) {
	for i := range p.Vars {
		if p.Vars[i].Name == name {
			return p.Vars[i].Value, true
		}
	}
	return "", false
}

// Equal reports whether the two profiles describe the same state.
func (p *Profile) Equal(q *Profile) bool {
	return p == q || p.Collation == q.Collation && p.Schema == q.Schema && slices.Equal(p.Vars, q.Vars) &&
		slices.Equal(p.UserVars, q.UserVars)
}

// Portable reports whether a variable's value can be established by a SET on
// another connection. Those that are not are consumed by statements, belong to
// one connection, or are reported with a value that is not the one set
// (measured: timestamp and rand_seed1, MariaDB 10.11 and MySQL 9.7).
func Portable(name, value string) bool {
	switch name {
	case "timestamp", "insert_id", "last_insert_id", "identity", "rand_seed1", "rand_seed2",
		"pseudo_thread_id", "pseudo_slave_mode", "pseudo_replica_mode",
		"gtid_next", "gtid_seq_no", "gtid_domain_id", "server_id", "sql_log_bin",
		"original_commit_timestamp", "original_server_version", "immediate_server_version",
		"debug", "debug_sync", "skip_replication", "proxy_user", "external_user":
		return false
	case "sql_auto_is_null":
		// WHERE id IS NULL then means the last insert id of the connection.
		return value == "OFF" || value == "0"
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '\\' || c == '\'' {
			return false // quoting would depend on sql_mode and character set
		}
	}
	return true
}

// Volatile reports variables that change by themselves or are the proxy's own,
// so that a report about them says nothing about the session.
func Volatile(name string) bool {
	switch name {
	case "statement_id", "last_gtid", "autocommit", "in_transaction", "warning_count", "error_count":
		return true
	}
	return strings.HasPrefix(name, "session_track_")
}

// appendSet appends "SET a=1,b='x'" for the variables of want that have
// another value in have, or nothing if there are none.
//
// Character sets that may come from SET NAMES are set by it: column definitions
// then carry the collation that was named, as they do for the client directly,
// and not the character set's default (measured, MariaDB 10.11 and MySQL 9.7).
func appendSet(dst []byte, have, want *Profile) []byte {
	sep := "SET "
	names := want.names()
	if names != (wire.Collation{}) && names != have.names() {
		dst = append(dst, sep...)
		dst = append(dst, "NAMES "...)
		dst = append(dst, names.Charset...)
		dst = append(dst, " COLLATE "...)
		dst = append(dst, names.Name...)
		sep = ","
	}
	for _, v := range want.Vars {
		if have.has(v) && !setsAlong(have, want, v.Name) || names.Charset != "" && isNames(v.Name) {
			continue
		}
		dst = append(dst, sep...)
		dst = append(dst, v.Name...)
		dst = append(dst, '=')
		dst = appendValue(dst, v)
		sep = ","
	}
	for _, v := range want.UserVars {
		if have.userVar(v.Name) != v.Set {
			dst = append(dst, sep...)
			dst = append(dst, v.Set...)
			sep = ","
		}
	}
	return dst
}

func (p *Profile) has(v Var) bool {
	value, ok := p.Value(v.Name)
	return ok && value == v.Value
}

// setsAlong reports whether a variable is set along by one that has to be set to
// get from have to want. By their names it comes behind that one.
func setsAlong(have, want *Profile, name string) bool {
	return slices.ContainsFunc(want.Vars, func(v Var) bool { return setAlong[v.Name] == name && !have.has(v) })
}

// names returns what SET NAMES would have had to say, or nothing if the
// character sets differ from each other or are not set.
func (p *Profile) names() wire.Collation {
	client, _ := p.Value("character_set_client")
	connection, _ := p.Value("character_set_connection")
	results, _ := p.Value("character_set_results")
	collation, _ := p.Value("collation_connection")
	if client == "" || client != connection || client != results || !plainName(collation) || !plainName(client) ||
		!strings.HasPrefix(collation, client+"_") {
		return wire.Collation{}
	}
	return wire.Collation{Charset: client, Name: collation}
}

// plainName reports whether a name needs no quotes.
func plainName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z')
	})
}

// isNames reports whether SET NAMES sets a variable.
func isNames(name string) bool {
	return slices.Contains(charsetVars[:], name)
}

func appendValue(dst []byte, v Var) []byte {
	switch {
	case v.Value == "" && nullable(v.Name):
		return append(dst, "NULL"...)
	case isNumber(v.Value):
		return append(dst, v.Value...)
	}
	dst = append(dst, '\'')
	dst = append(dst, v.Value...)
	return append(dst, '\'')
}

// nullable reports whether a variable may be NULL and not empty: servers report
// NULL as an empty string (measured, MariaDB 10.11 and MySQL 9.7).
func nullable(name string) bool {
	switch name {
	case "character_set_results", "default_tmp_storage_engine", "enforce_storage_engine",
		"external_table_storage_engine", "external_table_secondary_storage_engine",
		"innodb_ft_user_stopword_table", "innodb_tmpdir":
		return true
	}
	return false
}

// isNumber reports whether s is to be written without quotes: variables of a
// numeric type refuse strings (error 1232).
func isNumber(s string) bool {
	digits, dots := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.':
			dots++
		case c == '-' && i == 0:
		default:
			return false
		}
	}
	return digits > 0 && dots <= 1
}

// extends reports whether want can be reached from have by SETs alone: no
// variable has to return to a default, and the character sets either come from
// the same login collation or are all set.
func extends(have, want *Profile) bool {
	for i := range have.Vars {
		if _, ok := want.Value(have.Vars[i].Name); !ok {
			return false
		}
	}
	if have.Schema != "" && want.Schema == "" || !extendsUserVars(have, want) {
		return false
	}
	return have.Collation == want.Collation || setsCharset(want)
}

func setsCharset(p *Profile) bool {
	for _, name := range [...]string{"character_set_client", "character_set_connection", "character_set_results", "collation_connection"} {
		if _, ok := p.Value(name); !ok {
			return false
		}
	}
	return true
}
