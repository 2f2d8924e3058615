package wire_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

func TestGreetingsOfRealServers(t *testing.T) {
	for _, c := range []struct {
		flavour string
		want    wire.HandshakeV10
		mariadb bool
		version string
	}{
		{"mariadb", wire.HandshakeV10{
			ServerVersion: "5.5.5-10.11.19-MariaDB-0+deb12u1-log",
			ConnectionID:  7,
			Salt:          [20]byte([]byte(`0*#l{G/U@{o:pJ\rHQ?'`)),
			Capabilities:  0x81fffffe | 0x1d<<32,
			Collation:     45,
			Status:        wire.Autocommit,
			AuthPlugin:    "mysql_native_password",
		}, true, "10.11.19-MariaDB-0+deb12u1-log"},
		{"mysql", wire.HandshakeV10{
			ServerVersion: "9.7.4-2",
			ConnectionID:  16,
			Salt:          [20]byte([]byte("[0b)~9\x0d\x19(_\x19%\x08v~\x0bkP\x17|")),
			Capabilities:  0xdfffffff,
			Collation:     255,
			Status:        wire.Autocommit,
			AuthPlugin:    "caching_sha2_password",
		}, false, "9.7.4-2"},
	} {
		t.Run(c.flavour, func(t *testing.T) {
			p := golden(t, c.flavour)["greeting"]
			var got wire.HandshakeV10
			if err := got.Parse(p); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("greeting (-want +got):\n%s", diff)
			}
			if b := got.Append(nil); !bytes.Equal(b, p) {
				t.Errorf("appends as\n%x, want\n%x", b, p)
			}
			if got.IsMariaDB() != c.mariadb || got.Version() != c.version {
				t.Errorf("MariaDB %v, version %q", got.IsMariaDB(), got.Version())
			}
		})
	}
}

func TestGreetingFlavourAndVersion(t *testing.T) {
	for _, c := range []struct {
		version string
		caps    wire.Capability
		mariadb bool
		want    string
	}{
		{"5.5.5-10.6.1-MariaDB", 0, true, "10.6.1-MariaDB"},
		{"11.8.2-MariaDB", 0, true, "11.8.2-MariaDB"},
		{"11.8.2-MariaDB", wire.LongPassword, true, "11.8.2-MariaDB"},
		{"5.5.5-m3", wire.LongPassword, true, "5.5.5-m3"}, // MySQL's milestone, which nobody runs
		{"5.5.62-log", wire.LongPassword, false, "5.5.62-log"},
		{"8.4.0", wire.LongPassword, false, "8.4.0"},
		{"", wire.LongPassword, false, ""},
	} {
		h := wire.HandshakeV10{ServerVersion: c.version, Capabilities: c.caps}
		if h.IsMariaDB() != c.mariadb || h.Version() != c.want {
			t.Errorf("%q: MariaDB %v, version %q", c.version, h.IsMariaDB(), h.Version())
		}
	}
}

// MINEFIELD H30: clients read the bytes only while LongPassword is clear.
func TestGreetingHidesExtendedCapabilitiesFromThoseWhoTakeItForMySQL(t *testing.T) {
	h := wire.HandshakeV10{Capabilities: wire.LongPassword | wire.Protocol41 | wire.MariaDBExtMetadata}
	p := h.Append(nil)
	var got wire.HandshakeV10
	if err := got.Parse(p); err != nil {
		t.Fatal(err)
	}
	if got.Capabilities != wire.LongPassword|wire.Protocol41 {
		t.Errorf("capabilities %x", uint64(got.Capabilities))
	}
	if bytes.Contains(p, []byte{byte(wire.MariaDBExtMetadata >> 32), 0, 0, 0}) {
		t.Error("the bits are on the wire")
	}
}

func TestGreetingLeavesThePluginOutWithoutPluginAuth(t *testing.T) {
	h := wire.HandshakeV10{ServerVersion: "x", Capabilities: wire.Protocol41 | wire.SecureConnection | wire.LongPassword, AuthPlugin: "ignored"}
	p := h.Append(nil)
	if len(p) != 1+2+4+8+1+2+1+2+2+1+10+13 || p[25] != 0 {
		t.Fatalf("%x", p)
	}
	h.AuthPlugin = ""
	var got wire.HandshakeV10
	if err := got.Parse(p); err != nil || got != h {
		t.Fatalf("%+v, %v", got, err)
	}
}

func TestGreetingTruncatedAnywhereIsAnError(t *testing.T) {
	for _, flavour := range flavours {
		p := golden(t, flavour)["greeting"]
		plugin := bytes.LastIndexByte(p[:len(p)-1], 0) + 1
		for i := range plugin {
			got := wire.HandshakeV10{ConnectionID: 99}
			if err := got.Parse(p[:i]); !errors.Is(err, wire.ErrMalformed) || got.ConnectionID != 99 {
				t.Fatalf("%s cut to %d bytes: %v, %+v", flavour, i, err, got)
			}
		}
	}
}

func TestGreetingOfOtherProtocolsIsRefused(t *testing.T) {
	pre41 := wire.HandshakeV10{Capabilities: wire.LongPassword}
	for name, p := range map[string][]byte{
		"protocol version 9":  []byte("\x093.20.0\x00\x00\x00\x00\x00saltsalt\x00"),
		"an ERR packet":       []byte("\xff\x10\x04Too many connections"),
		"without PROTOCOL_41": pre41.Append(nil),
		"text":                []byte("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
	} {
		var h wire.HandshakeV10
		if err := h.Parse(p); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzHandshakeV10(f *testing.F) {
	addGolden(f, "greeting", func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, p []byte) {
		var h, again wire.HandshakeV10
		if h.Parse(p) != nil {
			return
		}
		if err := again.Parse(h.Append(nil)); err != nil || again != h {
			t.Fatalf("%+v reads back as %+v, %v", h, again, err)
		}
	})
}
