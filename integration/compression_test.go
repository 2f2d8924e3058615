//go:build integration

package integration

import (
	"bytes"
	"compress/zlib"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// compressionFlag is what stands for each way to talk.
var compressionFlag = map[string]wire.Capability{"off": 0, "zlib": wire.Compress, "zstd": wire.ZstdCompress}

// compressionsOf are those that a flavour knows.
func compressionsOf(flavour localserver.Flavour) []string {
	if flavour == localserver.MariaDB {
		return []string{"off", "zlib"}
	}
	return []string{"off", "zlib", "zstd"}
}

// startCompressing starts a proxy that compresses towards the servers.
func startCompressing(t *testing.T, c *localserver.Cluster, algorithm string, change func(*localproxy.Config)) *localproxy.Proxy {
	t.Helper()
	cfg := harness.ProxyConfig(c)
	for i := range cfg.Backends {
		cfg.Backends[i].Settings = fmt.Sprintf("compression = %q", algorithm)
	}
	cfg.Settings["guard"] = "denied_functions = []"
	if change != nil {
		change(&cfg)
	}
	return suite.StartProxy(t, cfg)
}

// TestH31CompressionOnEachSideByItself is every combination of what clients and
// servers do with a login with and without a change of the plugin (H13), with
// COM_CHANGE_USER, COM_RESET_CONNECTION, and payloads from a byte to 20 MB.
func TestH31CompressionOnEachSideByItself(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		harness.Exec(t, c, "DROP TABLE IF EXISTS app.packed", "CREATE TABLE app.packed (id INT AUTO_INCREMENT PRIMARY KEY, v LONGBLOB)")
		for _, backend := range compressionsOf(c.Primary.Flavour()) {
			p := startCompressing(t, c, backend, nil)
			for _, client := range compressionsOf(c.Primary.Flavour()) {
				for _, plugin := range []string{"", auth.ClearPassword} {
					t.Run(fmt.Sprintf("client %s, server %s, plugin %s", client, backend, plugin), func(t *testing.T) {
						l := login{flags: compressionFlag[client] | wire.MultiStatements | wire.LocalFiles | wire.FoundRows, plugin: plugin}
						cl := &packedClient{plain(t, p.Addr(), l), t}
						if cl.Framed() != (client != "off") {
							t.Fatalf("agreed on %v", cl.Capabilities)
						}
						cl.everything(backend)
						for range 2 {
							if err := cl.changeUser(localserver.AppUser, localserver.AppSchema); err != nil {
								t.Fatal(err)
							}
							cl.everything(backend)
						}
						if err := cl.command(wire.ComResetConnection, ""); err != nil {
							t.Fatal(err)
						}
						cl.everything(backend)
						if plugin == "" {
							cl.large()
						}
						if err := cl.quit(); err != nil {
							t.Error(err)
						}
					})
				}
			}
		}
	})
}

// packedClient is a plain client that fails its test when something is not as
// it should be.
type packedClient struct {
	*plainClient
	t *testing.T
}

func (c *packedClient) want(sql, want string) {
	c.t.Helper()
	got, err := c.ask(sql)
	if err != nil || got != want {
		c.t.Fatalf("%.100s: %.200q, %v; want %.200q", sql, got, err, want)
	}
}

// everything goes through what clients do, in small.
func (c *packedClient) everything(server string) {
	c.t.Helper()
	c.want("DELETE FROM packed WHERE id > 0", "ok")
	c.want("SHOW STATUS LIKE 'Compression'", "Compression,"+map[bool]string{true: "OFF", false: "ON"}[server == "off"])
	for _, n := range []int{1, 40, 50, 1000, 16 << 10, 100_000} {
		text := strings.Repeat("ab", n/2)
		c.want("SELECT '"+text+"', REPEAT('ab', "+fmt.Sprint(n/2)+")", text+","+text)
	}
	c.want("SELECT 1; SELECT 2, 'x'; SET @a = 3; SELECT @a", "1;2,x;ok;3")
	if _, err := c.ask("SELECT no_such_column"); errno(err) != 1054 {
		c.t.Fatal(err)
	}
	c.want("INSERT INTO packed VALUES (1, 'a'), (2, 'b')", "ok")
	r, err := c.Query("UPDATE packed SET v = 'a' WHERE id IN (1, 2) AND v = 'a'")
	if err != nil || r[0].Final.AffectedRows != 1 {
		c.t.Fatalf("FOUND_ROWS: %+v, %v", r, err)
	}
	c.prepared()
	c.infile()
}

// prepared uses commands without an answer.
func (c *packedClient) prepared() {
	c.t.Helper()
	fail := func(err error) {
		if err != nil {
			c.t.Helper()
			c.t.Fatal(err)
		}
	}
	fail(c.prepare("s", "SELECT CONCAT('<', ?, '>')"))
	fail(c.prepare("gone", "SELECT 1"))
	id := binary.LittleEndian.AppendUint32(nil, c.ids["s"])
	for _, part := range []string{"one", " and ", "two"} {
		fail(c.Command(wire.ComStmtSendLongData, string(id)+"\x00\x00"+part))
	}
	fail(c.Command(wire.ComStmtClose, string(binary.LittleEndian.AppendUint32(nil, c.ids["gone"]))))
	// One parameter, not NULL, of type VAR_STRING, given already.
	fail(c.Command(wire.ComStmtExecute, string(id)+"\x00\x01\x00\x00\x00\x00\x01\xfd\x00"))
	if _, err := c.Read(); err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Read(); err != nil {
		c.t.Fatal(err)
	}
	rows, _, err := c.binaryRows()
	if err != nil || rows != "<one and two>" {
		c.t.Fatalf("%q, %v", rows, err)
	}
	fail(c.Command(wire.ComStmtClose, string(id)))
}

// infile loads a file of more packets than there are sequence ids.
func (c *packedClient) infile() {
	c.t.Helper()
	if err := c.Command(wire.ComQuery, "SELECT 1; LOAD DATA LOCAL INFILE 'x' INTO TABLE packed (v); SELECT 2"); err != nil {
		c.t.Fatal(err)
	}
	var b []byte
	var err error
	for b, err = c.Read(); err == nil && b[0] != 0xfb; b, err = c.Read() {
		if wire.IsErr(b) {
			e, _ := wire.ParseErr(b)
			c.t.Fatal(e)
		}
	}
	for i := range 600 {
		if err = errors.Join(err, c.Send([]byte(fmt.Sprintf("line %d\n", i)))); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.Send(nil); err != nil {
		c.t.Fatal(err)
	}
	if b, err = c.Read(); err != nil || b[0] != 0 {
		c.t.Fatalf("%q, %v", b, err)
	}
	for range 4 { // count, column, row, end
		if _, err := c.Read(); err != nil {
			c.t.Fatal(err)
		}
	}
	c.want("SELECT COUNT(*), MAX(v) FROM packed WHERE v LIKE 'line%' FOR UPDATE", "600,line 99")
}

// large sends and receives what does not fit into one packet: text that shrinks
// to nothing, then noise that does not.
func (c *packedClient) large() {
	c.t.Helper()
	noise := make([]byte, 5<<20)
	random := rand.NewChaCha8([32]byte{7})
	_, _ = random.Read(noise)
	p := hex.AppendEncode(bytes.Repeat([]byte("x"), 10<<20), noise)
	c.want("REPLACE INTO packed VALUES (1000, '"+string(p)+"')", "ok")
	c.want("SELECT LENGTH(v), SHA2(v, 256) FROM packed WHERE id = 1000 FOR UPDATE", fmt.Sprintf("%d,%x", len(p), sha256.Sum256(p)))
	if got, err := c.ask("SELECT v FROM packed WHERE id = 1000 FOR UPDATE"); err != nil || got != string(p) {
		c.t.Fatalf("%d bytes of %d, %v", len(got), len(p), err)
	}
}

// TestP32BombsTakeLittleMemory lets clients and servers send what inflates a
// thousand times and more, and does not read the answers.
func TestP32BombsTakeLittleMemory(t *testing.T) {
	const (
		clients = 20
		most    = 150 << 20 // above what the proxy takes at rest; without limits it would be GBs
	)
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		algorithm := compressionsOf(c.Primary.Flavour())[len(compressionsOf(c.Primary.Flavour()))-1]
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].Settings = fmt.Sprintf("compression = %q", algorithm)
		}
		p := suite.StartProxyWithoutRace(t, cfg)
		grown := func(what string, do func()) {
			t.Helper()
			before, err := p.RSS()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.ResetPeakRSS(); err != nil {
				t.Fatal(err)
			}
			do()
			peak, err := p.PeakRSS()
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %d MB at rest, %d MB at the peak", what, before>>20, peak>>20)
			if peak-before > most {
				t.Errorf("%s: grown by %d MB", what, (peak-before)>>20)
			}
		}
		grown("servers", func() {
			for i := range clients {
				cl := plain(t, p.Addr(), login{})
				if err := cl.Command(wire.ComQuery, fmt.Sprintf("SELECT REPEAT('a', 60000000), %d", i)); err != nil {
					t.Fatal(err)
				}
				if _, err := cl.Read(); err != nil { // and nothing after it
					t.Fatal(err)
				}
			}
		})
		grown("clients", func() {
			bomb := bombOf(wire.MaxPayload)
			for range clients {
				cl := plain(t, p.Addr(), login{flags: wire.Compress})
				if _, err := cl.nc.Write(bomb); err != nil {
					t.Fatal(err)
				}
				if b, err := cl.Read(); err != nil || !wire.IsErr(b) && b[0] != 0 {
					t.Fatalf("%.60q, %v", b, err)
				}
			}
		})
	})
}

// bombOf is a frame with a statement of blanks, as large as a frame can be.
func bombOf(contents int) []byte {
	size := contents - wire.HeaderSize
	packet := append([]byte{byte(size), byte(size >> 8), byte(size >> 16), 0, byte(wire.ComQuery)}, bytes.Repeat([]byte(" "), size-1)...)
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	_, _ = w.Write(packet)
	_ = w.Close()
	n := b.Len()
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, byte(contents), byte(contents >> 8), byte(contents >> 16)}, b.Bytes()...)
}
