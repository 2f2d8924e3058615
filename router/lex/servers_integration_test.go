//go:build integration

package lex_test

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/router/lex"
)

// TestMain starts one server of each flavour for all tests of the package.
func TestMain(m *testing.M) { os.Exit(withServers(m)) }

// servers by flavour; what is missing says why in absent.
var (
	servers = map[lex.Flavor]*localserver.Server{}
	absent  = map[lex.Flavor]error{}
)

func withServers(m *testing.M) int {
	ctx := context.Background()
	for flavor, f := range map[lex.Flavor]localserver.Flavour{
		lex.FlavorMySQL: localserver.MySQL, lex.FlavorMariaDB: localserver.MariaDB,
	} {
		if err := localserver.Available(f); err != nil {
			absent[flavor] = err
			continue
		}
		s, err := localserver.Start(ctx, localserver.Options{Flavour: f})
		if err == nil {
			defer s.Close()
			err = s.Exec(ctx, "CREATE DATABASE scratch")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		servers[flavor] = s
	}
	return m.Run()
}

// scratchDSN returns the data source name of an empty schema on a server of a
// flavour.
func scratchDSN(t *testing.T, flavor lex.Flavor) string {
	t.Helper()
	if err := absent[flavor]; err != nil {
		t.Skipf("%s has NOT been tested: %v", flavor, err)
	}
	return servers[flavor].DSN(localserver.DBAUser, localserver.DBAPassword, "scratch")
}
