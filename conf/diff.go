package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Change is one key whose value differs between two configurations.
type Change struct {
	// Path is the key. Entries of lists are named, not counted:
	// backends[10.0.0.2:3306].weight, users[app].password.
	Path string
	// Old and New are the values as the file would spell them, secrets
	// masked. Of an entry that comes or goes they are its settings, and empty
	// on the side that lacks it.
	Old, New string
	// Restart means that a running process keeps the old value until it is
	// restarted.
	Restart bool
}

// String returns "PATH: OLD -> NEW", and says so if a restart is needed.
func (c Change) String() string {
	text := fmt.Sprintf("%s: %s -> %s", c.Path, orNone(c.Old), orNone(c.New))
	if c.Restart {
		text += " (needs a restart)"
	}
	return text
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// Diff returns what changes from old to new, in the order of the reference
// file. It is pure; neither argument is kept.
func Diff(old, new *Config) []Change {
	return diffTable(nil, reflect.ValueOf(old).Elem(), reflect.ValueOf(new).Elem(), "", "")
}

// diffTable compares two tables. path is for people, keyPath is its entry in
// keys, without the names of list entries.
func diffTable(changes []Change, old, new reflect.Value, path, keyPath string) []Change {
	oldFields, newFields := fields(old), fields(new)
	for i, f := range oldFields {
		at, keyAt := join(path, f.name), join(keyPath, f.name)
		o, n := f.v, newFields[i].v
		switch {
		case isTable(o.Type()):
			changes = diffTable(changes, o, n, at, keyAt)
			changes = append(changes, diffFiles(o, n, at)...)
		case isTables(o.Type()):
			changes = diffTables(changes, o, n, at)
		case !sameValue(o, n):
			changes = append(changes, Change{Path: at, Old: format(o), New: format(n), Restart: keyOf[keyAt].restart})
		}
	}
	return changes
}

// diffFiles compares the content of files that have kept their names.
func diffFiles(old, new reflect.Value, path string) []Change {
	o, ok := old.Interface().(TLS)
	if !ok {
		return nil
	}
	n := new.Interface().(TLS)
	if from, to := o.Files.describe(), n.Files.describe(); o.Cert == n.Cert && from != "" && to != "" && from != to {
		return []Change{{Path: path + ".cert", Old: from, New: to}}
	}
	return nil
}

// sameValue compares two values that are not tables. A list that is nil
// equals an empty one.
func sameValue(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// diffTables compares two lists of tables by the names of their entries.
func diffTables(changes []Change, old, new reflect.Value, path string) []Change {
	oldNames, newNames := entryNames(old), entryNames(new)
	for i, name := range oldNames {
		at := path + "[" + name + "]"
		if j := slices.Index(newNames, name); j >= 0 {
			changes = diffTable(changes, old.Index(i), new.Index(j), at, path)
		} else {
			changes = append(changes, Change{Path: at, Old: summary(old.Index(i))})
		}
	}
	for j, name := range newNames {
		if !slices.Contains(oldNames, name) {
			changes = append(changes, Change{Path: path + "[" + name + "]", New: summary(new.Index(j))})
		}
	}
	kept := func(names, others []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !slices.Contains(others, name) })
	}
	before, after := kept(oldNames, newNames), kept(newNames, oldNames)
	if !slices.Equal(before, after) {
		changes = append(changes, Change{Path: path, Old: quoteList(before), New: quoteList(after)})
	}
	return changes
}

// entryNames are the values of the first key of each entry, which is unique
// in a valid configuration: name or address.
func entryNames(list reflect.Value) []string {
	names := make([]string, list.Len())
	for i := range names {
		names[i] = list.Index(i).Field(0).String()
	}
	return names
}

// summary lists the settings of an entry that are not its defaults, and is
// never empty. The entry's name is in the path.
func summary(v reflect.Value) string {
	base := defaultEntry(v.Type())
	var parts []string
	var walk func(v, base reflect.Value, path string)
	walk = func(v, base reflect.Value, path string) {
		baseFields := fields(base)
		for i, f := range fields(v) {
			at := join(path, f.name)
			switch {
			case isTable(f.v.Type()):
				walk(f.v, baseFields[i].v, at)
			case path == "" && i == 0 || sameValue(f.v, baseFields[i].v):
			default:
				parts = append(parts, at+" = "+format(f.v))
			}
		}
	}
	walk(v, base, "")
	if len(parts) == 0 {
		return "all defaults"
	}
	return strings.Join(parts, ", ")
}
