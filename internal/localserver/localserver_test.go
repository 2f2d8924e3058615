package localserver_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"go.uber.org/goleak"

	"github.com/telamondb/telamon/internal/localserver"
)

// parentEnv makes the test binary start a server of that flavour and wait to be
// killed.
const parentEnv = "TELAMON_LOCALSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if flavour, err := strconv.Atoi(os.Getenv(parentEnv)); err == nil {
		s, err := localserver.Start(context.Background(), localserver.Options{Flavour: localserver.Flavour(flavour)})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(s.PID())
		select {}
	}
	goleak.VerifyTestMain(m)
}

// eachFlavour runs f on the flavours this machine has.
func eachFlavour(t *testing.T, f func(t *testing.T, flavour localserver.Flavour)) {
	for _, flavour := range []localserver.Flavour{localserver.MariaDB, localserver.MySQL} {
		t.Run(flavour.String(), func(t *testing.T) {
			if testing.Short() {
				t.Skip("starts real servers")
			}
			if err := localserver.Available(flavour); err != nil {
				t.Skip(err)
			}
			f(t, flavour)
		})
	}
}

func TestAClusterReplicatesAndItsReplicasRefuseWrites(t *testing.T) {
	eachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		c := startCluster(t, flavour)
		ctx := t.Context()
		replica := c.Replicas[0]
		mustExec(t, c.Primary, "CREATE TABLE app.a (id INT PRIMARY KEY)", "INSERT INTO app.a VALUES (1), (2)")
		if err := c.WaitCaughtUp(ctx); err != nil {
			t.Fatal(err)
		}
		wantValue(t, replica, "SELECT COUNT(*) FROM app.a", "2")
		for _, user := range []string{localserver.AppUser, localserver.DBAUser} {
			db := open(t, replica, user)
			_, err := db.ExecContext(ctx, "INSERT INTO a VALUES (3)")
			var refused *mysql.MySQLError
			if !errors.As(err, &refused) || refused.Number != 1290 {
				t.Errorf("a write by %s on the replica: %v, want error 1290", user, err)
			}
		}

		t.Run("WaitCaughtUp reports a replica whose SQL thread is stopped", func(t *testing.T) {
			if err := replica.StopSQLThread(ctx); err != nil {
				t.Fatal(err)
			}
			mustExec(t, c.Primary, "INSERT INTO app.a VALUES (3)")
			short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
			defer cancel()
			if err := c.WaitCaughtUp(short); err == nil {
				t.Error("no error")
			}
			if err := replica.CheckReplication(ctx); err == nil || !strings.Contains(err.Error(), "Slave_SQL_Running") {
				t.Errorf("CheckReplication says %v", err)
			}
			if err := replica.StartSQLThread(ctx); err != nil {
				t.Fatal(err)
			}
			if err := c.WaitCaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
			wantValue(t, replica, "SELECT COUNT(*) FROM app.a", "3")
		})

		t.Run("a replica that crashed comes back read-only, on its port, and catches up", func(t *testing.T) {
			replica.Kill()
			mustExec(t, c.Primary, "INSERT INTO app.a VALUES (4)")
			if err := replica.Start(ctx); err != nil {
				t.Fatal(err)
			}
			wantValue(t, replica, "SELECT @@GLOBAL.read_only", "1")
			if err := c.WaitCaughtUp(ctx); err != nil {
				t.Fatal(err)
			}
			wantValue(t, replica, "SELECT COUNT(*) FROM app.a", "4")
			if err := replica.CheckReplication(ctx); err != nil {
				t.Error(err)
			}
		})

		t.Run("a paused server accepts and does not answer until it is resumed", func(t *testing.T) {
			if err := replica.Pause(); err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", replica.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			var greeting [1]byte
			if _, err := conn.Read(greeting[:]); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a paused server greets: %v", err)
			}
			if err := replica.Resume(); err != nil {
				t.Fatal(err)
			}
			wantValue(t, replica, "SELECT 1", "1")
		})

		t.Run("the general log tells clients, replication and the caller apart", func(t *testing.T) {
			testGeneralLog(t, c)
		})
	})
}

func testGeneralLog(t *testing.T, c *localserver.Cluster) {
	ctx := t.Context()
	replica := c.Replicas[0]
	db := open(t, replica, localserver.AppUser)
	if err := db.PingContext(ctx); err != nil { // this connection is older than the log
		t.Fatal(err)
	}
	log, err := replica.GeneralLog(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := db.QueryRowContext(ctx, "SELECT\n ? + 1", 41).Scan(&n); err != nil {
		t.Fatal(err)
	}
	mustExec(t, c.Primary, "CREATE TABLE app.logged (id INT)")
	if err := c.WaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"app: Prepare: SELECT\n ? + 1",
		"app: Execute: SELECT\n 41 + 1",
		"system user: Query: CREATE TABLE app.logged (id INT)",
	}
	// MySQL's applier may log a definition after it was applied.
	var got []string
	for deadline := time.Now().Add(10 * time.Second); len(got) < len(want) && time.Now().Before(deadline); {
		entries, err := log.Entries(ctx)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range entries {
			if e.Command != "Close stmt" { // sent without waiting for it
				got = append(got, fmt.Sprintf("%s: %s: %s", e.User, e.Command, e.Argument))
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if err := log.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestStatusCountsStatements(t *testing.T) {
	eachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		s, err := localserver.Start(t.Context(), localserver.Options{Flavour: flavour})
		if err != nil {
			t.Fatal(err)
		}
		defer closeServer(t, s)
		before, err := s.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for range 7 {
			wantValue(t, s, "SELECT 1", "1")
		}
		after, err := s.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got := after["Com_select"] - before["Com_select"]; got != 7 {
			t.Errorf("Com_select grew by %d, want 7", got)
		}
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real servers")
	}
	t.Setenv("TMPDIR", shortTempDir(t))
	eachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		c, err := localserver.StartCluster(t.Context(), localserver.ClusterOptions{Flavour: flavour, Replicas: 1})
		if err != nil {
			t.Fatal(err)
		}
		pid := c.Primary.PID()
		program, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err != nil || !strings.HasPrefix(string(program), "mysqld") && !strings.HasPrefix(string(program), "mariadbd") {
			t.Errorf("PID %d is %q (%v), not the server itself", pid, program, err)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); !os.IsNotExist(err) {
			t.Errorf("process %d is still there (%v)", pid, err)
		}
		if left, err := filepath.Glob(os.TempDir() + "/*"); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
	})
}

func TestNoServerOutlivesAKilledParent(t *testing.T) {
	tmp := shortTempDir(t) // what the killed parent leaves goes with it
	eachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		parent := exec.Command(self)
		parent.Env = append(os.Environ(), fmt.Sprintf("%s=%d", parentEnv, flavour), "TMPDIR="+tmp)
		out, err := parent.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := parent.Start(); err != nil {
			t.Fatal(err)
		}
		line, _ := bufio.NewReader(out).ReadString('\n')
		pid, err := strconv.Atoi(strings.TrimSpace(line))
		if err != nil {
			t.Fatalf("the parent said %q", line)
		}
		if err := parent.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = parent.Wait()
		for deadline := time.Now().Add(20 * time.Second); alive(pid); {
			if time.Now().After(deadline) {
				t.Fatalf("server %d outlived its parent", pid)
			}
		}
	})
}

// alive is false for zombies: nobody may reap orphans in a container.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}

func TestAServerThatCannotStartSaysWhyFromItsLog(t *testing.T) {
	eachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		_, err := localserver.Start(t.Context(), localserver.Options{Flavour: flavour, Args: []string{"--no-such-option"}})
		if err == nil || !strings.Contains(err.Error(), "no-such-option") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAServerWhosePortIsTakenSaysSo(t *testing.T) {
	if err := localserver.Available(localserver.MariaDB); err != nil || testing.Short() {
		t.Skip("starts real servers", err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	// The option wins over the port that every attempt reserves.
	port := fmt.Sprintf("--port=%d", taken.Addr().(*net.TCPAddr).Port)
	_, err = localserver.Start(t.Context(), localserver.Options{Flavour: localserver.MariaDB, Args: []string{port}})
	if err == nil || !strings.Contains(err.Error(), "Bind on TCP/IP port") {
		t.Errorf("got %v", err)
	}
}

func TestAMissingServerNamesWhatToInstall(t *testing.T) {
	t.Setenv(localserver.RootEnv, "/nonexistent")
	err := localserver.Available(localserver.MySQL)
	var missing *localserver.MissingError
	if !errors.As(err, &missing) || !strings.Contains(missing.Fix, "debootstrap") {
		t.Errorf("got %v", err)
	}
}

func TestReservedPortsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 100 {
		p, err := localserver.ReservePort()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if seen[p.Number()] {
			t.Fatalf("port %d was given out twice", p.Number())
		}
		seen[p.Number()] = true
	}
}

func startCluster(t *testing.T, flavour localserver.Flavour) *localserver.Cluster {
	t.Helper()
	c, err := localserver.StartCluster(t.Context(), localserver.ClusterOptions{Flavour: flavour, Replicas: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func closeServer(t *testing.T, s *localserver.Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// open returns a pool of one connection; every account's password here is its name.
func open(t *testing.T, s *localserver.Server, user string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", s.DSN(user, user, localserver.AppSchema))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { db.Close() })
	return db
}

func mustExec(t *testing.T, s *localserver.Server, statements ...string) {
	t.Helper()
	if err := s.Exec(t.Context(), statements...); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, s *localserver.Server, query, want string) {
	t.Helper()
	got, err := s.Value(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("%s: %s is %q, want %q", s, query, got, want)
	}
}

// shortTempDir is short enough for socket paths (at most 107 bytes, unix(7)).
func shortTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
