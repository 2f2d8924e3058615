package conf

import _ "embed"

//go:embed reference.toml
var reference string

// Reference returns the reference configuration: every key with its meaning,
// its values, whether a reload applies it, and its default.
func Reference() string { return reference }
