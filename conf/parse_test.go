package conf

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// golden compares got with a file in testdata, or rewrites that file.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-), got (+); go test -rewrite accepts it:\n%s", file, diff)
	}
}

func lines(problems []Problem) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func TestEveryBadFileIsRefusedWithItsMessage(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.toml")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files, error %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".toml"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, problems := Parse(filepath.Base(file), text, noEnv)
			if cfg != nil || !Fatal(problems) {
				t.Error("accepted")
			}
			golden(t, strings.TrimSuffix(file, ".toml")+".err", lines(problems))
		})
	}
}

func TestAMinimalFileIsCompletedByDefaults(t *testing.T) {
	cfg := parseFile(t, "testdata/good/minimal.toml", noEnv)
	want := Default()
	want.Admin.Password = NewSecret("s3cret")
	want.Users = []User{{Name: "app", Password: NewSecret("pw"), Plugin: "auto", Consistency: "global", TLS: "any"}}
	want.Backends = []Backend{{Address: "192.168.1.150:3306", Role: RolePrimary, MaxLag: time.Second, Compression: "off", TLS: TLS{Mode: "off"}}}
	want.Monitor.Username, want.Monitor.Password = "app", NewSecret("pw")
	if diff := cmp.Diff(want, cfg, cmpPrefix); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestAFullFileIsReadToTheLastKey(t *testing.T) {
	env := func(name string) (string, bool) { return "from env", name == "TELAMON_ADMIN_PASSWORD" }
	cfg := parseFile(t, "testdata/good/full.toml", env)
	want := &Config{
		Instance: "shop-1",
		NodeID:   7,
		Proxy: Proxy{
			Listen:                []string{"127.0.0.1:1234", "[::1]:1234", "unix:/run/telamon/telamon.sock"},
			ListenWrite:           []string{"127.0.0.1:1235"},
			ListenRead:            []string{"127.0.0.1:1236"},
			MaxConnections:        100,
			ConnectTimeout:        1500 * time.Millisecond,
			WriteTimeout:          30 * time.Second,
			ServerVersion:         "8.0.40-telamon",
			MaxPreparedStatements: 1000,
			Allow:                 mustNetworks("192.168.1.0/24", "10.0.0.0/8", "fd00::/8", "172.16.0.1/32"),
			LBIPs:                 mustNetworks("192.168.1.1/32"),
			Compression:           []string{"zlib"},
			TLS:                   TLS{Mode: "off"},
		},
		Admin: Admin{
			Listen: "127.0.0.1:2345", Username: "dba", Password: NewSecret("from env"), HTTPUsername: "admin",
		},
		Auth: Auth{Source: "config", Recheck: time.Second},
		Users: []User{
			{Name: "app", Password: NewSecret("Xp29at5F37"), Plugin: "auto", Consistency: "session", TLS: "any"},
			{Name: "report", Password: NewSecret("r3port"), Plugin: "auto", MaxConnections: 10, Consistency: "off", TLS: "any"},
		},
		Backends: []Backend{
			{Address: "192.168.1.150:3306", Role: RolePrimary, MaxLag: time.Second, Compression: "off", TLS: TLS{Mode: "off"}},
			{
				Address: "db2.example.com:3306", Role: RoleReplica, Weight: 5, MaxConnections: 300,
				MaxLag: 2 * time.Second, Tags: []string{"report"}, Compression: "zstd", TLS: TLS{Mode: "off"},
			},
			{Address: "[fd00::3]:3306", Role: RoleAuto, Weight: 1, Compression: "off", TLS: TLS{Mode: "off"}},
		},
		Monitor: Monitor{
			Username: "telamon_monitor", Password: NewSecret("env:x"),
			Interval: 250 * time.Millisecond, Timeout: time.Second, Fall: 2, Rise: 2,
		},
		Maintenance: Maintenance{MaxLag: 500 * time.Millisecond, Hold: 3 * time.Second},
		Consistency: Consistency{NoPrimary: "error"},
		Routing: Routing{
			NoReplica:   "error",
			ReadOnlyTrx: "primary",
			Sticky:      Sticky{By: "none", For: 20 * time.Second},
			Rules: []Rule{
				{Name: "reports", User: "report", Match: "(?i)^select .* from `audit", Route: "tag:report", Timeout: 30 * time.Second},
				{Name: "one", Match: "x", Route: "backend:[fd00::3]:3306"},
				{Name: "old-word", Route: "primary"},
			},
		},
		Pool:  Pool{MaxIdle: 50, IdleTimeout: 10 * time.Minute, MaxLifetime: time.Hour, WaitTimeout: 2 * time.Second, MaxPreparedStatements: 16},
		Guard: Guard{DMLWithoutWhere: "allow", DeniedFunctions: []string{"sleep"}},
		HA:    HA{Mode: "off"},
		Log:   Log{Level: "warn", Format: "json", Path: "/var/log/telamon/telamon.log", SQL: "off", SQLSlow: 10 * time.Millisecond},
	}
	if diff := cmp.Diff(want, cfg, cmpPrefix); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func parseFile(t *testing.T, file string, env func(string) (string, bool)) *Config {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, problems := Parse(file, text, env)
	if cfg == nil {
		t.Fatalf("problems:\n%s", lines(problems))
	}
	return cfg
}

func TestEnvironmentVariables(t *testing.T) {
	tests := []struct {
		name  string
		env   map[string]string
		check func(*Config) any
		want  any
	}{
		{
			"an integer overrides the file",
			map[string]string{"TELAMON_PROXY_MAX_CONNECTIONS": "10"},
			func(c *Config) any { return c.Proxy.MaxConnections }, 10,
		},
		{
			"a duration is written as in the file",
			map[string]string{"TELAMON_POOL_WAIT_TIMEOUT": "300ms"},
			func(c *Config) any { return c.Pool.WaitTimeout }, 300 * time.Millisecond,
		},
		{
			"a boolean may be 0 or 1 too",
			map[string]string{"TELAMON_MAINTENANCE_ENABLED": "0"},
			func(c *Config) any { return c.Maintenance.Enabled }, false,
		},
		{
			"a list is comma separated",
			map[string]string{"TELAMON_PROXY_LISTEN": "127.0.0.1:1, 127.0.0.1:2"},
			func(c *Config) any { return c.Proxy.Listen }, []string{"127.0.0.1:1", "127.0.0.1:2"},
		},
		{
			"an empty variable empties a list",
			map[string]string{"TELAMON_GUARD_DENIED_FUNCTIONS": ""},
			func(c *Config) any { return c.Guard.DeniedFunctions }, []string(nil),
		},
		{
			"networks are parsed",
			map[string]string{"TELAMON_PROXY_ALLOW": "192.168.1"},
			func(c *Config) any { return c.Proxy.Allow.String() }, "192.168.1.0/24",
		},
		{
			"a key of the top level has no section",
			map[string]string{"TELAMON_INSTANCE": "b"},
			func(c *Config) any { return c.Instance }, "b",
		},
		{
			"a key of a nested table has both names",
			map[string]string{"TELAMON_ROUTING_STICKY_FOR": "5s"},
			func(c *Config) any { return c.Routing.Sticky.For }, 5 * time.Second,
		},
		{
			"a secret may name another variable",
			map[string]string{"TELAMON_ADMIN_PASSWORD": "env:OTHER", "OTHER": "deep"},
			func(c *Config) any { return c.Admin.Password.Reveal() }, "deep",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			env := func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }
			cfg, problems := Parse("t.toml", []byte(minimal), env)
			if cfg == nil {
				t.Fatalf("problems:\n%s", lines(problems))
			}
			if diff := cmp.Diff(test.want, test.check(cfg)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestAProblemWithAVariableNamesTheVariable(t *testing.T) {
	vars := map[string]string{
		"TELAMON_PROXY_MAX_CONNECTIONS": "many",
		"TELAMON_PROXY_ALLOW":           "10.0.0.0/8,x",
		"TELAMON_HA_MODE":               "quorum",
	}
	env := func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
	cfg, problems := Parse("t.toml", []byte(minimal+"[proxy]\nmax_connections = 1\n"), env)
	if cfg != nil {
		t.Error("accepted")
	}
	want := `environment: ha.mode: TELAMON_HA_MODE: "quorum" is not supported by this version; only "off" is
environment: proxy.allow[1]: TELAMON_PROXY_ALLOW: "x" is neither an address, a network such as 10.0.0.0/8, nor an Atlas prefix such as 192.168.1
environment: proxy.max_connections: TELAMON_PROXY_MAX_CONNECTIONS: must be a whole number, is "many"
`
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Errorf("want (-), got (+):\n%s", diff)
	}
}

func TestProblemsPrintWhatIsKnown(t *testing.T) {
	tests := []struct {
		name string
		p    Problem
		want string
	}{
		{
			"with line and key",
			Problem{File: "file.toml", Line: 12, Path: "backends[1].weight", Msg: "must be between 0 and 1000, is -3"},
			"file.toml:12: backends[1].weight: must be between 0 and 1000, is -3",
		},
		{"without line", Problem{File: "f", Path: "users", Msg: "m"}, "f: users: m"},
		{"without key", Problem{File: "f", Line: 3, Msg: "m"}, "f:3: m"},
		{"as a warning", Problem{File: "f", Path: "k", Msg: "m", Warning: true}, "f: warning: k: m"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := test.p.String(); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestWarningsDoNotPreventUse(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{
			"a user without password",
			strings.Replace(minimal, `password = "pw"`, "", 1),
			`t.toml:3: warning: users[0].password: is empty: whoever reaches the port can log in as "app"` + "\n",
		},
		{
			"Atlas's console password beyond loopback",
			strings.Replace(minimal, `admin.password = "s3cret"`, `admin = { listen = "0.0.0.0:2345", password = "pwd" }`, 1),
			"t.toml:2: warning: admin.password: is one that everybody tries, and the console listens on 0.0.0.0:2345\n",
		},
		{
			"Atlas's console password on loopback is nobody's business",
			strings.Replace(minimal, `s3cret`, `pwd`, 1), "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg, problems := Parse("t.toml", []byte(test.text), noEnv)
			if cfg == nil {
				t.Error("refused")
			}
			if got := lines(problems); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNoConsoleNeedsNoPassword(t *testing.T) {
	mustParse(t, strings.Replace(minimal, `admin.password = "s3cret"`, `admin.listen = ""`, 1))
}

func TestTheKernelMayChooseEveryPort(t *testing.T) {
	mustParse(t, strings.Replace(minimal, `admin.password = "s3cret"`,
		"admin = { listen = \"127.0.0.1:0\", http = \"127.0.0.1:0\", password = \"x\" }\nproxy.listen = [\"127.0.0.1:0\"]", 1))
}

func TestConsistencyIsGlobalUnlessTheUserSaysOtherwise(t *testing.T) {
	for value, want := range map[string]string{
		"": "global", `consistency = "global"`: "global", `consistency = "session"`: "session", `consistency = "off"`: "off",
	} {
		cfg := mustParse(t, strings.Replace(minimal, `name = "app"`, "name = \"app\"\n"+value, 1))
		if got := cfg.Users[0].Consistency; got != want {
			t.Errorf("%q gives %q, want %q", value, got, want)
		}
	}
}

func TestSuggestionsAreNearAndKnown(t *testing.T) {
	known := []field{{name: "listen"}, {name: "max_connections"}, {name: "allow"}}
	tests := []struct{ name, key, want string }{
		{"a swapped pair", "lisetn", `unknown key; did you mean "listen"?`},
		{"another case", "Listen", `unknown key; did you mean "listen"?`},
		{"a missing letter", "max_conections", `unknown key; did you mean "max_connections"?`},
		{"a key of other tables", "slow_start", "unknown key here; it belongs in [maintenance]"},
		{"nothing like it", "zzzzzzz", "unknown key"},
		{"a very long one", strings.Repeat("x", 1000), "unknown key"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := unknownKey("proxy", test.key, known); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestSplitAddress(t *testing.T) {
	for address, want := range map[string][2]string{
		"127.0.0.1:1234":         {"tcp", "127.0.0.1:1234"},
		"[::1]:1234":             {"tcp", "[::1]:1234"},
		"unix:/run/telamon.sock": {"unix", "/run/telamon.sock"},
		"db.example.com:3306":    {"tcp", "db.example.com:3306"},
	} {
		network, addr := SplitAddress(address)
		if got := [2]string{network, addr}; got != want {
			t.Errorf("%s: got %v, want %v", address, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(minimal)
	f.Add(Reference())
	f.Add(commentedOut.ReplaceAllString(Reference(), "$1"))
	f.Add("[mysql-proxy]\npwds = a:b\n")
	for _, pattern := range []string{"testdata/bad/*.toml", "testdata/good/*.toml"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			if text, err := os.ReadFile(file); err == nil {
				f.Add(string(text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, problems := Parse("fuzz.toml", []byte(text), noEnv)
		if (cfg == nil) != Fatal(problems) {
			t.Errorf("configuration %v with problems %v", cfg, problems)
		}
		for _, p := range problems {
			if p.Msg == "" || p.Line > strings.Count(text, "\n")+1 {
				t.Errorf("problem %+v", p)
			}
		}
		if cfg != nil {
			if changes := Diff(cfg, cfg); changes != nil {
				t.Errorf("differs from itself: %v", changes)
			}
		}
	})
}
