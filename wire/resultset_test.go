package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

// The result sets of real servers, taken apart and put together again.
func TestTextResultsOfRealServersComeBack(t *testing.T) {
	for _, c := range []struct {
		name          string
		caps          wire.Capability
		columns, rows int
	}{
		{"text", baseCaps, 4, 2},
		{"deof", trackedCaps | wire.DeprecateEOF, 1, 1},
	} {
		for _, flavour := range flavours {
			t.Run(c.name+" of "+flavour, func(t *testing.T) {
				payloads := golden(t, flavour)
				nth := func(name string, i int) []byte {
					if i > 0 {
						name += fmt.Sprintf(" %d", i+1)
					}
					p, ok := payloads[c.name+" "+name]
					if !ok {
						t.Fatalf("no payload %q", name)
					}
					return p
				}
				want, seq := wire.AppendPacket(nil, 1, nth("count", 0))
				put := func(p []byte) { want, seq = wire.AppendPacket(want, seq, p) }
				if n, err := wire.ParseColumnCount(nth("count", 0)); err != nil || n != c.columns {
					t.Fatalf("%d columns, %v", n, err)
				}
				columns := make([]wire.ColumnDef, c.columns)
				for i := range columns {
					if err := columns[i].Parse(nth("column", i), c.caps); err != nil {
						t.Fatal(err)
					}
					put(nth("column", i))
				}
				if !c.caps.Has(wire.DeprecateEOF) {
					put(nth("EOF", 0))
				}
				rows := make([][]wire.Value, c.rows)
				for i := range rows {
					rows[i] = parseRow(t, nth("row", i), c.columns)
					put(nth("row", i))
				}
				put(nth("end", 0))

				got, next := wire.AppendTextResult(nil, 1, c.caps, wire.Autocommit, columns, rows)
				if !bytes.Equal(got, want) || next != seq {
					t.Errorf("got seq %d\n%x, want %d\n%x", next, got, seq, want)
				}
			})
		}
	}
}

func parseRow(t *testing.T, p []byte, columns int) []wire.Value {
	t.Helper()
	fields, err := wire.ParseTextRow(nil, p, columns)
	if err != nil {
		t.Fatal(err)
	}
	row := make([]wire.Value, len(fields))
	for i, f := range fields {
		row[i] = wire.Value{Text: string(f), Null: f == nil}
	}
	return row
}

func TestTextResultOfTheConsole(t *testing.T) {
	columns := []wire.ColumnDef{wire.IntColumn("backend_ndx"), wire.TextColumn("address")}
	rows := [][]wire.Value{
		{{Text: "1"}, {Text: "127.0.0.1:3306"}},
		{{Text: "2"}, {Null: true}},
	}
	got, seq := wire.AppendTextResult([]byte("before"), 1, baseCaps, wire.Autocommit, columns, rows)
	want := "before" +
		"\x01\x00\x00\x01\x02" +
		"\x21\x00\x00\x02\x03def\x00\x00\x00\x0bbackend_ndx\x00\x0c\x3f\x00\x14\x00\x00\x00\x08\x80\x80\x00\x00\x00" +
		"\x1d\x00\x00\x03\x03def\x00\x00\x00\x07address\x00\x0c\x21\x00\x00\x04\x00\x00\xfd\x00\x00\x00\x00\x00" +
		"\x05\x00\x00\x04\xfe\x00\x00\x02\x00" +
		"\x11\x00\x00\x05\x011\x0e127.0.0.1:3306" +
		"\x03\x00\x00\x06\x012\xfb" +
		"\x05\x00\x00\x07\xfe\x00\x00\x02\x00"
	if string(got) != want || seq != 8 {
		t.Errorf("seq %d\n%q, want\n%q", seq, got, want)
	}
	got, seq = wire.AppendTextResult(nil, 1, trackedCaps|wire.DeprecateEOF, wire.Autocommit|wire.SessionStateChange, columns[:1], nil)
	want = "\x01\x00\x00\x01\x01" +
		"\x21\x00\x00\x02\x03def\x00\x00\x00\x0bbackend_ndx\x00\x0c\x3f\x00\x14\x00\x00\x00\x08\x80\x80\x00\x00\x00" +
		"\x07\x00\x00\x03\xfe\x00\x00\x02\x00\x00\x00"
	if string(got) != want || seq != 4 {
		t.Errorf("with DEPRECATE_EOF: seq %d\n%q, want\n%q", seq, got, want)
	}
	got, _ = wire.AppendTextResult(nil, 1, extCaps, 0, columns[:1], nil)
	if !bytes.HasPrefix(got, []byte("\x02\x00\x00\x01\x01\x01\x22\x00\x00\x02\x03def\x00\x00\x00\x0bbackend_ndx\x00\x00\x0c")) {
		t.Errorf("with MariaDB's extended capabilities: %q", got)
	}
}

// MINEFIELD P08.
func TestTextResultWrapsTheSequenceID(t *testing.T) {
	rows := make([][]wire.Value, 300)
	for i := range rows {
		rows[i] = []wire.Value{{Text: "x"}}
	}
	got, next := wire.AppendTextResult(nil, 250, baseCaps, 0, []wire.ColumnDef{wire.TextColumn("c")}, rows)
	seq := byte(250)
	for len(got) > 0 {
		if got[3] != seq {
			t.Fatalf("sequence id %d, want %d", got[3], seq)
		}
		seq++
		got = got[wire.HeaderSize+wire.PacketLen(got):]
	}
	if seq != next {
		t.Fatalf("next is %d, want %d", next, seq)
	}
}

func TestTextRowTellsNullFromEmpty(t *testing.T) {
	p := wire.AppendTextRow(nil, []wire.Value{{}, {Null: true}, {Text: "x"}})
	if string(p) != "\x00\xfb\x01x" {
		t.Fatalf("%q", p)
	}
	fields, err := wire.ParseTextRow(nil, p, 3)
	if err != nil || fields[0] == nil || len(fields[0]) != 0 || fields[1] != nil || string(fields[2]) != "x" {
		t.Fatalf("%q, %v", fields, err)
	}
}

func TestTextRowIsReadWithoutAllocating(t *testing.T) {
	p := wire.AppendTextRow(nil, []wire.Value{{Text: "1"}, {Null: true}, {Text: strings.Repeat("x", 1000)}})
	fields := make([][]byte, 0, 3)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := wire.ParseTextRow(fields[:0], p, 3); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestTextRowMalformed(t *testing.T) {
	for _, c := range []struct {
		name    string
		p       string
		columns int
	}{
		{"too few fields", "\x01a", 2},
		{"too many fields", "\x01a\x01b", 1},
		{"a field too long", "\x05a", 1},
		{"a huge field", "\xfe\xff\xff\xff\xff\xff\xff\xff\x7fa", 1},
		{"a huge number of columns", "\xfb", 1 << 30},
	} {
		if _, err := wire.ParseTextRow(nil, []byte(c.p), c.columns); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestColumnCountMalformed(t *testing.T) {
	for _, p := range []string{"", "\x00", "\xfb", "\xff", "\xfc\x01", "\xfc\x01\x10", "\xfe\xff\xff\xff\xff\xff\xff\xff\xff"} {
		if n, err := wire.ParseColumnCount([]byte(p)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%x: %d, %v", p, n, err)
		}
	}
	if n, err := wire.ParseColumnCount([]byte("\xfc\x00\x10")); err != nil || n != 4096 {
		t.Errorf("4096: %d, %v", n, err)
	}
	if n, err := wire.ParseColumnCount(golden(t, "mariadb")["ext count"]); err != nil || n != 2 {
		t.Errorf("with MariaDB's flag behind it: %d, %v", n, err)
	}
}

func FuzzTextRow(f *testing.F) {
	addGolden(f, "text row", func(b []byte) { f.Add(b, 4) })
	f.Fuzz(func(t *testing.T, p []byte, columns int) {
		_, _ = wire.ParseColumnCount(p)
		fields, err := wire.ParseTextRow(nil, p, columns)
		if len(fields) > len(p) {
			t.Fatal("more fields than bytes")
		}
		if err != nil || columns < 0 {
			return
		}
		row := make([]wire.Value, len(fields))
		for i, b := range fields {
			row[i] = wire.Value{Text: string(b), Null: b == nil}
		}
		again, err := wire.ParseTextRow(nil, wire.AppendTextRow(nil, row), columns)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(fields, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
