package localproxy

import (
	"fmt"
	"strings"

	"github.com/telamondb/telamon/internal/localserver"
)

// Accounts of the console and of the HTTP port.
const (
	ConsoleUser, ConsolePassword = "user", "pwd"
	HTTPUser, HTTPPassword       = "admin", "admin"
)

// Config is what a proxy is started with.
type Config struct {
	Listen, Console, HTTP string // addresses
	Backends              []Backend
	// Users are entries of [[users]]; nil are localserver's AppUser and DBAUser.
	Users       []User
	Consistency string // of all users; "" is the program's default
	// Settings are further lines of TOML by the name of their table, such as
	// "maintenance": `hold = "1s"`. Under "" they stand before all tables.
	Settings map[string]string
}

// User is one entry of [[users]].
type User struct {
	Name, Password string
	Lines          string // more lines of TOML
}

// Backend is one entry of [[backends]].
type Backend struct {
	Address string
	Role    string // rw or ro
	Weight  int
	MaxLag  string // "" is the program's default
	// MaxConnections is the limit of connections to it; 0 is none.
	MaxConnections int
	// Settings are further lines of TOML.
	Settings string
}

// DefaultUsers are the users of a proxy that is not told others.
func DefaultUsers() []User {
	return []User{
		{Name: localserver.AppUser, Password: localserver.AppPassword},
		{Name: localserver.DBAUser, Password: localserver.DBAPassword},
	}
}

// Backends are the servers of a cluster: the primary with weight 0, the replicas
// with the weights given, 1 where there are not enough of them.
func Backends(c *localserver.Cluster, weights ...int) []Backend {
	backends := []Backend{{Address: c.Primary.Addr(), Role: "rw"}}
	for i, r := range c.Replicas {
		weight := 1
		if i < len(weights) {
			weight = weights[i]
		}
		backends = append(backends, Backend{Address: r.Addr(), Role: "ro", Weight: weight})
	}
	return backends
}

// TOML is the configuration file.
func (c Config) TOML() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	rest := map[string]string{}
	for name, lines := range c.Settings {
		rest[name] = strings.TrimSpace(lines)
	}
	table := func(name string) {
		line("[%s]", name)
		if rest[name] != "" {
			line("%s", rest[name])
		}
		delete(rest, name)
	}
	if rest[""] != "" {
		line("%s\n", rest[""])
	}
	delete(rest, "")

	table("proxy")
	line("listen = [%q]", c.Listen)
	line("")
	table("admin")
	line("listen = %q", c.Console)
	line("username = %q", ConsoleUser)
	line("password = %q", ConsolePassword)
	line("http = %q", c.HTTP)
	line("http_username = %q", HTTPUser)
	line("http_password = %q", HTTPPassword)
	users := c.Users
	if users == nil {
		users = DefaultUsers()
	}
	for _, u := range users {
		line("\n[[users]]")
		line("name = %q", u.Name)
		if u.Password != "" {
			line("password = %q", u.Password)
		}
		if u.Lines != "" {
			line("%s", u.Lines)
		}
		if c.Consistency != "" {
			line("consistency = %q", c.Consistency)
		}
	}
	for _, s := range c.Backends {
		line("\n[[backends]]")
		line("address = %q", s.Address)
		line("role = %q", s.Role)
		line("weight = %d", s.Weight)
		if s.MaxLag != "" {
			line("max_lag = %q", s.MaxLag)
		}
		if s.MaxConnections != 0 {
			line("max_connections = %d", s.MaxConnections)
		}
		if s.Settings != "" {
			line("%s", s.Settings)
		}
	}
	line("")
	table("monitor")
	line("username = %q", localserver.MonitorUser)
	line("password = %q", localserver.MonitorPassword)
	for len(rest) > 0 {
		line("")
		table(first(rest))
	}
	return b.String()
}

// first is the smallest key, so that the same Config makes the same file.
func first(m map[string]string) string {
	smallest := ""
	for name := range m {
		if smallest == "" || name < smallest {
			smallest = name
		}
	}
	return smallest
}
