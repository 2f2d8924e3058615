//go:build integration

package integration

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// TestP13AServerThatStandsStillHoldsItsClientBack checks that what a client
// sends waits in the client, not in the proxy, while its server does not read.
func TestP13AServerThatStandsStillHoldsItsClientBack(t *testing.T) {
	const (
		piece  = MiB
		pieces = 200
	)
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseSchema(t, c)
		cfg := harness.ProxyConfig(c)
		cfg.Settings["monitor"] = "timeout = \"20s\"" // it stands still, and is not dead
		p := suite.StartProxyWithoutRace(t, cfg)
		cl := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.LocalFiles|wire.DeprecateEOF, 0)
		cl.send(wire.ComQuery, "LOAD DATA LOCAL INFILE 'x' INTO TABLE b IGNORE 100000000 LINES")
		cl.payload()
		if err := p.ResetPeakRSS(); err != nil {
			t.Fatal(err)
		}
		before, err := p.RSS()
		if err != nil {
			t.Fatal(err)
		}
		var sent atomic.Int64
		written := make(chan error, 1)
		go func() {
			data := []byte(strings.Repeat("1234567\n", piece/8))
			seq := cl.seq
			for range pieces {
				var b []byte
				b, seq = wire.AppendPacket(nil, seq, data)
				if _, err := cl.nc.Write(b); err != nil {
					written <- err
					return
				}
				sent.Add(1)
			}
			b, last := wire.AppendPacket(nil, seq, nil)
			cl.seq = last
			_, err := cl.nc.Write(b)
			written <- err
		}()
		if err := c.Primary.Pause(); err != nil {
			t.Fatal(err)
		}
		var stuck int64
		since := time.Now()
		for time.Since(since) < 500*time.Millisecond { // nothing moves any more
			if n := sent.Load(); n != stuck {
				stuck, since = n, time.Now()
			}
			<-time.After(10 * time.Millisecond)
		}
		if stuck == pieces {
			t.Error("all was taken although the server stands still")
		}
		if err := c.Primary.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		cl.results()
		if len(cl.said) != 1 || !strings.Contains(cl.said[0], "Records: 0") {
			t.Errorf("answered by %q", cl.said)
		}
		if got := ask(t, cl, "SELECT 'in step'"); got != "in step" {
			t.Errorf("the next statement got %q", got)
		}
		peak, err := p.PeakRSS()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("stuck after %d MiB; RSS %d MiB before, %d MiB at most", stuck, before>>20, peak>>20)
		if peak-before > 32*MiB {
			t.Errorf("RSS grew by %d MiB", (peak-before)>>20)
		}
	})
}

// TestP19AStatementThatIsTooLargeIsRefusedOnce sends more than the server's
// max_allowed_packet.
func TestP19AStatementThatIsTooLargeIsRefusedOnce(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		rig := newRawRig(t, c)
		for name, sql := range map[string]string{
			"in one packet":      sha(wire.MaxPayload - 200),
			"in several packets": sha(3 * wire.MaxPayload),
		} {
			t.Run(name, func(t *testing.T) {
				if err := c.Primary.Exec(t.Context(), "SET GLOBAL max_allowed_packet = 1048576"); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := c.Primary.Exec(t.Context(), "SET GLOBAL max_allowed_packet = 67108864"); err != nil {
						t.Fatal(err)
					}
				}()
				p := suite.StartProxy(t, harness.ProxyConfig(c)) // whose connections are new
				cl := dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0)
				cl.rig = rig
				cl.send(wire.ComQuery, sql)
				cl.results()
				if len(cl.said) == 0 || !strings.Contains(strings.Join(cl.said, "\n"), "max_allowed_packet") {
					t.Errorf("the answer was %q", cl.said)
				}
				for !cl.over { // as directly, or the session goes on
					before := len(cl.said)
					cl.query("SELECT 'next'")
					if cl.over {
						break
					}
					if got := strings.Join(cl.said[before:], "\n"); strings.Contains(got, "ERR") {
						t.Errorf("the next statement was answered by %s", got)
					}
					break
				}
				if got := ask(t, dialRaw(t, p.Addr(), localserver.AppUser, rawCapabilities|wire.DeprecateEOF, 0), "/*master*/ SELECT 1"); got != "1" {
					t.Errorf("the next client got %q", got)
				}
			})
		}
	})
}

var casesInterleaved = []rawCase{
	{id: "K12", title: "pings between the parts of other things", caps: wire.LocalFiles, talk: func(c *rawClient) {
		ping := func() {
			c.send(wire.ComPing, "")
			c.one()
		}
		id := c.prepare("SELECT id FROM a ORDER BY id")
		c.send(wire.ComStmtExecute, stmt(id, 1, 1, 0, 0, 0)) // with a cursor
		c.results()
		ping()
		c.send(wire.ComStmtFetch, stmt(id, 1, 0, 0, 0))
		c.rows()
		ping()
		c.send(wire.ComStmtFetch, stmt(id, 5, 0, 0, 0))
		c.rows()
		long := c.prepare("SELECT ?")
		c.send(wire.ComStmtSendLongData, stmt(long, 0, 0)+"lo")
		ping()
		c.send(wire.ComStmtSendLongData, stmt(long, 0, 0)+"ng")
		c.send(wire.ComStmtExecute, stmt(long, 0, 1, 0, 0, 0, 0, 1, 0xfc, 0))
		c.results()
		c.query("BEGIN")
		ping()
		c.query("COMMIT")
		c.upload("LOAD DATA LOCAL INFILE 'x' INTO TABLE b", "1\n")
		ping()
	}},
	{id: "S24", title: "IS NULL that means the last insert id", talk: func(c *rawClient) {
		c.query("SET sql_auto_is_null = 1")
		c.query("INSERT INTO a (v) VALUES (5)")
		c.query("SELECT * FROM a WHERE id IS NULL")
		c.query("SET sql_auto_is_null = 0")
		c.query("SELECT * FROM a WHERE id IS NULL")
	}},
	{id: "PS21", title: "no metadata for a client that cannot do without", only: "MySQL", talk: func(c *rawClient) {
		c.query("SET resultset_metadata = NONE")
		c.query("SELECT 1, 'x'")
		c.execute(c.prepare("SELECT id FROM a ORDER BY id"))
	}},
}

func TestCasesOfThingsInBetween(t *testing.T) { runRaw(t, casesInterleaved) }
