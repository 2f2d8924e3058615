package account

import (
	"context"
	"crypto/sha1"
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
)

// Servers is the Authority that the servers are: whoever they let in is let in.
type Servers struct {
	store    *backend.Store
	pools    *pool.Pools
	monitor  atomic.Pointer[pool.Login]
	byClient atomic.Bool
}

// NewServers returns the servers of a store.
func NewServers(store *backend.Store, pools *pool.Pools) *Servers {
	s := &Servers{store: store, pools: pools}
	s.SetMonitor("", "")
	return s
}

// SetMonitor changes the account that reads those of the servers, if it may.
func (s *Servers) SetMonitor(user, password string) {
	s.monitor.Store(&pool.Login{User: user, Credential: &pool.Credential{Password: password}})
}

// SetByClient says whether any server is told of clients' addresses.
func (s *Servers) SetByClient(told bool) { s.byClient.Store(told) }

// ByClient implements Authority.
func (s *Servers) ByClient() bool { return s.byClient.Load() }

// Try implements Authority: it logs in as the user, from where the client is if
// servers are told.
func (s *Servers) Try(ctx context.Context, user, client string, c *pool.Credential) error {
	from, _ := netip.ParseAddr(client) // a UNIX socket has none
	_, err := s.ask(ctx, pool.Login{User: user, Credential: c, Client: from}, nil)
	return err
}

// NativeHashes implements Authority.
func (s *Servers) NativeHashes(ctx context.Context, user string) (hashes [][sha1.Size]byte, all bool, err error) {
	answer, err := s.ask(ctx, *s.monitor.Load(), func(f backend.Flavor) string { return accountsSQL(f, user) })
	if err != nil {
		return nil, false, err
	}
	return parseAccounts(answer)
}

// ask asks the primary, which knows of changes first, or a replica while there
// is none or it cannot be reached. query is what its flavour understands; nil =
// logging in is the question.
func (s *Servers) ask(ctx context.Context, login pool.Login, query func(backend.Flavor) string) (string, error) {
	err := errors.New("no server is up")
	t := s.store.Load()
	order := make([]*backend.State, 0, len(t.States))
	if p := t.Primary(); p != nil {
		order = append(order, p)
	}
	for i := range t.States {
		if st := &t.States[i]; st != t.Primary() && st.Health == backend.Up {
			order = append(order, st)
		}
	}
	for _, st := range order {
		sql := ""
		if query != nil {
			sql = query(st.Flavor)
		}
		var value string
		value, err = s.pools.Ask(ctx, st.Server, login, sql)
		if judge(err) != nobody {
			return value, err
		}
	}
	return "", err
}
