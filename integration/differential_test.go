//go:build integration

package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// diffScripts are run directly and through the proxy, each by a new session on
// fresh tables. A statement with parameters is prepared. After every statement its
// warnings are asked for.
var diffScripts = []struct {
	name   string
	params string // of the driver
	only   string // flavour
	script []statement
}{
	{name: "values of all kinds", script: []statement{
		q("SELECT 1, -1, 1.5, 1e10, 'text', x'00ff', NULL, TRUE"),
		q("SELECT i8, i16, i24, i32, i64, u64, f, d, n FROM kinds ORDER BY id"),
		q("SELECT c, vc, t, b, vb, bl, e, s, bi, j FROM kinds ORDER BY id"),
		q("SELECT dt, ti, dti, ts, y FROM kinds ORDER BY id"),
		q("SELECT * FROM kinds WHERE id = ?", 1),
		q("SELECT * FROM kinds WHERE id = ?", 2),
		q("SELECT i8, u64, f, n, c, b, dti, bi, j FROM kinds WHERE id >= ? ORDER BY id", 0),
		q("SELECT ?, ?, ?, ?", int64(-5), 2.5, "däta", []byte{0, 1, 255}),
		q("SELECT COUNT(*), SUM(i32), AVG(d), MIN(vc), MAX(dti) FROM kinds"),
		q("SELECT id FROM kinds WHERE id > 1000"),
		q("SELECT REPEAT('x', 70000), REPEAT('y', 300)"),
		q("SELECT '' AS ``"),
	}},
	{name: "writes, their counts and ids", script: []statement{
		q("INSERT INTO w (v) VALUES ('a'), ('b')"),
		q("INSERT INTO w (v) VALUES (?)", "c"),
		q("INSERT INTO w VALUES (500, 'd')"),
		q("SELECT LAST_INSERT_ID()"),
		q("INSERT INTO w (v) VALUES ('e') ON DUPLICATE KEY UPDATE v = 'x'"),
		q("INSERT INTO w VALUES (500, 'f') ON DUPLICATE KEY UPDATE v = 'x'"),
		q("REPLACE INTO w VALUES (500, 'g')"),
		q("UPDATE w SET v = 'z' WHERE id < 3"),
		q("UPDATE w SET v = 'z' WHERE id < 3"),
		q("UPDATE w SET v = ? WHERE id = ?", "y", 1),
		q("DELETE FROM w WHERE id = 2"),
		q("DELETE FROM w WHERE id = 2"),
		q("SELECT * FROM w ORDER BY id FOR UPDATE"),
	}},
	{name: "errors with number, state and text", script: []statement{
		q("SELEKT 1"),
		q("SELECT no_such FROM kinds"),
		q("SELECT * FROM no_such"),
		q("SELECT no_such_function()"),
		q("INSERT INTO w VALUES (1, 'a'), (1, 'b')"),
		q("INSERT INTO w VALUES (?, 'a')", nil),
		q("INSERT INTO w (v) VALUES (?)", strings.Repeat("long", 100)),
		q("SELECT * FROM kinds WHERE"),
		q("SELECT * FROM kinds WHERE id = ? AND", 1),
		q("USE no_such_schema"),
		q("SELECT 18446744073709551615 + 1"),
		q("KILL 4294967290"),
		q("SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'of our own', MYSQL_ERRNO = 30001"),
		q(""),
		q("SELECT 1 AS fine_after_all_that"),
	}},
	{name: "warnings", script: []statement{
		q("SELECT CAST('12abc' AS SIGNED), 1 / 0"),
		q("SELECT CAST(? AS SIGNED)", "34def"),
		q("DROP TABLE IF EXISTS never_there"),
		q("INSERT IGNORE INTO w (id, v) VALUES (1, 'a'), (1, 'b')"),
		q("SHOW COUNT(*) WARNINGS"),
		q("SELECT @@warning_count"),
	}},
	{name: "transactions", script: []statement{
		q("BEGIN"),
		q("INSERT INTO w (v) VALUES ('in')"),
		q("SAVEPOINT s"),
		q("INSERT INTO w (v) VALUES ('later')"),
		q("ROLLBACK TO s"),
		q("ROLLBACK TO never_there"),
		q("SELECT v FROM w"),
		q("COMMIT"),
		q("SELECT v FROM w FOR UPDATE"),
		q("SET autocommit = 0"),
		q("DELETE FROM w WHERE 1 = 1"),
		q("ROLLBACK"),
		q("SET autocommit = 1"),
		q("SELECT COUNT(*) FROM w FOR UPDATE"),
		q("START TRANSACTION READ ONLY"),
		q("INSERT INTO w (v) VALUES ('refused')"),
		q("COMMIT"),
		q("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"),
		q("BEGIN"),
		q("CREATE TABLE w (id INT)"), // fails, and commits all the same
		q("ROLLBACK"),
	}},
	{name: "state of the session", script: []statement{
		q("SET @a = 'kept', @b := 2"),
		q("SELECT @a, @b"),
		q("SET SESSION sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"),
		q(`SELECT "id", 'back\slash' FROM w`),
		q("SELECT @@sql_mode"),
		q("SET time_zone = '+03:00'"),
		q("SELECT ts FROM kinds ORDER BY id"),
		q("SET NAMES latin1"),
		q("SELECT @@character_set_client, @@collation_connection, CHARSET('x')"),
		q("SET NAMES utf8mb4 COLLATE utf8mb4_bin"),
		q("SELECT @@collation_connection, 'A' = 'a'"),
		q("SET sort_buffer_size = 300000, no_such_variable = 1"),
		q("SELECT @@sort_buffer_size"),
		q("USE information_schema"),
		q("SELECT DATABASE()"),
		q("USE app"),
		q("SELECT DATABASE()"),
		q("CREATE TEMPORARY TABLE tmp (v INT)"),
		q("INSERT INTO tmp VALUES (1)"),
		q("SELECT * FROM tmp"),
		q("PREPARE s FROM 'SELECT ? + 1'"),
		q("EXECUTE s USING @b"),
		q("DEALLOCATE PREPARE s"),
		q("SELECT GET_LOCK('diff', 0), IS_FREE_LOCK('diff'), RELEASE_LOCK('diff')"),
	}},
	{name: "several statements in one packet", params: "multiStatements=true", script: []statement{
		q("SELECT 1; SELECT 2, 3; SELECT 'x' WHERE 1 = 0"),
		q("INSERT INTO w (v) VALUES ('m1'); INSERT INTO w (v) VALUES ('m2'); SELECT v FROM w"),
		q("SELECT 1; SELECT no_such; SELECT 2"),
		q("SET @m = 4; SELECT @m"),
		q("SELECT ';'; -- done"),
	}},
	{name: "stored programs", params: "multiStatements=true", script: []statement{
		q("CALL two_results(3)"),
		q("CALL no_such_procedure()"),
		q("CALL fails()"),
		q("SELECT 1"),
	}},
	{name: "what shows and describes", script: []statement{
		q("SHOW COLUMNS FROM kinds"),
		q("SHOW CREATE TABLE w"),
		q("SHOW TABLES LIKE 'k%'"),
		q("SHOW INDEX FROM w"),
		q("DESCRIBE w"),
		q("EXPLAIN SELECT * FROM w WHERE id = 1"),
		q("SHOW VARIABLES LIKE 'lower_case_table_names'"),
		q("SHOW WARNINGS"),
		q("ANALYZE TABLE w"),
		q("CHECK TABLE w"),
	}},
	{name: "clauses of MariaDB", only: "MariaDB", script: []statement{
		q("INSERT INTO w (v) VALUES ('r') RETURNING id, v"),
		q("DELETE FROM w WHERE v = 'r' RETURNING id"),
		q("SELECT seq FROM seq_1_to_5"),
		q("EXECUTE IMMEDIATE 'SELECT ? + 1' USING 4"),
	}},
	{name: "clauses of MySQL", only: "MySQL", script: []statement{
		q("TABLE w"),
		q("VALUES ROW(1, 2), ROW(3, 4)"),
		q("SELECT /*+ MAX_EXECUTION_TIME(1000) */ 1"),
		q("SELECT j->>'$.a' FROM kinds ORDER BY id"),
	}},
}

type statement struct {
	sql  string
	args []any
}

func q(sql string, args ...any) statement { return statement{sql, args} }

func TestTheSameAnswersAsDirectly(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		for _, s := range diffScripts {
			if s.only != "" && s.only != c.Primary.Flavour().String() {
				continue
			}
			t.Run(s.name, func(t *testing.T) {
				createDiffTables(t, c)
				direct := transcript(t, harness.ConnectDirectly(t, c.Primary, s.params), s.script)
				createDiffTables(t, c)
				through := transcript(t, harness.Connect(t, p, s.params), s.script)
				for i := range direct {
					if diff := cmp.Diff(strings.Split(direct[i], "\n"), strings.Split(through[i], "\n")); diff != "" {
						t.Errorf("%s\n- directly, + through the proxy:\n%s", s.script[i].sql, diff)
					}
				}
			})
		}
	})
}

func createDiffTables(t *testing.T, c *localserver.Cluster) {
	harness.Exec(t, c,
		"USE app",
		"SET time_zone = '+00:00'",
		"DROP TABLE IF EXISTS kinds, w",
		"DROP PROCEDURE IF EXISTS two_results",
		"DROP PROCEDURE IF EXISTS fails",
		`CREATE TABLE kinds (id INT PRIMARY KEY,
			i8 TINYINT, i16 SMALLINT, i24 MEDIUMINT, i32 INT, i64 BIGINT, u64 BIGINT UNSIGNED, f FLOAT, d DOUBLE, n DECIMAL(20,5),
			c CHAR(10), vc VARCHAR(100), t TEXT, b BINARY(4), vb VARBINARY(10), bl BLOB,
			e ENUM('x','y'), s SET('p','q'), bi BIT(9), j JSON,
			dt DATE, ti TIME(3), dti DATETIME(6), ts TIMESTAMP NULL, y YEAR)`,
		`INSERT INTO kinds VALUES (1, -128, -32768, -8388608, -2147483648, -9223372036854775808, 18446744073709551615, 1.5, -2.25e100, 123456789012345.67890,
			'ch', 'vär 😀', 'text', x'00ff', x'0a0d', x'00', 'y', 'p,q', b'101010101', '{"a": 1}',
			'2024-02-29', '-838:59:58.123', '2024-12-31 23:59:59.999999', '2024-06-01 12:00:00', 2024)`,
		"INSERT INTO kinds (id) VALUES (2)",
		"CREATE TABLE w (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100))",
		"CREATE PROCEDURE two_results(n INT) BEGIN SELECT n; SELECT n + 1, 'x'; END",
		"CREATE PROCEDURE fails() BEGIN SELECT 1; SELECT * FROM no_such; END",
	)
}

// transcript is what a session sees of each statement.
func transcript(t *testing.T, conn *sql.Conn, script []statement) []string {
	t.Helper()
	var seen []string
	for _, s := range script {
		var b strings.Builder
		if err := describe(t.Context(), &b, conn, s.sql, s.args); err != nil {
			fmt.Fprintf(&b, "%s\n", errorText(err))
		}
		// The proxy answers KILL itself, which the server's warnings know nothing of.
		if !strings.Contains(strings.ToUpper(s.sql), "WARNING") && !strings.HasPrefix(s.sql, "KILL") {
			b.WriteString("warnings: ")
			if err := describe(t.Context(), &b, conn, "SHOW WARNINGS", nil); err != nil {
				fmt.Fprintf(&b, "%s\n", errorText(err))
			}
		}
		seen = append(seen, b.String())
	}
	return seen
}

// describe runs a statement and writes all results of it: columns with their
// types and all values as they came, or the counts of a write.
func describe(ctx context.Context, b *strings.Builder, conn *sql.Conn, query string, args []any) error {
	// The driver's own result tells the counts of writes, which database/sql hides
	// from queries: those without a result set are run as Exec.
	if isWrite(query) {
		res, err := conn.ExecContext(ctx, query, args...)
		fmt.Fprintln(b, resultOf(res))
		return err
	}
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for more := true; more; more = rows.NextResultSet() {
		if err := describeResult(b, rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func isWrite(query string) bool {
	verb, _, _ := strings.Cut(strings.ToUpper(strings.TrimSpace(query)), " ")
	switch verb {
	case "INSERT", "UPDATE", "DELETE", "REPLACE":
		return !strings.Contains(query, "RETURNING") && !strings.Contains(query, "; SELECT")
	}
	return false
}

func describeResult(b *strings.Builder, rows *sql.Rows) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	values := make([]sql.RawBytes, len(types))
	into := make([]any, len(types))
	for i, ct := range types {
		nullable, _ := ct.Nullable()
		precision, scale, _ := ct.DecimalSize()
		fmt.Fprintf(b, "column %q %s nullable=%v decimal=%d,%d\n", ct.Name(), ct.DatabaseTypeName(), nullable, precision, scale)
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for _, v := range values {
			if v == nil {
				b.WriteString("NULL ")
			} else {
				fmt.Fprintf(b, "%q ", v)
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString("end of result\n")
	return rows.Err()
}

func errorText(err error) string {
	var refusal *mysql.MySQLError
	if errors.As(err, &refusal) {
		return fmt.Sprintf("error %d (%s) %s", refusal.Number, refusal.SQLState, refusal.Message)
	}
	return "broken: " + err.Error()
}
