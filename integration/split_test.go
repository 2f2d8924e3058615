//go:build integration

package integration

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// Where a statement must run.
const (
	onPrimary  = "primary"
	onReplica  = "replica"
	onNobody   = "nobody" // the proxy answers
	wherever   = ""       // not looked at
	thisMarker = "/* here */"
)

// step is one statement of a story. The text gets thisMarker appended, unless it
// is to run wherever.
type step struct {
	sql   string
	args  []any // not nil: by prepared statement
	on    string
	want  string // of the first column of the first row; "" is not looked at
	errno uint16
}

// splitStories are told to a new session each.
var splitStories = []struct {
	name   string
	params string // of the driver
	only   string // flavour
	steps  []step
}{
	{name: "a plain read runs on a replica", steps: []step{
		{sql: "SELECT v FROM split WHERE id = 1", on: onReplica, want: "10"},
	}},
	{name: "reads in other clothes run on replicas", steps: []step{
		{sql: "  select v from split", on: onReplica},
		{sql: "/* app */ SELECT v FROM split", on: onReplica},
		{sql: "(SELECT v FROM split WHERE id = 1)", on: onReplica},
		{sql: "SELECT 1 UNION SELECT 2", on: onReplica},
		{sql: "WITH c AS (SELECT v FROM split) SELECT COUNT(*) FROM c", on: onReplica},
	}},
	{name: "writes run on the primary", steps: []step{
		{sql: "INSERT INTO split VALUES (100, 1)", on: onPrimary},
		{sql: "UPDATE split SET v = 2 WHERE id = 100", on: onPrimary},
		{sql: "REPLACE INTO split VALUES (100, 3)", on: onPrimary},
		{sql: "INSERT INTO split SELECT 101, 1", on: onPrimary},
		{sql: "/* app */ DELETE FROM split WHERE id >= 100", on: onPrimary},
	}},
	{name: "definitions run on the primary", steps: []step{
		{sql: "CREATE TABLE split_ddl (id INT)", on: onPrimary},
		{sql: "ALTER TABLE split_ddl ADD v INT", on: onPrimary},
		{sql: "TRUNCATE split_ddl", on: onPrimary},
		{sql: "DROP TABLE split_ddl", on: onPrimary},
	}},
	{name: "a transaction stays on the primary from BEGIN to COMMIT", steps: []step{
		{sql: "BEGIN", on: wherever},
		{sql: "SELECT v FROM split WHERE id = 1", on: onPrimary},
		{sql: "UPDATE split SET v = v + 1 WHERE id = 1", on: onPrimary},
		{sql: "SELECT v FROM split WHERE id = 1", on: onPrimary, want: "11"},
		{sql: "ROLLBACK", on: onPrimary},
		{sql: "SELECT v FROM split WHERE id = 1", on: onReplica, want: "10"},
	}},
	{name: "without autocommit the first read is in a transaction already", steps: []step{
		{sql: "SET autocommit = 0", on: wherever},
		{sql: "SELECT v FROM split WHERE id = 1", on: onPrimary},
		{sql: "COMMIT", on: onPrimary},
		{sql: "SET autocommit = 1", on: wherever},
		{sql: "SELECT v FROM split WHERE id = 1", on: onReplica},
	}},
	{name: "a read-only transaction refuses writes with the server's error", steps: []step{
		{sql: "START TRANSACTION READ ONLY", on: wherever},
		{sql: "SELECT v FROM split WHERE id = 1", on: wherever, want: "10"},
		{sql: "UPDATE split SET v = 0 WHERE id = 1", on: wherever, errno: 1792},
		{sql: "COMMIT", on: wherever},
		{sql: "UPDATE split SET v = 10 WHERE id = 1", on: onPrimary},
	}},
	{name: "locking reads run on the primary", steps: []step{
		{sql: "SELECT v FROM split WHERE id = 1 FOR UPDATE", on: onPrimary},
		{sql: "select v from split where id = 1 for update;", on: onPrimary},
		{sql: "(SELECT v FROM split WHERE id = 1 FOR UPDATE)", on: onPrimary},
		{sql: "SELECT v FROM split WHERE id = 1 LOCK IN SHARE MODE", on: onPrimary},
		{sql: "SELECT * FROM (SELECT v FROM split WHERE id = 1 FOR UPDATE) d", on: onPrimary},
		{sql: "SELECT v FROM split WHERE id = 1 /*!50000 FOR UPDATE */", on: onPrimary},
	}},
	{name: "FOR SHARE runs on the primary", only: "MySQL", steps: []step{
		{sql: "SELECT v FROM split WHERE id = 1 FOR SHARE", on: onPrimary},
		{sql: "SELECT v FROM split WHERE id = 1 FOR UPDATE OF split SKIP LOCKED", on: onPrimary},
	}},
	{name: "sequences run on the primary", only: "MariaDB", steps: []step{
		{sql: "CREATE SEQUENCE split_seq", on: onPrimary},
		{sql: "SELECT NEXTVAL(split_seq)", on: onPrimary, want: "1"},
		{sql: "SELECT NEXT VALUE FOR split_seq", on: onPrimary, want: "2"},
		{sql: "DROP SEQUENCE split_seq", on: onPrimary},
	}},
	{name: "hints choose the primary or a replica for a read", steps: []step{
		{sql: "/*master*/ SELECT v FROM split", on: onPrimary},
		{sql: "/* primary */ SELECT v FROM split", on: onPrimary},
		{sql: "SELECT /*master*/ v FROM split", on: onPrimary},
		{sql: "/*slave*/ SELECT v FROM split", on: onReplica},
	}},
	{name: "a hint never sends a write to a replica", steps: []step{
		{sql: "/*slave*/ UPDATE split SET v = 10 WHERE id = 1", on: onPrimary},
		{sql: "/*replica*/ SELECT v FROM split WHERE id = 1 FOR UPDATE", on: onPrimary},
	}},
	{name: "prepared statements go where their text would", steps: []step{
		{sql: "SELECT v FROM split WHERE id = ?", args: []any{1}, on: onReplica, want: "10"},
		{sql: "UPDATE split SET v = ? WHERE id = 2", args: []any{20}, on: onPrimary},
		{sql: "SELECT v FROM split WHERE id = ? FOR UPDATE", args: []any{1}, on: onPrimary, want: "10"},
		{sql: "BEGIN", on: wherever},
		{sql: "SELECT v FROM split WHERE id = ?", args: []any{1}, on: onPrimary, want: "10"},
		{sql: "COMMIT", on: onPrimary},
	}},
	{name: "a user lock keeps the session where the lock is", steps: []step{
		{sql: "SELECT GET_LOCK('split', 0)", on: onPrimary, want: "1"},
		{sql: "SELECT IS_USED_LOCK('split') = CONNECTION_ID()", on: onPrimary, want: "1"},
		{sql: "SELECT v FROM split WHERE id = 1", on: onPrimary}, // whoever locks wants to see what the one before has written
		{sql: "SELECT RELEASE_ALL_LOCKS()", on: onPrimary, want: "1"},
		{sql: "SELECT v FROM split WHERE id = 1", on: onReplica},
	}},
	{name: "user variables keep their values", steps: []step{
		{sql: "SET @split = 7", on: wherever},
		{sql: "SELECT @split", on: wherever, want: "7"},
		{sql: "SELECT @split := 8", on: onPrimary, want: "8"},
		{sql: "SELECT v + @split FROM split WHERE id = 1", on: wherever, want: "18"},
	}},
	{name: "session variables hold wherever the next statement runs", steps: []step{
		{sql: "SET SESSION group_concat_max_len = 4", on: wherever},
		{sql: "SELECT @@group_concat_max_len", on: wherever, want: "4"},
		{sql: "SELECT GROUP_CONCAT(REPEAT('x', 10)) FROM split WHERE id = 1", on: wherever, want: "xxxx"},
	}},
	{name: "LAST_INSERT_ID is that of the session", steps: []step{
		{sql: "INSERT INTO split_auto (v) VALUES (1)", on: onPrimary},
		{sql: "SELECT LAST_INSERT_ID() = MAX(id) FROM split_auto", on: onPrimary, want: "1"},
	}},
	{name: "FOUND_ROWS and ROW_COUNT are those of the statement before", steps: []step{
		{sql: "SELECT SQL_CALC_FOUND_ROWS v FROM split LIMIT 1", on: wherever},
		{sql: "SELECT FOUND_ROWS()", on: wherever, want: "3"},
		{sql: "UPDATE split SET v = v + 1 WHERE id IN (2, 3)", on: onPrimary},
		{sql: "SELECT ROW_COUNT()", on: onPrimary, want: "2"},
		{sql: "UPDATE split SET v = v - 1 WHERE id IN (2, 3)", on: onPrimary},
	}},
	{name: "a temporary table is there for its session", steps: []step{
		{sql: "CREATE TEMPORARY TABLE split_tmp (v INT)", on: onPrimary},
		{sql: "INSERT INTO split_tmp VALUES (5)", on: onPrimary},
		{sql: "SELECT v FROM split_tmp", on: onPrimary, want: "5"},
		{sql: "DROP TEMPORARY TABLE split_tmp", on: onPrimary},
	}},
	{name: "a stored function may write, so it runs on the primary", steps: []step{
		{sql: "SELECT split_f()", on: onPrimary, want: "1"},
		{sql: "SELECT v FROM split WHERE v = split_f()", on: onPrimary},
		{sql: "DO split_f()", on: onPrimary},
		{sql: "CALL split_p()", on: onPrimary},
	}},
	{name: "a write behind a read in one packet runs on the primary", params: "multiStatements=true", steps: []step{
		{sql: "SELECT 1; UPDATE split SET v = 10 WHERE id = 1", on: onPrimary},
		{sql: "SELECT ';' , v FROM split WHERE id = 1", on: onReplica, want: ";"},
	}},
	{name: "a result into a variable is executed once, on the primary", steps: []step{
		{sql: "SELECT v FROM split WHERE id = 1 INTO @split", on: onPrimary},
		{sql: "SELECT @split", on: wherever, want: "10"},
	}},
	{name: "EXPLAIN and DESCRIBE run", steps: []step{
		{sql: "EXPLAIN SELECT v FROM split", on: wherever},
		{sql: "DESCRIBE split", on: wherever, want: "id"},
		{sql: "SHOW TABLES LIKE 'split'", on: wherever, want: "split"},
	}},
	{name: "a DELETE without WHERE is refused", steps: []step{
		{sql: "DELETE FROM split", on: onNobody, errno: 1105},
		{sql: "SELECT COUNT(*) FROM split", on: onReplica, want: "3"},
	}},
}

func TestSplit(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		logs := harness.OpenLogs(t, c)
		for _, story := range splitStories {
			t.Run(story.name, func(t *testing.T) {
				if story.only != "" && story.only != c.Primary.Flavour().String() {
					return // the statements do not exist there
				}
				conn := harness.Connect(t, p, story.params)
				for _, s := range story.steps {
					runStep(t, c, logs, conn, s)
				}
			})
		}
		t.Run("two sessions exclude each other by a user lock", func(t *testing.T) {
			first, second := harness.Connect(t, p), harness.Connect(t, p)
			runStep(t, c, logs, first, step{sql: "SELECT GET_LOCK('both', 0)", on: onPrimary, want: "1"})
			runStep(t, c, logs, second, step{sql: "SELECT GET_LOCK('both', 0)", on: onPrimary, want: "0"})
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
		})
	})
}

func createSplitTables(t *testing.T, c *localserver.Cluster) {
	harness.Exec(t, c,
		"USE app",
		"DROP TABLE IF EXISTS split, split_auto, split_calls",
		"DROP FUNCTION IF EXISTS split_f",
		"DROP PROCEDURE IF EXISTS split_p",
		"CREATE TABLE split (id INT PRIMARY KEY, v INT)",
		"INSERT INTO split VALUES (1, 10), (2, 20), (3, 30)",
		"CREATE TABLE split_auto (id INT AUTO_INCREMENT PRIMARY KEY, v INT)",
		"CREATE TABLE split_calls (n INT)",
		"CREATE FUNCTION split_f() RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO split_calls VALUES (1); RETURN 1; END",
		"CREATE PROCEDURE split_p() INSERT INTO split_calls VALUES (2)",
	)
}

// runStep runs one statement and checks its result and where it ran. The replicas
// are caught up first, so that the next read may run anywhere.
func runStep(t *testing.T, c *localserver.Cluster, logs *harness.Logs, conn *sql.Conn, s step) {
	t.Helper()
	if err := c.WaitCaughtUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	logs.Reset()
	got, err := firstColumn(t.Context(), conn, s.sql+" "+thisMarker, s.args)
	var refusal *mysql.MySQLError
	switch {
	case s.errno != 0 && (!errors.As(err, &refusal) || refusal.Number != s.errno):
		t.Errorf("%s: %v, want error %d", s.sql, err, s.errno)
	case s.errno == 0 && err != nil:
		t.Errorf("%s: %v", s.sql, err)
	case s.want != "" && got != s.want:
		t.Errorf("%s: got %q, want %q", s.sql, got, s.want)
	}
	if s.on == wherever {
		return
	}
	where := logs.Where(thisMarker)
	primary, replicas := where[0], where[1]+where[2]
	want := map[string][2]int{onPrimary: {1, 0}, onReplica: {0, 1}, onNobody: {0, 0}}[s.on]
	if strings.Contains(s.sql, ";") && primary > 1 && replicas == 0 {
		primary = 1 // each statement of a packet is logged with the text that follows it, or without
	}
	if got := [2]int{primary, replicas}; got != want {
		t.Errorf("%s: ran %d times on the primary and %d times on replicas, want it on the %s once", s.sql, primary, replicas, s.on)
	}
}

// firstColumn is the first column of the first row of the first result, "" if
// there is none. All results are read.
func firstColumn(ctx context.Context, conn *sql.Conn, query string, args []any) (string, error) {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	var first sql.NullString
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	into := make([]any, len(columns))
	for i := range into {
		into[i] = new(sql.RawBytes)
	}
	if len(into) > 0 {
		into[0] = &first
	}
	if len(into) > 0 && rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return "", err
		}
	}
	for ok := true; ok; ok = rows.NextResultSet() {
		for rows.Next() {
		}
	}
	return first.String, rows.Err()
}

func TestReadsAreSharedByWeight(t *testing.T) {
	const reads, tolerance = 1200, 0.05
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		for _, way := range []struct {
			name string
			args []any
			sql  string
		}{
			{"as text", nil, "SELECT v FROM split WHERE id = 1 " + thisMarker},
			{"prepared", []any{1}, "SELECT v FROM split WHERE id = ? " + thisMarker},
		} {
			t.Run(way.name, func(t *testing.T) {
				logs := harness.OpenLogs(t, c)
				conns := []*sql.Conn{harness.Connect(t, p), harness.Connect(t, p), harness.Connect(t, p)}
				for i := range reads {
					if _, err := firstColumn(t.Context(), conns[i%len(conns)], way.sql, way.args); err != nil {
						t.Fatal(err)
					}
				}
				where := logs.Where(thisMarker)
				t.Logf("reads on primary, weight 1, weight 5: %v", where)
				wantShares(t, where, []float64{0, 1. / 6 * reads, 5. / 6 * reads}, tolerance)
			})
		}
	})
}

// wantShares compares counts with what they should be, each within tolerance of
// its own.
func wantShares(t *testing.T, got []int, want []float64, tolerance float64) {
	t.Helper()
	for i := range got {
		if math.Abs(float64(got[i])-want[i]) > tolerance*want[i] {
			t.Errorf("server %d has %d of %v, want %.0f within %.0f %%", i+1, got[i], got, want[i], tolerance*100)
		}
	}
}

func TestReadsGoToThePrimaryWhileNoReplicaCanServe(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		logs := harness.OpenLogs(t, c)
		conn := harness.Connect(t, p)
		for i := range c.Replicas {
			if _, err := p.Console(t.Context(), fmt.Sprintf("SET OFFLINE %d", i+2)); err != nil {
				t.Fatal(err)
			}
		}
		runStep(t, c, logs, conn, step{sql: "SELECT v FROM split WHERE id = 1", on: onPrimary, want: "10"})
		if _, err := p.Console(t.Context(), "SET ONLINE 2"); err != nil {
			t.Fatal(err)
		}
		harness.AwaitState(t, p, c.Replicas[0].Addr(), "up", 10*time.Second)
		runStep(t, c, logs, conn, step{sql: "SELECT v FROM split WHERE id = 1", on: onReplica, want: "10"})
	})
}

func TestASessionLeavesNothingToTheNext(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		dirty := []string{
			"SET @leak = 1", "SET SESSION group_concat_max_len = 5", "SET SESSION sql_mode = 'ANSI_QUOTES'",
			"CREATE TEMPORARY TABLE split_leak (v INT)", "BEGIN", "UPDATE split SET v = 99 WHERE id = 1", "SELECT GET_LOCK('leak', 0)",
		}
		check := []step{
			{sql: "SELECT @leak IS NULL", want: "1"},
			{sql: "SELECT @@group_concat_max_len > 5", want: "1"},
			{sql: `SELECT "a"`, want: "a"},
			{sql: "/*master*/ SELECT v FROM split_leak", errno: 1146},
			{sql: "SELECT IS_FREE_LOCK('leak')", want: "1"},
			{sql: "/*master*/ SELECT v FROM split WHERE id = 1", want: "10"},
			{sql: "SELECT v FROM split WHERE id = 1 FOR UPDATE", want: "10"},
		}
		logs := harness.OpenLogs(t, c)
		for range 5 { // whichever pooled connection the next session gets
			conn := harness.Connect(t, p)
			for _, s := range dirty {
				if _, err := conn.ExecContext(t.Context(), s); err != nil {
					t.Fatalf("%s: %v", s, err)
				}
			}
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			next := harness.Connect(t, p)
			for _, s := range slices.Concat(check, check) {
				if s.sql == "SELECT IS_FREE_LOCK('leak')" {
					// The server connection is cleaned after the client has gone.
					harness.Eventually(t, 5*time.Second, func(ctx context.Context) error {
						if got, err := firstColumn(ctx, next, s.sql, nil); err != nil || got != s.want {
							return fmt.Errorf("the lock is still held (%q, %v)", got, err)
						}
						return nil
					})
					continue
				}
				runStep(t, c, logs, next, s)
			}
			if err := next.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
