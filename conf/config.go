package conf

import (
	"strings"
	"time"
)

// Config is one validated configuration. Load and Parse return it complete:
// defaults filled in, environment overrides applied, secrets read. Nobody
// changes it afterwards, so it may be shared between goroutines; the slices in
// it belong to it.
//
// Field names are the keys of the file in CamelCase; what a key means, its
// default and its range stand in reference.toml.
type Config struct {
	Instance    string      `toml:"instance"`
	NodeID      int         `toml:"node_id"` // upper 12 bits of the connection ids given to clients
	Proxy       Proxy       `toml:"proxy"`
	Admin       Admin       `toml:"admin"`
	Auth        Auth        `toml:"auth"`
	Users       []User      `toml:"users"`    // at least one, names are unique
	Backends    []Backend   `toml:"backends"` // at least one that can be the primary, addresses are unique
	Monitor     Monitor     `toml:"monitor"`
	Maintenance Maintenance `toml:"maintenance"`
	Consistency Consistency `toml:"consistency"`
	Routing     Routing     `toml:"routing"`
	Pool        Pool        `toml:"pool"`
	Guard       Guard       `toml:"guard"`
	HA          HA          `toml:"ha"`
	Log         Log         `toml:"log"`
}

// Proxy is the side clients connect to. Addresses are in the form
// SplitAddress takes.
type Proxy struct {
	Listen         []string      `toml:"listen"`       // reads and writes are split
	ListenWrite    []string      `toml:"listen_write"` // everything goes to the primary
	ListenRead     []string      `toml:"listen_read"`  // replicas only
	MaxConnections int           `toml:"max_connections"`
	ConnectTimeout time.Duration `toml:"connect_timeout"` // accept to end of authentication
	WaitTimeout    time.Duration `toml:"wait_timeout"`    // of an idle client; 0 = never
	WriteTimeout   time.Duration `toml:"write_timeout"`   // of a client that does not read; 0 = never
	// MaxPreparedStatements of one client.
	MaxPreparedStatements int `toml:"max_prepared_statements"`

	ServerVersion     string   `toml:"server_version"` // "auto" = what the primary says
	Allow             Networks `toml:"allow"`          // empty = everybody
	LBIPs             Networks `toml:"lb_ips"`
	ProxyProtocolFrom Networks `toml:"proxy_protocol_from"`
	Compression       []string `toml:"compression"` // zlib, zstd: what clients are offered
	TLS               TLS      `toml:"tls"`
}

// TLS says how one side of the proxy encrypts. Mode is off, preferred or
// required, towards backends also verify_ca or verify_identity; the others are
// paths of PEM files, empty = none.
type TLS struct {
	Mode string `toml:"mode"`
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
	CA   string `toml:"ca"`
	// Files is what was in the files when they were read; empty with Mode off.
	Files TLSFiles `toml:"-"`
}

// Admin is the console and the HTTP port.
type Admin struct {
	Listen       string `toml:"listen"`   // of the console; empty = no console
	Username     string `toml:"username"` // never empty while Listen is set
	Password     Secret `toml:"password"` // never empty while Listen is set
	HTTP         string `toml:"http"`     // empty = no HTTP port
	HTTPUsername string `toml:"http_username"`
	// HTTPPassword guards the status page and the API. Empty means that both
	// are closed.
	HTTPPassword Secret `toml:"http_password"`
}

// Auth says where accounts come from: config (Users) or backend.
type Auth struct {
	Source string `toml:"source"`
	// Recheck is how long what a server has said about an account is good for,
	// with Source backend.
	Recheck time.Duration `toml:"recheck"`
}

// User is an account clients log in with; Telamon logs in to the backends
// with the same name and password. With Auth.Source backend it is settings of
// an account of the servers, without a password.
type User struct {
	Name           string `toml:"name"`
	Password       Secret `toml:"password"`
	PasswordHash   Secret `toml:"password_hash"`   // as the servers store it, instead of Password
	Plugin         string `toml:"plugin"`          // that clients are asked for; auto = what accounts have at the servers
	MaxConnections int    `toml:"max_connections"` // of this user's clients; 0 = no limit of its own
	Consistency    string `toml:"consistency"`     // off, session or global
	TLS            string `toml:"tls"`             // any, required or x509
}

// Roles of a Backend as the file names them. Atlas's and MySQL's other words
// (master, primary, slave, replica) are translated to these while loading.
const (
	RolePrimary = "rw"
	RoleReplica = "ro"
	RoleAuto    = "auto" // follows read_only and replication
)

// Backend is one server.
type Backend struct {
	Address string `toml:"address"` // as SplitAddress takes it
	Role    string `toml:"role"`    // RolePrimary, RoleReplica or RoleAuto
	// Weight is the share of reads, 0 to 1000. Not set in the file it is 0
	// for rw and 1 for the others. 0 on the primary: reads only when no
	// replica can; on a replica: only what asks for it by name.
	Weight         int           `toml:"weight"`
	MaxConnections int           `toml:"max_connections"` // 0 = no limit
	MaxLag         time.Duration `toml:"max_lag"`         // a replica later than this serves no reads; 0 = replication is not looked at
	Tags           []string      `toml:"tags"`
	Compression    string        `toml:"compression"` // off, zlib or zstd
	ProxyProtocol  bool          `toml:"proxy_protocol"`
	// PublicKey is the file with the RSA key of a MySQL server that logins
	// without TLS encrypt passwords with; empty = whatever key it sends.
	PublicKey string `toml:"public_key"`
	TLS       TLS    `toml:"tls"`
	// PublicKeyPEM is what was in PublicKey when it was read.
	PublicKeyPEM []byte `toml:"-"`
}

// Monitor is how backends are probed. Username and Password are those of the
// first user where the file names none (as Atlas did); Username is therefore
// never empty.
type Monitor struct {
	Username string        `toml:"username"`
	Password Secret        `toml:"password"`
	Interval time.Duration `toml:"interval"` // between two probes of one server
	Timeout  time.Duration `toml:"timeout"`  // of one probe
	Fall     int           `toml:"fall"`     // failed probes in a row that take a server out
	Rise     int           `toml:"rise"`     // good probes in a row that put it back
}

// Maintenance is the loop that puts replicas back once they have caught up.
type Maintenance struct {
	Enabled   bool          `toml:"enabled"`
	MaxLag    time.Duration `toml:"max_lag"`    // caught up means: not later than this
	Hold      time.Duration `toml:"hold"`       // for this long without a break
	SlowStart time.Duration `toml:"slow_start"` // time in which its weight grows to the full
}

// Consistency is what is done for reads that have to see writes. Wait is how
// long one may wait for a replica to catch up before the primary serves it.
type Consistency struct {
	Wait      time.Duration `toml:"wait"`
	NoPrimary string        `toml:"no_primary"` // error or replica: reads of which nobody in reach is known to have what they must see
	Monotonic bool          `toml:"monotonic"`  // a session never reads what is older than it has read
}

// Routing is what decides between primary and replicas beside the statement
// itself.
type Routing struct {
	NoReplica   string `toml:"no_replica"`    // primary or error: reads while no replica can serve
	ReadOnlyTrx string `toml:"read_only_trx"` // replica or primary
	Sticky      Sticky `toml:"sticky"`
	Rules       []Rule `toml:"rules"` // the first that matches decides
}

// Sticky keeps reads of one client address or user on one replica for a time.
type Sticky struct {
	By  string        `toml:"by"` // none, client_ip or user
	For time.Duration `toml:"for"`
}

// Rule overrides the routing of statements that match all its conditions; an
// empty condition matches everything.
type Rule struct {
	Name    string        `toml:"name"` // unique
	User    string        `toml:"user"`
	Match   string        `toml:"match"`   // regular expression (RE2) on the digest text; it compiles
	Route   string        `toml:"route"`   // primary, replica, tag:NAME, backend:ADDRESS, deny or empty (only the timeout counts)
	Timeout time.Duration `toml:"timeout"` // of the statement; 0 = none
}

// Pool bounds the connections to one backend that wait for work.
type Pool struct {
	MinIdle     int           `toml:"min_idle"`     // kept open and free per backend and login
	MaxIdle     int           `toml:"max_idle"`     // per backend
	IdleTimeout time.Duration `toml:"idle_timeout"` // 0 = never
	MaxLifetime time.Duration `toml:"max_lifetime"` // 0 = for ever
	WaitTimeout time.Duration `toml:"wait_timeout"` // of a statement, for a free connection
	// MaxPreparedStatements of one connection.
	MaxPreparedStatements int `toml:"max_prepared_statements"`
}

// Guard is what is refused whoever asks. DeniedFunctions are in lower case.
type Guard struct {
	DMLWithoutWhere string   `toml:"dml_without_where"` // allow or deny
	DeniedFunctions []string `toml:"denied_functions"`
}

// HA is who decides about a switchover: off, keepalived or quorum.
type HA struct {
	Mode string `toml:"mode"`
}

// Log is what is written where.
type Log struct {
	Level   string        `toml:"level"`    // debug, info, warn or error
	Format  string        `toml:"format"`   // console or json
	Path    string        `toml:"path"`     // empty = stderr
	SQL     string        `toml:"sql"`      // off, on or slow
	SQLSlow time.Duration `toml:"sql_slow"` // what slow means
}

// Default returns the configuration of an empty file: the defaults that
// reference.toml documents, no users and no backends. It is not valid as it
// is, since users, backends and the console's password have no default.
func Default() *Config {
	return &Config{
		Instance: "main",
		Proxy: Proxy{
			Listen:                []string{"127.0.0.1:1234"},
			MaxConnections:        4000,
			ConnectTimeout:        10 * time.Second,
			WaitTimeout:           8 * time.Hour,
			WriteTimeout:          time.Minute,
			ServerVersion:         "auto",
			Compression:           []string{"zlib", "zstd"},
			MaxPreparedStatements: 16382,
			TLS:                   TLS{Mode: "off"},
		},
		Admin: Admin{
			Listen:       "127.0.0.1:2345",
			Username:     "user",
			HTTP:         "127.0.0.1:8888",
			HTTPUsername: "admin",
		},
		Auth:        Auth{Source: "config", Recheck: time.Second},
		Monitor:     Monitor{Interval: 500 * time.Millisecond, Timeout: time.Second, Fall: 2, Rise: 2},
		Maintenance: Maintenance{Enabled: true, MaxLag: 500 * time.Millisecond, Hold: 3 * time.Second, SlowStart: 10 * time.Second},
		Consistency: Consistency{Wait: 20 * time.Millisecond, NoPrimary: "error"},
		Routing: Routing{
			NoReplica:   "primary",
			ReadOnlyTrx: "replica",
			Sticky:      Sticky{By: "none", For: 20 * time.Second},
		},
		Pool: Pool{
			MaxIdle:               50,
			IdleTimeout:           10 * time.Minute,
			MaxLifetime:           time.Hour,
			WaitTimeout:           2 * time.Second,
			MaxPreparedStatements: 256,
		},
		Guard: Guard{DMLWithoutWhere: "deny", DeniedFunctions: []string{"sleep", "benchmark"}},
		HA:    HA{Mode: "off"},
		Log:   Log{Level: "info", Format: "console", SQL: "off", SQLSlow: 10 * time.Millisecond},
	}
}

// defaultUser, defaultBackend and defaultRule are what an entry of the lists
// starts from; keys they leave empty are required or empty by default.
func defaultUser() User { return User{Plugin: "auto", Consistency: "global", TLS: "any"} }

func defaultBackend() Backend {
	return Backend{Weight: weightUnset, MaxLag: time.Second, Compression: "off", TLS: TLS{Mode: "off"}}
}

func defaultRule() Rule { return Rule{} }

// weightUnset marks a weight the file does not give, until Parse knows the
// role its default depends on.
const weightUnset = -1 << 31

// SplitAddress returns the network ("tcp" or "unix") and the address that
// net.Dial and net.Listen want for an address of the configuration:
// HOST:PORT, [IPv6]:PORT or unix:PATH.
func SplitAddress(address string) (network, addr string) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		return "unix", path
	}
	return "tcp", address
}
