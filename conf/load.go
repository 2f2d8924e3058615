package conf

import (
	"os"
)

// Load reads the file at path: TOML, or an Atlas .cnf, which it recognizes by
// its group [mysql-proxy]. env looks up environment variables, as os.LookupEnv
// does. It returns every problem it finds, in the order of the file, and a nil
// Config if one of them is fatal.
func Load(path string, env func(string) (string, bool)) (*Config, []Problem) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, []Problem{{File: path, Msg: withoutPath(err).Error()}}
	}
	cfg, d := parseAny(path, text, env)
	if info, err := os.Stat(path); err == nil && d.readable && info.Mode().Perm()&0o044 != 0 {
		d.warn("", "contains passwords and can be read by other accounts (mode %#o); chmod 600 it, or use file:PATH or env:NAME", info.Mode().Perm())
	}
	return d.finish(cfg)
}
