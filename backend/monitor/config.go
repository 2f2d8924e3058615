package monitor

import (
	"crypto/rsa"
	"time"

	"github.com/telamondb/telamon/backend"
)

// Config says how servers are watched. It is a value; a running Monitor takes
// a new one with SetConfig.
type Config struct {
	// Username and Password are the account the probes log in with. It needs
	// REPLICATION CLIENT on MySQL, SLAVE MONITOR on MariaDB from 10.5 on.
	Username, Password string

	// Interval is the pause between two probes of a server, Timeout the time a
	// probe may take as a whole: name lookup, connect, login and questions.
	Interval, Timeout time.Duration

	// Fall is the number of timeouts or broken answers in a row that take a
	// server out; a refused connection does so at once. Rise is the number of
	// good probes in a row that bring an unreachable server back.
	Fall, Rise int

	// Blind is how long a replica goes on serving after its last good
	// measurement while it is alive but cannot be measured: login refused,
	// privilege missing, too many connections, name lookup failing.
	Blind time.Duration

	Maintenance Maintenance

	// Encryption of the connections to a server; nil means none to any. A new
	// one takes effect with the next connection.
	Encryption func(*backend.Server) backend.Encryption

	// ServerKey returns the RSA key a server is known to have, nil if it is to
	// be asked for it, as a nil function does for all. Passwords are encrypted
	// with it where the connection is not.
	ServerKey func(*backend.Server) *rsa.PublicKey

	// ProxyProtocol says whether a server expects a PROXY protocol header, which
	// then says that the connection is Telamon's own; nil means none does.
	ProxyProtocol func(*backend.Server) bool
}

// Maintenance says how a replica that was out comes back.
type Maintenance struct {
	// Enabled false leaves it out until SET ONLINE.
	Enabled bool
	// MaxLag is the lag it must reach; never above the server's own max_lag.
	MaxLag time.Duration
	// Hold is how long it must stay good before it serves.
	Hold time.Duration
	// SlowStart is the time in which its weight then grows to the full one.
	SlowStart time.Duration
}

// DefaultConfig returns the documented defaults, without an account.
func DefaultConfig() Config {
	return Config{
		Interval: 500 * time.Millisecond,
		Timeout:  time.Second,
		Fall:     2,
		Rise:     2,
		Blind:    time.Minute,
		Maintenance: Maintenance{
			Enabled:   true,
			MaxLag:    500 * time.Millisecond,
			Hold:      3 * time.Second,
			SlowStart: 10 * time.Second,
		},
	}
}

// normal returns c with values that cannot work replaced by the smallest that can.
func (c Config) normal() Config {
	const least = 10 * time.Millisecond
	c.Interval = max(c.Interval, least)
	c.Timeout = max(c.Timeout, least)
	c.Fall = max(c.Fall, 1)
	c.Rise = max(c.Rise, 1)
	return c
}
