//go:build integration

package integration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// The packet cases in which clients meet each other: there is one connection per
// server, and who comes next gets it.

// startSingle starts a proxy with one connection per server; through, if not nil,
// gives the addresses it is to know the servers by.
func startSingle(t *testing.T, c *localserver.Cluster, through func(addr string) string) *localproxy.Proxy {
	t.Helper()
	createCaseSchema(t, c)
	cfg := harness.ProxyConfig(c)
	for i := range cfg.Backends {
		cfg.Backends[i].MaxConnections = 1
		if through != nil {
			cfg.Backends[i].Address = through(cfg.Backends[i].Address)
		}
	}
	cfg.Settings["pool"] = "wait_timeout = \"20s\""
	cfg.Settings["guard"] = "denied_functions = []"
	return suite.StartProxy(t, cfg)
}

// ask runs a statement and returns the first column of its only row, or the error.
func ask(t *testing.T, cl *rawClient, sql string) string {
	t.Helper()
	cl.send(wire.ComQuery, sql)
	b := cl.payload()
	if b == nil {
		return "connection lost"
	}
	if wire.IsErr(b) {
		e, err := wire.ParseErr(b)
		if err != nil {
			t.Fatal(err)
		}
		return e.Error()
	}
	if b[0] == 0 {
		cl.end(b)
		return "ok"
	}
	n, _ := wire.ReadLenencInt(b)
	cl.definitions(int(n))
	row, err := wire.ParseTextRow(nil, cl.payload(), int(n))
	if err != nil {
		t.Fatal(err)
	}
	first := string(row[0])
	cl.rows()
	return first
}

func TestP11WhatAClientDidNotReadReachesNobody(t *testing.T) {
	const manyRows = "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i+1 FROM n WHERE i < 900) " +
		"SELECT x.i, REPEAT('old row ', 100) FROM n x JOIN n y ON 1=1"
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := startSingle(t, c, nil)
		for _, leaving := range []struct {
			name string
			do   func(*rawClient)
		}{
			{"after ten rows", func(cl *rawClient) {
				cl.send(wire.ComQuery, manyRows)
				cl.payload()
				cl.definitions(2)
				for range 10 {
					cl.payload()
				}
				cl.crash()
			}},
			{"before the first byte", func(cl *rawClient) { cl.send(wire.ComQuery, manyRows); cl.crash() }},
			{"of a statement that is still running", func(cl *rawClient) { cl.send(wire.ComQuery, "SELECT 'old', SLEEP(30)"); cl.crash() }},
			{"in the middle of a binary result", func(cl *rawClient) {
				cl.execute(cl.prepare("SELECT 1"))
				cl.send(wire.ComStmtExecute, executeArg(cl.prepare(manyRows), nil))
				cl.payload()
				cl.crash()
			}},
			{"between two results", func(cl *rawClient) {
				cl.send(wire.ComQuery, "SELECT 1; "+manyRows)
				cl.payload()
				cl.crash()
			}},
			{"in the middle of its own command", func(cl *rawClient) {
				cl.write(framed(wire.ComQuery, "INSERT INTO b VALUES ("+strings.Repeat("1", 300_000)+")")[:290_000])
				cl.crash()
			}},
			{"in the middle of its file", func(cl *rawClient) {
				cl.send(wire.ComQuery, "LOAD DATA LOCAL INFILE 'x' INTO TABLE b")
				cl.payload()
				b, _ := wire.AppendPacket(nil, cl.seq, []byte("1\n2\n3\n"))
				cl.write(b)
				cl.crash()
			}},
		} {
			t.Run(leaving.name, func(t *testing.T) {
				resetCaseTables(t, c)
				leaving.do(dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.LocalFiles|wire.DeprecateEOF, 0))
				next := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.LocalFiles|wire.DeprecateEOF, 0)
				defer next.nc.Close()
				for i := range 6 { // on all servers
					for _, sql := range []string{"SELECT 'mine-%d'", "/*master*/ SELECT 'mine-%d'"} {
						if got := ask(t, next, fmt.Sprintf(sql, i)); got != fmt.Sprintf("mine-%d", i) {
							t.Errorf("%s: got %q", sql, got)
						}
					}
				}
				if got := ask(t, next, "SELECT COUNT(*) FROM b FOR UPDATE"); got != "0" {
					t.Errorf("%s rows were written by a client that did not end its command", got)
				}
			})
		}
	})
}

func TestP21AnIdleConnectionThatTheServerHasClosedIsNotUsed(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		for _, s := range c.Servers() {
			old, err := s.Value(t.Context(), "SELECT @@GLOBAL.wait_timeout")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Exec(t.Context(), "SET GLOBAL wait_timeout = 1"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Exec(context.Background(), "SET GLOBAL wait_timeout = "+old) })
		}
		p := startSingle(t, c, nil)
		for _, sql := range []string{"SELECT 'mine'", "/*master*/ SELECT 'mine'", "INSERT INTO b VALUES (1)"} {
			cl := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
			want := ask(t, cl, sql)
			// The servers close; MySQL says why first (error 4031).
			harness.Eventually(t, 20*time.Second, func(ctx context.Context) error {
				for _, s := range c.Servers() {
					n, err := s.Value(ctx, "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '"+localserver.AppUser+"'")
					if err != nil || n != "0" {
						return fmt.Errorf("%s connections left on %s, %v", n, s, err)
					}
				}
				return nil
			})
			if got := ask(t, cl, sql); got != want {
				t.Errorf("%s: %q, and %q once the server had closed the connection", sql, want, got)
			}
			cl.nc.Close()
		}
	})
}

func TestP22TheFirstAnswerAClientGetsIsItsOwn(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		p := startSingle(t, c, func(addr string) string { return harness.StartRelay(t, addr).Delay(20 * time.Millisecond).Addr() })
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for i := range 12 {
					cl := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
					mine := fmt.Sprintf("%d-%d", w, i)
					switch i % 3 { // leaves something that has to be reset
					case 0:
						ask(t, cl, "SET @nonce = '"+mine+"'")
					case 1:
						ask(t, cl, "SET sql_mode = ''")
					}
					if got := ask(t, cl, "/*master*/ SELECT '"+mine+"'"); got != mine {
						t.Errorf("got %q instead of %q", got, mine)
					}
					if i%2 == 0 {
						cl.crash()
					} else {
						cl.send(wire.ComQuit, "")
						cl.nc.Close()
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestP23ParametersAreNobodyElses(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		p := suite.StartProxy(t, harness.ProxyConfig(c))
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(23, uint64(w)))
				cl := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
				id := cl.prepare("SELECT SHA2(?, 256), SHA2(?, 256)")
				for range 40 {
					long := strings.Repeat(fmt.Sprintf("%d-%d|", w, rnd.Int()), 1+rnd.IntN(4000))
					short := strings.Repeat(fmt.Sprintf("%d+%d|", w, rnd.Int()), 1+rnd.IntN(300))
					for at := 0; at < len(long); {
						n := min(len(long)-at, 1+rnd.IntN(40_000))
						cl.send(wire.ComStmtSendLongData, stmt(id, 0, 0)+long[at:at+n])
						at += n
					}
					cl.said = nil
					cl.send(wire.ComStmtExecute, stmt(id, 0, 1, 0, 0, 0, 0, 1, 0xfc, 0, 0xfd, 0)+string(wire.AppendLenencString(nil, short)))
					cl.payload()
					cl.definitions(2)
					row := cl.payload()
					cl.rows()
					want := fmt.Sprintf("@%x@%x", sha256.Sum256([]byte(long)), sha256.Sum256([]byte(short)))
					if len(row) < 2 || string(row[2:]) != want {
						t.Errorf("got %q, want %q", row, want)
						return
					}
				}
			})
		}
		wg.Wait()
	})
}
