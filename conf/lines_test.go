package conf

import (
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"
)

func TestLinesOfKeys(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]int
	}{
		{"keys of the top level", "a = 1\n\nb = 2\n", map[string]int{"a": 1, "b": 3}},
		{"keys of a table", "# c\n[t]\na = 1\n", map[string]int{"t": 2, "t.a": 3}},
		{"keys of a nested table", "[t.u]\na = 1\n[ t . v ] # c\nb = 1\n", map[string]int{"t.u": 1, "t.u.a": 2, "t.v": 3, "t.v.b": 4}},
		{"entries of a list of tables", "[[l]]\na = 1\n[[l]]\na = 2\n", map[string]int{"l": 1, "l[0]": 1, "l[0].a": 2, "l[1]": 3, "l[1].a": 4}},
		{"a table of the newest entry", "[[l]]\n[[l]]\n[l.t]\na = 1\n", map[string]int{"l": 1, "l[0]": 1, "l[1]": 2, "l[1].t": 3, "l[1].t.a": 4}},
		{"a list in an entry of a list", "[[l]]\n[[l.m]]\na = 1\n[[l]]\n[[l.m]]\na = 2\n", map[string]int{
			"l": 1, "l[0]": 1, "l[0].m": 2, "l[0].m[0]": 2, "l[0].m[0].a": 3, "l[1]": 4, "l[1].m": 5, "l[1].m[0]": 5, "l[1].m[0].a": 6,
		}},
		{"dotted keys", "a.b = 1\na . c = 2\n[t]\nd.e = 3\n", map[string]int{"a": 1, "a.b": 1, "a.c": 2, "t": 3, "t.d": 4, "t.d.e": 4}},
		{"quoted keys", "\"a\" = 1\n'b' = 2\n\"c d\".\"\\u0065\" = 3\n", map[string]int{"a": 1, "b": 2, "c d": 3, "c d.e": 3}},
		{"inline tables", "t = { a = 1, u = { b = \"}\" } }\nc = 1\n", map[string]int{"t": 1, "t.a": 1, "t.u": 1, "t.u.b": 1, "c": 2}},
		{"lists over several lines", "l = [ # c ]\n  'x', # y\n  \"]\",\n]\na = 1\n", map[string]int{"l": 1, "l[0]": 2, "l[1]": 3, "a": 5}},
		{"a list of inline tables", "l = [\n{ a = 1 },\n{ a = 2 }\n]\n", map[string]int{"l": 1, "l[0]": 2, "l[0].a": 2, "l[1]": 3, "l[1].a": 3}},
		{"a list of lists", "l = [[1,\n2], []]\n", map[string]int{"l": 1, "l[0]": 1, "l[0][0]": 1, "l[0][1]": 2, "l[1]": 2}},
		{"strings over several lines", "a = \"\"\"\n[t]\nb = 1 \\\"\"\"\n\"\"\"\nc = '''\nd = 1\n'''\ne = 1\n", map[string]int{"a": 1, "c": 5, "e": 8}},
		{"quotes before the end of a string", "a = \"\"\"x\"\"\"\"\"\nb = 1\n", map[string]int{"a": 1, "b": 2}},
		{"escaped quotes and backslashes", "a = \"\\\"\\\\\"\nb = '\\'\nc = 1\n", map[string]int{"a": 1, "b": 2, "c": 3}},
		{"a hash in a string", "a = \"# x\"\nb = 1 # c = 1\n", map[string]int{"a": 1, "b": 2}},
		{"dates with a blank", "a = 2026-01-01 10:00:00\nb = 1\n", map[string]int{"a": 1, "b": 2}},
		{"lines that end as on Windows", "a = 1\r\n[t]\r\nb = true\r\n", map[string]int{"a": 1, "t": 2, "t.b": 3}},
		{"no newline at the end", "a = 1\n# c", map[string]int{"a": 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var m map[string]any
			if _, err := toml.Decode(test.text, &m); err != nil {
				t.Fatalf("the test is not TOML: %v", err)
			}
			if diff := cmp.Diff(test.want, keyLines(test.text)); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// FuzzKeyLines compares with the TOML library: on TOML every key it decodes
// has a line, and on anything else the search ends.
func FuzzKeyLines(f *testing.F) {
	f.Add("[[l]]\na.b = { c = [1, '''\n'''] }\n")
	f.Add("[a\n= ] {[\"")
	f.Add(Reference())
	f.Fuzz(func(t *testing.T, text string) {
		lines := keyLines(text)
		last := strings.Count(text, "\n") + 1
		for path, line := range lines {
			if line < 1 || line > last {
				t.Errorf("%s is on line %d of %d", path, line, last)
			}
		}
		var m map[string]any
		if _, err := toml.Decode(text, &m); err == nil {
			checkLines(t, lines, m, "")
		}
	})
}

func checkLines(t *testing.T, lines map[string]int, v any, path string) {
	if _, ok := lines[path]; !ok && path != "" {
		// A super table that is never opened has no line of its own: the t of
		// [t.u]. Its keys have.
		if m, ok := v.(map[string]any); !ok || len(m) == 0 {
			t.Errorf("%q has no line", path)
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			checkLines(t, lines, value, join(path, name))
		}
	case []map[string]any:
		for i, value := range v {
			checkLines(t, lines, value, entry(path, i))
		}
	case []any:
		for i, value := range v {
			checkLines(t, lines, value, entry(path, i))
		}
	}
}
