//go:build integration

package router_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/router/lex"
)

// queryer is a connection or a pool of them.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// state lists what a read must not change, of the server and of the session.
func (b *session) state(ctx context.Context) (map[string]string, error) {
	state := map[string]string{}
	put := func(q queryer, what, query string, args ...any) error {
		rows, err := q.QueryContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		all, err := localserver.ReadRows(rows)
		if err != nil {
			return fmt.Errorf("%s: %w", query, err)
		}
		state[what] = fmt.Sprint(all)
		return nil
	}
	root := b.server.DB()
	queries := stateQueries[b.flavor]
	for what, query := range queries.ofServer {
		if err := put(root, what, query); err != nil {
			return nil, err
		}
	}
	if err := b.checksums(ctx, state); err != nil {
		return nil, err
	}
	for what, query := range queries.ofConnection {
		if err := put(root, what, query, b.id); err != nil {
			return nil, err
		}
	}
	for what, query := range queries.inSession {
		if err := put(b.conn, what, query); err != nil {
			return nil, err
		}
	}
	// Variables last: the queries above are no business of theirs.
	for _, v := range []struct{ prefix, query string }{
		{"global ", "SHOW GLOBAL VARIABLES"}, {"session ", "SHOW SESSION VARIABLES"}, {"executed ", "SHOW SESSION STATUS LIKE 'Com%'"},
	} {
		if err := b.variables(ctx, state, v.prefix, v.query); err != nil {
			return nil, err
		}
	}
	return state, nil
}

// stateQueries are asked by root, with the session's connection id where it
// matters. Their rows as text are what must not change.
var stateQueries = map[lex.Flavor]struct {
	ofServer     map[string]string
	ofConnection map[string]string
	inSession    map[string]string
}{
	lex.FlavorMariaDB: {
		ofServer: map[string]string{
			"written GTIDs": "SELECT @@gtid_binlog_pos, @@gtid_binlog_state",
			"binary log":    "SHOW MASTER STATUS",
			"programs":      programs,
			"tables":        tables,
			"user locks":    userLocks,
			"a file":        outfile,
		},
		// An open transaction shows in the variable in_transaction.
		ofConnection: map[string]string{"locks": locks},
		inSession: map[string]string{
			"values of the session": "SELECT LAST_INSERT_ID()",
			"user variables":        "SELECT VARIABLE_NAME FROM information_schema.USER_VARIABLES ORDER BY 1",
		},
	},
	lex.FlavorMySQL: {
		ofServer: map[string]string{
			"written GTIDs":    "SELECT @@GLOBAL.gtid_executed",
			"binary log":       "SHOW BINARY LOG STATUS",
			"programs":         programs,
			"tables":           tables,
			"user locks":       userLocks,
			"a file":           outfile,
			"temporary tables": "SELECT * FROM information_schema.INNODB_TEMP_TABLE_INFO",
		},
		ofConnection: map[string]string{
			"locks": locks,
			"transaction": "SELECT STATE FROM performance_schema.events_transactions_current e JOIN performance_schema.threads t USING (THREAD_ID) " +
				"WHERE t.PROCESSLIST_ID = ? AND e.STATE = 'ACTIVE' AND e.AUTOCOMMIT = 'NO'",
			"user variables": "SELECT VARIABLE_NAME FROM performance_schema.user_variables_by_thread v " +
				"JOIN performance_schema.threads t USING (THREAD_ID) WHERE t.PROCESSLIST_ID = ?",
		},
		inSession: map[string]string{"values of the session": "SELECT LAST_INSERT_ID()"},
	},
}

const (
	programs = "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, LAST_ALTERED FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA <> 'sys' " +
		"UNION SELECT EVENT_SCHEMA, EVENT_NAME, LAST_ALTERED FROM information_schema.EVENTS " +
		"UNION SELECT TRIGGER_SCHEMA, TRIGGER_NAME, CREATED FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA <> 'sys'"
	tables = "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES ORDER BY 1, 2"
	// locks are those of any kind; INNODB_TRX would be up to 0.1 s old.
	locks = "SELECT OBJECT_TYPE, OBJECT_NAME, LOCK_TYPE FROM performance_schema.metadata_locks m " +
		"JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID WHERE t.PROCESSLIST_ID = ?"
	userLocks = "SELECT OBJECT_NAME FROM performance_schema.metadata_locks WHERE OBJECT_TYPE = 'USER LEVEL LOCK'"
	// outfile is what the generator's INTO OUTFILE writes.
	outfile = "SELECT LOAD_FILE('app/telamon_out') IS NULL"
)

// checksums adds those of all tables but the server's own books.
func (b *session) checksums(ctx context.Context, state map[string]string) error {
	rows, err := b.server.Query(ctx, "SELECT CONCAT('`', TABLE_SCHEMA, '`.`', TABLE_NAME, '`') AS name FROM information_schema.TABLES "+
		"WHERE TABLE_TYPE IN ('BASE TABLE', 'SEQUENCE') AND (TABLE_SCHEMA IN ('app', 'd') OR TABLE_SCHEMA = 'mysql' AND TABLE_NAME IN "+
		"('user', 'global_priv', 'db', 'tables_priv', 'columns_priv', 'procs_priv', 'proxies_priv', 'roles_mapping', 'role_edges', "+
		"'default_roles', 'global_grants', 'proc', 'event', 'func', 'plugin', 'servers', 'component', 'time_zone_name')) ORDER BY 1")
	if err != nil {
		return err
	}
	var names []string
	for _, row := range rows {
		names = append(names, row["name"])
	}
	sums, err := b.server.Query(ctx, "CHECKSUM TABLE "+strings.Join(names, ", "))
	for _, row := range sums {
		state["rows of "+row["Table"]] = row["Checksum"]
	}
	return err
}

// variables adds the rows of a SHOW VARIABLES or SHOW STATUS of the session.
func (b *session) variables(ctx context.Context, state map[string]string, prefix, query string) error {
	rows, err := b.conn.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	all, err := localserver.ReadRows(rows)
	for _, row := range all {
		name := row["Variable_name"]
		if prefix == "executed " {
			isCount := false
			if name, isCount = strings.CutPrefix(name, "Com_"); !isCount {
				continue
			}
		}
		switch name {
		case "timestamp", "warning_count", "error_count", "rand_seed1", "rand_seed2", "statement_id":
			continue // change by themselves
		}
		state[prefix+name] = row["Value"]
	}
	return err
}
