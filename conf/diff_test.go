package conf

import (
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	const replica = "[[backends]]\naddress = \"[fd00::2]:3306\"\nrole = \"ro\"\nweight = 5\ntags = [\"a\"]\n"
	const second = "[[users]]\nname = \"second\"\npassword = \"pw2\"\n"
	const monitor = "[monitor]\nusername = \"probe\"\n"
	tests := []struct {
		name     string
		old, new string
		want     []Change
	}{
		{"nothing", minimal, "# a comment\n" + minimal, nil},
		{"a default that is spelled out", minimal, minimal + "[pool]\nmax_idle = 50\n[proxy]\nallow = []\n", nil},
		{
			"a live key", minimal, minimal + "[pool]\nwait_timeout = \"5s\"\n",
			[]Change{{Path: "pool.wait_timeout", Old: `"2s"`, New: `"5s"`}},
		},
		{
			"keys that need a restart", minimal, "instance = \"b\"\n" + minimal + "[proxy]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n",
			[]Change{
				{Path: "instance", Old: `"main"`, New: `"b"`, Restart: true},
				{Path: "proxy.listen", Old: `["127.0.0.1:1234"]`, New: `["127.0.0.1:1", "127.0.0.1:2"]`, Restart: true},
			},
		},
		{
			"networks", minimal, minimal + "[proxy]\nallow = [\"192.168.1\", \"10.0.0.1\"]\n",
			[]Change{{Path: "proxy.allow", Old: `[]`, New: `["192.168.1.0/24", "10.0.0.1"]`}},
		},
		{
			"a password, which is not shown", minimal + monitor, strings.Replace(minimal, `"pw"`, `"other"`, 1) + monitor,
			[]Change{{Path: "users[app].password", Old: `"***"`, New: `"***"`}},
		},
		{
			"the first user, who probes", minimal, strings.Replace(minimal, `"pw"`, `"other"`, 1),
			[]Change{
				{Path: "users[app].password", Old: `"***"`, New: `"***"`},
				{Path: "monitor.password", Old: `"***"`, New: `"***"`},
			},
		},
		{
			"a backend more", minimal, minimal + replica,
			[]Change{{Path: "backends[[fd00::2]:3306]", New: `role = "ro", weight = 5, tags = ["a"]`}},
		},
		{
			"a backend less", minimal + replica, minimal,
			[]Change{{Path: "backends[[fd00::2]:3306]", Old: `role = "ro", weight = 5, tags = ["a"]`}},
		},
		{
			"a weight", minimal + replica, minimal + strings.Replace(replica, "5", "7", 1),
			[]Change{{Path: "backends[[fd00::2]:3306].weight", Old: "5", New: "7"}},
		},
		{
			"the order of backends", minimal + replica, strings.Replace(minimal, "[[backends]]", replica+"[[backends]]", 1),
			[]Change{{
				Path: "backends",
				Old:  `["192.168.1.150:3306", "[fd00::2]:3306"]`, New: `["[fd00::2]:3306", "192.168.1.150:3306"]`,
			}},
		},
		{
			"another user in front changes no order", minimal + monitor, strings.Replace(minimal, "[[users]]", second+"[[users]]", 1) + monitor,
			[]Change{{Path: "users[second]", New: `password = "***"`}},
		},
		{
			"a rule without any setting", minimal, minimal + "[[routing.rules]]\nname = \"a\"\n",
			[]Change{{Path: "routing.rules[a]", New: "all defaults"}},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := Diff(mustParse(t, test.old), mustParse(t, test.new))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
			for _, c := range got {
				if text := c.String(); strings.Contains(text, "pw") || c.Restart != strings.Contains(text, "restart") {
					t.Errorf("prints as %s", text)
				}
			}
		})
	}
}

func TestDiffSeesEveryKey(t *testing.T) {
	paths, _ := leaves(reflect.ValueOf(Default()).Elem(), "")
	for _, path := range paths {
		a, b := oneOfEach(), oneOfEach()
		parts := strings.Split(path, ".")
		v := reflect.ValueOf(b).Elem()
		isName := false
		for _, part := range parts {
			for i, f := range fields(v) {
				if f.name == part {
					isName = i == 0 && v.Type() != reflect.TypeFor[Config]()
					v = f.v
					break
				}
			}
			if isTables(v.Type()) {
				v = v.Index(0)
			}
		}
		alter(v)
		changes := Diff(a, b)
		// Another name is another entry: one goes, one comes.
		if isName && keyOf[path].required && len(changes) == 2 {
			continue
		}
		if len(changes) != 1 || withoutIndexes(changes[0].Path) != path || changes[0].Restart != keyOf[path].restart {
			t.Errorf("%s: %v", path, changes)
		}
	}
}

// oneOfEach is a configuration with one entry in every list.
func oneOfEach() *Config {
	cfg := Default()
	cfg.Users = []User{{Name: "u"}}
	cfg.Backends = []Backend{{Address: "a"}}
	cfg.Routing.Rules = []Rule{{Name: "r"}}
	return cfg
}

// alter gives v another value than it has.
func alter(v reflect.Value) {
	switch value := v.Interface().(type) {
	case string:
		v.SetString(value + "x")
	case bool:
		v.SetBool(!value)
	case []string:
		v.Set(reflect.ValueOf(append([]string{"x"}, value...)))
	case Networks:
		v.Set(reflect.ValueOf(mustNetworks("10.0.0.0/8")))
	case Secret:
		v.Set(reflect.ValueOf(NewSecret("x")))
	default:
		v.SetInt(v.Int() + 1)
	}
}
