// Package dataset is what the benchmark's backends hold: two small tables whose
// contents are a function of the row number. The fake backend builds its answers
// from it, a real server is filled with it, and the load generator knows from it
// what a right answer is.
package dataset

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	// Schema is the database the load connects to.
	Schema = "bench"
	// Rows is the number of rows of table bench, with ids 1 to Rows.
	Rows = 1000
	// RangeRows is the number of rows one range statement returns.
	RangeRows = 100
	// WideRows is the number of rows of table bench_wide.
	WideRows = 1024
	// WidePad is the length of each of its values: the whole table makes a
	// result of 1 MiB on the wire.
	WidePad = 1020
)

// The statements of the benchmark. A number follows where the text ends in "=".
const (
	PointPrefix  = "SELECT c FROM bench WHERE id="
	RangePrefix  = "SELECT id,c FROM bench WHERE id BETWEEN "
	RangeSuffix  = " ORDER BY id"
	Wide         = "SELECT pad FROM bench_wide ORDER BY id"
	UpdatePrefix = "UPDATE bench SET k=k+1 WHERE id="
)

// Point is the text of the point select of one row.
func Point(id int) string { return PointPrefix + strconv.Itoa(id) }

// Range is the text of the range select of the RangeRows rows from first on.
func Range(first int) string {
	return fmt.Sprintf("%s%d AND %d%s", RangePrefix, first, first+RangeRows-1, RangeSuffix)
}

// Update is the text of the update of one row; it changes no column that the
// selects read.
func Update(id int) string { return UpdatePrefix + strconv.Itoa(id) }

// C is column c of row id of table bench: 119 characters, the shape sysbench
// uses, different for every row.
func C(id int) string {
	var b strings.Builder
	for group := range 10 {
		if group > 0 {
			b.WriteByte('-')
		}
		fmt.Fprintf(&b, "%011d", (id*7919+group*104729)%100000000000)
	}
	return b.String()
}

// Pad is column pad of row id of table bench_wide.
func Pad(id int) string {
	return strings.Repeat(string(rune('a'+id%26)), WidePad)
}

// SQL returns the statements that create and fill both tables in the current
// schema of a real server.
func SQL() []string {
	statements := []string{
		"CREATE TABLE bench (id INT NOT NULL PRIMARY KEY, k INT NOT NULL, c VARCHAR(120) NOT NULL) ENGINE=InnoDB",
		"CREATE TABLE bench_wide (id INT NOT NULL PRIMARY KEY, pad VARCHAR(1024) NOT NULL) ENGINE=InnoDB",
	}
	const batch = 128
	var rows, wide []string
	for id := 1; id <= Rows; id++ {
		rows = append(rows, fmt.Sprintf("(%d,0,'%s')", id, C(id)))
	}
	for id := 1; id <= WideRows; id++ {
		wide = append(wide, fmt.Sprintf("(%d,'%s')", id, Pad(id)))
	}
	statements = appendInserts(statements, "bench", rows, batch)
	return appendInserts(statements, "bench_wide", wide, batch)
}

func appendInserts(to []string, table string, rows []string, batch int) []string {
	for len(rows) > 0 {
		n := min(batch, len(rows))
		to = append(to, "INSERT INTO "+table+" VALUES "+strings.Join(rows[:n], ","))
		rows = rows[n:]
	}
	return to
}
