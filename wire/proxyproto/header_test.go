package proxyproto

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

// v2 is a header of version 2.
func v2(command, family byte, length int, rest string) string {
	return signature2 + string([]byte{command, family, byte(length >> 8), byte(length)}) + rest
}

const (
	ends4 = "\x0a\x00\x00\x01\xc0\xa8\x01\x02\x12\x34\x04\xd2"
	ends6 = "\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x12\x34\x04\xd2"
	mapped = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x02\x12\x34\x04\xd2"
)

func TestHeaders(t *testing.T) {
	unix := strings.Repeat("/", 216)
	for _, test := range []struct {
		name, header string
		source       string // "" is none
		err          error
	}{
		{"a line, IPv4", "PROXY TCP4 10.0.0.1 192.168.1.2 4660 1234\r\n", "10.0.0.1:4660", nil},
		{"a line, IPv6", "PROXY TCP6 fd00::1 fd00::2 4660 1234\r\n", "[fd00::1]:4660", nil},
		{"a line, IPv4 mapped to IPv6", "PROXY TCP6 ::ffff:10.0.0.1 ::ffff:10.0.0.2 4660 1234\r\n", "10.0.0.1:4660", nil},
		{"a line, IPv4 announced as IPv6", "PROXY TCP6 10.0.0.1 fd00::2 4660 1234\r\n", "10.0.0.1:4660", nil},
		{"a line, the longest", "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", "", nil},
		{"a line, unknown", "PROXY UNKNOWN\r\n", "", nil},
		{"a line, ports at the borders", "PROXY TCP4 10.0.0.1 192.168.1.2 0 65535\r\n", "10.0.0.1:0", nil},
		{"binary, IPv4", v2(0x21, 0x11, 12, ends4), "10.0.0.1:4660", nil},
		{"binary, IPv6", v2(0x21, 0x21, 36, ends6), "[fd00::1]:4660", nil},
		{"binary, IPv4 mapped to IPv6", v2(0x21, 0x21, 36, mapped), "10.0.0.1:4660", nil},
		{"binary, with further values", v2(0x21, 0x11, 19, ends4+"\x04\x00\x04abcd"), "10.0.0.1:4660", nil},
		{"binary, with as many as are accepted", v2(0x21, 0x11, MaxSize-fixed2, ends4+strings.Repeat("x", MaxSize-fixed2-12)), "10.0.0.1:4660", nil},
		{"binary, local", v2(0x20, 0x00, 0, ""), "", nil},
		{"binary, local with addresses", v2(0x20, 0x11, 12, ends4), "", nil},
		{"binary, local with something else", v2(0x20, 0x11, 3, "abc"), "", nil},
		{"binary, unspecified", v2(0x21, 0x00, 0, ""), "", nil},
		{"binary, a UNIX socket", v2(0x21, 0x31, 216, unix), "", nil},

		{"a line with another protocol", "PROXY UDP4 10.0.0.1 192.168.1.2 1 2\r\n", "", ErrMalformed},
		{"a line with another case", "PROXY tcp4 10.0.0.1 192.168.1.2 1 2\r\n", "", ErrMalformed},
		{"a line with IPv6 announced as IPv4", "PROXY TCP4 fd00::1 192.168.1.2 1 2\r\n", "", ErrMalformed},
		{"a line without ports", "PROXY TCP4 10.0.0.1 192.168.1.2\r\n", "", ErrMalformed},
		{"a line with too many words", "PROXY TCP4 10.0.0.1 192.168.1.2 1 2 3\r\n", "", ErrMalformed},
		{"a line with two blanks", "PROXY TCP4  10.0.0.1 192.168.1.2 1 2\r\n", "", ErrMalformed},
		{"a line with a port too large", "PROXY TCP4 10.0.0.1 192.168.1.2 65536 2\r\n", "", ErrMalformed},
		{"a line with a port with a sign", "PROXY TCP4 10.0.0.1 192.168.1.2 +1 2\r\n", "", ErrMalformed},
		{"a line with a port with a zero before it", "PROXY TCP4 10.0.0.1 192.168.1.2 01 2\r\n", "", ErrMalformed},
		{"a line with a number for an address", "PROXY TCP4 10.1 192.168.1.2 1 2\r\n", "", ErrMalformed},
		{"a line with a zone", "PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "", ErrMalformed},
		{"a line with a wrong destination", "PROXY TCP4 10.0.0.1 x 1 2\r\n", "", ErrMalformed},
		{"a line with nothing in it", "PROXY \r\n", "", ErrMalformed},
		{"a line that does not end", "PROXY TCP4 " + strings.Repeat("1", 96), "", ErrMalformed},
		{"a line that ends too late", "PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r\n", "", ErrMalformed},
		{"binary, version 1", v2(0x11, 0x11, 12, ends4), "", ErrMalformed},
		{"binary, another command", v2(0x22, 0x11, 12, ends4), "", ErrMalformed},
		{"binary, UDP", v2(0x21, 0x12, 12, ends4), "", ErrMalformed},
		{"binary, another family", v2(0x21, 0x41, 12, ends4), "", ErrMalformed},
		{"binary, too short for IPv4", v2(0x21, 0x11, 11, ends4[:11]), "", ErrMalformed},
		{"binary, too short for IPv6", v2(0x21, 0x21, 12, ends4), "", ErrMalformed},
		{"binary, too short for UNIX", v2(0x21, 0x31, 12, ends4), "", ErrMalformed},
		{"binary, 64 KiB", v2(0x21, 0x11, 0xffff, ends4), "", ErrMalformed},
		{"binary, local, 64 KiB", v2(0x20, 0x00, 0xffff, ""), "", ErrMalformed},

		{"a login packet", "\x55\x00\x00\x01\x85\xa6", "", ErrNone},
		{"something that begins the same", "PROXA", "", ErrNone},
		{"half a signature and something else", "\r\n\r\nQUIT", "", ErrNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			header := []byte(test.header)
			source, size, err := Parse(append(header, "\x55\x00\x00\x01 what follows"...))
			if test.err == nil && size != len(header) {
				t.Errorf("%d bytes, want %d", size, len(header))
			}
			want := netip.AddrPort{}
			if test.source != "" {
				want = netip.MustParseAddrPort(test.source)
			}
			if !errors.Is(err, test.err) || source != want {
				t.Errorf("%v, %v; want %v, %v", source, err, want, test.err)
			}
			for n := range header {
				source, size, err := Parse(header[:n])
				if test.err == nil && err != ErrIncomplete || err == nil || size != 0 || source.IsValid() {
					t.Fatalf("the first %d bytes: %v, %d, %v", n, source, size, err)
				}
			}
		})
	}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	none := netip.AddrPort{}
	for _, test := range []struct{ name, source, destination, want string }{
		{"IPv4", "10.0.0.1:1", "10.0.0.2:3306", "10.0.0.1:1"},
		{"IPv6", "[fd00::1]:1", "[fd00::2]:3306", "[fd00::1]:1"},
		{"IPv4 to IPv6", "10.0.0.1:1", "[fd00::2]:3306", "10.0.0.1:1"},
		{"IPv6 to IPv4", "[fd00::1]:1", "10.0.0.2:3306", "[fd00::1]:1"},
		{"IPv4 mapped to IPv6", "[::ffff:10.0.0.1]:0", "10.0.0.2:3306", "10.0.0.1:0"},
		{"IPv4 to a UNIX socket", "10.0.0.1:1", "", "10.0.0.1:1"},
		{"IPv6 to a UNIX socket", "[fd00::1]:1", "", "[fd00::1]:1"},
		{"from nobody", "", "10.0.0.2:3306", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			parse := func(s string) netip.AddrPort {
				if s == "" {
					return none
				}
				return netip.MustParseAddrPort(s)
			}
			p := Append([]byte("before"), parse(test.source), parse(test.destination))
			source, size, err := Parse(p[6:])
			if err != nil || source != parse(test.want) || size != len(p)-6 {
				t.Errorf("%q: %v, %d, %v", p, source, size, err)
			}
		})
	}
}

func TestSuspect(t *testing.T) {
	for p, want := range map[string]bool{
		"PROX": true, "PROXY TCP4 ": true, "\r\n\r\n": true, "\r\n\r\n\x00\r\nQUIT\n!": true,
		"PRO": false, "PROX!": false, "\x55\x00\x00\x01": false, "\r\n\r\nQ": false,
	} {
		if got := Suspect([]byte(p)); got != want {
			t.Errorf("%q: %v", p, got)
		}
	}
}

// FuzzParse: a header is what it is whatever follows it and in however many
// pieces it comes.
func FuzzParse(f *testing.F) {
	f.Add([]byte("PROXY TCP4 10.0.0.1 192.168.1.2 4660 1234\r\nabc"), 10)
	f.Add([]byte("PROXY UNKNOWN\r\n"), 14)
	f.Add([]byte(v2(0x21, 0x11, 19, ends4+"\x04\x00\x04abcd")), 20)
	f.Add([]byte(v2(0x21, 0x21, 36, ends6)), 3)
	f.Add([]byte(v2(0x20, 0x00, 0, "x")), 15)
	f.Fuzz(func(t *testing.T, p []byte, cut int) {
		source, size, err := Parse(p)
		switch {
		case err != nil && (size != 0 || source.IsValid()):
			t.Fatalf("%v, %d beside %v", source, size, err)
		case err == nil && (size <= 0 || size > len(p) || size > MaxSize):
			t.Fatalf("size %d of %d", size, len(p))
		case errors.Is(err, ErrIncomplete) && len(p) >= MaxSize:
			t.Fatalf("%d bytes are not enough", len(p))
		}
		if err == nil {
			again, n, err := Parse(p[:size])
			if again != source || n != size || err != nil {
				t.Fatalf("without what follows: %v, %d, %v", again, n, err)
			}
			if source.IsValid() {
				back, _, err := Parse(Append(nil, source, netip.AddrPort{}))
				if back != source || err != nil {
					t.Fatalf("written and read: %v, %v", back, err)
				}
			}
			if cut > 0 && cut < size {
				if _, _, err := Parse(p[:cut]); err != ErrIncomplete {
					t.Fatalf("the first %d bytes: %v", cut, err)
				}
			}
		}
	})
}
