package conf

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// key is everything the loader has to know about one setting beyond its Go
// type. What it means and its default stand in reference.toml; a test keeps
// the two and Default in step.
type key struct {
	// path has no indexes: backends.weight stands for every backend's.
	path string
	// accepts describes the values in the words of the reference file.
	accepts string
	// restart: a reload cannot apply it.
	restart bool
	// required entries of lists must be given and not be empty.
	required bool

	min, max int64 // of integers and of durations in nanoseconds
	zeroOK   bool  // 0 is allowed below min and means "none"
	enum     []string
	aliases  map[string]string       // other words for values of enum
	check    func(text string) error // of strings and of each string in a list
}

const (
	live    = false
	restart = true

	maxConnections = 1_000_000
	day            = 24 * time.Hour
)

// keys lists all settings in the order of the reference file.
var keys = []key{
	text("instance", restart, "1 to 64 letters, digits, dots, dashes or underscores", checkInstance),
	integer("node_id", live, 0, 4095),

	list("proxy.listen", restart, "HOST:PORT, [IPv6]:PORT or unix:PATH", checkListen),
	list("proxy.listen_write", restart, "HOST:PORT, [IPv6]:PORT or unix:PATH", checkListen),
	list("proxy.listen_read", restart, "HOST:PORT, [IPv6]:PORT or unix:PATH", checkListen),
	integer("proxy.max_connections", live, 1, maxConnections),
	duration("proxy.connect_timeout", live, 100*time.Millisecond, 10*time.Minute),
	durationOrZero("proxy.wait_timeout", live, time.Second, 365*day),
	durationOrZero("proxy.write_timeout", live, time.Second, day),
	integer("proxy.max_prepared_statements", live, 1, 1<<20),
	text("proxy.server_version", live, "auto or a version such as 8.0.40", checkServerVersion),
	networks("proxy.allow", live),
	networks("proxy.lb_ips", live),
	networks("proxy.proxy_protocol_from", live),
	list("proxy.compression", live, "zlib or zstd", checkCompression),
	enum("proxy.tls.mode", live, nil, "off", "preferred", "required"),
	text("proxy.tls.cert", live, "path", nil),
	text("proxy.tls.key", live, "path", nil),
	text("proxy.tls.ca", live, "path", nil),

	text("admin.listen", restart, "HOST:PORT, [IPv6]:PORT, unix:PATH or empty", optional(checkListen)),
	text("admin.username", live, "text", nil),
	secret("admin.password", live),
	text("admin.http", restart, "HOST:PORT, [IPv6]:PORT, unix:PATH or empty", optional(checkListen)),
	text("admin.http_username", live, "text", nil),
	secret("admin.http_password", live),

	enum("auth.source", live, nil, "config", "backend"),
	duration("auth.recheck", live, 100*time.Millisecond, time.Hour),

	required(text("users.name", live, "1 to 80 characters", checkUserName)),
	secret("users.password", live),
	secret("users.password_hash", live),
	enum("users.plugin", live, nil, "auto", "mysql_native_password", "caching_sha2_password", "client_ed25519", "mysql_clear_password"),
	integer("users.max_connections", live, 0, maxConnections),
	enum("users.consistency", live, nil, "off", "session", "global"),
	enum("users.tls", live, nil, "any", "required", "x509"),

	required(text("backends.address", live, "HOST:PORT, [IPv6]:PORT or unix:PATH", checkBackend)),
	required(enum("backends.role", live, roleAliases, RolePrimary, RoleReplica, RoleAuto)),
	integer("backends.weight", live, 0, 1000),
	integer("backends.max_connections", live, 0, maxConnections),
	durationOrZero("backends.max_lag", live, time.Millisecond, day),
	list("backends.tags", live, "letters, digits, dots, dashes or underscores", checkTag),
	enum("backends.compression", live, nil, "off", "zlib", "zstd"),
	boolean("backends.proxy_protocol", live),
	text("backends.public_key", live, "path", nil),
	enum("backends.tls.mode", live, verifyAliases, "off", "preferred", "required", "verify_ca", "verify_identity"),
	text("backends.tls.cert", live, "path", nil),
	text("backends.tls.key", live, "path", nil),
	text("backends.tls.ca", live, "path", nil),

	text("monitor.username", live, "text or empty", optional(checkUserName)),
	secret("monitor.password", live),
	duration("monitor.interval", live, 50*time.Millisecond, time.Minute),
	duration("monitor.timeout", live, 50*time.Millisecond, time.Minute),
	integer("monitor.fall", live, 1, 100),
	integer("monitor.rise", live, 1, 100),

	boolean("maintenance.enabled", live),
	duration("maintenance.max_lag", live, time.Millisecond, day),
	durationOrZero("maintenance.hold", live, time.Millisecond, time.Hour),
	durationOrZero("maintenance.slow_start", live, time.Millisecond, time.Hour),

	durationOrZero("consistency.wait", live, time.Millisecond, 10*time.Second),
	enum("consistency.no_primary", live, map[string]string{"slave": "replica"}, "error", "replica"),
	boolean("consistency.monotonic", live),

	enum("routing.no_replica", live, targetAliases, "primary", "error"),
	enum("routing.read_only_trx", live, targetAliases, "replica", "primary"),
	enum("routing.sticky.by", live, nil, "none", "client_ip", "user"),
	duration("routing.sticky.for", live, time.Second, day),
	required(text("routing.rules.name", live, "1 to 64 letters, digits, dots, dashes or underscores", checkInstance)),
	text("routing.rules.user", live, "text or empty", optional(checkUserName)),
	text("routing.rules.match", live, "regular expression or empty", checkRegexp),
	text("routing.rules.route", live, "primary, replica, tag:NAME, backend:ADDRESS, deny or empty", optional(checkRoute)),
	durationOrZero("routing.rules.timeout", live, time.Millisecond, day),

	integer("pool.min_idle", live, 0, 1000),
	integer("pool.max_idle", live, 0, 10_000),
	durationOrZero("pool.idle_timeout", live, time.Second, day),
	durationOrZero("pool.max_lifetime", live, time.Second, 30*day),
	duration("pool.wait_timeout", live, time.Millisecond, 10*time.Minute),
	integer("pool.max_prepared_statements", live, 1, 16_382),

	enum("guard.dml_without_where", live, nil, "allow", "deny"),
	list("guard.denied_functions", live, "names of functions", checkFunction),

	enum("ha.mode", restart, nil, "off", "keepalived", "quorum"),

	enum("log.level", live, map[string]string{"warning": "warn"}, "debug", "info", "warn", "error"),
	enum("log.format", restart, nil, "console", "json"),
	text("log.path", restart, "path or empty", nil),
	enum("log.sql", live, nil, "off", "on", "slow"),
	duration("log.sql_slow", live, time.Microsecond, time.Hour),
}

var (
	roleAliases = map[string]string{
		"master": RolePrimary, "primary": RolePrimary,
		"slave": RoleReplica, "replica": RoleReplica,
	}
	verifyAliases = map[string]string{"verify": "verify_identity"}
	targetAliases = map[string]string{"master": "primary", "slave": "replica"}
)

// keyOf returns the entry of keys for a path without indexes.
var keyOf = func() map[string]*key {
	byPath := make(map[string]*key, len(keys))
	for i := range keys {
		byPath[keys[i].path] = &keys[i]
	}
	return byPath
}()

func text(path string, restart bool, accepts string, check func(string) error) key {
	return key{path: path, restart: restart, accepts: accepts, check: check}
}

func list(path string, restart bool, accepts string, check func(string) error) key {
	return key{path: path, restart: restart, accepts: "list: " + accepts, check: check}
}

func networks(path string, restart bool) key {
	return key{path: path, restart: restart, accepts: "list: CIDR networks, addresses or Atlas prefixes"}
}

func secret(path string, restart bool) key {
	return key{path: path, restart: restart, accepts: "secret"}
}

func boolean(path string, restart bool) key {
	return key{path: path, restart: restart, accepts: "true or false"}
}

func integer(path string, restart bool, min, max int64) key {
	return key{path: path, restart: restart, min: min, max: max, accepts: fmt.Sprintf("%d to %d", min, max)}
}

func duration(path string, restart bool, min, max time.Duration) key {
	return key{
		path: path, restart: restart, min: int64(min), max: int64(max),
		accepts: formatDuration(min) + " to " + formatDuration(max),
	}
}

func durationOrZero(path string, restart bool, min, max time.Duration) key {
	k := duration(path, restart, min, max)
	k.zeroOK = true
	k.accepts = "0s or " + k.accepts
	return k
}

func enum(path string, restart bool, aliases map[string]string, values ...string) key {
	return key{path: path, restart: restart, enum: values, aliases: aliases, accepts: oneOf(values)}
}

func required(k key) key {
	k.required = true
	return k
}

// oneOf joins values as "a, b or c".
func oneOf(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// checkInt returns what is wrong with the value of an integer key.
func (k *key) checkInt(v int64) error {
	if v < k.min || v > k.max {
		return fmt.Errorf("must be between %d and %d, is %d", k.min, k.max, v)
	}
	return nil
}

// checkDuration returns what is wrong with the value of a duration key.
func (k *key) checkDuration(v time.Duration) error {
	if v == 0 && k.zeroOK || int64(v) >= k.min && int64(v) <= k.max {
		return nil
	}
	zero := ""
	if k.zeroOK {
		zero = "0s or "
	}
	return fmt.Errorf("must be %sbetween %s and %s, is %s", zero,
		formatDuration(time.Duration(k.min)), formatDuration(time.Duration(k.max)), formatDuration(v))
}

// checkText returns the value to store for a string, or what is wrong with it.
func (k *key) checkText(v string) (string, error) {
	if v == "" && k.required {
		return "", fmt.Errorf("must not be empty")
	}
	if k.enum != nil {
		if alias, ok := k.aliases[v]; ok && slices.Contains(k.enum, alias) {
			v = alias
		}
		if !slices.Contains(k.enum, v) {
			return "", fmt.Errorf("must be %s, is %q", oneOf(k.enum), v)
		}
	}
	if k.check != nil {
		if err := k.check(v); err != nil {
			return "", err
		}
	}
	return v, nil
}

// formatDuration writes a duration as a person would: 8h, not 8h0m0s.
func formatDuration(d time.Duration) string {
	text := strings.Replace(d.String(), "µ", "u", 1)
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
