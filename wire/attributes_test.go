package wire

import (
	"errors"
	"testing"
)

func TestTheStatementBehindQueryAttributesIsFound(t *testing.T) {
	const text = "SELECT 1"
	for _, c := range []struct {
		name, block string
	}{
		{"none", NoAttributes},
		{"a string", "\x01\x01\x00\x01\xfe\x00\x01n\x03abc"},
		{"a NULL", "\x01\x01\x01\x01\xfe\x00\x01n"},
		{"a name of no length", "\x01\x01\x00\x01\x03\x00\x00\x01\x02\x03\x04"},
		{"every length", "\x0b\x01\x00\x00\x01" +
			"\x01\x00\x01a" + "\x02\x00\x01b" + "\x03\x00\x01c" + "\x08\x80\x01d" + "\x05\x00\x01e" + "\x04\x00\x01f" +
			"\x0c\x00\x01g" + "\x0b\x00\x01h" + "\xfc\x00\x01i" + "\x06\x00\x01j" + "\xf4\x00\x01k" +
			"1" + "12" + "1234" + "12345678" + "12345678" + "1234" + "\x041234" + "\x00" + "\xfc\x02\x0012" + "1"},
		{"nine, the last of them NULL", "\x09\x01\x00\x01\x01" +
			"\x01\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00\x00\x01\x00\x00" + "12345678"},
		{"a type nobody knows", "\x01\x01\x00\x01\x55\x00\x01n\x03abc"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := []byte("\x03" + c.block + text)
			at, err := QueryText(p)
			if err != nil || string(p[at:]) != text {
				t.Errorf("%q, %v", p[at:], err)
			}
			for cut := range 1 + len(c.block) {
				if _, err := QueryText(p[:cut]); !errors.Is(err, ErrMalformed) {
					t.Errorf("cut to %d bytes: %v", cut, err)
				}
			}
			if n := testing.AllocsPerRun(10, func() { _, _ = QueryText(p) }); n != 0 {
				t.Errorf("%v allocations", n)
			}
		})
	}
}

func TestQueryAttributesThatMySQLRefuses(t *testing.T) {
	for name, block := range map[string]string{
		"two sets":                         "\x00\x02SELECT 1",
		"two sets of one":                  "\x01\x02\x00\x01\xfe\x00\x01n\x03abcSELECT 1",
		"types as before":                  "\x01\x01\x00\x00SELECT 1",
		"a name longer than the packet":    "\x01\x01\x00\x01\xfe\x00\xfc\xff\xffnnn",
		"more than the packet can hold":    "\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01",
		"as many, and NULL all of them":    "\xfd\xff\xff\xff\x01\xff\xff",
		"the text of a client without any": "SELECT 1",
	} {
		if at, err := QueryText([]byte("\x03" + block)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %d, %v", name, at, err)
		}
	}
}

func FuzzQueryText(f *testing.F) {
	f.Add([]byte("\x03\x01\x01\x00\x01\xfe\x00\x01n\x03abcSELECT 1"))
	f.Add([]byte("\x03\x00\x01SELECT 1"))
	f.Fuzz(func(t *testing.T, p []byte) {
		at, err := QueryText(p)
		if at < 0 || at > len(p) || err == nil && at < 3 {
			t.Errorf("%q: %d", p, at)
		}
	})
}
