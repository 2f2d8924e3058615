package conf

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// decoder fills a Config from the generic form of a TOML text and collects
// everything that is wrong on the way.
type decoder struct {
	file     string
	lines    map[string]int
	env      func(string) (string, bool)
	secrets  secretReader
	fromEnv  map[string]string // path -> variable that overrides it
	problems []Problem
	readable bool // a secret stands in the file itself
}

// add reports a problem with the value at path.
func (d *decoder) add(path, format string, args ...any) {
	d.report(Problem{Path: path, Msg: fmt.Sprintf(format, args...)})
}

// warn reports a doubt about the value at path.
func (d *decoder) warn(path, format string, args ...any) {
	d.report(Problem{Path: path, Msg: fmt.Sprintf(format, args...), Warning: true})
}

func (d *decoder) report(p Problem) {
	p.File, p.Line = d.file, d.line(p.Path)
	for path := p.Path; path != ""; path = parent(path) {
		if name, ok := d.fromEnv[path]; ok {
			p.File, p.Line = "environment", 0
			p.Msg = name + ": " + p.Msg
		}
	}
	d.problems = append(d.problems, p)
}

// line is the line of path, or of what it stands in if it is not written.
func (d *decoder) line(path string) int {
	for ; path != ""; path = parent(path) {
		if line, ok := d.lines[path]; ok {
			return line
		}
	}
	return 0
}

// failed tells whether something fatal was reported at path or below it.
func (d *decoder) failed(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool {
		rest, ok := strings.CutPrefix(p.Path, path)
		return ok && !p.Warning && (rest == "" || rest[0] == '.' || rest[0] == '[')
	})
}

// parent removes the last index or name of a path.
func parent(path string) string {
	i := strings.LastIndexAny(path, ".[")
	return path[:max(i, 0)]
}

// withoutIndexes is the path as keys has it: backends[1].weight becomes
// backends.weight.
func withoutIndexes(path string) string {
	for {
		i := strings.IndexByte(path, '[')
		if i < 0 {
			return path
		}
		j := strings.IndexByte(path[i:], ']')
		if j < 0 {
			return path[:i]
		}
		path = path[:i] + path[i+j+1:]
	}
}

// field is one key of a table and the place of its value.
type field struct {
	name string
	v    reflect.Value
}

// fields lists the keys of a table in the order of the struct.
func fields(table reflect.Value) []field {
	list := make([]field, 0, table.NumField())
	for i := range table.NumField() {
		if name := table.Type().Field(i).Tag.Get("toml"); name != "-" { // "-" is not in the file
			list = append(list, field{name, table.Field(i)})
		}
	}
	return list
}

// isTable tells whether a Go type stands for a table of the file; isTables
// the same for a list of tables.
func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[Secret]()
}

func isTables(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t != reflect.TypeFor[Networks]() && isTable(t.Elem())
}

// table fills the struct v from m. inList tables are entries of a list: no
// environment variable names them.
func (d *decoder) table(m map[string]any, v reflect.Value, path string, inList bool) {
	known := fields(v)
	for _, f := range known {
		raw, given := m[f.name]
		at := join(path, f.name)
		switch {
		case isTable(f.v.Type()):
			d.subtable(raw, given, f.v, at, inList)
		case isTables(f.v.Type()):
			d.tables(raw, given, f.v, at)
		default:
			if !inList {
				raw, given = d.override(raw, given, f.v, at)
			}
			if given {
				d.leaf(raw, f.v, at)
			} else if keyOf[withoutIndexes(at)].required {
				d.add(at, "is missing: %s", keyOf[withoutIndexes(at)].accepts)
			}
		}
	}
	for name := range m {
		if !slices.ContainsFunc(known, func(f field) bool { return f.name == name }) {
			d.add(join(path, name), "%s", unknownKey(path, name, known))
		}
	}
}

func (d *decoder) subtable(raw any, given bool, v reflect.Value, path string, inList bool) {
	m, ok := raw.(map[string]any)
	if given && !ok {
		d.add(path, "must be a table: write [%s]", path)
		return
	}
	d.table(m, v, path, inList)
}

// tables fills a list of tables from either of its two spellings.
func (d *decoder) tables(raw any, given bool, v reflect.Value, path string) {
	if !given {
		return
	}
	var list []any
	switch raw := raw.(type) {
	case []map[string]any:
		for _, m := range raw {
			list = append(list, m)
		}
	case []any:
		list = raw
	default:
		d.add(path, "must be a list of tables: write [[%s]]", path)
		return
	}
	out := reflect.MakeSlice(v.Type(), len(list), len(list))
	for i, raw := range list {
		m, ok := raw.(map[string]any)
		if !ok {
			d.add(entry(path, i), "must be a table: write [[%s]]", path)
			continue
		}
		out.Index(i).Set(defaultEntry(v.Type().Elem()))
		d.table(m, out.Index(i), entry(path, i), true)
	}
	v.Set(out)
}

// defaultEntry is what an entry of a list of tables starts from.
func defaultEntry(t reflect.Type) reflect.Value {
	switch t {
	case reflect.TypeFor[User]():
		return reflect.ValueOf(defaultUser())
	case reflect.TypeFor[Backend]():
		return reflect.ValueOf(defaultBackend())
	case reflect.TypeFor[Rule]():
		return reflect.ValueOf(defaultRule())
	}
	panic("no default for entries of type " + t.String())
}

// envName is the environment variable that overrides a key.
func envName(path string) string {
	return "TELAMON_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// override replaces the value from the file by that of the environment, in
// the type the file would have given it.
func (d *decoder) override(raw any, given bool, v reflect.Value, path string) (any, bool) {
	value, ok := d.env(envName(path))
	if !ok {
		return raw, given
	}
	d.fromEnv[path] = envName(path)
	switch v.Kind() {
	case reflect.Bool:
		if b, err := strconv.ParseBool(value); err == nil {
			return b, true
		}
	case reflect.Int:
		if n, err := strconv.ParseInt(value, 10, 64); err == nil {
			return n, true
		}
	case reflect.Slice:
		items := []any{}
		for _, item := range strings.Split(value, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		return items, true
	}
	return value, true
}

// leaf stores one value that is not a table.
func (d *decoder) leaf(raw any, v reflect.Value, path string) {
	before := len(d.problems)
	k := keyOf[withoutIndexes(path)]
	switch v.Interface().(type) {
	case time.Duration:
		d.duration(raw, v, path, k)
	case Secret:
		d.secret(raw, v, path)
	case Networks:
		d.networks(raw, v, path)
	case []string:
		d.strings(raw, v, path, k)
	case string:
		d.text(raw, v, path, k)
	case bool:
		d.boolean(raw, v, path)
	case int:
		d.integer(raw, v, path, k)
	default:
		panic("no decoder for " + v.Type().String())
	}
	if only, ok := unsupported[k.path]; ok && len(d.problems) == before {
		if value := format(v); value != only {
			d.add(path, "%s is not supported by this version; only %s is", value, only)
		}
	}
}

func (d *decoder) duration(raw any, v reflect.Value, path string, k *key) {
	text, ok := raw.(string)
	value, err := time.ParseDuration(text)
	if !ok || err != nil {
		d.add(path, `must be a duration with its unit, such as "500ms", "10s" or "8h", is %s`, spell(raw))
		return
	}
	if err := k.checkDuration(value); err != nil {
		d.add(path, "%v", err)
		return
	}
	v.SetInt(int64(value))
}

func (d *decoder) secret(raw any, v reflect.Value, path string) {
	text, ok := raw.(string)
	if !ok {
		d.add(path, "must be a string")
		return
	}
	value, source, err := d.secrets.read(text)
	if err != nil {
		d.add(path, "%v", err)
		return
	}
	switch {
	case source == secretOpenFile:
		d.warn(path, "the file it comes from can be read by everybody; chmod o-r it")
	case source == secretReadable && text != "" && d.fromEnv[path] == "":
		d.readable = true
	}
	v.Set(reflect.ValueOf(value))
}

func (d *decoder) networks(raw any, v reflect.Value, path string) {
	var out Networks
	for i, text := range d.stringList(raw, path) {
		prefix, err := parseNetwork(text)
		if err != nil {
			d.add(entry(path, i), "%v", err)
			continue
		}
		out = append(out, prefix)
	}
	v.Set(reflect.ValueOf(out))
}

func (d *decoder) strings(raw any, v reflect.Value, path string, k *key) {
	var out []string
	for i, text := range d.stringList(raw, path) {
		if text, err := k.checkText(text); err != nil {
			d.add(entry(path, i), "%v", err)
		} else {
			out = append(out, text)
		}
	}
	v.Set(reflect.ValueOf(out))
}

// stringList reports what is not a list of strings and returns the strings,
// at the indexes they have in the file.
func (d *decoder) stringList(raw any, path string) []string {
	list, ok := raw.([]any)
	if !ok {
		d.add(path, `must be a list of strings such as ["a", "b"], is %s`, spell(raw))
	}
	out := make([]string, 0, len(list))
	for i, item := range list {
		text, ok := item.(string)
		if !ok {
			d.add(entry(path, i), "must be a string, is %s", spell(item))
			return nil
		}
		out = append(out, text)
	}
	return out
}

func (d *decoder) text(raw any, v reflect.Value, path string, k *key) {
	text, ok := raw.(string)
	if !ok {
		d.add(path, "must be a string, is %s", spell(raw))
		return
	}
	text, err := k.checkText(text)
	if err != nil {
		d.add(path, "%v", err)
		return
	}
	v.SetString(text)
}

func (d *decoder) boolean(raw any, v reflect.Value, path string) {
	b, ok := raw.(bool)
	if !ok {
		d.add(path, "must be true or false, is %s", spell(raw))
		return
	}
	v.SetBool(b)
}

func (d *decoder) integer(raw any, v reflect.Value, path string, k *key) {
	n, ok := raw.(int64)
	if !ok {
		d.add(path, "must be a whole number, is %s", spell(raw))
		return
	}
	if err := k.checkInt(n); err != nil {
		d.add(path, "%v", err)
		return
	}
	v.SetInt(n)
}

// spell names a value of the wrong type in a message.
func spell(raw any) string {
	switch raw := raw.(type) {
	case string:
		return strconv.Quote(raw)
	case int64, bool:
		return fmt.Sprint(raw)
	case float64:
		if raw == math.Trunc(raw) {
			return fmt.Sprintf("%.1f", raw)
		}
		return fmt.Sprint(raw)
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a date or time"
}
