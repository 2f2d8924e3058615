package conf

import (
	"cmp"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Parse is Load for a TOML text already read; name stands for the file in
// problems, and secrets with a relative path are looked for beside it.
// Neither text nor env is kept.
func Parse(name string, text []byte, env func(string) (string, bool)) (*Config, []Problem) {
	cfg, d := parse(name, text, env, nil)
	return d.finish(cfg)
}

// parse leaves the verdict to finish. lines maps keys to lines of the file
// that name means, where text is only a translation of it.
func parse(name string, text []byte, env func(string) (string, bool), lines map[string]int) (*Config, *decoder) {
	d := &decoder{
		file:    name,
		lines:   lines,
		env:     env,
		secrets: secretReader{dir: filepath.Dir(name), env: env},
		fromEnv: map[string]string{},
	}
	var raw map[string]any
	if _, err := toml.Decode(string(text), &raw); err != nil {
		d.syntax(err)
		return nil, d
	}
	if d.lines == nil {
		d.lines = keyLines(string(text))
	}
	cfg := Default()
	d.table(raw, reflect.ValueOf(cfg).Elem(), "", false)
	d.complete(cfg)
	d.validate(cfg)
	return cfg, d
}

// finish sorts the problems by line and withholds a configuration that must
// not be used.
func (d *decoder) finish(cfg *Config) (*Config, []Problem) {
	slices.SortStableFunc(d.problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Path, b.Path))
	})
	if Fatal(d.problems) {
		return nil, d.problems
	}
	return cfg, d.problems
}

// syntax reports the error of the TOML parser, which stops at the first.
func (d *decoder) syntax(err error) {
	p := Problem{File: d.file, Msg: err.Error()}
	var parseErr toml.ParseError
	if errors.As(err, &parseErr) {
		p.Line = parseErr.Position.Line
		p.Msg = strings.TrimSpace(parseErr.Message)
		if p.Msg == "" { // set by some errors only
			_, p.Msg, _ = strings.Cut(parseErr.Error(), ": ")
		}
		if parseErr.LastKey != "" {
			p.Msg += " (last key " + parseErr.LastKey + ")"
		}
	}
	d.problems = append(d.problems, p)
}

// complete fills in what depends on other keys.
func (d *decoder) complete(cfg *Config) {
	for i := range cfg.Backends {
		b := &cfg.Backends[i]
		if b.Weight == weightUnset {
			b.Weight = 1
			if b.Role == RolePrimary {
				b.Weight = 0
			}
		}
	}
	for i, name := range cfg.Guard.DeniedFunctions {
		cfg.Guard.DeniedFunctions[i] = strings.ToLower(name)
	}
	for i := range cfg.Routing.Rules {
		rule := &cfg.Routing.Rules[i]
		if word, ok := targetAliases[rule.Route]; ok {
			rule.Route = word
		}
	}
	if cfg.Monitor.Username == "" && cfg.Monitor.Password.Empty() && len(cfg.Users) > 0 && cfg.Users[0].Name != "" &&
		cfg.Users[0].PasswordHash.Empty() && cfg.Auth.Source == "config" {
		cfg.Monitor.Username, cfg.Monitor.Password = cfg.Users[0].Name, cfg.Users[0].Password
	}
}
