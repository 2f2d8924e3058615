package wire_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

func TestColumnsOfRealServers(t *testing.T) {
	id := wire.ColumnDef{Schema: "t1", Table: "a", OrgTable: "a", Name: "id", OrgName: "id",
		Collation: 63, Length: 11, Type: wire.TypeLong, Flags: 0x4203}
	for _, c := range []struct {
		flavour, name string
		caps          wire.Capability
		want          wire.ColumnDef
	}{
		{"mariadb", "text column", baseCaps, id},
		{"mysql", "text column", baseCaps, id},
		{"mysql", "text column 3", baseCaps, wire.ColumnDef{Name: "lit", Collation: 45, Length: 4, Type: wire.TypeVarString, Flags: wire.FlagNotNull, Decimals: 31}},
		{"mariadb", "text column 4", baseCaps, wire.ColumnDef{Name: "n", Collation: 63, Type: wire.TypeNull, Flags: wire.FlagBinary}},
		{"mariadb", "ext column", extCaps, wire.ColumnDef{Schema: "t1", Table: "x", OrgTable: "x", Name: "i", OrgName: "i",
			Extended: "\x00\x05inet6", Collation: 45, Length: 156, Type: wire.TypeString, Flags: 0xa0}},
		{"mariadb", "ext column 2", extCaps, wire.ColumnDef{Schema: "t1", Table: "x", OrgTable: "x", Name: "j", OrgName: "j",
			Extended: "\x01\x04json", Collation: 45, Length: 1<<32 - 1, Type: wire.TypeBlob, Flags: 0x90}},
	} {
		t.Run(c.name+" of "+c.flavour, func(t *testing.T) {
			p := golden(t, c.flavour)[c.name]
			var got wire.ColumnDef
			if err := got.Parse(p, c.caps); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if b := got.Append(nil, c.caps); !bytes.Equal(b, p) {
				t.Errorf("appends as\n%x, want\n%x", b, p)
			}
		})
	}
}

// MINEFIELD H30: extended metadata must not leak to those who did not ask for it.
func TestColumnLeavesOutExtendedMetadata(t *testing.T) {
	var c wire.ColumnDef
	if err := c.Parse(golden(t, "mariadb")["ext column"], extCaps); err != nil {
		t.Fatal(err)
	}
	if b := c.Append(nil, baseCaps); bytes.Contains(b, []byte("inet6")) {
		t.Errorf("%q", b)
	}
}

// COM_FIELD_LIST sends the default value behind the definition.
func TestColumnWithDefaultValueBehindIt(t *testing.T) {
	for _, flavour := range flavours {
		for name, p := range golden(t, flavour) {
			if !strings.HasPrefix(name, "fieldlist") || wire.IsEOF(p) {
				continue
			}
			var c wire.ColumnDef
			if err := c.Parse(p, baseCaps); err != nil || c.Table != "a" || len(c.Name) == 0 {
				t.Errorf("%s of %s: %+v, %v", name, flavour, c, err)
			}
		}
	}
}

func TestColumnTruncatedAnywhereIsMalformed(t *testing.T) {
	p := golden(t, "mysql")["text column"]
	for i := range p {
		c := wire.ColumnDef{Name: "before"}
		if err := c.Parse(p[:i], baseCaps); !errors.Is(err, wire.ErrMalformed) || c.Name != "before" {
			t.Errorf("cut to %d bytes: %v, %+v", i, err, c)
		}
	}
}

func FuzzColumnDef(f *testing.F) {
	addGolden(f, "text column", func(b []byte) { f.Add(b, false) })
	addGolden(f, "ext column", func(b []byte) { f.Add(b, true) })
	f.Fuzz(func(t *testing.T, p []byte, ext bool) {
		var caps wire.Capability
		if ext {
			caps = wire.MariaDBExtMetadata
		}
		var c, again wire.ColumnDef
		if c.Parse(p, caps) != nil {
			return
		}
		if err := again.Parse(c.Append(nil, caps), caps); err != nil || again != c {
			t.Fatalf("%+v reads back as %+v, %v", c, again, err)
		}
	})
}
