package wire_test

import (
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"github.com/telamondb/telamon/wire"
)

// flavours are the servers whose payloads lie in testdata/messages.
var flavours = []string{"mariadb", "mysql"}

// golden returns the payloads in testdata/messages/name.txt by their names.
func golden(t testing.TB, name string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/messages/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	payloads := make(map[string][]byte)
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		key, digits, ok := strings.Cut(strings.TrimSpace(line), "\t")
		b, err := hex.DecodeString(digits)
		if !ok || err != nil {
			t.Fatalf("%s: %q: %v", name, line, err)
		}
		payloads[key] = b
	}
	return payloads
}

// addGolden seeds a fuzz target with the payloads of both flavours whose name
// begins with prefix.
func addGolden(f *testing.F, prefix string, add func([]byte)) {
	for _, flavour := range flavours {
		for name, b := range golden(f, flavour) {
			if strings.HasPrefix(name, prefix) {
				add(b)
			}
		}
	}
}

// Capabilities the payloads were captured with.
const (
	baseCaps = wire.LongPassword | wire.LongFlag | wire.Protocol41 | wire.Transactions |
		wire.SecureConnection | wire.PluginAuth | wire.MultiStatements | wire.MultiResults | wire.PSMultiResults
	trackedCaps = baseCaps | wire.SessionTrack
	extCaps     = (trackedCaps | wire.DeprecateEOF | wire.MariaDBProgress | wire.MariaDBStmtBulk |
		wire.MariaDBExtMetadata | wire.MariaDBCacheMetadata) &^ wire.LongPassword
)
