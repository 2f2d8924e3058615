package conf

import (
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// validate reports what is wrong between keys; each key by itself has been
// checked while decoding. A check whose keys are already wrong is skipped, so
// that one mistake gives one problem.
func (d *decoder) validate(cfg *Config) {
	d.validateListeners(cfg)
	d.validateAdmin(&cfg.Admin)
	d.validateUsers(cfg)
	d.validateBackends(cfg)
	d.validateMonitor(cfg)
	d.validateRules(cfg)
	d.validateTLS(cfg)
	if p := &cfg.Pool; p.MinIdle > p.MaxIdle && !d.failed("pool") {
		d.add("pool.min_idle", "is %d, more than max_idle, which is %d", p.MinIdle, p.MaxIdle)
	}
}

// validateListeners wants at least one way in and every address once.
func (d *decoder) validateListeners(cfg *Config) {
	p := &cfg.Proxy
	if len(p.Listen)+len(p.ListenWrite)+len(p.ListenRead) == 0 && !d.failed("proxy") {
		d.add("proxy.listen", "there is no address to listen on")
	}
	taken := map[string]string{}
	claim := func(path, address string) {
		if address == "" || strings.HasSuffix(address, ":0") {
			return
		}
		if owner, ok := taken[address]; ok {
			d.add(path, "%s is taken by %s already", address, owner)
			return
		}
		taken[address] = path
	}
	for _, l := range []struct {
		path      string
		addresses []string
	}{{"proxy.listen", p.Listen}, {"proxy.listen_write", p.ListenWrite}, {"proxy.listen_read", p.ListenRead}} {
		for i, address := range l.addresses {
			claim(entry(l.path, i), address)
		}
	}
	claim("admin.listen", cfg.Admin.Listen)
	claim("admin.http", cfg.Admin.HTTP)
	for i, b := range cfg.Backends {
		if owner, ok := taken[b.Address]; ok {
			d.add(entry("backends", i)+".address", "%s is Telamon's own address (%s)", b.Address, owner)
		}
	}
}

// validateAdmin wants a password for the console wherever it listens: on
// loopback too, any account of the machine could steer the proxy.
func (d *decoder) validateAdmin(a *Admin) {
	if a.Listen == "" || d.failed("admin") {
		return
	}
	if a.Username == "" {
		d.add("admin.username", "must not be empty")
	}
	if a.Password.Empty() {
		d.add("admin.password", "is empty, and whoever reaches %s could steer the proxy; set it to text, env:NAME or file:PATH, or set TELAMON_ADMIN_PASSWORD", a.Listen)
		return
	}
	// What Atlas and examples ship is the first thing anybody tries.
	shipped := []string{"pwd", "password", "admin", a.Username}
	if slices.Contains(shipped, a.Password.Reveal()) && !isLoopback(a.Listen) {
		d.warn("admin.password", "is one that everybody tries, and the console listens on %s", a.Listen)
	}
}

// isLoopback tells whether only this machine can connect to a valid address.
func isLoopback(address string) bool {
	network, addr := SplitAddress(address)
	if network == "unix" {
		return true
	}
	host, _, _ := net.SplitHostPort(addr)
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

func (d *decoder) validateUsers(cfg *Config) {
	if len(cfg.Users) == 0 && cfg.Auth.Source == "config" && !d.failed("users") && !d.failed("auth") {
		d.add("users", "there is no user, so nobody could log in; add [[users]] with name and password")
	}
	first := map[string]int{}
	for i, u := range cfg.Users {
		path := entry("users", i)
		if j, ok := first[u.Name]; ok && u.Name != "" {
			d.add(path+".name", "%q is users[%d] already", u.Name, j)
		} else {
			first[u.Name] = i
		}
		d.validatePassword(cfg, &u, path)
	}
}

// passwordHash is what servers store: mysql_native_password's, and
// caching_sha2_password's as text or in hexadecimal digits.
var passwordHash = regexp.MustCompile(`^(\*[0-9A-Fa-f]{40}|(?s:\$A\$0[0-6][0-9A-F]\$.{20})[./0-9A-Za-z]{43}|0x244124[0-9A-Fa-f]{134})$`)

func (d *decoder) validatePassword(cfg *Config, u *User, path string) {
	hash := u.PasswordHash
	switch {
	case d.failed(path):
	case cfg.Auth.Source == "backend" && (!u.Password.Empty() || !hash.Empty()):
		d.warn(path+".name", `has a password here that is not used: with auth.source = "backend" the servers know it`)
	case cfg.Auth.Source == "backend":
	case !hash.Empty() && !u.Password.Empty():
		d.add(path+".password_hash", "is given, and so is password; one is enough")
	case !hash.Empty() && !passwordHash.MatchString(hash.Reveal()):
		d.add(path+".password_hash", "is not a hash of mysql_native_password (* and 40 hexadecimal digits) or caching_sha2_password ($A$005$...)")
	case !hash.Empty() && (u.Plugin == "client_ed25519" || u.Plugin == "mysql_native_password" && hash.Reveal()[0] != '*'):
		d.add(path+".plugin", "cannot be checked by that hash")
	case hash.Empty() && u.Password.Empty():
		d.warn(path+".password", "is empty: whoever reaches the port can log in as %q", u.Name)
	}
}

func (d *decoder) validateBackends(cfg *Config) {
	primaries := 0
	first := map[string]int{}
	for i, b := range cfg.Backends {
		if j, ok := first[b.Address]; ok && b.Address != "" {
			d.add(entry("backends", i)+".address", "%s is backends[%d] already", b.Address, j)
		} else {
			first[b.Address] = i
		}
		if b.Role != RoleReplica {
			primaries++
		}
	}
	switch {
	case d.failed("backends"):
	case len(cfg.Backends) == 0:
		d.add("backends", "there is no backend; add [[backends]] with address and role")
	case primaries == 0:
		d.add("backends", `no backend can be the primary; give one of them role = "rw" or "auto"`)
	}
}

func (d *decoder) validateMonitor(cfg *Config) {
	m := &cfg.Monitor
	switch {
	case m.Username != "" || d.failed("monitor"):
	case !m.Password.Empty():
		d.add("monitor.password", "is set, but monitor.username is empty")
	case cfg.Auth.Source == "backend" && !d.failed("auth"):
		d.add("monitor.username", `must be given with auth.source = "backend"`)
	case len(cfg.Users) > 0 && !cfg.Users[0].PasswordHash.Empty() && cfg.Users[0].Password.Empty():
		d.add("monitor.username", "must be given: the first user, whose account it would be, has no password here but a hash")
	}
}

// validateRules wants unique names and routes that lead somewhere.
func (d *decoder) validateRules(cfg *Config) {
	first := map[string]int{}
	for i, r := range cfg.Routing.Rules {
		path := entry("routing.rules", i)
		if j, ok := first[r.Name]; ok && r.Name != "" {
			d.add(path+".name", "%q is routing.rules[%d] already", r.Name, j)
		} else {
			first[r.Name] = i
		}
		if d.failed(path+".route") || d.failed("backends") {
			continue
		}
		if tag, ok := strings.CutPrefix(r.Route, "tag:"); ok && !hasBackend(cfg, func(b *Backend) bool { return slices.Contains(b.Tags, tag) }) {
			d.add(path+".route", "no backend has the tag %q", tag)
		}
		if address, ok := strings.CutPrefix(r.Route, "backend:"); ok && !hasBackend(cfg, func(b *Backend) bool { return b.Address == address }) {
			d.add(path+".route", "there is no backend %s", address)
		}
	}
}

func hasBackend(cfg *Config, match func(*Backend) bool) bool {
	for i := range cfg.Backends {
		if match(&cfg.Backends[i]) {
			return true
		}
	}
	return false
}
