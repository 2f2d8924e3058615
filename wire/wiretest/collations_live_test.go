//go:build integration

package wiretest

import (
	"slices"
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// TestSetNamesHasTheEffectOfALogin: for every id that Telamon puts into a login.
func TestSetNamesHasTheEffectOfALogin(t *testing.T) {
	const names = "SELECT CONCAT_WS(' ', @@character_set_client, @@character_set_connection, @@character_set_results, @@collation_connection)"
	ask := func(p *Peer) string {
		r, err := p.Query(names)
		if err != nil {
			t.Fatal(err)
		}
		return r[0].Rows[0][0].Text
	}
	for flavour, unknown := range map[localserver.Flavour][]byte{
		localserver.MariaDB: {248, 249, 250}, // gb18030, which is not taken for something else
		localserver.MySQL:   nil,
	} {
		t.Run(flavour.String(), func(t *testing.T) {
			s := startServer(t, localserver.Options{Flavour: flavour})
			mariadb := flavour == localserver.MariaDB
			compared := 0
			other := mustLogIn(t, s, Credentials{User: localserver.AppUser, Password: localserver.AppPassword, Collation: 8})
			for id := range 256 {
				id := byte(id)
				if _, known := wire.CollationByID(id); !known {
					continue
				}
				p, err := loginTo(t, s, Credentials{User: localserver.AppUser, Password: localserver.AppPassword, Collation: wire.HandshakeCollation(id, mariadb)})
				_, setErr := other.Query(wire.SetNames(id, mariadb))
				if err != nil || slices.Contains(unknown, id) { // UCS-2 and the like are no client's
					if setErr == nil {
						t.Errorf("%s has worked, a login with %d: %v", wire.SetNames(id, mariadb), id, err)
					}
					continue
				}
				if got, want := ask(other), ask(p); got != want || setErr != nil {
					t.Errorf("a login with %d: %s; %s: %s, %v", id, want, wire.SetNames(id, mariadb), got, setErr)
				}
				compared++
			}
			if compared < 100 {
				t.Errorf("only %d compared", compared)
			}
			t.Logf("%d compared", compared)
		})
	}
}
