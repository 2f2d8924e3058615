package admin

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	"github.com/telamondb/telamon/wire"
)

// columnType is how a column's values are declared to the client and compared.
type columnType byte

const (
	text   columnType = iota // MYSQL_TYPE_STRING
	number                   // MYSQL_TYPE_LONG, Atlas's type for backend_ndx
	bignum                   // MYSQL_TYPE_LONGLONG, for counters
)

type column struct {
	name string
	typ  columnType
}

// value is one cell.
type value = wire.Value

// table is what a statement answers. A nil *table is answered with a bare OK.
type table struct {
	columns []column
	rows    [][]value
}

func str(s string) value            { return value{Text: s} }
func num[N int | uint32](n N) value { return value{Text: strconv.FormatInt(int64(n), 10)} }
func count(n uint64) value          { return value{Text: strconv.FormatUint(n, 10)} }
func null() value                   { return value{Null: true} }

func newTable(cols ...column) *table { return &table{columns: cols} }

func (t *table) add(row ...value) { t.rows = append(t.rows, row) }

func (t *table) column(name string) (int, bool) {
	for i, c := range t.columns {
		if strings.EqualFold(c.name, name) {
			return i, true
		}
	}
	return 0, false
}

// strOrNull is NULL for the empty string: nothing known.
func strOrNull(s string) value {
	if s == "" {
		return null()
	}
	return str(s)
}

// moment shows a point in time, NULL when it is not known.
func moment(t time.Time) value {
	if t.IsZero() {
		return null()
	}
	return str(t.Format(time.RFC3339))
}

// compare orders two values of a column: NULL first, numbers by size, text
// regardless of case as MySQL's default collations do.
func (c column) compare(a, b value) int {
	switch {
	case a.Null != b.Null:
		if a.Null {
			return -1
		}
		return 1
	case c.typ != text:
		x, errX := strconv.ParseFloat(a.Text, 64)
		y, errY := strconv.ParseFloat(b.Text, 64)
		if errX == nil && errY == nil {
			return cmp.Compare(x, y)
		}
	}
	return cmp.Compare(strings.ToLower(a.Text), strings.ToLower(b.Text))
}
