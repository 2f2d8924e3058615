package fakebackend_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/telamondb/telamon/integration/bench/dataset"
	"github.com/telamondb/telamon/integration/bench/fakebackend"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t testing.TB, opt fakebackend.Options) *fakebackend.Server {
	t.Helper()
	s, err := fakebackend.Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect returns one connection of go-sql-driver, an implementation of the
// protocol that is not ours.
func connect(t testing.TB, s *fakebackend.Server, password string) (*sql.Conn, error) {
	t.Helper()
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", s.Addr(), "app", password, dataset.Schema
	cfg.AllowNativePasswords = true
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	t.Cleanup(func() { _ = db.Close() })
	conn, err := db.Conn(t.Context())
	if err == nil {
		t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

func mustConnect(t testing.TB, s *fakebackend.Server) *sql.Conn {
	t.Helper()
	conn, err := connect(t, s, "")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func exec(t testing.TB, conn *sql.Conn, q string, args ...any) {
	t.Helper()
	if _, err := conn.ExecContext(t.Context(), q, args...); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
}

// row returns the first row of a result by column name, nil if there is none.
func row(t testing.TB, conn *sql.Conn, q string, args ...any) map[string]string {
	t.Helper()
	rows, err := conn.QueryContext(t.Context(), q, args...)
	if err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var first map[string]string
	for rows.Next() {
		values := make([]sql.NullString, len(names))
		scan := make([]any, len(names))
		for i := range values {
			scan[i] = &values[i]
		}
		if err := rows.Scan(scan...); err != nil {
			t.Fatal(err)
		}
		if first != nil {
			continue
		}
		first = map[string]string{}
		for i, name := range names {
			first[name] = values[i].String
			if !values[i].Valid {
				first[name] = "NULL"
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatalf("%s: %v", q, err)
	}
	return first
}

func TestADriverReadsTheDatasetInBothProtocols(t *testing.T) {
	for _, flavour := range []fakebackend.Flavour{fakebackend.MySQL, fakebackend.MariaDB} {
		conn := mustConnect(t, start(t, fakebackend.Options{Flavour: flavour}))
		for _, id := range []int{1, 17, dataset.Rows} {
			if got := row(t, conn, dataset.Point(id))["c"]; got != dataset.C(id) {
				t.Errorf("%s: text row %d: %q", flavour, id, got)
			}
			if got := row(t, conn, dataset.PointPrefix+"?", id)["c"]; got != dataset.C(id) {
				t.Errorf("%s: prepared row %d: %q", flavour, id, got)
			}
		}
		if got := row(t, conn, dataset.Range(201)); got["id"] != "201" || got["c"] != dataset.C(201) {
			t.Errorf("%s: first row of the range: %v", flavour, got)
		}
		if got := row(t, conn, dataset.RangePrefix+"? AND ?"+dataset.RangeSuffix, 301, 400); got["id"] != "301" || got["c"] != dataset.C(301) {
			t.Errorf("%s: first row of the prepared range: %v", flavour, got)
		}
		if got := row(t, conn, dataset.Wide)["pad"]; got != dataset.Pad(1) {
			t.Errorf("%s: first wide row has %d bytes", flavour, len(got))
		}
	}
}

func TestALoginNeedsThePasswordIfThereIsOne(t *testing.T) {
	s := start(t, fakebackend.Options{Password: "right"})
	if _, err := connect(t, s, "right"); err != nil {
		t.Error(err)
	}
	_, err := connect(t, s, "wrong")
	var refused *mysql.MySQLError
	if !errors.As(err, &refused) || refused.Number != 1045 {
		t.Errorf("wrong password: %v", err)
	}
}

func TestWhatClientsAndMonitorsAskAtLoginIsAnswered(t *testing.T) {
	s := start(t, fakebackend.Options{ServerID: 7})
	conn := mustConnect(t, s)
	got := row(t, conn, "/* hint */ SELECT @@global.read_only, @@server_id AS id, VERSION(), DATABASE() AS db, CONCAT(@@server_id, ',', 'y') AS quoted, 1")
	want := map[string]string{"@@global.read_only": "0", "id": "7", "VERSION()": "8.4.3", "db": "bench", "quoted": "7,y", "1": "1"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := row(t, conn, "SHOW GLOBAL VARIABLES LIKE 'read_only'"); got["Variable_name"] != "read_only" {
		t.Errorf("SHOW VARIABLES: %v", got)
	}
	for _, q := range []string{"SET NAMES utf8mb4", "SET SESSION sql_mode='ANSI'", "USE bench", "INSERT INTO t VALUES (1)", "DO 1"} {
		exec(t, conn, q)
	}
	if err := conn.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
	_, err := conn.ExecContext(t.Context(), "SELECT a FROM nowhere")
	var unknown *mysql.MySQLError
	if !errors.As(err, &unknown) || unknown.Number != 1064 {
		t.Errorf("unknown statement: %v", err)
	}
	if got := s.Counts(); got.Unknown != 1 || got.Writes != 1 || got.Connections != 1 {
		t.Errorf("counts %+v", got)
	}
}

func TestReplicationStatusSaysWhatWasSet(t *testing.T) {
	for _, c := range []struct {
		flavour                  fakebackend.Flavour
		query, running, lag, set string
	}{
		{fakebackend.MySQL, "SHOW REPLICA STATUS", "Replica_SQL_Running", "Seconds_Behind_Source", "Executed_Gtid_Set"},
		{fakebackend.MySQL, "SHOW SLAVE STATUS", "Slave_SQL_Running", "Seconds_Behind_Master", "Executed_Gtid_Set"},
		{fakebackend.MariaDB, "SHOW ALL SLAVES STATUS", "Slave_SQL_Running", "Seconds_Behind_Master", "Gtid_IO_Pos"},
	} {
		primary := start(t, fakebackend.Options{Flavour: c.flavour})
		replica := start(t, fakebackend.Options{Flavour: c.flavour, Source: primary, ServerID: 2})
		onPrimary, onReplica := mustConnect(t, primary), mustConnect(t, replica)
		if got := row(t, onPrimary, c.query); got != nil {
			t.Errorf("the primary replicates: %v", got)
		}
		exec(t, onPrimary, dataset.Update(1))
		exec(t, onPrimary, dataset.Update(2))
		got := row(t, onReplica, c.query)
		if got[c.running] != "Yes" || got[c.lag] != "0" || !strings.HasSuffix(got[c.set], "2") {
			t.Errorf("%s: %v", c.query, got)
		}
		if _, err := onReplica.ExecContext(t.Context(), dataset.Update(1)); err == nil {
			t.Error("the replica took a write")
		}
		replica.SetReplica(&fakebackend.ReplicaStatus{IORunning: "Yes", SQLRunning: "No", LagSeconds: -1})
		if got := row(t, onReplica, c.query); got[c.running] != "No" || got[c.lag] != "NULL" {
			t.Errorf("%s with the thread stopped: %v", c.query, got)
		}
	}
}

func TestClosingTheServerEndsItsConnections(t *testing.T) {
	s, err := fakebackend.Start(fakebackend.Options{})
	if err != nil {
		t.Fatal(err)
	}
	conn := mustConnect(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := conn.PingContext(ctx); err == nil {
		t.Error("a closed server answers")
	}
	if c, err := net.Dial("tcp", s.Addr()); err == nil {
		c.Close()
		t.Error("a closed server listens")
	}
}

func TestALargeStatementInPiecesIsOneStatement(t *testing.T) {
	s := start(t, fakebackend.Options{})
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.MaxAllowedPacket = "tcp", s.Addr(), "app", 64<<20
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	for _, size := range []int{1 << 20, 17 << 20} {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES ('"+strings.Repeat("x", size)+"')"); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	if got := s.Counts().Writes; got != 2 {
		t.Errorf("%d writes", got)
	}
}
