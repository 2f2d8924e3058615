package load

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/telamondb/telamon/integration/bench/dataset"
)

// Workload is one kind of traffic.
type Workload struct {
	Name string
	// Statements is how many statements one operation, the unit of latency, has.
	Statements int

	connects bool
	prepare  func(c *client, conn int) ([]operation, error)
}

// request is one command and the one right answer to it.
type request struct {
	name   string // for messages
	packet []byte
	want   expect
}

// operation is the sequence of requests that latency is measured over.
type operation []request

// Workloads are all kinds of traffic, in the order of reports.
func Workloads() []Workload {
	return []Workload{
		{Name: "point-text", Statements: 1, prepare: variants(pointText)},
		{Name: "point-prepared", Statements: 1, prepare: pointPrepared},
		{Name: "range-100", Statements: 1, prepare: variants(rangeText)},
		{Name: "result-1mb", Statements: 1, prepare: wideResult},
		{Name: "update", Statements: 1, prepare: updates},
		{Name: "transaction", Statements: 7, prepare: variants(transaction)},
		{Name: "connect", Statements: 1, connects: true, prepare: variants(pointText)},
	}
}

// WorkloadNamed finds a workload by its name.
func WorkloadNamed(name string) (Workload, error) {
	for _, w := range Workloads() {
		if w.Name == name {
			return w, nil
		}
	}
	return Workload{}, fmt.Errorf("no workload is called %q", name)
}

// variantCount is how many different operations a connection cycles through.
const variantCount = 16

// variants makes operations that differ by a number n, spread over the
// connections.
func variants(make func(n int) operation) func(*client, int) ([]operation, error) {
	return func(_ *client, conn int) ([]operation, error) {
		var ops []operation
		for v := range variantCount {
			ops = append(ops, make(conn*variantCount+v))
		}
		return ops, nil
	}
}

// rowID spreads n over the table.
func rowID(n int) int { return 1 + n*37%dataset.Rows }

func pointText(n int) operation {
	return operation{text(dataset.Point(rowID(n)), pointAnswer(rowID(n), false))}
}

func rangeText(n int) operation {
	first := 1 + n%(dataset.Rows/dataset.RangeRows)*dataset.RangeRows
	want := expect{shape: shapeRows, rows: dataset.RangeRows}
	for id := first; id < first+dataset.RangeRows; id++ {
		row := textValue(textValue(nil, fmt.Sprint(id)), dataset.C(id))
		want.sum = crc32.Update(want.sum, castagnoli, row)
	}
	return operation{text(dataset.Range(first), want)}
}

func wideResult(*client, int) ([]operation, error) {
	want := expect{shape: shapeRows, rows: dataset.WideRows}
	for id := 1; id <= dataset.WideRows; id++ {
		want.sum = crc32.Update(want.sum, castagnoli, textValue(nil, dataset.Pad(id)))
	}
	return []operation{{text(dataset.Wide, want)}}, nil
}

// updates changes a row of the connection's own, so that connections do not
// wait for each other's locks.
func updates(_ *client, conn int) ([]operation, error) {
	return []operation{{updateRow(conn)}}, nil
}

func updateRow(conn int) request {
	return text(dataset.Update(1+conn%dataset.Rows), expect{shape: shapeOK, affected: 1})
}

// transaction is BEGIN, four point selects, an update, COMMIT. All variants of
// a connection update the same row.
func transaction(n int) operation {
	op := operation{text("BEGIN", expect{shape: shapeOK})}
	for i := range 4 {
		id := rowID(n*4 + i)
		op = append(op, text(dataset.Point(id), pointAnswer(id, false)))
	}
	op = append(op, updateRow(n/variantCount))
	for i := range op {
		op[i].want.inTrans = true
	}
	return append(op, text("COMMIT", expect{shape: shapeOK}))
}

func pointPrepared(c *client, conn int) ([]operation, error) {
	id, err := c.prepare(dataset.PointPrefix + "?")
	if err != nil {
		return nil, fmt.Errorf("prepare the point select: %w", err)
	}
	var ops []operation
	for v := range variantCount {
		row := rowID(conn*variantCount + v)
		ops = append(ops, operation{{
			name:   dataset.PointPrefix + "?",
			packet: packet(0, executePayload(id, int64(row))),
			want:   pointAnswer(row, true),
		}})
	}
	return ops, nil
}

// executePayload is a COM_STMT_EXECUTE that binds one MYSQL_TYPE_LONGLONG.
func executePayload(id uint32, v int64) []byte {
	p := binary.LittleEndian.AppendUint32([]byte{comStmtExecute}, id)
	p = append(p, 0)          // no cursor
	p = append(p, 1, 0, 0, 0) // one iteration
	p = append(p, 0, 1, 8, 0) // NULL bitmap, types follow, the type
	return binary.LittleEndian.AppendUint64(p, uint64(v))
}

func pointAnswer(id int, binary bool) expect {
	var row []byte
	if binary {
		row = []byte{0, 0} // header and NULL bitmap
	}
	row = textValue(row, dataset.C(id))
	return expect{shape: shapeRows, rows: 1, sum: crc32.Checksum(row, castagnoli)}
}

func text(q string, want expect) request {
	return request{name: q, packet: packet(0, append([]byte{comQuery}, q...)), want: want}
}

// textValue appends a length-encoded string of less than 64 KiB.
func textValue(to []byte, s string) []byte {
	if len(s) < 251 {
		to = append(to, byte(len(s)))
	} else {
		to = append(to, 0xfc, byte(len(s)), byte(len(s)>>8))
	}
	return append(to, s...)
}
