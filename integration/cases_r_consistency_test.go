//go:build integration

package integration

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

// laggingConfig is a proxy that does not look at replication: replicas stay in use
// however far behind they are, and only consistency keeps old rows away.
func laggingConfig(c *localserver.Cluster, consistency string) localproxy.Config {
	cfg := harness.ProxyConfig(c)
	cfg.Consistency = consistency
	for i := range cfg.Backends {
		if cfg.Backends[i].Role == "ro" {
			cfg.Backends[i].MaxLag = "0s"
		}
	}
	return cfg
}

// createWritesTable makes the table that the R cases write numbers into.
func createWritesTable(t *testing.T, c *localserver.Cluster) {
	t.Helper()
	harness.Exec(t, c,
		"USE app",
		"DROP TABLE IF EXISTS w, made",
		"DROP PROCEDURE IF EXISTS put", "DROP FUNCTION IF EXISTS put_f",
		"CREATE TABLE w (id INT PRIMARY KEY)",
		"CREATE PROCEDURE put(n INT) INSERT INTO app.w VALUES (n)",
		"CREATE FUNCTION put_f(n INT) RETURNS INT MODIFIES SQL DATA BEGIN INSERT INTO app.w VALUES (n); RETURN n; END",
	)
}

// writing is a way to write row %d of w.
type writing struct {
	name string
	only string // flavour
	user string
	do   []string
}

var writings = []writing{
	{name: "as text", do: []string{"INSERT INTO w VALUES (%d)"}},
	{name: "by a prepared statement", do: []string{"!prepare p INSERT INTO w VALUES (%d)", "!execute p"}},
	{name: "by CALL", do: []string{"CALL put(%d)"}},
	{name: "by a function", do: []string{"SELECT put_f(%d)"}},
	{name: "by SQL-level PREPARE", do: []string{"PREPARE p FROM 'INSERT INTO w VALUES (%d)'", "EXECUTE p"}},
	{name: "by EXECUTE IMMEDIATE", only: "MariaDB", do: []string{"EXECUTE IMMEDIATE 'INSERT INTO w VALUES (%d)'"}},
	{name: "with RETURNING", only: "MariaDB", do: []string{"INSERT INTO w VALUES (%d) RETURNING id"}},
	{name: "as the middle one of several statements", do: []string{"!multi on", "SELECT 1; INSERT INTO w VALUES (%d); SELECT 2"}},
	{name: "in an executable comment", do: []string{"/*!50000 INSERT INTO w VALUES (%d) */"}},
	{name: "in a transaction", do: []string{"BEGIN", "INSERT INTO w VALUES (%d)", "SELECT 1", "COMMIT"}},
	{name: "in a transaction that is chained", do: []string{"BEGIN", "INSERT INTO w VALUES (%d)", "COMMIT AND CHAIN", "ROLLBACK"}},
	{name: "with autocommit=0", do: []string{"SET autocommit = 0", "INSERT INTO w VALUES (%d)", "COMMIT"}},
	{name: "committed by SET autocommit=1", do: []string{"SET autocommit = 0", "INSERT INTO w VALUES (%d)", "SET autocommit = 1"}},
	{name: "committed by BEGIN", do: []string{"BEGIN", "INSERT INTO w VALUES (%d)", "BEGIN", "ROLLBACK"}},
	{name: "committed by DDL", do: []string{"BEGIN", "INSERT INTO w VALUES (%d)", "CREATE TABLE made (id INT)", "DROP TABLE made"}},
	{name: "committed by DDL that fails", do: []string{"BEGIN", "INSERT INTO w VALUES (%d)", "CREATE TABLE w (id INT)"}},
	{name: "committed by LOCK TABLES", do: []string{"BEGIN", "INSERT INTO w VALUES (%d)", "LOCK TABLES w READ", "UNLOCK TABLES"}},
	{name: "by XA", do: []string{"XA START 'x'", "INSERT INTO w VALUES (%d)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"}},
	{name: "in a replication domain of its own", only: "MariaDB", user: localserver.DBAUser,
		do: []string{"SET gtid_domain_id = 7", "INSERT INTO w VALUES (%d)"}},
	{name: "by a client that tracks other things", only: "MariaDB",
		do: []string{"SET session_track_system_variables = 'autocommit'", "INSERT INTO w VALUES (%d)"}},
	{name: "by a client that tracks nothing", only: "MySQL",
		do: []string{"SET session_track_gtids = OFF", "INSERT INTO w VALUES (%d)"}},
	{name: "by a client that ends tracking in the packet that writes", only: "MySQL",
		do: []string{"!multi on", "SET session_track_gtids = OFF; INSERT INTO w VALUES (%d)"}},
	{name: "by a client that ends tracking in the packet that writes", only: "MariaDB",
		do: []string{"!multi on", "SET session_track_system_variables = ''; INSERT INTO w VALUES (%d)"}},
	{name: "by a statement too long to be read first", do: []string{"INSERT INTO w VALUES (%d) /* " + strings.Repeat("x", 400<<10) + " */"}},
}

// readings are the ways to look for row %d of w; each must render as 1.
var readings = []writing{
	{name: "as text", do: []string{"SELECT COUNT(*) FROM w WHERE id = %d"}},
	{name: "by a prepared statement", do: []string{"!prepare r SELECT CAST(COUNT(*) AS CHAR) FROM w WHERE id = %d", "!execute r"}},
	{name: "by a cursor", do: []string{"!prepare r SELECT CAST(COUNT(*) AS CHAR) FROM w WHERE id = %d", "!cursor r"}},
	{name: "in a READ ONLY transaction", do: []string{"START TRANSACTION READ ONLY", "SELECT COUNT(*) FROM w WHERE id = %d"}},
	{name: "with a snapshot", do: []string{"START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY", "SELECT COUNT(*) FROM w WHERE id = %d"}},
	{name: "into a variable", do: []string{"SELECT COUNT(*) FROM w WHERE id = %d INTO @n", "SELECT @n"}},
	{name: "as one of several statements", do: []string{"!multi on", "SELECT COUNT(*) FROM w WHERE id = %d; DO 0"}},
}

// tellOne is what a client does about row n; it returns the last answer.
func tellOne(ctx context.Context, s *stage, c *plainClient, do []string, n int) (string, error) {
	last := ""
	for _, d := range do {
		d = strings.ReplaceAll(d, "%d", fmt.Sprint(n))
		got, err := s.do(ctx, c, d, "")
		if errno(err) == 1050 {
			continue // a failing CREATE TABLE is one of the writings
		}
		if err != nil {
			return "", fmt.Errorf("%.100s: %w", d, err)
		}
		if got != "ok" && got != "" {
			last = strings.TrimSuffix(got, ";ok")
		}
	}
	return last, nil
}

// TestR01R02WhatIsWrittenIsRead: the replicas have everything up to the write, but
// not the write, and yet a read sees it, whichever way both are made.
func TestR01R02WhatIsWrittenIsRead(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		s := &stage{cluster: c}
		p := suite.StartProxy(t, laggingConfig(c, "global"))
		row := 0
		for i, w := range writings {
			if w.only != "" && w.only != c.Primary.Flavour().String() {
				continue
			}
			how := []writing{readings[i%len(readings)]}
			if i == 0 {
				how = readings
			}
			for _, r := range how {
				t.Run(fmt.Sprintf("written %s, read %s", w.name, r.name), func(t *testing.T) {
					if err := c.WaitCaughtUp(t.Context()); err != nil {
						t.Fatal(err)
					}
					defer harness.StopApplying(t, c.Replicas...)()
					row++
					writer, reader := plain(t, p.Addr(), login{user: w.user}), plain(t, p.Addr(), login{})
					if _, err := tellOne(t.Context(), s, writer, w.do, row); err != nil {
						t.Fatal("writing: ", err)
					}
					for i, client := range []*plainClient{reader, writer} {
						name := []string{"another client", "the writer"}[i]
						begin := time.Now()
						got, err := tellOne(t.Context(), s, client, r.do, row)
						if err != nil || got != "1" {
							t.Errorf("%s read %q, %v, want 1", name, got, err)
						}
						if took := time.Since(begin); took > 2*time.Second {
							t.Errorf("that took %v", took)
						}
						client.nc.Close()
					}
				})
			}
		}
		defer harness.StopApplying(t, c.Replicas...)()
		writer, reader := plain(t, p.Addr(), login{}), plain(t, p.Addr(), login{})
		row++
		if _, err := writer.ask(fmt.Sprintf("INSERT INTO w VALUES (%d)", row)); err != nil {
			t.Fatal(err)
		}
		look := fmt.Sprintf("SELECT COUNT(*) FROM w WHERE id = %d", row)
		for _, q := range []struct {
			name   string
			client *plainClient
			sql    string
			want   string
		}{
			{"consistency off is stale", writer, "/*consistency=off*/ " + look, "0"},
			{"consistency session sees its own", writer, "/*consistency=session*/ " + look, "1"},
			{"consistency session does not wait for others", reader, "/* consistency = session */ " + look, "0"},
			{"consistency global sees others'", reader, "/*consistency=global*/ " + look, "1"},
			{"consistency by default is the user's", reader, look, "1"},
			{"the primary is current", reader, "/*master*/ /*consistency=off*/ " + look, "1"},
		} {
			t.Run(q.name, func(t *testing.T) {
				if got, err := q.client.ask(q.sql); err != nil || got != q.want {
					t.Errorf("%s: %q, %v, want %s", q.sql, got, err, q.want)
				}
			})
		}
	})
}

// TestR03WaitingHasOneAnswerAndAnEnd looks at what a replica that is behind is
// asked, and at what the client hears of it.
func TestR03WaitingHasOneAnswerAndAnEnd(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		for _, wait := range []string{"0s", "50ms", "400ms"} {
			t.Run("wait="+wait, func(t *testing.T) {
				cfg := laggingConfig(c, "global")
				cfg.Settings["consistency"] = fmt.Sprintf("wait = %q", wait)
				p := suite.StartProxy(t, cfg)
				limit, err := time.ParseDuration(wait)
				if err != nil {
					t.Fatal(err)
				}
				logs := harness.OpenLogs(t, c)
				client := plain(t, p.Addr(), login{})
				start := harness.StopApplying(t, c.Replicas...)
				defer func() { start() }()
				if err := c.Primary.Exec(t.Context(), "DELETE FROM app.w"); err != nil {
					t.Fatal(err)
				}
				if _, err := client.ask("INSERT INTO w VALUES (1)"); err != nil {
					t.Fatal(err)
				}
				logs.Reset()
				begin := time.Now()
				got, err := client.ask("SELECT COUNT(*) FROM w " + thisMarker)
				took := time.Since(begin)
				if err != nil || got != "1" {
					t.Errorf("read %q, %v, want 1", got, err)
				}
				if took > limit+time.Second || took < limit-20*time.Millisecond {
					t.Errorf("answered after %v", took)
				}
				if where := logs.Where(thisMarker); where[0] != 1 || where[1]+where[2] != 0 {
					t.Errorf("the read ran %v times per server, want it once on the primary", where)
				}
				if where := logs.Where("WAIT"); where[0] != 0 || where[1]+where[2] != 1 {
					t.Errorf("servers were asked to wait %v times, want one replica once", where)
				}
				// Answers that were not the client's would come now.
				for i := range 3 {
					if got, err := client.ask(fmt.Sprintf("SELECT %d FROM w", i)); err != nil || got != fmt.Sprint(i) {
						t.Errorf("statement %d: %q, %v", i, got, err)
					}
				}
				start()
				start = func() {}
				if err := c.WaitCaughtUp(t.Context()); err != nil {
					t.Fatal(err)
				}
				eventually(t, 5*time.Second, "reads stay on the primary", func() (bool, error) {
					logs.Reset()
					_, err := client.ask("SELECT COUNT(*) FROM w " + thisMarker)
					return logs.Where(thisMarker)[0] == 0, err
				})
			})
		}
	})
}

// TestR03AReplicaThatHasItServesWhileThePrimaryIsAway: with one replica behind, and
// nobody to turn to, the other one has what the read must see.
func TestR03AReplicaThatHasItServesWhileThePrimaryIsAway(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		cfg := laggingConfig(c, "global")
		cfg.Backends[1].Weight, cfg.Backends[2].Weight = 5, 1 // the one behind is asked most
		p := suite.StartProxy(t, cfg)
		client := plain(t, p.Addr(), login{})
		defer harness.StopApplying(t, c.Replicas[0])()
		if _, err := client.ask("INSERT INTO w VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "the other replica does not catch up", func() (bool, error) {
			n, err := c.Replicas[1].Value(t.Context(), "SELECT COUNT(*) FROM app.w")
			return n == "1", err
		})
		if err := c.Primary.Pause(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Primary.Resume(); err != nil {
				t.Error(err)
			}
			harness.AwaitState(t, p, c.Primary.Addr(), "up", 10*time.Second)
		}()
		awaitOut(t, p, c.Primary.Addr(), time.Now(), 10*time.Second)
		for i := range 20 {
			if got, err := client.ask("SELECT COUNT(*) FROM w"); err != nil || got != "1" {
				t.Fatalf("read %d: %q, %v, want 1", i, got, err)
			}
		}
	})
}

// TestR05SnapshotsOfReadOnlyTransactions: a transaction on a replica begins with
// what had been written, and keeps its snapshot.
func TestR05SnapshotsOfReadOnlyTransactions(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		p := suite.StartProxy(t, laggingConfig(c, "global"))
		count := "SELECT COUNT(*) FROM w"
		steps := func(t *testing.T, who map[string]*plainClient, acts []act) error {
			for i, a := range acts {
				if who[a.who] == nil {
					who[a.who] = plain(t, p.Addr(), login{})
				}
				got, err := who[a.who].ask(a.do)
				if err := a.judge(got, err); err != nil {
					return fmt.Errorf("%d: %s: %s: %w", i, a.who, a.do, err)
				}
			}
			return nil
		}
		for _, cs := range []struct {
			name  string
			apply bool
			acts  []act
		}{
			{name: "what was written before it begins is seen", acts: []act{
				{who: "B", do: "INSERT INTO w VALUES (1)"},
				{who: "A", do: "START TRANSACTION READ ONLY"}, {who: "A", do: count, want: "1"},
			}},
			{name: "what is written after the first read is not", apply: true, acts: []act{
				{who: "A", do: "START TRANSACTION READ ONLY"}, {who: "A", do: count, want: "0"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "B", do: count, want: "1"},
				{who: "A", do: count, want: "0"}, {who: "A", do: "COMMIT"}, {who: "A", do: count, want: "1"},
			}},
			{name: "what is written between its beginning and the first read is seen", acts: []act{
				{who: "A", do: "START TRANSACTION READ ONLY"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "1"},
				{who: "B", do: "INSERT INTO w VALUES (2)"}, {who: "A", do: count, want: "1"},
				{who: "A", do: "INSERT INTO w VALUES (3)", errno: 1792}, {who: "A", do: "COMMIT"}, {who: "A", do: count, want: "2"},
			}},
			{name: "also behind statements that read nothing", acts: []act{
				{who: "A", do: "START TRANSACTION READ ONLY"},
				{who: "A", do: "SET @@session.sql_mode = 'ANSI_QUOTES'"}, {who: "A", do: "SELECT 1", want: "1"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: `SELECT COUNT(*) FROM "w"`, want: "1"},
				{who: "A", do: "ROLLBACK"}, {who: "A", do: `SELECT COUNT(*) FROM "w"`, want: "1"},
			}},
			{name: "with the replicas running, it stays on its replica", apply: true, acts: []act{
				{who: "A", do: "START TRANSACTION READ ONLY"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "1"},
				{who: "B", do: "INSERT INTO w VALUES (2)"}, {who: "A", do: count, want: "1"},
				{who: "A", do: "COMMIT"}, {who: "A", do: count, want: "2"},
			}},
			{name: "a snapshot taken at the beginning stays what it is", acts: []act{
				{who: "A", do: "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "0"},
				{who: "A", do: "COMMIT"}, {who: "A", do: count, want: "1"},
			}},
			{name: "a chained transaction begins with what has been written", acts: []act{
				{who: "A", do: "START TRANSACTION READ ONLY"}, {who: "A", do: count, want: "0"}, {who: "A", do: "COMMIT AND CHAIN"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "1"},
				{who: "A", do: "INSERT INTO w VALUES (3)", errno: 1792}, {who: "A", do: "COMMIT"},
			}},
			{name: "without snapshots every read is current", acts: []act{
				{who: "A", do: "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"},
				{who: "A", do: "START TRANSACTION READ ONLY"}, {who: "A", do: count, want: "0"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "1"},
				{who: "B", do: "INSERT INTO w VALUES (2)"}, {who: "A", do: count, want: "2"},
			}},
			{name: "a transaction with a savepoint cannot move", acts: []act{
				{who: "A", do: "START TRANSACTION READ ONLY"}, {who: "A", do: "SAVEPOINT a"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, errno: 1429},
				{who: "A", do: "ROLLBACK"}, {who: "A", do: count, want: "1"},
			}},
			{name: "nor does one that asks for no consistency", acts: []act{
				{who: "A", do: "/*consistency=off*/ START TRANSACTION READ ONLY"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "0"}, {who: "A", do: "COMMIT"},
			}},
			{name: "without autocommit the snapshot is the primary's", acts: []act{
				{who: "A", do: "SET autocommit = 0"}, {who: "A", do: count, want: "0"},
				{who: "B", do: "INSERT INTO w VALUES (1)"}, {who: "A", do: count, want: "0"},
				{who: "A", do: "COMMIT"}, {who: "A", do: count, want: "1"},
			}},
		} {
			t.Run(cs.name, func(t *testing.T) {
				harness.Exec(t, c, "DELETE FROM app.w")
				// Replicas that were behind a moment ago are left alone for a while.
				look := plain(t, p.Addr(), login{})
				eventually(t, 5*time.Second, "no replica serves", func() (bool, error) {
					id, err := look.ask("/*slave*/ SELECT @@server_id")
					return id != "1", err
				})
				if !cs.apply {
					defer harness.StopApplying(t, c.Replicas...)()
				}
				if err := steps(t, map[string]*plainClient{}, cs.acts); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// TestR07AnswersWhileAReplicaIsWaitedFor: whatever shape the read has and whatever
// happens meanwhile, there is one answer.
func TestR07AnswersWhileAReplicaIsWaitedFor(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createWritesTable(t, c)
		cfg := laggingConfig(c, "global")
		cfg.Settings["consistency"] = `wait = "800ms"`
		p := suite.StartProxy(t, cfg)
		defer harness.StopApplying(t, c.Replicas...)()
		client := plain(t, p.Addr(), login{flags: wire.MultiStatements})
		if _, err := client.ask("INSERT INTO w VALUES (1)"); err != nil {
			t.Fatal(err)
		}
		t.Run("the replica's connection dies", func(t *testing.T) {
			var wg sync.WaitGroup
			stop := make(chan struct{})
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
					if err := killWaiting(t.Context(), c); err != nil {
						t.Error(err)
					}
				}
			})
			got, err := client.ask("SELECT COUNT(*) FROM w")
			close(stop)
			wg.Wait()
			if err != nil || got != "1" {
				t.Errorf("%q, %v, want 1", got, err)
			}
		})
		t.Run("the client sends more meanwhile", func(t *testing.T) {
			if err := client.patience(); err != nil {
				t.Fatal(err)
			}
			for i := range 3 { // all at once
				client.Seq = 0
				client.WritePacket(append([]byte{byte(wire.ComQuery)}, fmt.Sprintf("SELECT %d FROM w", i)...))
			}
			if err := client.Flush(); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				client.Seq = 1
				b, err := client.Read() // the column count
				if err != nil || len(b) != 1 {
					t.Fatalf("answer %d begins with %x, %v", i, b, err)
				}
				if _, err := client.Read(); err != nil { // the column
					t.Fatal(err)
				}
				if b, err = client.Read(); err != nil || string(b) != fmt.Sprintf("\x01%d", i) {
					t.Fatalf("answer %d has the row %q, %v", i, b, err)
				}
				if b, err = client.Read(); err != nil || b[0] != 0xfe {
					t.Fatalf("answer %d ends with %x, %v", i, b, err)
				}
			}
		})
		t.Run("the answer is longer than a packet", func(t *testing.T) {
			got, err := client.ask("SELECT id, REPEAT('x', 17 << 20) FROM w")
			if err != nil || len(got) != len("1,")+17<<20 {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	})
}

// killWaiting ends the applications' connections that wait for replication.
func killWaiting(ctx context.Context, c *localserver.Cluster) error {
	for _, r := range c.Replicas {
		rows, err := r.Query(ctx, "SHOW PROCESSLIST")
		if err != nil {
			return err
		}
		for _, row := range rows {
			if row["User"] != localserver.AppUser || !strings.Contains(row["Info"], "GTID") {
				continue
			}
			if err := r.Exec(ctx, "KILL "+row["Id"]); err != nil && !strings.Contains(err.Error(), "Unknown thread") {
				return err
			}
		}
	}
	return nil
}
