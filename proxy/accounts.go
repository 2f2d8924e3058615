package proxy

import (
	"context"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/wire/auth"
)

// Accounts knows who may log in. It is safe for concurrent use.
type Accounts interface {
	// Find returns what is known of an account, nil if there is none, and what
	// its sessions go by towards the servers: nil is the configuration's
	// password. It may ask a server.
	Find(ctx context.Context, user, client string) (auth.Verifier, *pool.Credential)
	// Judge finds out whether an offer is right that the verifier could not
	// tell about. client is the client's host, here and above. An error in it is for the client
	// and ends the login.
	Judge(ctx context.Context, user, client string, offer auth.Offer) (auth.Fast, *pool.Credential, error)
}

// listed are the users of the configuration.
type listed map[string]*User

// Find implements Accounts.
func (l listed) Find(ctx context.Context, name, client string) (auth.Verifier, *pool.Credential) {
	u := l[name]
	switch {
	case u == nil:
		return nil, nil
	case u.Hash != nil:
		return u.Hash.Find(ctx, name, client)
	}
	return u.Verifier, nil
}

// Judge implements Accounts.
func (l listed) Judge(ctx context.Context, name, client string, offer auth.Offer) (auth.Fast, *pool.Credential, error) {
	if u := l[name]; u != nil && u.Hash != nil {
		return u.Hash.Judge(ctx, name, client, offer)
	}
	return auth.Wrong, nil, nil
}

// accounts returns who knows the accounts.
func (c *Config) accounts() Accounts {
	if c.Accounts != nil {
		return c.Accounts
	}
	return listed(c.Users)
}

// user returns the settings of an account that has been let in.
func (c *Config) user(name string) *User {
	if u := c.Users[name]; u != nil {
		return u
	}
	return &User{Name: name, Consistency: router.ConsistencyGlobal}
}

// plugins are those that accounts have at servers like the one clients think
// they talk to: a client that names another is asked for one of these, as it
// is there. MySQL 9.0 has dropped mysql_native_password.
//
// Where passwords have to be learned, mysql_clear_password of a client that names
// it will do.
func (s *Session) plugins(cfg *Config, name string) []string {
	u := cfg.Users[name]
	if u != nil && u.Plugin != "" {
		return []string{u.Plugin}
	}
	var has []string
	switch st := s.anyServer(); {
	case st == nil || st.Flavor != backend.MariaDB && st.Flavor != backend.MySQL:
		return nil
	case st.Flavor == backend.MariaDB:
		has = []string{auth.NativePassword}
	case majorVersion(st.Version) >= 9:
		has = []string{auth.CachingSHA2}
	default:
		has = []string{auth.CachingSHA2, auth.NativePassword}
	}
	if cfg.Accounts != nil {
		has = append(has, auth.ClearPassword)
	}
	return has
}

func majorVersion(version string) int {
	n := 0
	for i := 0; i < len(version) && version[i] >= '0' && version[i] <= '9'; i++ {
		n = n*10 + int(version[i]-'0')
	}
	return n
}
