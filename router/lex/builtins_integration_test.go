//go:build integration

package lex_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/router/lex"
)

// TestBuiltins asks real servers about every word of the lists: none of those
// the scanner takes for built in or reserved may be looked up as a stored
// function, because a stored function of that name might change data.
// MINEFIELD C11.
func TestBuiltins(t *testing.T) {
	for _, flavor := range []lex.Flavor{lex.FlavorMySQL, lex.FlavorMariaDB} {
		t.Run(flavor.String(), func(t *testing.T) {
			db, err := sql.Open("mysql", scratchDSN(t, flavor))
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if err := db.Ping(); err != nil {
				t.Fatal(err)
			}
			checked := 0
			for _, name := range lex.Words() {
				for _, form := range []string{"SELECT %s()", "SELECT %s(1)", "SELECT %s(1,1)", "SELECT %s (1)", "SELECT `%s`(1)"} {
					text := fmt.Sprintf(form, name)
					if name == "sleep" || name == "benchmark" {
						continue // they would take their time
					}
					var f lex.Facts
					lex.Scan([]byte(text), lex.Mode{Flavor: flavor}, &f)
					if f.Flags.Has(lex.FlagUnknownFunction | lex.FlagSequence) {
						continue
					}
					checked++
					if code := run(db, text); code == 1305 || code == 1630 {
						if newerMySQLRemoved[name] {
							continue
						}
						t.Errorf("%s: error %d, so it may call a stored function", text, code)
					}
				}
			}
			t.Logf("%d calls checked", checked)
		})
	}
}

// newerMySQLRemoved are functions of MySQL 8 that became a component in 9.6.
var newerMySQLRemoved = map[string]bool{"md5": true, "sha": true, "sha1": true}

func run(db *sql.DB, text string) uint16 {
	rows, err := db.Query(text)
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
