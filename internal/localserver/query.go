package localserver

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// openDB prepares the pool of root connections.
func (s *Server) openDB() error {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr = "unix", s.Socket()
	cfg.User = "root"
	cfg.InterpolateParams = true
	cfg.Logger = &mysql.NopLogger{} // connections to a killed server are expected to break
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	s.db = sql.OpenDB(connector)
	return nil
}

// DB is a pool of root connections through the UNIX socket. It is closed with
// the server.
func (s *Server) DB() *sql.DB { return s.db }

// DSN is a go-sql-driver data source name for a TCP login.
func (s *Server) DSN(user, password, schema string) string {
	return fmt.Sprintf("%s:%s@tcp(%s)/%s", user, password, s.Addr(), schema)
}

// Exec runs the statements as root, one after the other, on a connection that is
// closed afterwards: what they set is nobody else's.
func (s *Server) Exec(ctx context.Context, statements ...string) error {
	conn, err := s.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s, err)
	}
	defer func() {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn })
		_ = conn.Close()
	}()
	for _, statement := range statements {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: %s: %w", s, statement, err)
		}
	}
	return nil
}

// Value is the first column of a query's only row, as text; NULL is "".
func (s *Server) Value(ctx context.Context, query string, args ...any) (string, error) {
	var value sql.NullString
	if err := s.db.QueryRowContext(ctx, query, args...).Scan(&value); err != nil {
		return "", fmt.Errorf("%s: %s: %w", s, query, err)
	}
	return value.String, nil
}

// Query is the result of a query as root, each row by column name; NULL is "".
func (s *Server) Query(ctx context.Context, query string, args ...any) ([]map[string]string, error) {
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", s, query, err)
	}
	return ReadRows(rows)
}

// ReadRows reads and closes rows: each row by column name; NULL is "".
func ReadRows(rows *sql.Rows) ([]map[string]string, error) {
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]sql.NullString, len(columns))
	pointers := make([]any, len(columns))
	for i := range values {
		pointers[i] = &values[i]
	}
	var all []map[string]string
	for rows.Next() {
		if err := rows.Scan(pointers...); err != nil {
			return nil, err
		}
		row := make(map[string]string, len(columns))
		for i, column := range columns {
			row[column] = values[i].String
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// Status are the server's global status counters that are integers, such as
// Com_select and Questions.
func (s *Server) Status(ctx context.Context) (map[string]int64, error) {
	rows, err := s.Query(ctx, "SHOW GLOBAL STATUS")
	if err != nil {
		return nil, err
	}
	status := make(map[string]int64, len(rows))
	for _, row := range rows {
		if n, err := strconv.ParseInt(row["Value"], 10, 64); err == nil {
			status[row["Variable_name"]] = n
		}
	}
	return status, nil
}
