//go:build integration

package lex_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/router/lex"
)

// TestServersReadBytesAsTheScannerDoes keeps the measurements the scanner's
// lexical rules rest on.
func TestServersReadBytesAsTheScannerDoes(t *testing.T) {
	const ok, syntax, noColumn, noFunction = 0, 1064, 1054, 1305
	for _, tc := range []struct {
		name, charset, text string
		mysql, mariadb      uint16
	}{
		{"0xA0 is a blank in latin1", "latin1", "SELECT 1 FROM dual FOR\xa0UPDATE", ok, ok},
		{"but not in cp1251", "cp1251", "SELECT\xa01", syntax, syntax},
		{"nor in utf8mb4", "utf8mb4", "SELECT\xa01", syntax, syntax},
		{"nor is U+00A0", "utf8mb4", "SELECT\xc2\xa01", syntax, syntax},
		{"form feed is a blank", "utf8mb4", "SELECT 1 FROM dual FOR\x0cUPDATE", ok, ok},
		{"other control characters are not", "utf8mb4", "SELECT 1 FROM dual FOR\x1fUPDATE", syntax, syntax},
		{"DEL makes -- a comment", "utf8mb4", "SELECT 1 --\x7f f1()", ok, ok},
		{"a digit does not", "utf8mb4", "SELECT 1 --1", ok, ok},
		{"an open comment", "utf8mb4", "SELECT 1 /* x", syntax, syntax},
		{"an open executable comment", "utf8mb4", "SELECT 1 /*!999999 x", syntax, syntax},
		{"a comment inside an executable one", "utf8mb4", "/*! SELECT /* x */ 1 */", ok, ok},
		{"a comment inside a skipped one", "utf8mb4", "/*!999999 SELECT /* x */ 1 */ SELECT 2", ok, ok},
		{"executable in executable", "utf8mb4", "/*! SELECT /*! 1 */ */", syntax, syntax},
		{"a small m is no MariaDB comment", "utf8mb4", "/*m! SELECT */ 1", syntax, syntax},
		{"a capital M is", "utf8mb4", "/*M! SELECT */ 1", syntax, ok},
		{"a blank before the !", "utf8mb4", "/* ! SELECT */ 1", syntax, syntax},
		{"a number ends at its dot", "utf8mb4", "SELECT 1.FOR UPDATE", ok, ok},
		{"a name begins with a digit", "utf8mb4", "SELECT 1a", noColumn, noColumn},
		{"a keyword behind a dot is a name", "utf8mb4", "SELECT t.for FROM (SELECT 1 AS `for`) t", ok, ok},
		{"@@ takes blanks around its dot", "utf8mb4", "SELECT @@session . autocommit", ok, ok},
		{"GET_LOCK with a comment", "utf8mb4", "SELECT get_lock/**/('a', 0), release_lock('a')", ok, ok},
		{"in quotes it is built in", "utf8mb4", "SELECT `get_lock`('a', 0), release_lock('a')", ok, ok},
		{"with a schema it is not", "utf8mb4", "SELECT mysql.get_lock('a', 0)", noFunction, noFunction},
		{"gbk trail byte", "gbk", "SELECT '\x95\\'", ok, ok},
		{"an introducer does not change how a string is read", "utf8mb4", "SELECT 1 FROM dual WHERE 1 OR _gbk'\x95\\' -- '", ok, ok},
		{"an identifier under an introducer neither", "latin1", "SELECT _gbk'\x95\\' -- '", ok, ok},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for flavor, want := range map[lex.Flavor]uint16{lex.FlavorMySQL: tc.mysql, lex.FlavorMariaDB: tc.mariadb} {
				t.Run(flavor.String(), func(t *testing.T) {
					if got := runIn(t, scratchDSN(t, flavor), tc.charset, tc.text); got != want {
						t.Errorf("%q: error %d, want %d", tc.text, got, want)
					}
				})
			}
		})
	}
}

func runIn(t *testing.T, dsn, charset, text string) uint16 {
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.ExecContext(context.Background(), "SET NAMES "+charset); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.QueryContext(context.Background(), text)
	if err == nil {
		for rows.Next() {
		}
		err = rows.Err()
		rows.Close()
	}
	var myErr *mysql.MySQLError
	if errors.As(err, &myErr) {
		return myErr.Number
	}
	return 0
}
