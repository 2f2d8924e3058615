package pool

import (
	"context"
	"net/netip"
	"sync/atomic"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/auth"
)

// Credential is how a user proves itself to the servers, as a client has shown
// it. It is compared by identity: connections opened with one are never handed
// to sessions with another, even if user and password are the same. What is
// called the same user may be another one by now.
type Credential struct {
	Password string
	// Native, if set, is all that is known of the password: enough for accounts
	// of mysql_native_password.
	Native *auth.NativeKey

	retired atomic.Bool
	refused atomic.Bool
	holders atomic.Int32
}

// Refused reports whether a server has refused the credential since the last
// call.
func (c *Credential) Refused() bool { return c.refused.Load() && c.refused.Swap(false) }

// Verifier returns the verifier of who has the credential.
func (c *Credential) Verifier() auth.Verifier {
	if c.Native != nil {
		return auth.NewNativeVerifier(c.Native.Hash())
	}
	return auth.NewPasswordVerifier(c.Password)
}

// Hold says that a session goes by the credential, until Drop.
func (c *Credential) Hold() { c.holders.Add(1) }

// Drop ends Hold.
func (c *Credential) Drop() { c.holders.Add(-1) }

// Retire says that no session to come will go by the credential. Connections
// opened with it are closed once no session is left that does. Sessions that
// there are go on with them, as they do at a server whose account is dropped or
// gets another password.
func (c *Credential) Retire() { c.retired.Store(true) }

// retired reports whether the login's credential is.
func (l *Login) retired() bool { return l.Credential != nil && l.Credential.retired.Load() }

// abandoned reports whether nobody will use connections of the login again.
func (l *Login) abandoned() bool { return l.retired() && l.Credential.holders.Load() == 0 }

// account is what a server's refusal is about.
func (l *Login) account() account { return account{l.User, l.Credential, l.Client} }

type account struct {
	user       string
	credential *Credential
	client     netip.Addr // as in Login
}

// secret returns what proves a login's user: its own credential, or the password
// the configuration has.
func (d *Dialer) secret(login *Login) (*Credential, bool) {
	if login.Credential != nil {
		return login.Credential, true
	}
	password, ok := d.Password(login.User)
	return &Credential{Password: password}, ok
}

// Ask opens a connection outside the pool, has the server answer a query that
// returns one row, and closes it. It returns the first column. An empty query
// asks nothing: that the login works is the answer. An ERR of the server is
// returned as *wire.Err inside the error.
func (ps *Pools) Ask(ctx context.Context, server *backend.Server, login Login, query string) (string, error) {
	d := ps.dialer.Load()
	login.Client = d.clientFor(server, login.Client)
	c, err := d.dial(ctx, server, login, &Profile{Collation: askCollation})
	if err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, c.Interrupt)
	defer stop()
	defer c.hangUp()
	if query == "" {
		return "", nil
	}
	return c.QueryValue(query)
}

// askCollation is utf8mb4_general_ci, which both flavours know.
const askCollation = 45

// hangUp closes a connection as clients do: servers log those that just vanish.
func (c *Conn) hangUp() {
	c.queue(wire.ComQuit, "")
	_ = c.Wire.Flush()
	_ = c.Wire.Close()
}
