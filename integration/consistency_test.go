//go:build integration

package integration

import (
	"context"
	"fmt"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

func TestAReadSeesTheWriteBeforeIt(t *testing.T) {
	const rounds = 300
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		for _, mode := range []struct {
			name, consistency string
			ofAnother         bool // the reader is not the writer
		}{
			{"of its own session, with consistency session", "session", false},
			{"of its own session, with consistency global", "global", false},
			{"of another session, with consistency global", "global", true},
		} {
			t.Run(mode.name, func(t *testing.T) {
				cfg := harness.ProxyConfig(c)
				cfg.Consistency = mode.consistency
				p := suite.StartProxy(t, cfg)
				writer := harness.Connect(t, p)
				reader := writer
				if mode.ofAnother {
					reader = harness.Connect(t, p)
				}
				logs := harness.OpenLogs(t, c)
				writeThenRead := func(i int) {
					t.Helper()
					if _, err := writer.ExecContext(t.Context(), "UPDATE split SET v = ? WHERE id = 3", i); err != nil {
						t.Fatal(err)
					}
					got, err := firstColumn(t.Context(), reader, "SELECT v FROM split WHERE id = 3 "+thisMarker, nil)
					if err != nil {
						t.Fatal(err)
					}
					if got != fmt.Sprint(i) {
						t.Fatalf("read %s after %d was written", got, i)
					}
				}
				for i := range rounds {
					writeThenRead(i)
				}
				where := logs.Where(thisMarker)
				t.Logf("reads on primary, weight 1, weight 5: %v", where)
				if where[1]+where[2] == 0 {
					t.Error("no read ran on a replica")
				}

				// Nothing is applied any more, and nobody may have noticed yet.
				for _, r := range c.Replicas {
					if err := r.StopSQLThread(t.Context()); err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() {
						if err := r.StartSQLThread(context.Background()); err != nil {
							t.Error(err)
						}
					})
				}
				for i := range 10 {
					writeThenRead(1000 + i)
				}
			})
		}
	})
}
