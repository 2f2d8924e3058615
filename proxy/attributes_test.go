package proxy

import (
	"strings"
	"testing"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// takeAttributes makes the plain form of a command out of one with query
// attributes, if the connection has them, and keeps the value of the attribute.
// There may be one, a string; parameters are strings.
func (c *fakeConn) takeAttributes(cmd wire.Command, arg []byte) []byte {
	if !c.Capabilities.Has(wire.QueryAttributes) {
		return arg
	}
	switch {
	case cmd == wire.ComQuery:
		c.attribute = ""
		rest, none := strings.CutPrefix(string(arg), wire.NoAttributes)
		if !none {
			_, n := wire.ReadLenencBytes(arg[6:])
			value, m := wire.ReadLenencBytes(arg[6+n:])
			c.attribute, rest = string(value), string(arg[6+n+m:])
		}
		return []byte(rest)
	case cmd == wire.ComStmtExecute && arg[4]&wire.AttributesAvailable != 0:
		c.attribute = ""
		count := int(arg[9])
		arg[4] &^= wire.AttributesAvailable
		plain := append([]byte(nil), arg[:9]...)
		if count == 0 {
			return plain
		}
		nulls, rest := arg[10:10+(count+7)/8], arg[10+(count+7)/8:]
		plain = append(plain, nulls...)
		plain = append(plain, rest[0])
		bound := rest[0] == 1
		rest = rest[1:]
		isAttribute := false
		for range count {
			if !bound {
				break
			}
			name, n := wire.ReadLenencBytes(rest[2:])
			if isAttribute = len(name) > 0; !isAttribute {
				plain = append(plain, rest[:2]...)
			}
			rest = rest[2+n:]
		}
		for i := range count {
			v, n := wire.ReadLenencBytes(rest)
			if i == count-1 && isAttribute {
				c.attribute = string(v)
			} else {
				plain = append(plain, rest[:n]...)
			}
			rest = rest[n:]
		}
		return plain
	}
	return arg
}

// attributed is the block of one attribute.
func attributed(value string) string {
	return "\x01\x01\x00\x01\xfe\x00\x01n" + string(wire.AppendLenencString(nil, value))
}

var withAttributes = wiretest.Credentials{Capabilities: wiretest.Capabilities&^(wire.FoundRows|wire.NoSchema|wire.IgnoreSpace|wire.Interactive) | wire.QueryAttributes}

// asked sends a command and returns the only row.
func (c *client) asked(cmd wire.Command, arg string) []string {
	c.t.Helper()
	if err := c.Command(cmd, arg); err != nil {
		c.t.Fatal(err)
	}
	if cmd == wire.ComStmtExecute {
		rows, err := c.binaryResult()
		if err != nil {
			c.t.Fatalf("%q: %v", arg, err)
		}
		return texts(rows[0])
	}
	var row []string
	b, err := c.packet()
	if err != nil {
		c.t.Fatalf("%q: %v", arg, err)
	}
	columns := int(b[0])
	for range columns {
		if _, err := c.packet(); err != nil {
			c.t.Fatal(err)
		}
	}
	if b, err = c.packet(); err != nil {
		c.t.Fatal(err)
	}
	fields, err := wire.ParseTextRow(nil, b, columns)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range fields {
		row = append(row, string(f))
	}
	if _, err := c.packet(); err != nil {
		c.t.Fatal(err)
	}
	return row
}

func TestQueryAttributesReachServersThatKnowThem(t *testing.T) {
	r := newRig(t, func(s *setup) { s.oldReplicas = true })
	c := r.login(withAttributes)
	for _, step := range []struct {
		block string
		inTrx bool
		want  string
	}{
		{attributed("one"), true, "P one"},
		{attributed("two"), false, "A "},
		{wire.NoAttributes, false, "A "},
		{wire.NoAttributes, true, "P "},
	} {
		if step.inTrx {
			c.ok(wire.ComQuery, attributed("begin")+"BEGIN")
		}
		if got := strings.Join(c.asked(wire.ComQuery, step.block+"SELECT server, attribute FROM t"), " "); got != step.want {
			t.Errorf("%q: %q, want %q", step.block, got, step.want)
		}
		if step.inTrx {
			c.ok(wire.ComQuery, wire.NoAttributes+"COMMIT")
		}
	}
	c.errs(wire.CodeMalformedPacket, wire.ComQuery, "\x00\x02SELECT 1")
	c.errs(wire.CodeMalformedPacket, wire.ComQuery, "SELECT 1")
	if got := c.asked(wire.ComQuery, wire.NoAttributes+"SELECT server"); got[0] == "" {
		t.Error("the session does not go on")
	}
}

func TestExecutionsWithAttributesRunOnAnyServer(t *testing.T) {
	r := newRig(t, func(s *setup) { s.oldReplicas = true })
	c := r.login(withAttributes)
	st := c.prepare("SELECT server, attribute, ? FROM t")
	const (
		flag    = "\x08\x01\x00\x00\x00"
		typed   = "\x02\x00\x01\xfd\x00\x00\xfe\x00\x01n\x01x\x03abc"
		alone   = "\x01\x00\x01\xfd\x00\x00\x01y"
		untyped = "\x01\x00\x00\x01z"
	)
	for _, step := range []struct {
		arg, want string
		inTrx     bool
	}{
		{flag + typed, "A  x", false},
		{flag + alone, "A  y", false},
		{flag + untyped, "A  z", false},
		{flag + untyped, "P  z", true},
		{flag + typed, "P abc x", true},
		{flag + untyped, "P  z", true},
		{flag + untyped, "A  z", false},
	} {
		if step.inTrx {
			if ok := c.ok(wire.ComQuery, wire.NoAttributes+"BEGIN"); !ok.Status.Has(wire.InTrans) {
				t.Fatal("no transaction")
			}
		}
		if got := strings.Join(c.asked(wire.ComStmtExecute, idBytes(st.id)+step.arg), " "); got != step.want {
			t.Errorf("%q: %q, want %q", step.arg, got, step.want)
		}
		if step.inTrx {
			c.ok(wire.ComQuery, wire.NoAttributes+"COMMIT")
		}
	}
}
