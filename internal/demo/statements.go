package demo

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// statement is one of those the demo sends.
type statement struct {
	sql     string
	args    []any // not empty: prepared
	refused bool  // the proxy must refuse it
}

// statements are sent in this order on one connection.
var statements = []statement{
	{sql: "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(20), n INT)"},
	{sql: "INSERT INTO orders (item, n) VALUES ('pen', 3), ('ink', 1)"},
	{sql: "SELECT item, n FROM orders"},
	{sql: "SELECT COUNT(*) FROM orders"},
	{sql: "SELECT n FROM orders WHERE id = ?", args: []any{1}},
	{sql: "/*master*/ SELECT n FROM orders WHERE id = 1"},
	{sql: "SELECT n FROM orders WHERE id = 1 FOR UPDATE"},
	{sql: "BEGIN"},
	{sql: "SELECT n FROM orders WHERE id = 1"},
	{sql: "UPDATE orders SET n = n - 1 WHERE id = 1"},
	{sql: "COMMIT"},
	{sql: "SELECT n FROM orders WHERE id = 1"},
	{sql: "SELECT GET_LOCK('stocktaking', 1)"},
	{sql: "SELECT n FROM orders WHERE id = 2"},
	{sql: "SELECT RELEASE_ALL_LOCKS()"},
	{sql: "DELETE FROM orders", refused: true},
}

// sharedReads is how many equal reads are sent to show the weights.
const sharedReads = 60

// show sends the statements and prints the table.
func (d *demo) show(ctx context.Context, proxy *localproxy.Proxy, cluster *localserver.Cluster) error {
	d.step("sending %d statements through %s", len(statements), d.Listen)
	logs, err := openLogs(ctx, cluster)
	if err != nil {
		return err
	}
	db, err := sql.Open("mysql", proxy.DSN(localserver.AppUser, localserver.AppPassword, localserver.AppSchema))
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()

	reasons := make([]string, len(statements))
	for i, st := range statements {
		// A read must not have to wait for a write before it, or to go to the
		// primary for that: the table is to be the same every time.
		if err := cluster.WaitCaughtUp(ctx); err != nil {
			return err
		}
		if reasons[i], err = d.sendAndExplain(ctx, proxy, conn, st, marker(i)); err != nil {
			return err
		}
	}
	for range sharedReads {
		if err := send(ctx, conn, statement{sql: "SELECT item FROM orders"}, sharedMarker); err != nil {
			return err
		}
	}
	where, err := logs.where(ctx)
	if err != nil {
		return err
	}
	printTable(d.Out, reasons, where)
	printShares(d.Out, where[sharedMarker], cluster)
	return logs.stop(ctx)
}

// Markers are trailing comments by which the servers' general logs tell the
// statements apart. They do not change where a statement goes.
const sharedMarker = "/* demo-shared */"

func marker(i int) string { return fmt.Sprintf("/* demo-%02d */", i+1) }

// send runs one statement and reads its result to the end.
func send(ctx context.Context, conn *sql.Conn, st statement, marker string) error {
	rows, err := conn.QueryContext(ctx, st.sql+" "+marker, st.args...)
	if err == nil {
		for rows.Next() {
		}
		err = errors.Join(rows.Err(), rows.Close())
	}
	var refusal *mysql.MySQLError
	if st.refused && errors.As(err, &refusal) {
		return nil
	}
	if st.refused && err == nil {
		return fmt.Errorf("%s: was not refused", st.sql)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", st.sql, err)
	}
	return nil
}

// sendAndExplain also finds out why the statement went where it went. EXPLAIN
// ROUTE answers for a session that is in no transaction; the counter of SHOW
// ROUTES that has grown tells what it was in this one.
func (d *demo) sendAndExplain(ctx context.Context, proxy *localproxy.Proxy, conn *sql.Conn, st statement, marker string) (string, error) {
	before, err := routeCounts(ctx, proxy)
	if err != nil {
		return "", err
	}
	if err := send(ctx, conn, st, marker); err != nil {
		return "", err
	}
	after, err := routeCounts(ctx, proxy)
	if err != nil {
		return "", err
	}
	for reason, n := range after {
		if n > before[reason] {
			return reason + ": " + d.Explain(reason), nil
		}
	}
	return "", fmt.Errorf("%s: SHOW ROUTES has counted nothing", st.sql)
}

// routeCounts is the number of statements by reason.
func routeCounts(ctx context.Context, proxy *localproxy.Proxy) (map[string]int, error) {
	rows, err := proxy.Console(ctx, "SHOW ROUTES")
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for _, row := range rows {
		n, err := strconv.Atoi(row["statements"])
		if err != nil {
			return nil, fmt.Errorf("SHOW ROUTES: %w", err)
		}
		counts[row["reason"]] += n
	}
	return counts, nil
}

// logs are the general logs of all servers.
type logs struct {
	cluster *localserver.Cluster
	readers []*localserver.GeneralLog
}

func openLogs(ctx context.Context, cluster *localserver.Cluster) (*logs, error) {
	l := &logs{cluster: cluster}
	for _, s := range cluster.Servers() {
		reader, err := s.GeneralLog(ctx)
		if err != nil {
			return nil, err
		}
		l.readers = append(l.readers, reader)
	}
	return l, nil
}

func (l *logs) stop(ctx context.Context) error {
	var errs []error
	for _, reader := range l.readers {
		errs = append(errs, reader.Stop(ctx))
	}
	return errors.Join(errs...)
}

// where counts by marker and server which statements clients had executed there.
func (l *logs) where(ctx context.Context) (map[string]map[string]int, error) {
	where := map[string]map[string]int{}
	for i, s := range l.cluster.Servers() {
		entries, err := l.readers[i].Entries(ctx)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			at := strings.LastIndex(e.Argument, "/* demo-")
			if at < 0 || e.Replicated() || e.Command == "Prepare" {
				continue
			}
			if where[e.Argument[at:]] == nil {
				where[e.Argument[at:]] = map[string]int{}
			}
			where[e.Argument[at:]][nameOf(s)]++
		}
	}
	return where, nil
}

func printTable(out io.Writer, reasons []string, where map[string]map[string]int) {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "statement\tserver\twhy")
	fmt.Fprintln(w, "---------\t------\t---")
	for i, st := range statements {
		text := st.sql
		if len(st.args) > 0 {
			text += "  (prepared)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", text, serverNames(where[marker(i)]), reasons[i])
	}
	w.Flush()
}

// serverNames is whom the logs name; nobody means that the proxy answered itself.
func serverNames(counts map[string]int) string {
	if len(counts) == 0 {
		return "none"
	}
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func printShares(out io.Writer, counts map[string]int, cluster *localserver.Cluster) {
	fmt.Fprintf(out, "\n%d plain reads, weights 1 and 5:", sharedReads)
	for i, s := range cluster.Servers() {
		if i > 0 {
			fmt.Fprint(out, ",")
		}
		fmt.Fprintf(out, " %d on %s", counts[nameOf(s)], nameOf(s))
	}
	fmt.Fprintln(out)
}
