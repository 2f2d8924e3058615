package account

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/wire/auth"
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

// SetMonitor changes the account that reads mysql.user, if it may.
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
	_, err := s.ask(ctx, pool.Login{User: user, Credential: c, Client: from}, "")
	return err
}

// ask asks the primary, which knows of changes first, or a replica while there
// is none or it cannot be reached.
func (s *Servers) ask(ctx context.Context, login pool.Login, query string) (string, error) {
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
		var value string
		value, err = s.pools.Ask(ctx, st.Server, login, query)
		if judge(err) != nobody {
			return value, err
		}
	}
	return "", err
}

// NativeHashes implements Authority. On MariaDB mysql.user is a view that shows
// one plugin of an account that has several.
func (s *Servers) NativeHashes(ctx context.Context, user string) (hashes [][sha1.Size]byte, all bool, err error) {
	// The name is written so that no sql_mode or character set matters.
	query := fmt.Sprintf("SELECT CONCAT(COUNT(*), COALESCE(GROUP_CONCAT("+
		"IF(plugin = '%s', CONCAT(' ', IF(authentication_string = '', '-', authentication_string)), '') SEPARATOR ''), ''))"+
		" FROM mysql.user WHERE User = CONVERT(X'%x' USING utf8mb4)", auth.NativePassword, user)
	answer, err := s.ask(ctx, *s.monitor.Load(), query)
	if err != nil {
		return nil, false, err
	}
	return parseHashes(answer)
}

// parseHashes reads the number of accounts and their hashes.
func parseHashes(answer string) (hashes [][sha1.Size]byte, all bool, err error) {
	fields := strings.Fields(answer)
	if len(fields) == 0 {
		return nil, false, errors.New("mysql.user: no answer")
	}
	accounts, err := strconv.Atoi(fields[0])
	if err != nil {
		return nil, false, fmt.Errorf("mysql.user: %w", err)
	}
	without := 0 // a password
	for _, text := range fields[1:] {
		if hash, ok := auth.ParseNativeHash(text); ok {
			hashes = append(hashes, hash)
		} else if text == "-" {
			without++
		}
	}
	return hashes, len(hashes)+without == accounts, nil
}
