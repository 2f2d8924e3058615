//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

func TestReload(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		conn := harness.Connect(t, p) // stays connected all the time
		logs := harness.OpenLogs(t, c)

		t.Run("new weights are in force at once, for connected clients too", func(t *testing.T) {
			cfg := p.Config()
			cfg.Backends = localproxy.Backends(c, 1, 1)
			reload(t, p, cfg)
			harness.Eventually(t, 5*time.Second, func(ctx context.Context) error {
				logs.Reset()
				for range 20 {
					if _, err := firstColumn(ctx, conn, "SELECT v FROM split "+thisMarker, nil); err != nil {
						return err
					}
				}
				if where := logs.Where(thisMarker); where[1] != 10 || where[2] != 10 {
					return fmt.Errorf("20 reads went to %v", where)
				}
				return nil
			})
		})

		t.Run("a removed backend gets nothing any more", func(t *testing.T) {
			cfg := p.Config()
			cfg.Backends = cfg.Backends[:2]
			reload(t, p, cfg)
			harness.Eventually(t, 5*time.Second, func(ctx context.Context) error {
				rows, err := p.Console(ctx, "SELECT * FROM backends")
				if err == nil && len(rows) != 2 {
					err = fmt.Errorf("%d backends", len(rows))
				}
				return err
			})
			logs.Reset()
			for range 20 {
				if _, err := firstColumn(t.Context(), conn, "SELECT v FROM split "+thisMarker, nil); err != nil {
					t.Fatal(err)
				}
			}
			if where := logs.Where(thisMarker); where[2] != 0 {
				t.Errorf("reads went to %v", where)
			}
		})

		t.Run("a broken file changes nothing and the log says why", func(t *testing.T) {
			from := p.LogSize()
			if err := os.WriteFile(p.ConfigFile(), []byte("instance = \"main\"\n[proxy]\nlisten_to = 7\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := p.Signal(syscall.SIGHUP); err != nil {
				t.Fatal(err)
			}
			harness.Eventually(t, 5*time.Second, func(context.Context) error {
				log, err := p.LogSince(from)
				if err == nil && !strings.Contains(log, "listen_to") {
					err = fmt.Errorf("the log says only %q", log)
				}
				return err
			})
			if got, err := firstColumn(t.Context(), conn, "SELECT v FROM split WHERE id = 1", nil); err != nil || got != "10" {
				t.Errorf("a read after it: %q, %v", got, err)
			}
			fresh := harness.Connect(t, p)
			if got, err := firstColumn(t.Context(), fresh, "SELECT v FROM split WHERE id = 1 FOR UPDATE", nil); err != nil || got != "10" {
				t.Errorf("a new client's read after it: %q, %v", got, err)
			}
			reload(t, p, p.Config()) // the old one again
		})
	})
}

func reload(t *testing.T, p *localproxy.Proxy, cfg localproxy.Config) {
	t.Helper()
	if err := p.Write(cfg); err != nil {
		t.Fatal(err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestSIGTERMDrains(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createSplitTables(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		conn := harness.Connect(t, p)
		for _, s := range []string{"BEGIN", "UPDATE split SET v = 77 WHERE id = 1"} {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, 5*time.Second, func(context.Context) error {
			probe, err := net.Dial("tcp", p.Addr())
			if err == nil {
				probe.Close()
				return errors.New("it still accepts connections")
			}
			return nil
		})
		for _, s := range []string{"UPDATE split SET v = 78 WHERE id = 2", "COMMIT"} {
			if _, err := conn.ExecContext(t.Context(), s); err != nil {
				t.Fatalf("%s in a transaction that was open at the signal: %v", s, err)
			}
		}
		select {
		case <-p.Done():
		case <-time.After(15 * time.Second):
			t.Fatal("the process has not ended 15 s after its last transaction")
		}
		if err := p.Err(); err != nil {
			t.Errorf("it ended with %v", err)
		}
		for id, want := range map[int]string{1: "77", 2: "78"} {
			if got, err := c.Primary.Value(t.Context(), "SELECT v FROM app.split WHERE id = ?", id); err != nil || got != want {
				t.Errorf("row %d is %q (%v), want %q: the transaction was lost", id, got, err, want)
			}
		}
		var refusal *mysql.MySQLError
		if _, err := conn.ExecContext(t.Context(), "SELECT 1"); err == nil || errors.As(err, &refusal) && refusal.Number != 1053 {
			t.Errorf("a statement after the end: %v", err)
		}
	})
}
