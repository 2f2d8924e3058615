package fakebackend

import (
	"strconv"
	"sync"

	"github.com/telamondb/telamon/integration/bench/dataset"
)

// replies are the answers to the benchmark's statements in one encoding.
type replies struct {
	point [dataset.Rows + 1]response                 // by id; 0 is unused
	spans [dataset.Rows / dataset.RangeRows]response // by (first-1)/RangeRows
	wide  response
}

// allReplies builds the answers in all four encodings, about 9 MB, once for all
// servers of a process; nobody changes them afterwards.
var allReplies = sync.OnceValue(func() *[4]replies {
	var all [4]replies
	for _, deprecate := range []bool{false, true} {
		for _, binary := range []bool{false, true} {
			enc := encoding{deprecateEOF: deprecate, binary: binary}
			all[enc.index()].build(enc)
		}
	}
	return &all
})

func (r *replies) build(enc encoding) {
	columns := []column{{"id", typeLong}, {"c", typeVarString}}
	row := func(id int) []value {
		return []value{{text: strconv.Itoa(id), number: int64(id)}, {text: dataset.C(id)}}
	}
	for id := 1; id <= dataset.Rows; id++ {
		r.point[id] = result("bench", columns[1:], [][]value{row(id)[1:]}, enc)
	}
	for i := range r.spans {
		var rows [][]value
		for id := i*dataset.RangeRows + 1; id <= (i+1)*dataset.RangeRows; id++ {
			rows = append(rows, row(id))
		}
		r.spans[i] = result("bench", columns, rows, enc)
	}
	var rows [][]value
	for id := 1; id <= dataset.WideRows; id++ {
		rows = append(rows, []value{{text: dataset.Pad(id)}})
	}
	r.wide = result("bench_wide", []column{{"pad", typeVarString}}, rows, enc)
}

func result(table string, columns []column, rows [][]value, enc encoding) response {
	b := newBuilder()
	b.resultSet(table, columns, rows, enc, statusAutocommit)
	return b.response
}

func schemaOf(table string) string {
	if table == "" {
		return ""
	}
	return dataset.Schema
}
