package wire_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/telamondb/telamon/wire"
)

func TestLenencIntTakesTheShortestForm(t *testing.T) {
	for _, c := range []struct {
		v    uint64
		want string
	}{
		{0, "\x00"},
		{250, "\xfa"},
		{251, "\xfc\xfb\x00"},
		{1<<16 - 1, "\xfc\xff\xff"},
		{1 << 16, "\xfd\x00\x00\x01"},
		{1<<24 - 1, "\xfd\xff\xff\xff"},
		{1 << 24, "\xfe\x00\x00\x00\x01\x00\x00\x00\x00"},
		{math.MaxUint64, "\xfe\xff\xff\xff\xff\xff\xff\xff\xff"},
	} {
		b := wire.AppendLenencInt(nil, c.v)
		if string(b) != c.want {
			t.Errorf("%d encodes as %x, want %x", c.v, b, c.want)
		}
		if v, n := wire.ReadLenencInt(append(b, 0xaa)); v != c.v || n != len(b) {
			t.Errorf("%x decodes as %d in %d bytes", b, v, n)
		}
		for i := range len(b) {
			if _, n := wire.ReadLenencInt(b[:i]); n != 0 {
				t.Errorf("%x cut to %d bytes is taken for an integer", b, i)
			}
		}
	}
}

func TestLenencRefusesWhatBeginsNoInteger(t *testing.T) {
	for _, b := range []string{"\xfb", "\xff", "\xfb\x00\x00\x00\x00\x00\x00\x00\x00", "\xff\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if _, n := wire.ReadLenencInt([]byte(b)); n != 0 {
			t.Errorf("%x is taken for an integer", b)
		}
		if _, n := wire.ReadLenencBytes([]byte(b)); n != 0 {
			t.Errorf("%x is taken for a string", b)
		}
	}
}

// Lengths that overflow an int or the payload, CVE-2017-3599 and CVE-2024-27304.
func TestLenencBytesRefusesLengthsBeyondThePayload(t *testing.T) {
	for _, v := range []uint64{4, 1 << 16, 1 << 24, 1 << 31, 1 << 32, math.MaxInt64, 1 << 63, math.MaxUint64 - 8, math.MaxUint64} {
		b := append(wire.AppendLenencInt(nil, v), "abc"...)
		if got, n := wire.ReadLenencBytes(b); n != 0 || got != nil {
			t.Errorf("length %d of 3 bytes gives %q", v, got)
		}
	}
}

func TestLenencBytesAliasesWithoutRoomToAppend(t *testing.T) {
	b := []byte("\x03abcdef")
	got, n := wire.ReadLenencBytes(b)
	if string(got) != "abc" || n != 4 || &got[0] != &b[1] {
		t.Fatalf("got %q, %d", got, n)
	}
	_ = append(got, 'X')
	if string(b) != "\x03abcdef" {
		t.Fatal("an append to the result wrote into the payload")
	}
	if empty, n := wire.ReadLenencBytes([]byte{0}); empty == nil || n != 1 {
		t.Fatal("the empty string is nil, like NULL")
	}
}

func FuzzLenenc(f *testing.F) {
	f.Add([]byte("\x03abc"))
	f.Add([]byte("\xfc\xff\xff"))
	f.Add([]byte("\xfe\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, p []byte) {
		v, n := wire.ReadLenencInt(p)
		if n > 0 {
			again, m := wire.ReadLenencInt(wire.AppendLenencInt(nil, v))
			if again != v || m == 0 || m > n {
				t.Fatalf("%d reads back as %d", v, again)
			}
		}
		b, m := wire.ReadLenencBytes(p)
		if m > 0 {
			if uint64(len(b)) != v || m != n+len(b) {
				t.Fatalf("string of %d bytes, %d consumed, length %d", len(b), m, v)
			}
			again, _ := wire.ReadLenencBytes(wire.AppendLenencBytes(nil, b))
			if !bytes.Equal(again, b) {
				t.Fatal("string reads back differently")
			}
		}
	})
}
