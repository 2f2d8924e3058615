//go:build integration

package integration

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
	"github.com/telamondb/telamon/wire/compress"
)

// zstdLogin is a login whose end is what matters: the attributes, and behind
// them the level that goes with CLIENT_ZSTD_COMPRESSION_ALGORITHM (protocol doc
// "Protocol::HandshakeResponse41").
type zstdLogin struct {
	name  string
	flags wire.Capability // ConnectAttrs, Compress, ZstdCompress
	end   string          // everything behind the plugin's name
	seen  string          // the attributes that a server has then, "-" if that does not matter
}

const compressions = wire.Compress | wire.ZstdCompress

// attributeBlock are attributes as they lie in a login, with their length.
func attributeBlock(pairs ...string) string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = wire.AppendAttribute(b, pairs[i], pairs[i+1])
	}
	return string(wire.AppendLenencBytes(nil, b))
}

// zstdLogins are well-formed and malformed ends of a login.
func zstdLogins() []zstdLogin {
	const attrs, zstd = wire.ConnectAttrs, wire.ZstdCompress
	const two = "program_name=h32,level=22"
	some := attributeBlock("program_name", "h32", "level", "22")
	long := strings.Repeat("x", 300)
	return []zstdLogin{
		{"attributes and a level", attrs | zstd, some + "\x03", two},
		{"attributes and the least level", attrs | zstd, some + "\x01", two},
		{"attributes and the highest level", attrs | zstd, some + "\x16", two},
		{"no attributes and a level", attrs | zstd, "\x00\x03", ""},
		{"a level alone", zstd, "\x03", ""},
		{"a level that would be the length of attributes", zstd, "\x04\x01a\x01b", ""},
		{"long attributes and a level", attrs | zstd, attributeBlock("program_name", "h32", "long", long) + "\x07", "program_name=h32,long=" + long},
		{"zlib too, and a level", attrs | zstd | wire.Compress, some + "\x03", two},
		{"zlib too, and a level there is not", attrs | zstd | wire.Compress, some + "\x63", two},
		{"zlib, and a level nobody announced", attrs | wire.Compress, some + "\x03", two},
		{"no compression, and a level nobody announced", attrs, some + "\x03", two},
		{"neither, and a level nobody announced", 0, "\x03", ""},
		{"attributes and a level of 0", attrs | zstd, some + "\x00", "-"},
		{"attributes and a level of 23", attrs | zstd, some + "\x17", "-"},
		{"attributes and a level of 255", attrs | zstd, some + "\xff", "-"},
		{"a level of 0 alone", zstd, "\x00", "-"},
		{"a level of 23 alone", zstd, "\x17", "-"},
		{"attributes and no level", attrs | zstd, some, "-"},
		{"neither attributes nor level", zstd, "", "-"},
		{"announced attributes that are not there, and a level", attrs | zstd, "\x03", "-"},
		{"attributes cut short by a byte", attrs | zstd, some[:len(some)-1], "-"},
	}
}

// greetedCompression is what is offered at an address.
func greetedCompression(t *testing.T, addr string) wire.Capability {
	t.Helper()
	c, g := helloFrom(t, addr)
	defer c.nc.Close()
	return g.Capabilities & compressions
}

// login logs in as the application's account and returns what was said, and the
// attributes of the connection by which a server has answered.
func (z zstdLogin) login(t *testing.T, addr string) (said []string, attributes string) {
	t.Helper()
	c, g := helloFrom(t, addr)
	defer c.nc.Close()
	x := auth.ClientExchange{Password: localserver.AppPassword}
	h := appLogin(g)
	h.AuthPlugin, h.AuthResponse = x.Start(g.AuthPlugin, g.Salt[:])
	h.Capabilities &^= wire.ConnectAttrs
	p := h.Append(nil)
	binary.LittleEndian.PutUint32(p, uint32(h.Capabilities|z.flags))
	c.caps = (h.Capabilities | z.flags) & g.Capabilities
	c.write(loginPacket(append(p, z.end...)))
	c.seq = 2
	c.exchange(&x)
	if n := len(c.said); n == 0 || !strings.Contains(c.said[n-1], "OK") {
		c.closes()
		return c.said, ""
	}
	c.frame()
	c.query("SELECT 'still in step'")
	return c.said, ask(t, c, "/*master*/ SELECT "+attributesOfMine)
}

// attributesOfMine are a connection's own, in the only place where a server shows
// them. MariaDB has that switched off unless told otherwise.
const attributesOfMine = "COALESCE(GROUP_CONCAT(CONCAT(ATTR_NAME, '=', ATTR_VALUE) ORDER BY ORDINAL_POSITION), '') FROM performance_schema.session_account_connect_attrs WHERE PROCESSLIST_ID = CONNECTION_ID()"

// frame puts what follows into the frames that have been agreed on.
func (c *rawClient) frame() {
	algorithm, ok := compress.Negotiated(c.caps)
	if !ok {
		return
	}
	frames := compress.Client(c.nc, algorithm)
	c.r.Reset(frames)
	c.w = commandFrames{frames}
}

// commandFrames counts the frames of each command from 0.
type commandFrames struct{ *compress.Conn }

func (f commandFrames) Write(b []byte) (int, error) {
	f.StartCommand()
	return f.Conn.Write(b)
}

// TestH32TheLevelBehindTheAttributes: what the end of a login says, and what a
// server makes of one that is not as it should be, for everything that can be
// offered. A server sees the attributes of whoever logs in there, which is Telamon
// where the login went through it, and nothing of a level among them.
func TestH32TheLevelBehindTheAttributes(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].Settings = `compression = "zstd"`
		}
		p := suite.StartProxy(t, cfg)
		const variable = "protocol_compression_algorithms"
		mysql := c.Primary.Flavour() == localserver.MySQL
		if mysql {
			t.Cleanup(func() { _ = c.Primary.Exec(context.Background(), "SET GLOBAL "+variable+" = DEFAULT") })
		}
		offers := []struct {
			proxy, server string // settings
			flags         wire.Capability
		}{
			{`["zlib", "zstd"]`, "zlib,zstd,uncompressed", wire.Compress | wire.ZstdCompress},
			{`["zlib"]`, "zlib,uncompressed", wire.Compress},
			{`["zstd"]`, "zstd,uncompressed", wire.ZstdCompress},
			{`[]`, "uncompressed", 0},
		}
		if !mysql { // which has no say in what it offers, and nothing of zstd
			offers = offers[:1]
			offers[0].flags = wire.Compress
		}
		for _, offer := range offers {
			t.Run("offered "+offer.proxy, func(t *testing.T) {
				if mysql {
					if err := c.Primary.Exec(t.Context(), "SET GLOBAL "+variable+" = '"+offer.server+"'"); err != nil {
						t.Fatal(err)
					}
				}
				if got := greetedCompression(t, c.Primary.Addr()); got != offer.flags {
					t.Fatalf("the server offers %#x, want %#x", got, offer.flags)
				}
				next := p.Config()
				next.Settings["proxy"] = "compression = " + offer.proxy
				reload(t, p, next)
				harness.Eventually(t, 10*time.Second, func(context.Context) error {
					if got := greetedCompression(t, p.Addr()); got != offer.flags {
						return fmt.Errorf("offered is %#x, want %#x", got, offer.flags)
					}
					return nil
				})
				for _, z := range zstdLogins() {
					t.Run(z.name, func(t *testing.T) { z.compare(t, c, p.Addr(), offer.flags) })
				}
			})
		}
	})
}

// compare logs in both ways. What a client asks for that it is not offered is not
// compared: MySQL 9.7 compresses all the same, Telamon does not.
func (z zstdLogin) compare(t *testing.T, c *localserver.Cluster, through string, offered wire.Capability) {
	mysql := c.Primary.Flavour() == localserver.MySQL
	got, told := z.login(t, through)
	in := slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "still in step") })
	if in && mysql && !strings.HasSuffix(told, ",program_name=telamon main") {
		t.Errorf("the server has %q as Telamon's attributes", told)
	}
	if mysql && z.flags&compressions&^offered != 0 {
		if z.seen != "-" && !in && !offered.Has(wire.ZstdCompress) {
			t.Errorf("%q", got)
		}
		return
	}
	direct, sent := z.login(t, c.Primary.Addr())
	if d := cmp.Diff(direct, got); d != "" {
		t.Errorf("not as directly (-direct +through the proxy):\n%s", d)
	}
	if mysql && z.seen != "-" && sent != z.seen {
		t.Errorf("the server has %q as the client's attributes, want %q", sent, z.seen)
	}
}
