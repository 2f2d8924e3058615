package conf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestAtlasFilesAreTranslated(t *testing.T) {
	files, err := filepath.Glob("testdata/atlas/*.cnf")
	if err != nil || len(files) < 2 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, notes, err := ImportAtlas(text)
			if err != nil {
				t.Fatal(err)
			}
			base := strings.TrimSuffix(file, ".cnf")
			golden(t, base+".toml", string(got))
			golden(t, base+".notes", strings.Join(notes, "\n")+"\n")
		})
	}
}

func TestTheFileAtlasShipsIsLoadedAsItIs(t *testing.T) {
	cfg, problems := Load("testdata/atlas/test.cnf", noEnv)
	if cfg == nil {
		t.Fatalf("refused:\n%s", lines(problems))
	}
	want := Default()
	want.Instance = "test"
	want.Proxy.Listen = []string{"0.0.0.0:1234"}
	want.Admin.Listen = "0.0.0.0:2345"
	want.Admin.Password = NewSecret("pwd")
	want.Users = []User{
		{Name: "user1", Password: NewSecret("user1"), Plugin: "auto", Consistency: "global", TLS: "any"},
		{Name: "user2", Password: NewSecret("user2"), Plugin: "auto", Consistency: "global", TLS: "any"},
	}
	want.Backends = []Backend{{Address: "127.0.0.1:3306", Role: RolePrimary, MaxLag: time.Second, Compression: "off", TLS: TLS{Mode: "off"}}}
	want.Monitor.Username, want.Monitor.Password = "user1", NewSecret("user1")
	want.Log.Path = "/usr/local/mysql-proxy/log/test.log"
	if diff := cmp.Diff(want, cfg, cmpPrefix); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestTheNameOfAnAtlasFileIsItsInstance(t *testing.T) {
	path := filepath.Join(t.TempDir(), "shop.cnf")
	writeMode(t, path, "[mysql-proxy]\nadmin-password = x\npwds = a:+jKsgB3YAG8=\nlog-path = /var/log\n", 0o600)
	cfg, problems := Load(path, noEnv)
	if cfg == nil {
		t.Fatalf("refused:\n%s", lines(problems))
	}
	if cfg.Instance != "shop" || cfg.Log.Path != "/var/log/shop.log" {
		t.Errorf("instance %q, log %q", cfg.Instance, cfg.Log.Path)
	}
}

func TestProblemsOfAnAtlasFileHaveItsLines(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{
			"a bad value",
			"[mysql-proxy]\nadmin-password=x\npwds=a:+jKsgB3YAG8=\nwait-timeout = soon\n",
			`:4: proxy.wait_timeout: must be a duration with its unit, such as "500ms", "10s" or "8h", is "soons"`,
		},
		{
			"a bad weight",
			"[mysql-proxy]\nadmin-password=x\npwds=a:+jKsgB3YAG8=\n\nproxy-read-only-backend-addresses=10.0.0.1:3306@much\n",
			`:5: backends[1].weight: must be a whole number, is "much"`,
		},
		{
			"a password that is not encrypted",
			"[mysql-proxy]\nadmin-password=x\npwds=a:secret\n",
			":3: users[0].password: " + errNotAtlas.Error(),
		},
		{
			"sub-tables, which would break every statement on them",
			"[mysql-proxy]\nadmin-password=x\npwds=a:+jKsgB3YAG8=\ntables=person.mt.id.3\n",
			":4: tables: sub-tables are not supported: statements would name tables that do not exist",
		},
		{
			"a client network that is none",
			"[mysql-proxy]\nadmin-password=x\npwds=a:+jKsgB3YAG8=\nclient-ips = 127.0.0.1, 10\n",
			`:4: proxy.allow[1]: "10" is neither an address, a network such as 10.0.0.0/8, nor an Atlas prefix such as 192.168.1`,
		},
		{
			"a line that is no option",
			"[mysql-proxy]\nadmin-password\n",
			": line 2 is neither a [group], a comment nor option = value",
		},
		{
			"nothing at all",
			"[mysql-proxy]\n",
			": is not an Atlas configuration: there is nothing in the group [mysql-proxy]",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.cnf")
			writeMode(t, path, test.text, 0o600)
			cfg, problems := Load(path, noEnv)
			if cfg != nil {
				t.Error("accepted")
			}
			var fatal []Problem
			for _, p := range problems {
				if !p.Warning {
					fatal = append(fatal, p)
				}
			}
			if got := lines(fatal); got != path+test.want+"\n" {
				t.Errorf("got  %swant %s", got, path+test.want)
			}
		})
	}
}

func TestAtlasFilesAreRecognizedByTheirGroup(t *testing.T) {
	for text, want := range map[string]bool{
		"[mysql-proxy]\n": true,
		"\ufeff# comment\r\n\r\n [mysql-proxy] \r\n": true,
		"; comment\n[mysql-proxy]":                   true,
		"instance = \"x\"\n[mysql-proxy]\n":          false,
		"[proxy]\n":                                  false,
		"":                                           false,
	} {
		if got := isAtlas([]byte(text)); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
	}
}

// FuzzImportAtlas checks that whatever is translated is TOML.
func FuzzImportAtlas(f *testing.F) {
	for _, file := range []string{"testdata/atlas/test.cnf", "testdata/atlas/all.cnf"} {
		if text, err := os.ReadFile(file); err == nil {
			f.Add(string(text))
		}
	}
	f.Add("[mysql-proxy]\ninstance=\xff\"\\\x00\npwds=a:b,:,\n")
	f.Fuzz(func(t *testing.T, text string) {
		out, _, err := ImportAtlas([]byte(text))
		if err != nil {
			return
		}
		var m map[string]any
		if _, err := toml.Decode(string(out), &m); err != nil {
			t.Errorf("%v:\n%s", err, out)
		}
	})
}
