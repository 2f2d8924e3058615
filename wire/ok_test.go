package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

const updateInfo = "Rows matched: 1  Changed: 1  Warnings: 0"

func TestOKOfRealServers(t *testing.T) {
	for _, c := range []struct {
		name string
		caps wire.Capability
		want wire.OK
	}{
		{"OK login untracked", baseCaps, wire.OK{Status: wire.Autocommit}},
		{"OK update info untracked", baseCaps, wire.OK{AffectedRows: 1, Status: wire.Autocommit, Info: []byte(updateInfo)}},
		{"OK update info tracked", trackedCaps, wire.OK{AffectedRows: 1, Status: wire.Autocommit, Info: []byte(updateInfo)}},
		{"OK insert big", baseCaps, wire.OK{AffectedRows: 1, LastInsertID: 70000, Status: wire.Autocommit}},
		{"OK use tracked", trackedCaps, wire.OK{Status: wire.Autocommit | wire.SessionStateChange, Info: []byte{}, SessionChanges: []byte("\x01\x06\x05mysql")}},
		{"deof end", trackedCaps | wire.DeprecateEOF, wire.OK{Status: wire.Autocommit}},
	} {
		for _, flavour := range flavours {
			t.Run(c.name+" of "+flavour, func(t *testing.T) {
				p := golden(t, flavour)[c.name]
				if !wire.IsOK(p, c.caps) {
					t.Error("not recognised")
				}
				got, err := wire.ParseOK(p, c.caps)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if b := got.Append(nil, p[0], c.caps); !bytes.Equal(b, p) {
					t.Errorf("appends as\n%x, want\n%x", b, p)
				}
			})
		}
	}
}

// Whatever a server sent is appended again byte by byte for the same capabilities.
func TestEveryOKOfRealServersComesBack(t *testing.T) {
	for _, flavour := range flavours {
		n := 0
		for name, p := range golden(t, flavour) {
			if !strings.HasPrefix(name, "OK ") {
				continue
			}
			n++
			caps := trackedCaps
			if strings.Contains(name, "untracked") || strings.Contains(name, "big") {
				caps = baseCaps
			}
			ok, err := wire.ParseOK(p, caps)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if b := ok.Append(nil, 0, caps); !bytes.Equal(b, p) {
				t.Errorf("%s appends as\n%x, want\n%x", name, b, p)
			}
		}
		if n < 14 {
			t.Errorf("%s: only %d packets", flavour, n)
		}
	}
}

// MINEFIELD H29.
func TestOKForClientsWithoutSessionTrack(t *testing.T) {
	ok, err := wire.ParseOK(golden(t, "mariadb")["OK use tracked"], trackedCaps)
	if err != nil {
		t.Fatal(err)
	}
	ok.Info = []byte("info")
	b := ok.Append(nil, 0, baseCaps)
	if want := "\x00\x00\x00\x02\x00\x00\x00\x04info"; string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
	if ok.SessionChanges == nil || !ok.Status.Has(wire.SessionStateChange) {
		t.Error("Append has changed the value")
	}
	ok.Info = nil
	if b := ok.Append(nil, 0xfe, baseCaps); string(b) != "\xfe\x00\x00\x02\x00\x00\x00" {
		t.Errorf("without info: %q", b)
	}
}

func TestOKFlagAndBlockOfSessionChangesGoTogether(t *testing.T) {
	for name, ok := range map[string]wire.OK{
		"flag without block": {Status: wire.SessionStateChange | wire.Autocommit},
		"block without flag": {Status: wire.Autocommit, SessionChanges: []byte("\x01\x02\x01x")},
	} {
		if b := ok.Append(nil, 0, trackedCaps); string(b) != "\x00\x00\x00\x02\x00\x00\x00" {
			t.Errorf("%s: %q", name, b)
		}
	}
	both := wire.OK{Status: wire.SessionStateChange, SessionChanges: []byte("\x01\x02\x01x")}
	if b := both.Append(nil, 0, trackedCaps); string(b) != "\x00\x00\x00\x00\x40\x00\x00\x00\x04\x01\x02\x01x" {
		t.Errorf("both: %q", b)
	}
}

// Servers send a length although the manual says there is none; read either.
func TestOKInfoWithoutSessionTrackIsReadWithAndWithoutLength(t *testing.T) {
	for name, info := range map[string]string{"with": "\x04info", "without": "info"} {
		ok, err := wire.ParseOK([]byte("\x00\x00\x00\x02\x00\x00\x00"+info), baseCaps)
		if err != nil || string(ok.Info) != "info" {
			t.Errorf("%s: %q, %v", name, ok.Info, err)
		}
	}
}

// Status 0x4000 from a server without SessionTrack brings no block.
func TestOKWithStateFlagButWithoutSessionTrack(t *testing.T) {
	ok, err := wire.ParseOK([]byte("\x00\x00\x00\x02\x40\x00\x00"), baseCaps)
	if err != nil || ok.SessionChanges != nil {
		t.Fatalf("%+v, %v", ok, err)
	}
}

func TestOKTruncatedIsMalformed(t *testing.T) {
	for _, flavour := range flavours {
		p := golden(t, flavour)["OK set names tracked"]
		for i := range p {
			ok, err := wire.ParseOK(p[:i], trackedCaps)
			// Cut behind the warnings or the info nothing is missing but what the
			// flag announces, which MariaDB 10.11 does leave out.
			if !errors.Is(err, wire.ErrMalformed) && i != 7 && i != 8 {
				t.Errorf("%s cut to %d bytes: %+v, %v", flavour, i, ok, err)
			}
		}
	}
	for _, p := range []string{"", "\x01\x00\x00\x02\x00\x00\x00", "\xff\x00\x00\x02\x00\x00\x00", "\x00\xfb\x00\x02\x00\x00\x00", "\x00\x00\xff\x02\x00\x00\x00"} {
		if _, err := wire.ParseOK([]byte(p), baseCaps); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%q: %v", p, err)
		}
	}
}

func TestIsOKTellsRowsFromTheEndOfRows(t *testing.T) {
	row := make([]byte, wire.MaxPayload) // MINEFIELD P06: the first column has 16 MiB or more
	row[0] = 0xfe
	for _, c := range []struct {
		name string
		p    []byte
		caps wire.Capability
		want bool
	}{
		{"nothing", nil, baseCaps, false},
		{"header 0x00", []byte("\x00\x00\x00\x02\x00\x00\x00"), baseCaps, true},
		{"header 0xfe with DEPRECATE_EOF", []byte("\xfe\x00\x00\x02\x00\x00\x00"), wire.DeprecateEOF, true},
		{"header 0xfe without", []byte("\xfe\x00\x00\x02\x00"), baseCaps, false},
		{"a long row", row, wire.DeprecateEOF, false},
		{"a column count", []byte{1}, wire.DeprecateEOF, false},
	} {
		if got := wire.IsOK(c.p, c.caps); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestOKAndItsChangesAreReadWithoutAllocating(t *testing.T) {
	p := golden(t, "mysql")["OK set trackall"]
	n := testing.AllocsPerRun(100, func() {
		ok, err := wire.ParseOK(p, trackedCaps)
		if err != nil {
			t.Fatal(err)
		}
		changes := 0
		for c := wire.NewChanges(ok.SessionChanges); c.Next(); {
			changes += len(c.Change().Value)
		}
		if changes == 0 {
			t.Fatal("no changes")
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzOK(f *testing.F) {
	addGolden(f, "OK ", func(b []byte) { f.Add(b, uint64(trackedCaps)) })
	addGolden(f, "deof", func(b []byte) { f.Add(b, uint64(baseCaps)) })
	f.Fuzz(func(t *testing.T, p []byte, bits uint64) {
		caps := wire.Capability(bits)
		wire.IsOK(p, caps)
		ok, err := wire.ParseOK(p, caps)
		if err != nil {
			return
		}
		again, err := wire.ParseOK(ok.Append(nil, p[0], caps), caps)
		if err != nil {
			t.Fatalf("%+v does not read back: %v", ok, err)
		}
		if len(ok.SessionChanges) == 0 {
			ok.Status &^= wire.SessionStateChange
		}
		if again.Status != ok.Status || again.AffectedRows != ok.AffectedRows || again.LastInsertID != ok.LastInsertID ||
			again.Warnings != ok.Warnings || !bytes.Equal(again.Info, ok.Info) || !bytes.Equal(again.SessionChanges, ok.SessionChanges) {
			t.Fatalf("%+v reads back as %+v", ok, again)
		}
	})
}
