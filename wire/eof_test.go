package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/telamondb/telamon/wire"
)

func TestEOFOfRealServers(t *testing.T) {
	for _, flavour := range flavours {
		p := golden(t, flavour)["text end"]
		got, err := wire.ParseEOF(p)
		if err != nil || got != (wire.EOF{Status: wire.Autocommit}) || !wire.IsEOF(p) {
			t.Errorf("%s: %+v, %v", flavour, got, err)
		}
		if b := got.Append(nil); !bytes.Equal(b, p) {
			t.Errorf("%s appends as %x", flavour, b)
		}
	}
}

func TestEOFIsToldByItsLength(t *testing.T) {
	for _, p := range []string{"", "\xfe", "\xfe\x00\x00\x02", "\xfe\x00\x00\x02\x00\x00\x00", "\x00\x00\x00\x02\x00"} {
		if wire.IsEOF([]byte(p)) {
			t.Errorf("%x is taken for one", p)
		}
		if _, err := wire.ParseEOF([]byte(p)); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%x: %v", p, err)
		}
	}
}

func FuzzEOF(f *testing.F) {
	f.Add([]byte("\xfe\x01\x00\x02\x00"))
	f.Fuzz(func(t *testing.T, p []byte) {
		e, err := wire.ParseEOF(p)
		if (err == nil) != wire.IsEOF(p) {
			t.Fatalf("IsEOF %v, %v", wire.IsEOF(p), err)
		}
		if err == nil && !bytes.Equal(e.Append(nil), p) {
			t.Fatalf("%x appends as %x", p, e.Append(nil))
		}
	})
}
