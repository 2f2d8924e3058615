package conf

import (
	"fmt"
	"reflect"
)

// Setting is one key with its value.
type Setting struct {
	// Path is the key; entries of lists are named as in Change.
	Path string
	// Value is spelled as in the file, secrets masked.
	Value string
	// Default means that it equals the default; a key of a list entry never does.
	Default bool
	// Restart means that a change needs a restart.
	Restart bool
}

// Settings returns all keys of a configuration in the order of the reference
// file.
func Settings(cfg *Config) []Setting {
	return settings(nil, reflect.ValueOf(cfg).Elem(), reflect.ValueOf(Default()).Elem(), "", "")
}

// settings lists one table; def is the table with the defaults, or the zero
// Value inside lists.
func settings(list []Setting, v, def reflect.Value, path, keyPath string) []Setting {
	var defaults []field
	if def.IsValid() {
		defaults = fields(def)
	}
	for i, f := range fields(v) {
		at, keyAt := join(path, f.name), join(keyPath, f.name)
		var d reflect.Value
		if defaults != nil {
			d = defaults[i].v
		}
		switch {
		case isTable(f.v.Type()):
			list = settings(list, f.v, d, at, keyAt)
		case isTables(f.v.Type()):
			for j, name := range entryNames(f.v) {
				list = settings(list, f.v.Index(j), reflect.Value{}, fmt.Sprintf("%s[%s]", at, name), keyAt)
			}
		default:
			list = append(list, Setting{
				Path: at, Value: format(f.v), Default: d.IsValid() && sameValue(f.v, d), Restart: keyOf[keyAt].restart,
			})
		}
	}
	return list
}
