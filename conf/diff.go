package conf

// Change is one key whose value differs between two configurations.
type Change struct {
	// Path is the key. Entries of lists are named, not counted:
	// backends[10.0.0.2:3306].weight, users[app].password.
	Path string
	// Old and New are the values as the file would spell them, secrets
	// masked; empty where the entry is absent on that side.
	Old, New string
	// Restart means that a running process keeps the old value until it is
	// restarted.
	Restart bool
}

// Diff returns what changes from old to new, in the order of the reference
// file. It is pure.
func Diff(old, new *Config) []Change { return nil }
