package conf

import (
	"strings"
	"testing"
)

func TestSettingsNameEveryKeyOnceAndMaskSecrets(t *testing.T) {
	cfg, problems := Parse("t.toml", []byte(`
[admin]
password = "topsecret"
[pool]
max_idle = 7
[[users]]
name = "app"
password = "alsosecret"
[[backends]]
address = "127.0.0.1:3306"
role = "rw"
`), func(string) (string, bool) { return "", false })
	if Fatal(problems) {
		t.Fatal(problems)
	}
	seen := map[string]Setting{}
	for _, s := range Settings(cfg) {
		if _, twice := seen[s.Path]; twice {
			t.Errorf("%s is listed twice", s.Path)
		}
		seen[s.Path] = s
		if strings.Contains(s.Value, "secret") {
			t.Errorf("%s shows %q", s.Path, s.Value)
		}
	}
	if s := seen["pool.max_idle"]; s.Value != "7" || s.Default || s.Restart {
		t.Errorf("pool.max_idle: %+v", s)
	}
	if s := seen["pool.idle_timeout"]; !s.Default {
		t.Errorf("pool.idle_timeout: %+v", s)
	}
	if s := seen["admin.listen"]; !s.Restart {
		t.Errorf("admin.listen: %+v", s)
	}
	if s, ok := seen["backends[127.0.0.1:3306].weight"]; !ok || s.Value != "0" {
		t.Errorf("backend weight: %+v", s)
	}
}
