//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
)

const (
	soakClients     = 200
	soakConnections = 5 // of the pool to each server
	// soakHandovers is how often a server connection must have gone from one
	// client to another in the long form; the short one takes soakTime.
	soakHandovers = 100_000
	soakTime      = 7 * time.Second
)

// soakSetting is a kind of state that can be set and asked for.
type soakSetting struct {
	ask    string                         // an expression
	set    func(n int) (sql, want string) // to the nth of values
	values int
}

// soakSettings are what every answer of the soak carries besides its nonce.
func soakSettings(f localserver.Flavour) []soakSetting {
	isolation := "@@transaction_isolation"
	if f == localserver.MariaDB {
		isolation = "@@tx_isolation"
	}
	of := func(ask, format string, want func(n int) string, values int) soakSetting {
		return soakSetting{ask: ask, values: values, set: func(n int) (string, string) {
			return fmt.Sprintf(format, want(n)), want(n)
		}}
	}
	pick := func(values ...string) func(int) string { return func(n int) string { return values[n%len(values)] } }
	number := func(base int) func(int) string { return func(n int) string { return fmt.Sprint(base + n) } }
	settings := []soakSetting{
		// Half hours only: MariaDB 10.11 takes some offsets for one another (after
		// SET time_zone='+07:38', '+05:22' is '+07:38'; their seconds differ in
		// bit 5 of two bytes only, the case of letters).
		of("@@time_zone", "SET time_zone = '%s'", func(n int) string { return fmt.Sprintf("+%02d:%02d", n%13, n%2*30) }, 26),
		of("@@sql_mode", "SET sql_mode = '%s'", pick("", "ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "STRICT_TRANS_TABLES", "PIPES_AS_CONCAT"), 5),
		of("@@group_concat_max_len", "SET group_concat_max_len = %s", number(1000), 1000),
		of("@@sql_select_limit", "SET SESSION sql_select_limit = %s", number(100_000), 1000),
		of("@@lc_time_names", "SET lc_time_names = '%s'", pick("de_DE", "fr_FR", "en_US", "ja_JP"), 4),
		of("@@max_join_size", "SET max_join_size = %s", number(1_000_000), 1000),
		of("@@foreign_key_checks", "SET foreign_key_checks = %s", pick("0", "1"), 2),
		of("@@character_set_client", "SET NAMES %s", pick("utf8mb4", "latin1", "ascii"), 3),
		of("DATABASE()", "USE %s", pick("app", "app_two"), 2),
	}
	levels := []string{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}
	return append(settings, soakSetting{ask: isolation, values: 3, set: func(n int) (string, string) {
		return "SET SESSION TRANSACTION ISOLATION LEVEL " + levels[n%3], strings.ReplaceAll(levels[n%3], " ", "-")
	}})
}

// soak is what its clients share.
type soak struct {
	addr     string
	settings []soakSetting
	fresh    []string // the settings of a new session
	answers  atomic.Int64
	leaves   [5]atomic.Int64

	mu        sync.Mutex
	last      map[place]int // who used a server connection last
	handovers int
}

// used counts a handover if the connection was somebody else's before.
func (k *soak) used(at place, by int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if last, ok := k.last[at]; ok && last != by {
		k.handovers++
	}
	k.last[at] = by
}

func (k *soak) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.handovers
}

// soaker is one client, which knows what it has set.
type soaker struct {
	*soak
	id     int
	login  int // grows with every login and reset
	serial int
	rng    *rand.Rand
	c      *plainClient
	want   []string // settings
	tenant string   // of @tenant, "NULL" for none
	temp   string   // in the temporary table that hides app.hidden; "real" for none
	row    string   // what its row of app.own has, as far as it sees
	saved  string   // what it has committed
	story  []string // what it has done since it began afresh
}

// TestSoakIsolation has many clients with all kinds of state, who come and go in
// every way there is, share few server connections. No answer may be another
// client's, or show another client's state.
func TestSoakIsolation(t *testing.T) {
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		createCaseTables(t, c)
		harness.Exec(t, c,
			"DROP TABLE IF EXISTS app.hidden, app_two.hidden, app.own",
			"CREATE TABLE app.hidden (n VARCHAR(40))", "INSERT INTO app.hidden VALUES ('real')",
			"CREATE TABLE app.own (id INT PRIMARY KEY, v VARCHAR(40))",
			"INSERT INTO app.own WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 199) SELECT n, 'new' FROM n",
		)
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].MaxConnections = soakConnections
		}
		cfg.Settings["pool"] = `wait_timeout = "15s"`
		cfg.Settings["log"] = `level = "warn"`
		p := suite.StartProxy(t, cfg)
		k := &soak{addr: p.Addr(), settings: soakSettings(c.Primary.Flavour()), last: map[place]int{}}
		k.fresh = freshSettings(t, c, k.settings)

		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		failed := make(chan error, soakClients)
		var wg sync.WaitGroup
		for i := range soakClients {
			wg.Go(func() {
				if err := (&soaker{soak: k, id: i, saved: "new", rng: rand.New(rand.NewPCG(uint64(i), 1))}).run(ctx); err != nil {
					failed <- fmt.Errorf("client %d: %w", i, err)
					cancel()
				}
			})
		}
		begin := time.Now()
		k.await(ctx)
		cancel()
		wg.Wait()
		close(failed)
		for err := range failed {
			t.Error(err)
		}
		t.Logf("%d answers, %d handovers of %d connections per server in %v; clients quit %d, vanished idle %d, in a statement %d, reset %d, changed user %d times",
			k.answers.Load(), k.count(), soakConnections, time.Since(begin).Round(time.Second),
			k.leaves[0].Load(), k.leaves[1].Load(), k.leaves[2].Load(), k.leaves[3].Load(), k.leaves[4].Load())
		if k.count() < 100 {
			t.Error("hardly any connection has changed hands")
		}
	})
}

// await returns when the soak has lasted long enough.
func (k *soak) await(ctx context.Context) {
	end := time.Now().Add(soakTime)
	for ctx.Err() == nil {
		if harness.Long() && k.count() >= soakHandovers || !harness.Long() && time.Now().After(end) {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// freshSettings asks the primary itself.
func freshSettings(t *testing.T, c *localserver.Cluster, settings []soakSetting) []string {
	t.Helper()
	direct := plain(t, c.Primary.Addr(), login{})
	var fresh []string
	for _, s := range settings {
		value, err := direct.ask("SELECT " + s.ask)
		if err != nil {
			t.Fatal(err)
		}
		fresh = append(fresh, value)
	}
	return fresh
}

// run does something, checks everything, and leaves from time to time.
func (s *soaker) run(ctx context.Context) error {
	defer func() {
		if s.c != nil {
			s.c.nc.Close()
		}
	}()
	for ctx.Err() == nil {
		if s.c == nil {
			c, err := dialPlain(s.addr, login{})
			if err != nil {
				return fmt.Errorf("login: %w", err)
			}
			s.c = c
			s.isFresh()
		}
		for range 1 + s.rng.IntN(6) {
			if err := s.setSomething(); err != nil {
				return err
			}
			if err := s.check(); err != nil {
				return err
			}
		}
		if s.rng.IntN(3) == 0 {
			if err := s.episode(); err != nil {
				return err
			}
		}
		if s.c == nil {
			continue // it has left within an episode
		}
		if err := s.check(); err != nil {
			return err
		}
		if err := s.leave(); err != nil {
			return err
		}
	}
	return nil
}

// isFresh notes that the session has just begun.
func (s *soaker) isFresh() {
	s.want, s.tenant, s.temp, s.row = slices.Clone(s.fresh), "NULL", "real", s.saved
	s.story = append(s.story[max(0, len(s.story)-20):], "begins afresh")
	s.login++
}

func (s *soaker) setSomething() error {
	i := s.rng.IntN(len(s.settings))
	sql, want := s.settings[i].set(s.rng.IntN(s.settings[i].values))
	if _, err := s.c.ask(sql); err != nil {
		return fmt.Errorf("%s: %w", sql, err)
	}
	s.story = append(s.story, sql)
	s.want[i] = want
	return nil
}

// nonce is a text no other answer has.
func (s *soaker) nonce() string {
	s.serial++
	return fmt.Sprintf("c%d-%d-%d", s.id, s.login, s.serial)
}

// check asks the primary or a replica for all settings, and the primary for what
// only it can have.
func (s *soaker) check() error {
	nonce := s.nonce()
	columns := []string{"'" + nonce + "'", "@@server_id", "CONNECTION_ID()"}
	for _, setting := range s.settings {
		columns = append(columns, setting.ask)
	}
	hint := "/*slave*/"
	want := []string{nonce}
	want = append(want, s.want...)
	if s.rng.IntN(3) == 0 || s.tenant != "NULL" || s.temp != "real" {
		hint = "/*master*/"
		columns = append(columns, "@tenant", "(SELECT n FROM app.hidden)", fmt.Sprintf("(SELECT v FROM app.own WHERE id = %d)", s.id))
		want = append(want, s.tenant, s.temp, s.row)
	}
	results, err := s.c.query(hint + " SELECT " + strings.Join(columns, ", "))
	if err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if len(results) != 1 || len(results[0]) != len(columns) {
		return fmt.Errorf("check: %d rows, %v", len(results), results)
	}
	row := results[0]
	var at place
	if _, err := fmt.Sscan(row[1]+" "+row[2], &at.server, &at.thread); err != nil {
		return err
	}
	got := append([]string{row[0]}, row[3:]...)
	if !slices.Equal(got, want) {
		return fmt.Errorf("on %v: got  %q\nwant %q\nafter %q", at, got, want, s.story)
	}
	s.story = append(s.story, fmt.Sprintf("checked on %d", at))
	s.used(at, s.id)
	s.answers.Add(1)
	return nil
}

// query returns the rows of the only result as text.
func (c *plainClient) query(sql string) ([][]string, error) {
	if err := c.patience(); err != nil {
		return nil, err
	}
	results, err := c.Query(sql)
	if err != nil {
		return nil, err
	}
	if len(results) != 1 {
		return nil, fmt.Errorf("%d results", len(results))
	}
	var rows [][]string
	for _, r := range results[0].Rows {
		var row []string
		for _, v := range r {
			if v.Null {
				v.Text = "NULL"
			}
			row = append(row, v.Text)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// episode makes state that lives in one connection, and uses it.
func (s *soaker) episode() error {
	nonce := s.nonce()
	switch s.rng.IntN(5) {
	case 0:
		s.tenant = nonce
		return s.all("SET @tenant = '"+nonce+"'", "")
	case 1:
		s.temp = nonce
		return s.all("CREATE TEMPORARY TABLE app.hidden AS SELECT '"+nonce+"' AS n", "")
	case 2:
		lock := fmt.Sprintf("'soak-%s-%d'", s.settings[0].ask, s.id)
		// Its own lock of an earlier life may take a moment to be gone.
		return s.all("SELECT GET_LOCK("+lock+", 10)", "1", "SELECT IS_USED_LOCK("+lock+") = CONNECTION_ID()", "1", "SELECT RELEASE_ALL_LOCKS()", "1")
	case 3:
		return s.prepared(nonce)
	}
	if err := s.all("BEGIN", "", fmt.Sprintf("UPDATE app.own SET v = '%s' WHERE id = %d", nonce, s.id), ""); err != nil {
		return err
	}
	s.row = nonce
	if err := s.check2(); err != nil {
		return err
	}
	switch s.rng.IntN(3) {
	case 0:
		s.saved = nonce
		return s.all("COMMIT", "")
	case 1:
		s.row = s.saved
		return s.all("ROLLBACK", "")
	}
	return s.leave() // in the middle of it
}

// check2 looks at the own row inside the transaction.
func (s *soaker) check2() error {
	return s.all(fmt.Sprintf("SELECT v FROM app.own WHERE id = %d", s.id), s.row)
}

// prepared uses a prepared statement that survives changes of connection.
func (s *soaker) prepared(nonce string) error {
	s.story = append(s.story, "prepare")
	if err := s.c.prepare("p", "SELECT CONCAT('"+nonce+"', @@time_zone)"); err != nil {
		return fmt.Errorf("prepare: %w", err)
	}
	for range 2 {
		s.story = append(s.story, "execute")
		got, err := s.c.execute("p", 0)
		if err != nil || got != nonce+s.want[0] {
			return fmt.Errorf("execute: %q, %v, want %s%s", got, err, nonce, s.want[0])
		}
		if err := s.setSomething(); err != nil {
			return err
		}
	}
	return nil
}

// all runs statements, each followed by the answer wanted, "" for any.
func (s *soaker) all(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		s.story = append(s.story, pairs[i])
		got, err := s.c.ask(pairs[i])
		if err != nil || pairs[i+1] != "" && got != pairs[i+1] {
			return fmt.Errorf("%s: got %q, %v, want %q", pairs[i], got, err, pairs[i+1])
		}
	}
	return nil
}

// leave ends the session one way or another.
func (s *soaker) leave() error {
	how := s.rng.IntN(5)
	s.leaves[how].Add(1)
	s.row = s.saved
	var err error
	switch how {
	case 0:
		err = s.c.quit()
	case 1:
		err = s.c.vanish()
	case 2: // in the middle of a result
		err = s.c.Command(wire.ComQuery, fmt.Sprintf("SELECT '%s', REPEAT('x', 300000) FROM app.hidden", s.nonce()))
		err = errors.Join(err, s.c.vanish())
	case 3:
		schema := s.want[len(s.want)-2] // a reset keeps it
		if err = s.c.command(wire.ComResetConnection, ""); err == nil {
			s.isFresh()
			s.want[len(s.want)-2] = schema
		}
		return err
	case 4:
		if err = s.c.changeUser(localserver.AppUser, localserver.AppSchema); err == nil {
			s.isFresh()
		}
		return err
	}
	s.c = nil
	return err
}
