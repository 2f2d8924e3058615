package localproxy

import (
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

func TestTOML(t *testing.T) {
	cfg := Config{
		Listen: "127.0.0.1:1", Console: "127.0.0.1:2", HTTP: "127.0.0.1:3",
		Backends: []Backend{{Address: "127.0.0.1:4", Role: "rw"}, {Address: "127.0.0.1:5", Role: "ro", Weight: 5, MaxLag: "3s"}},
		Settings: map[string]string{
			"":            `instance = "test"`,
			"proxy":       "max_connections = 7",
			"maintenance": `hold = "1s"`,
			"pool":        "max_idle = 3",
		},
	}
	text := cfg.TOML()
	var got map[string]any
	if _, err := toml.Decode(text, &got); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got["instance"] != "test" || got["proxy"].(map[string]any)["max_connections"] != int64(7) ||
		got["maintenance"].(map[string]any)["hold"] != "1s" || got["pool"].(map[string]any)["max_idle"] != int64(3) ||
		len(got["backends"].([]map[string]any)) != 2 || len(got["users"].([]map[string]any)) != 2 {
		t.Errorf("decoded %v from\n%s", got, text)
	}
	if again := cfg.TOML(); again != text {
		t.Errorf("a second call differs:\n%s", strings.TrimSpace(again))
	}
}
