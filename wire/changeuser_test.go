package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

func TestChangeUserComesBackUnderAllLayouts(t *testing.T) {
	full := wire.ChangeUser{
		User: "app", AuthResponse: []byte("response"), Database: "shop", Collation: 305,
		AuthPlugin: "mysql_native_password", Attributes: wire.AppendAttribute(nil, "k", "v"),
	}
	flags := []wire.Capability{wire.SecureConnection, wire.PluginAuth, wire.ConnectAttrs, wire.PluginAuthLenenc}
	for bits := range 1 << len(flags) {
		caps := wire.Protocol41
		for i, f := range flags {
			if bits>>i&1 == 1 {
				caps |= f
			}
		}
		want := full
		if !caps.Has(wire.PluginAuth) {
			want.AuthPlugin = ""
		}
		if !caps.Has(wire.ConnectAttrs) {
			want.Attributes = nil
		}
		p := full.Append(nil, caps)
		var got wire.ChangeUser
		if err := got.Parse(p, caps); err != nil {
			t.Fatalf("%x: %v", uint64(caps), err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%x (-want +got):\n%s", uint64(caps), diff)
		}
	}
}

// The bytes that a raw client sent to MySQL 9.7.4 and MariaDB 10.11.19; bad is
// what both refused, or MySQL alone where the comment says so.
func TestChangeUserAsServersReadIt(t *testing.T) {
	const caps = baseCaps
	for _, c := range []struct {
		name string
		caps wire.Capability
		p    string
		want wire.ChangeUser
		bad  bool
	}{
		{"plain", caps, "\x11u\x00\x00\x00\x2d\x00p\x00", wire.ChangeUser{User: "u", Collation: 45, AuthPlugin: "p"}, false},
		{"one byte of auth length in spite of PLUGIN_AUTH_LENENC", caps | wire.PluginAuthLenenc,
			"\x11u\x00\xfb" + string(bytes.Repeat([]byte("r"), 0xfb)) + "d\x00\x2d\x00p\x00",
			wire.ChangeUser{User: "u", AuthResponse: bytes.Repeat([]byte("r"), 0xfb), Database: "d", Collation: 45, AuthPlugin: "p"}, false},
		{"collation above 255", caps, "\x11u\x00\x00\x00\x31\x01p\x00", wire.ChangeUser{User: "u", Collation: 305, AuthPlugin: "p"}, false},
		{"attributes", caps | wire.ConnectAttrs, "\x11u\x00\x00\x00\x2d\x00p\x00\x04\x01a\x01b",
			wire.ChangeUser{User: "u", Collation: 45, AuthPlugin: "p", Attributes: []byte("\x01a\x01b")}, false},
		{"plugin without NUL", caps, "\x11u\x00\x00\x00\x2d\x00p", wire.ChangeUser{User: "u", Collation: 45, AuthPlugin: "p"}, false}, // MariaDB
		{"no collation from an old client", caps &^ wire.PluginAuth, "\x11u\x00\x00\x00", wire.ChangeUser{User: "u"}, false},
		{name: "no collation", caps: caps, p: "\x11u\x00\x00\x00", bad: true},
		{name: "half a collation", caps: caps, p: "\x11u\x00\x00\x00\x2d", bad: true}, // MySQL
		{name: "plugin missing", caps: caps, p: "\x11u\x00\x00\x00\x2d\x00", bad: true},
		{name: "database without NUL", caps: caps, p: "\x11u\x00\x00t1", bad: true},
		{name: "database missing", caps: caps, p: "\x11u\x00\x00", bad: true},
		{name: "auth response too long", caps: caps, p: "\x11u\x00\x50abc\x00\x2d\x00", bad: true},
		{name: "user without NUL", caps: caps, p: "\x11u", bad: true},
		{name: "nothing", caps: caps, p: "\x11", bad: true},
		{name: "no command", caps: caps, p: "", bad: true},
		{name: "another command", caps: caps, p: "\x03u\x00\x00\x00\x2d\x00p\x00", bad: true},
		{name: "attributes missing", caps: caps | wire.ConnectAttrs, p: "\x11u\x00\x00\x00\x2d\x00p\x00", bad: true},
		{name: "attributes too long", caps: caps | wire.ConnectAttrs, p: "\x11u\x00\x00\x00\x2d\x00p\x00\x50", bad: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got wire.ChangeUser
			err := got.Parse([]byte(c.p), c.caps)
			if c.bad {
				if !errors.Is(err, wire.ErrMalformed) {
					t.Fatalf("got %v, want malformed", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(got.AuthResponse) == 0 {
				got.AuthResponse = nil
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func FuzzChangeUser(f *testing.F) {
	f.Add([]byte("\x11u\x00\x02ab\x00\x2d\x00p\x00\x04\x01a\x01b"), uint64(baseCaps|wire.ConnectAttrs))
	f.Add([]byte("\x11u\x00ab\x00\x00"), uint64(wire.Protocol41))
	f.Fuzz(func(t *testing.T, p []byte, bits uint64) {
		caps := wire.Capability(bits)
		var u, again wire.ChangeUser
		if u.Parse(p, caps) != nil {
			return
		}
		if err := again.Parse(u.Append(nil, caps), caps); err != nil {
			t.Fatalf("%+v does not read back: %v", u, err)
		}
		if diff := cmp.Diff(u, again); diff != "" {
			t.Fatalf("reads back differently:\n%s", diff)
		}
	})
}
