package conf

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/certs"
)

// writePair puts a self-signed certificate and its key into dir.
func writePair(t *testing.T, dir string, r certs.Request) {
	t.Helper()
	pair, err := certs.SelfSigned(r)
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	writeMode(t, filepath.Join(dir, "cert.pem"), string(pair.CertPEM()), 0o644)
	writeMode(t, filepath.Join(dir, "key.pem"), string(key), 0o600)
}

const encrypted = `
[proxy.tls]
mode = "preferred"
cert = "cert.pem"
key = "key.pem"
ca = "cert.pem"
`

func TestCertificatesAreReadBesideTheFile(t *testing.T) {
	dir := t.TempDir()
	writePair(t, dir, certs.Request{Name: "telamon"})
	cfg, problems := Parse(filepath.Join(dir, "telamon.toml"), []byte(completed(encrypted)), noEnv)
	if cfg == nil || len(problems) > 0 {
		t.Fatal(lines(problems))
	}
	f := cfg.Proxy.TLS.Files
	if f.Certificate == nil || f.Certificate.Leaf.Subject.CommonName != "telamon" || f.Authorities == nil {
		t.Errorf("read %+v", f)
	}
}

func TestFilesAreNotReadWhileTLSIsOff(t *testing.T) {
	text := strings.Replace(encrypted, "preferred", "off", 1)
	cfg, problems := Parse(filepath.Join(t.TempDir(), "telamon.toml"), []byte(completed(text)), noEnv)
	if cfg == nil || len(problems) > 0 {
		t.Fatal(lines(problems))
	}
}

func TestACertificateNearItsEndIsWorthAWarning(t *testing.T) {
	for _, c := range []struct {
		name     string
		from, to time.Duration
		want     string // after the position; empty = nothing
	}{
		{"long before its end", -time.Hour, 31 * day, ""},
		{"a month before its end", -time.Hour, 29 * day, "the certificate ends on "},
		{"after its end", -2 * time.Hour, -time.Hour, "the certificate ended on "},
		{"before its beginning", time.Hour, 100 * day, "the certificate is valid only from "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			writePair(t, dir, certs.Request{Name: "telamon", NotBefore: time.Now().Add(c.from), NotAfter: time.Now().Add(c.to)})
			cfg, problems := Parse(filepath.Join(dir, "telamon.toml"), []byte(completed(encrypted)), noEnv)
			if cfg == nil {
				t.Fatalf("refused: %s", lines(problems))
			}
			want := ""
			if c.want != "" {
				want = fmt.Sprintf("%s/telamon.toml:4: warning: proxy.tls.cert: %s", dir, c.want)
			}
			if got := lines(problems); !strings.HasPrefix(got, want) || (want == "") != (got == "") {
				t.Errorf("got %q, want %q...", got, want)
			}
		})
	}
}

func TestAReplacedCertificateIsAChange(t *testing.T) {
	dir := t.TempDir()
	load := func(end time.Time) *Config {
		writePair(t, dir, certs.Request{Name: "telamon", NotAfter: end})
		cfg, problems := Parse(filepath.Join(dir, "telamon.toml"), []byte(completed(encrypted)), noEnv)
		if cfg == nil {
			t.Fatal(lines(problems))
		}
		return cfg
	}
	end := time.Date(2090, 1, 2, 3, 4, 5, 0, time.UTC)
	before := load(end)
	if changes := Diff(before, before); len(changes) > 0 {
		t.Errorf("changes without any: %v", changes)
	}
	changes := Diff(before, load(end.AddDate(1, 0, 0)))
	if len(changes) != 1 || !strings.HasPrefix(changes[0].String(), "proxy.tls.cert: CN=telamon until 2090-01-02, SHA-256 ") ||
		!strings.Contains(changes[0].New, "CN=telamon until 2091-01-02") || changes[0].Restart {
		t.Errorf("changes %v", changes)
	}
}
