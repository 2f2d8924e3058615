package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/telamondb/telamon/wire"
)

func TestStmtPrepareOKOfRealServers(t *testing.T) {
	for _, flavour := range flavours {
		p := golden(t, flavour)["prepare ok"]
		var got wire.StmtPrepareOK
		if err := got.Parse(p); err != nil {
			t.Fatal(err)
		}
		if want := (wire.StmtPrepareOK{StatementID: 1, Columns: 2, Params: 1}); got != want {
			t.Errorf("%s: %+v, want %+v", flavour, got, want)
		}
		if b := got.Append(nil); !bytes.Equal(b, p) {
			t.Errorf("%s appends as %x", flavour, b)
		}
		for i := range p {
			if err := got.Parse(p[:i]); !errors.Is(err, wire.ErrMalformed) {
				t.Errorf("cut to %d bytes: %v", i, err)
			}
		}
	}
}

func TestStatementIDIsReadAndReplacedInPlace(t *testing.T) {
	p := []byte("\x17\x01\x00\x00\x80rest")
	if id, ok := wire.StatementID(p); !ok || id != 0x80000001 {
		t.Fatalf("%x, %v", id, ok)
	}
	wire.SetStatementID(p, 0x01020304)
	if string(p) != "\x17\x04\x03\x02\x01rest" {
		t.Fatalf("%q", p)
	}
	if _, ok := wire.StatementID(p[:4]); ok {
		t.Fatal("read from 4 bytes")
	}
}

func FuzzStmtPrepareOK(f *testing.F) {
	addGolden(f, "prepare ok", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, p []byte) {
		var s, again wire.StmtPrepareOK
		if s.Parse(p) != nil {
			return
		}
		if err := again.Parse(s.Append(nil)); err != nil || again != s {
			t.Fatalf("%+v reads back as %+v, %v", s, again, err)
		}
	})
}
