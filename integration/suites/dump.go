package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/telamondb/telamon/internal/localserver"
)

// dumpStatements make a schema with something of everything that a dump contains.
var dumpStatements = []string{
	"CREATE DATABASE app_dump CHARACTER SET utf8mb4",
	"CREATE DATABASE app_copy CHARACTER SET utf8mb4",
	"USE app_dump", // a dump keeps qualified names as they are
	`CREATE TABLE types (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB, v VARCHAR(100), d DECIMAL(30,10), f DOUBLE, ts TIMESTAMP(6) NULL,
		t TIME(3), y YEAR, e ENUM('a','b''c'), s SET('x','y'), bits BIT(13), j JSON, g VARCHAR(201) GENERATED ALWAYS AS (CONCAT(v, v)) STORED, KEY (v))`,
	`INSERT INTO types (b, v, d, f, ts, t, y, e, s, bits, j) VALUES
		(x'00010a0d1a2227275c', 'quote '' backslash \\ newline \n tab \t é 😀', 12345678901234567890.0123456789, 1e-300, '2024-02-29 12:34:56.789', '-12:00:00.5', 2024, 'b''c', 'x,y', b'1010101010101', '{"a": [1, null]}'),
		(NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (REPEAT(x'ff', 60000), '', 0, -0.0, NULL, NULL, NULL, 'a', '', b'0', '[]')`,
	"CREATE TABLE child (id INT PRIMARY KEY, parent INT, FOREIGN KEY (parent) REFERENCES types (id))",
	"INSERT INTO child VALUES (1, 1), (2, 3), (3, NULL)",
	"CREATE TABLE many (id INT PRIMARY KEY, pad VARCHAR(100))",
	`INSERT INTO many SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n, REPEAT('x', 100) FROM
		(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a,
		(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b,
		(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c,
		(SELECT 0 n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) d`,
	"CREATE VIEW v AS SELECT id, v FROM types WHERE v IS NOT NULL",
	"CREATE TRIGGER tr BEFORE INSERT ON child FOR EACH ROW SET NEW.parent = COALESCE(NEW.parent, 2)",
	"CREATE FUNCTION twice(n INT) RETURNS INT DETERMINISTIC RETURN 2 * n",
	"CREATE PROCEDURE p(IN n INT) BEGIN SELECT n AS n; SELECT twice(n) AS m; END",
	"CREATE EVENT ev ON SCHEDULE EVERY 1 YEAR DISABLE DO DELETE FROM many WHERE id < 0",
}

// dumpWays are options of mariadb-dump and mysqldump that make it ask differently.
var dumpWays = map[string][]string{
	"in a transaction":           {"--single-transaction", "--quick"},
	"under locks":                {"--lock-tables", "--skip-opt", "--set-charset", "--create-options", "--quick", "--add-drop-table"},
	"one row a statement":        {"--skip-extended-insert", "--complete-insert", "--hex-blob", "--single-transaction"},
	"with the position":          {"--single-transaction", "POSITION"},
	"with disabled keys, sorted": {"--order-by-primary", "--disable-keys", "--add-locks", "--single-transaction"},
}

// runDump dumps a schema through j's address, loads it into another one through it,
// and dumps that: both dumps must be the same.
func runDump(ctx context.Context, j *job) (results, error) {
	got := results{}
	for way, options := range dumpWays {
		ok, err := j.dumpRoundTrip(ctx, options)
		if err != nil {
			return nil, err
		}
		got["a dump "+way] = map[bool]outcome{true: passed, false: failed}[ok]
	}
	return got, nil
}

func (j *job) dumpRoundTrip(ctx context.Context, options []string) (bool, error) {
	position := "--master-data=2"
	args := []string{"--routines", "--events", "--triggers", "--skip-dump-date"}
	if j.flavour == localserver.MySQL {
		position = "--source-data=2"
		args = append(args, "--set-gtid-purged=OFF")
	}
	for _, o := range options {
		args = append(args, strings.Replace(o, "POSITION", position, 1))
	}
	first, err := j.dump(ctx, args, "app_dump")
	if err != nil {
		return false, err
	}
	file := filepath.Join(j.scratch, "dump.sql")
	if err := os.WriteFile(file, first, 0o600); err != nil {
		return false, err
	}
	load := strings.Join(append(j.client("mariadb", "mysql"), "app_copy", "<", file, "&&", "echo", "loaded"), " ")
	if _, err := j.output(ctx, command{args: []string{"bash", "-c", load}}); err != nil {
		return false, err
	}
	second, err := j.dump(ctx, args, "app_copy")
	if err != nil {
		return false, err
	}
	a, b := dumpedLines(first), dumpedLines(second)
	for line := range strings.Lines(a) {
		if !strings.HasPrefix(b, line) {
			fmt.Fprintf(j.log, "\n+ the dumps differ from here on:\n+ first: %.200s\n+ second: %.200s\n", line, b)
			return false, nil
		}
		b = b[len(line):]
	}
	return strings.Count(a, "INSERT INTO") > 0 && strings.Contains(a, "PROCEDURE") && b == "", nil
}

// client is a program of the server's own flavour with the options to connect.
func (j *job) client(mariadb, mysql string) []string {
	options := []string{"--no-defaults", "-h" + host, "-P" + j.port(), "-u" + user, "-p" + password}
	if j.flavour == localserver.MariaDB {
		return append([]string{mariadb}, options...)
	}
	root := os.Getenv(localserver.RootEnv)
	if root == "" {
		root = localserver.DefaultRoot
	}
	return append(append([]string{"chroot", root, mysql}, options...), "--get-server-public-key")
}

func (j *job) dump(ctx context.Context, options []string, schema string) ([]byte, error) {
	args := append(j.client("mariadb-dump", "mysqldump"), options...)
	return j.output(ctx, command{args: append(args, schema)})
}

// dumpedLines is a dump without what names the schema or the moment.
func dumpedLines(dump []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(dump)) {
		if strings.HasPrefix(line, "-- ") && (strings.Contains(line, "Database:") || strings.Contains(line, "MASTER_LOG") || strings.Contains(line, "SOURCE_LOG") || strings.Contains(line, "gtid_slave_pos")) {
			continue
		}
		b.WriteString(strings.ReplaceAll(line, "app_copy", "app_dump"))
	}
	return b.String()
}
