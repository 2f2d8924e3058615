package conf

import (
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// leaves returns the paths of all keys below a table, without indexes, with
// the values they have by default.
func leaves(table reflect.Value, path string) (paths []string, values map[string]reflect.Value) {
	values = map[string]reflect.Value{}
	var walk func(v reflect.Value, path string)
	walk = func(v reflect.Value, path string) {
		for _, f := range fields(v) {
			at := join(path, f.name)
			switch {
			case isTable(f.v.Type()):
				walk(f.v, at)
			case isTables(f.v.Type()):
				walk(defaultEntry(f.v.Type().Elem()), at)
			default:
				paths = append(paths, at)
				values[at] = f.v
			}
		}
	}
	walk(table, path)
	return paths, values
}

func TestEveryFieldOfConfigHasItsKey(t *testing.T) {
	want, _ := leaves(reflect.ValueOf(Default()).Elem(), "")
	inStruct := map[string]bool{}
	for _, path := range want {
		inStruct[path] = true
		if keyOf[path] == nil {
			t.Errorf("%s is a field of Config and not in keys", path)
		}
	}
	for _, k := range keys {
		if !inStruct[k.path] {
			t.Errorf("%s is in keys and not a field of Config", k.path)
		}
	}
	if len(keyOf) != len(keys) {
		t.Errorf("keys has %d entries, %d different ones", len(keys), len(keyOf))
	}
}

func TestUnsupportedNamesOnlyKeysAndTheirDefaults(t *testing.T) {
	_, defaults := leaves(reflect.ValueOf(Default()).Elem(), "")
	for path, only := range unsupported {
		v, ok := defaults[path]
		if !ok {
			t.Errorf("%s is no key", path)
		} else if got := format(v); got != only {
			t.Errorf("%s: the default is %s, but only %s is supported", path, got, only)
		}
	}
}

var (
	commentedOut = regexp.MustCompile(`(?m)^#([a-z_]+ = |\[)`)
	headerLine   = regexp.MustCompile(`^\[+([a-z_.]+)\]+$`)
	keyLine      = regexp.MustCompile(`^([a-z_]+) = (.*)$`)
)

// referenceEntry is one key as the reference file shows it.
type referenceEntry struct {
	path, value string
	comment     []string
}

func referenceEntries(t *testing.T) []referenceEntry {
	t.Helper()
	var entries []referenceEntry
	var comment []string
	table := ""
	for line := range strings.Lines(commentedOut.ReplaceAllString(Reference(), "$1")) {
		line = strings.TrimSuffix(line, "\n")
		switch m := keyLine.FindStringSubmatch(line); {
		case m != nil:
			entries = append(entries, referenceEntry{join(table, m[1]), m[2], comment})
			comment = nil
		case headerLine.MatchString(line):
			table = headerLine.FindStringSubmatch(line)[1]
			comment = nil
		case strings.HasPrefix(line, "# "):
			comment = append(comment, line)
		case line == "":
			comment = nil
		case line != "#":
			t.Errorf("neither key, table nor comment: %q", line)
		}
	}
	return entries
}

func TestTheReferenceDocumentsEveryKeyInOrder(t *testing.T) {
	var want, got []string
	for _, k := range keys {
		want = append(want, k.path)
	}
	for _, e := range referenceEntries(t) {
		got = append(got, e.path)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("keys of the program (-) and of the reference (+):\n%s", diff)
	}
}

func TestTheReferenceTellsMeaningValuesAndDefaultOfEveryKey(t *testing.T) {
	_, defaults := leaves(reflect.ValueOf(Default()).Elem(), "")
	for _, e := range referenceEntries(t) {
		k := keyOf[e.path]
		if k == nil {
			continue // the test above reports it
		}
		reload := "live"
		if k.restart {
			reload = "restart"
		}
		if len(e.comment) < 2 {
			t.Errorf("%s: has no line that says what it means, or none with its values", e.path)
			continue
		}
		if want, got := "# Values: "+k.accepts+" ("+reload+")", e.comment[len(e.comment)-1]; got != want {
			t.Errorf("%s: last line of the comment is\n%s, want\n%s", e.path, got, want)
		}
		want := format(defaults[e.path])
		switch {
		case k.required: // an example stands there
			continue
		case e.path == "backends.weight": // depends on the role; the example is a primary
			want = "0"
		case want == `"***"`:
			want = `""`
		}
		if e.value != want {
			t.Errorf("%s: the reference says %s, the default is %s", e.path, e.value, want)
		}
	}
}

// minimal is the least that makes a configuration valid.
const minimal = `
admin.password = "s3cret"
[[users]]
name = "app"
password = "pw"
[[backends]]
address = "192.168.1.150:3306"
role = "rw"
`

func noEnv(string) (string, bool) { return "", false }

// mustParse parses a text that is valid.
func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	cfg, problems := Parse("test.toml", []byte(text), noEnv)
	if cfg == nil {
		t.Fatalf("problems: %v", problems)
	}
	return cfg
}

func TestTheReferenceLoadsAndEqualsTheDefaults(t *testing.T) {
	env := func(name string) (string, bool) { return "s3cret", name == "TELAMON_ADMIN_PASSWORD" }
	text := Reference() + strings.Replace(minimal, "admin.password", "#", 1)
	got, problems := Parse("reference.toml", []byte(text), env)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	want := mustParse(t, minimal)
	if changes := Diff(want, got); len(changes) > 0 {
		t.Errorf("the reference changes %v", changes)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestTheExamplesOfTheReferenceAreValid(t *testing.T) {
	text := commentedOut.ReplaceAllString(Reference(), "$1")
	text = strings.ReplaceAll(text, `password = ""`, `password = "x"`)
	text = strings.Replace(text, `username = ""`, `username = "probe"`, 1)
	cfg, problems := Parse("reference.toml", []byte(text), noEnv)
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	if len(cfg.Users) != 1 || len(cfg.Backends) != 1 || len(cfg.Routing.Rules) != 1 {
		t.Errorf("got %d users, %d backends, %d rules, want one each", len(cfg.Users), len(cfg.Backends), len(cfg.Routing.Rules))
	}
}

func TestAnEmptyFileHasTheDefaults(t *testing.T) {
	cfg, d := parse("empty.toml", nil, noEnv, nil)
	if changes := Diff(Default(), cfg); len(changes) > 0 {
		t.Errorf("changes: %v", changes)
	}
	if !Fatal(d.problems) {
		t.Error("a configuration without users and backends is accepted")
	}
}
