//go:build integration

package pool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// onServers runs a test on both flavours.
func onServers(t *testing.T, test func(t *testing.T, r *rig, flavour localserver.Flavour)) {
	harness.InEachFlavour(t, func(t *testing.T, flavour localserver.Flavour) {
		s, err := localserver.Start(t.Context(), localserver.Options{Flavour: flavour})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		if err := s.Exec(t.Context(), "CREATE DATABASE test_a", "CREATE DATABASE test_b",
			"CREATE TABLE test_a.pp (v VARCHAR(10))", "INSERT INTO test_a.pp VALUES ('a')",
			"CREATE TABLE test_b.pp (v VARCHAR(10))", "INSERT INTO test_b.pp VALUES ('b')"); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, s.Addr(), 0)
		d := testDialer()
		d.Password = func(user string) (string, bool) { return user, true } // as localserver's accounts
		r.pools.Configure(d, testLimits)
		test(t, r, flavour)
	})
}

// peer lets a test send what a session would send.
func peer(c *Conn) *wiretest.Peer { return &wiretest.Peer{Conn: c.Wire, Capabilities: c.Caps} }

// volatile are variables that differ between connections, or move by
// themselves.
var volatile = []string{
	"pseudo_thread_id", "timestamp", "rand_seed1", "rand_seed2", "statement_id", "warning_count", "error_count",
	"last_gtid", "gtid_executed", "gtid_binlog_pos", "gtid_current_pos", "gtid_binlog_state", "last_insert_id", "identity", "insert_id",
}

func variables(t *testing.T, c *Conn) map[string]string {
	t.Helper()
	table := "performance_schema.session_variables"
	if c.MariaDB() {
		table = "information_schema.session_variables"
	}
	// LIMIT, because SHOW VARIABLES heeds sql_select_limit.
	results, err := peer(c).Query("SELECT LOWER(variable_name), variable_value FROM " + table + " LIMIT 5000")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, row := range results[0].Rows {
		if !slices.Contains(volatile, row[0].Text) {
			all[row[0].Text] = row[1].Text
		}
	}
	schema, err := c.QueryValue("SELECT DATABASE()")
	if err != nil {
		t.Fatal(err)
	}
	all["DATABASE()"] = schema
	if len(all) < 300 {
		t.Fatalf("only %d variables", len(all))
	}
	return all
}

func differences(want, got map[string]string) (all []string) {
	for name, value := range want {
		if got[name] != value {
			all = append(all, fmt.Sprintf("%s is %q instead of %q", name, got[name], value))
		}
	}
	slices.Sort(all)
	return all
}

// learned is what a session knows from the server's reports, in the way of
// proxy/session.State.
type learned struct {
	profile  *Profile
	opaque   bool // something was reported that cannot be moved
	unread   bool
	reported []string
}

func (l *learned) takeOver(block []byte) {
	for ch := wire.NewChanges(block); ch.Next(); {
		c := ch.Change()
		name, value := string(c.Name), string(c.Value)
		switch {
		case c.Type == wire.ChangeSchema:
			l.profile = l.profile.WithSchema(value)
			l.reported = append(l.reported, "schema")
		case c.Type != wire.ChangeSystemVariable || Volatile(name):
		case !Portable(name, value):
			l.opaque = true
			l.reported = append(l.reported, name)
		default:
			l.profile = l.profile.With(name, value)
			l.unread = l.unread || name == "character_set_connection" || name == "collation_connection"
			l.reported = append(l.reported, name)
		}
	}
}

// settings are statements that change a session, with the number of settings
// in each. What the server reports must either be enough to give another
// connection the same state, or the session notices that it is not (a setting
// that was not reported, or is not Portable) and stays on its connection.
var settings = []struct {
	sql  string
	n    int
	only string // flavour; "" for both
	// pins: a flavour on which the session stays on its connection; "both".
	pins string
}{
	{"SET sql_mode=''", 1, "", ""},
	{"SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", 1, "", ""},
	{"SET SESSION sql_mode='ANSI'", 1, "", ""},
	{"SET sql_mode=ORACLE", 1, "MariaDB", ""},
	{"SET time_zone='+05:30'", 1, "", ""},
	{"SET time_zone='SYSTEM'", 1, "", ""},
	{"SET @@session.time_zone='-03:00'", 1, "", ""},
	{"SET @@time_zone='-03:00'", 1, "", "MariaDB"},
	{"SET @@group_concat_max_len=77", 1, "", "MariaDB"},
	{"SET NAMES latin1", 1, "", ""},
	{"SET NAMES utf8mb4 COLLATE utf8mb4_bin", 1, "", ""},
	{"SET NAMES utf8mb4 COLLATE utf8mb4_unicode_ci", 1, "", ""},
	{"SET NAMES gbk", 1, "", ""},
	{"SET NAMES binary", 1, "", ""},
	{"SET NAMES utf8mb3", 1, "", ""},
	{"SET NAMES DEFAULT", 1, "", ""},
	{"SET CHARACTER SET latin1", 1, "", ""},
	{"SET character_set_results=NULL", 1, "", ""},
	{"SET character_set_results=latin1", 1, "", ""},
	{"SET character_set_client=latin1", 1, "", ""},
	{"SET character_set_connection=latin1", 1, "", ""},
	{"SET collation_connection=utf8mb4_unicode_ci", 1, "", ""},
	{"SET collation_connection=latin1_german2_ci", 1, "", ""},
	{"SET NAMES latin1, character_set_results=NULL", 2, "", ""},
	{"SET character_set_filesystem=latin1", 1, "", ""},
	{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", 1, "", ""},
	{"SET SESSION transaction_isolation='SERIALIZABLE'", 1, "MySQL", ""},
	{"SET SESSION tx_isolation='SERIALIZABLE'", 1, "MariaDB", ""},
	{"SET SESSION TRANSACTION READ ONLY", 1, "", ""},
	{"SET sql_select_limit=5", 1, "", ""},
	{"SET sql_select_limit=DEFAULT", 1, "", ""},
	{"SET group_concat_max_len=4", 1, "", ""},
	{"SET foreign_key_checks=0", 1, "", ""},
	{"SET foreign_key_checks=OFF, unique_checks=0, sql_notes=0", 3, "", ""},
	{"SET sql_safe_updates=1", 1, "", ""},
	{"SET sql_big_selects=0, max_join_size=1000", 2, "", ""},
	{"SET optimizer_switch='index_merge=off'", 1, "", ""},
	{"SET optimizer_search_depth=3", 1, "", ""},
	{"SET max_execution_time=1500", 1, "MySQL", ""},
	{"SET max_statement_time=1.5", 1, "MariaDB", ""},
	{"SET lc_time_names='de_DE', lc_messages='de_DE'", 2, "", ""},
	{"SET wait_timeout=77, interactive_timeout=78, net_read_timeout=79, net_write_timeout=80", 4, "", ""},
	{"SET lock_wait_timeout=3, innodb_lock_wait_timeout=4", 2, "", ""},
	{"SET default_storage_engine=MyISAM", 1, "", ""},
	{"SET default_tmp_storage_engine=MyISAM", 1, "", ""},
	{"SET default_tmp_storage_engine=NULL, enforce_storage_engine=NULL", 2, "MariaDB", ""},
	{"SET enforce_storage_engine=InnoDB", 1, "MariaDB", ""},
	{"SET innodb_tmpdir=NULL, innodb_ft_user_stopword_table=NULL", 2, "MySQL", ""},
	{"SET storage_engine=MyISAM", 1, "MariaDB", ""},
	{"SET div_precision_increment=9", 1, "", ""},
	{"SET sql_auto_is_null=1", 1, "", "both"},
	{"SET sql_auto_is_null=0", 1, "", ""},
	{"SET auto_increment_increment=3, auto_increment_offset=2", 2, "", ""},
	{"SET default_week_format=3, long_query_time=2.5, completion_type=CHAIN", 3, "", ""},
	{"SET sql_quote_show_create=0, sql_warnings=1, sql_buffer_result=1, big_tables=0, low_priority_updates=1", 5, "", ""},
	{"SET max_heap_table_size=16384, tmp_table_size=16384, sort_buffer_size=65536, join_buffer_size=4096, read_buffer_size=16384, read_rnd_buffer_size=8192", 6, "", ""},
	{"SET max_sort_length=64, max_error_count=5, max_length_for_sort_data=100", 3, "MariaDB", ""},
	{"SET max_sort_length=64, max_error_count=5, eq_range_index_dive_limit=7", 3, "", ""},
	{"SET block_encryption_mode='aes-256-cbc'", 1, "MySQL", ""},
	{"SET explicit_defaults_for_timestamp=0", 1, "MySQL", ""},
	{"SET default_collation_for_utf8mb4=utf8mb4_general_ci", 1, "MySQL", ""},
	{"SET cte_max_recursion_depth=7, information_schema_stats_expiry=0, windowing_use_high_precision=0", 3, "MySQL", ""},
	{"SET show_create_table_skip_secondary_engine=1, print_identified_with_as_hex=1, explain_format='TREE'", 3, "MySQL", ""},
	{"SET optimizer_trace='enabled=on', optimizer_trace_offset=-2", 2, "MySQL", ""},
	{"SET optimizer_trace='enabled=on'", 1, "MariaDB", ""},
	{"SET old_mode='NO_PROGRESS_INFO', use_stat_tables='NEVER', histogram_size=7", 3, "MariaDB", ""},
	{"SET join_cache_level=4, optimizer_use_condition_selectivity=3, idle_transaction_timeout=5", 3, "MariaDB", ""},
	{"SET column_compression_threshold=5, system_versioning_alter_history=KEEP, sql_if_exists=1", 3, "MariaDB", ""},
	{"SET binlog_format=STATEMENT, binlog_row_image=MINIMAL", 2, "", ""},
	{"SET binlog_rows_query_log_events=1, bulk_insert_buffer_size=5", 2, "MySQL", ""},
	{"SET transaction_allow_batching=1", 1, "MySQL", ""},
	{"SET sql_log_bin=0", 1, "", "both"},
	{"SET autocommit=0; SET autocommit=1", 0, "", ""},
	{"SET timestamp=1000", 1, "", "both"},
	{"SET insert_id=7", 1, "", "both"},
	{"SET last_insert_id=7", 1, "", "both"},
	{"SET rand_seed1=7", 1, "", "both"},
	{"SET default_master_connection='x'", 1, "MariaDB", ""},
	{"USE test_a", 1, "", ""},
	{"USE test_a; SET sql_mode=ANSI; USE test_b", 3, "", ""},
	{"/*!40101 SET NAMES latin1 */; /*!40014 SET @OLD=@@unique_checks, UNIQUE_CHECKS=0 */", 2, "", ""},
	{"SET sql_mode=(SELECT REPLACE(@@sql_mode,'STRICT_TRANS_TABLES',''))", 1, "", ""},
	{"SET SESSION sql_mode=CONCAT(@@sql_mode,',ANSI_QUOTES'), @@SESSION.sql_auto_is_null=0, SESSION wait_timeout=28", 3, "", ""},
}

var multi = Login{User: localserver.DBAUser, Flags: wire.MultiStatements | wire.MultiResults}

func TestSessionStateMovesByWhatServersReport(t *testing.T) {
	onServers(t, func(t *testing.T, r *rig, flavour localserver.Flavour) {
		m := &mover{r: r}
		for _, collation := range []byte{45, 255, 8} {
			start := &Profile{Collation: collation}
			m.start, m.fresh = start, variables(t, m.acquire(t, start))
			for _, c := range settings {
				ofCharset := strings.Contains(c.sql, "character") || strings.Contains(c.sql, "NAMES") || strings.Contains(c.sql, "collation")
				if c.only != "" && c.only != flavour.String() || collation != 45 && !ofCharset {
					continue
				}
				t.Run(fmt.Sprintf("%d/%s", collation, c.sql), func(t *testing.T) {
					m.check(t, c.sql, c.n, c.pins == "both" || c.pins == flavour.String())
				})
			}
		}
	})
}

// mover checks that a session's state can be moved.
type mover struct {
	r     *rig
	owner uint64
	start *Profile          // of a session that has set nothing
	fresh map[string]string // and its variables
}

func (m *mover) acquire(t *testing.T, p *Profile) *Conn {
	t.Helper()
	m.owner++
	c, err := m.r.pool.Acquire(t.Context(), &Request{Owner: m.owner, Login: multi, Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// check runs a statement of n settings, of which the session notices, if pins,
// that they cannot be moved.
func (m *mover) check(t *testing.T, sql string, n int, pins bool) {
	c := m.acquire(t, m.start)
	defer c.Discard()
	results, err := peer(c).Query(sql)
	if err != nil {
		t.Fatal(err)
	}
	l := learned{profile: m.start}
	for _, res := range results {
		l.takeOver(slices.Clone(res.Final.SessionChanges))
	}
	noticed := l.opaque || len(l.reported) < n
	if c.PartialReports && (noticed || strings.Contains(sql, "/*")) {
		return // the session asks for more than what is reported: TestSettingsStayWithTheirSession
	}
	if noticed != pins {
		t.Fatalf("opaque %v, %d settings, reported %v; changed: %s", l.opaque, n, l.reported, differences(m.fresh, variables(t, c)))
	}
	if !pins {
		if l.unread {
			name, err := c.QueryValue("SELECT @@collation_connection")
			if err != nil {
				t.Fatal(err)
			}
			l.profile = l.profile.With("collation_connection", name)
		}
		m.move(t, l.profile, variables(t, c))
	}
	// Nothing is left after a reset, not even what was never reported.
	if l.profile.Schema != "" {
		return
	}
	c.Dirt = NeedsReset
	if reset, err := c.establish(0, m.start, time.Minute); err != nil || !reset {
		t.Fatal(reset, err)
	}
	if d := differences(m.fresh, variables(t, c)); len(d) > 0 {
		t.Errorf("left behind after a reset: %s", d)
	}
}

// move establishes a profile on connections in all the ways there are, compares
// them, and gives them to sessions that have set nothing.
func (m *mover) move(t *testing.T, p *Profile, want map[string]string) {
	clean, dirty := m.acquire(t, m.start), m.acquire(t, m.start)
	dirty.Dirt = NeedsReset
	dirty.Release()
	byReset := m.acquire(t, p)
	clean.Release()
	bySet := m.acquire(t, p)
	byLogin := m.acquire(t, p)
	if byReset.ThreadID != dirty.ThreadID || bySet.ThreadID != clean.ThreadID {
		t.Error("not the connections meant")
	}
	for how, c := range map[string]*Conn{"after a reset": byReset, "by SETs": bySet, "by a login": byLogin} {
		if d := differences(want, variables(t, c)); len(d) > 0 {
			t.Errorf("%s (learned %v): %s", how, p.Vars, d)
		}
		c.Release()
	}
	for range 3 {
		c := m.acquire(t, m.start)
		defer c.Discard()
		if d := differences(m.fresh, variables(t, c)); len(d) > 0 {
			t.Errorf("left behind: %s", d)
		}
	}
	for _, c := range slices.Clone(m.r.pool.idle) { // those with a schema
		m.r.acquireAs(c.owner, multi, c.Profile).Discard()
	}
}

// Variables whose change a server does not report, or is not asked to: a session
// that sets one of them stays on its connection.
var unreported = map[localserver.Flavour][]string{
	localserver.MariaDB: {"wsrep_osu_method"},
	localserver.MySQL: {"session_track_gtids", "session_track_schema", "session_track_state_change",
		"session_track_system_variables", "session_track_transaction_info"},
}

// Every variable a session can set is assigned to itself. The value the server
// then reports must be one that it takes back.
func TestEverySettingOfASessionIsReportedAsItCanBeSet(t *testing.T) {
	onServers(t, func(t *testing.T, r *rig, flavour localserver.Flavour) {
		c := r.acquireAs(1, multi, plain)
		if c.PartialReports {
			everyTracked(t, r)
			return
		}
		vars := variables(t, c)
		settable := 0
		var got []string
		for name := range vars {
			results, err := peer(c).Query("SET SESSION " + name + "=@@SESSION." + name)
			var e *wire.Err
			if errors.As(err, &e) {
				continue // global or read-only
			}
			if err != nil {
				t.Fatal(err)
			}
			settable++
			reported := false
			for ch := wire.NewChanges(slices.Clone(results[0].Final.SessionChanges)); ch.Next(); {
				v := Var{string(ch.Change().Name), string(ch.Change().Value)}
				if v.Name != name {
					continue
				}
				reported = true
				if Volatile(v.Name) || !Portable(v.Name, v.Value) {
					continue
				}
				if err := c.Query(string(appendSet(nil, &Profile{}, &Profile{Vars: []Var{v}}))); err != nil {
					t.Errorf("%s is reported as %q, but: %v", v.Name, v.Value, err)
				}
			}
			if !reported {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if d := cmp.Diff(unreported[flavour], got); d != "" || settable < 150 {
			t.Errorf("of %d settings these are not reported (-want +got):\n%s", settable, d)
		}
		// Setting character_set_connection has changed the collation.
		if err := c.Query(wire.SetNames(plain.Collation, c.MariaDB())); err != nil {
			t.Fatal(err)
		}
		if d := differences(vars, variables(t, c)); len(d) > 0 {
			t.Errorf("what is reported is not what was set: %s", d)
		}
	})
}

// everyTracked: what a server with partial reports is asked for comes under its
// own name, whatever else is set with it.
func everyTracked(t *testing.T, r *rig) {
	c := r.acquireAs(2, multi, plain)
	defer c.Discard()
	for _, name := range strings.Split(trackedPartially, ",") {
		results, err := peer(c).Query("SET SESSION unique_checks=0, sql_notes=0, " + name + "=@@SESSION." + name + ", foreign_key_checks=0, innodb_table_locks=0")
		var e *wire.Err
		if errors.As(err, &e) && name == "last_gtid" {
			continue // read-only
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var got []string
		changed := false
		for ch := wire.NewChanges(results[0].Final.SessionChanges); ch.Next(); {
			switch v := ch.Change(); v.Type {
			case wire.ChangeSystemVariable:
				got = append(got, string(v.Name))
			case wire.ChangeState:
				changed = true
			}
		}
		// These share their words with others, and are what they are reported to be.
		got = slices.DeleteFunc(got, func(n string) bool { return n != name && (n == "autocommit" || n == "last_gtid") })
		if diff := cmp.Diff([]string{name}, got); diff != "" || !changed {
			t.Errorf("%s: a change of state %v, reported (-want +got):\n%s", name, changed, diff)
		}
	}
}

// MariaDB reports the settings of SET STATEMENT as if they were to stay, and not
// that they have ended: whoever learns from reports has to know the statement.
func TestMariaDBReportsTheSettingsOfSetStatement(t *testing.T) {
	onServers(t, func(t *testing.T, r *rig, flavour localserver.Flavour) {
		if flavour != localserver.MariaDB {
			t.Skip("there is no SET STATEMENT")
		}
		c := r.acquireAs(1, multi, plain)
		results, err := peer(c).Query("SET STATEMENT max_statement_time=5 FOR SELECT @@max_statement_time")
		if err != nil {
			t.Fatal(err)
		}
		l := learned{profile: plain}
		l.takeOver(results[0].Final.SessionChanges)
		after, err := c.QueryValue("SELECT @@max_statement_time")
		if v, _ := l.profile.Value("max_statement_time"); err != nil || v != "5.000000" || after != "0.000000" {
			t.Errorf("reported %q, afterwards %q, %v", v, after, err)
		}
	})
}

func TestAResetLeavesTheCharacterSetOfTheSchema(t *testing.T) {
	onServers(t, func(t *testing.T, r *rig, _ localserver.Flavour) {
		c := r.acquire(1, plain)
		if err := c.Query("CREATE DATABASE IF NOT EXISTS app_latin CHARACTER SET latin1 COLLATE latin1_spanish_ci"); err != nil {
			t.Fatal(err)
		}
		c.Discard()
		latin := &Profile{Schema: "app_latin", Collation: 45}
		for owner := uint64(2); owner < 4; owner++ {
			c := r.acquire(owner, latin)
			for _, name := range []string{"character_set_database", "collation_database"} {
				if got, err := c.QueryValue("SELECT @@" + name); err != nil || !strings.HasPrefix(got, "latin1") {
					t.Errorf("session %d: @@%s is %q, %v", owner, name, got, err)
				}
			}
			c.Dirt = NeedsReset
			c.Release()
		}
		r.checkStats(1, 1, 0, 0)
	})
}

func TestKillQueryStopsTheStatementAndNothingElse(t *testing.T) {
	onServers(t, func(t *testing.T, r *rig, _ localserver.Flavour) {
		c := r.acquireAs(1, multi, plain)
		done := make(chan error, 1)
		go func() {
			results, err := peer(c).Query("SELECT SLEEP(60)")
			if err == nil && results[0].Rows[0][0].Text == "1" {
				err = &wire.Err{Code: wire.CodeQueryInterrupted} // how SLEEP answers
			}
			done <- err
		}()
		watch := r.acquireAs(2, multi, plain)
		eventually(t, "the statement to run", func() bool {
			n, err := watch.QueryValue("SELECT COUNT(*) FROM information_schema.processlist WHERE info='SELECT SLEEP(60)'")
			return err == nil && n == "1"
		})
		if err := r.pools.KillQuery(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		var e *wire.Err
		if err := <-done; !errors.As(err, &e) || e.Code != wire.CodeQueryInterrupted {
			t.Errorf("the statement: %v", err)
		}
		if v, err := c.QueryValue("SELECT 1"); v != "1" || err != nil {
			t.Errorf("the next one: %q, %v", v, err)
		}
		// One that comes too late must not hit the next statement.
		for range 20 {
			if err := r.pools.KillQuery(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if v, err := c.QueryValue("SELECT SLEEP(0.001)"); v != "0" || err != nil {
				t.Fatalf("a statement begun after a late kill: %q, %v", v, err)
			}
		}
	})
}

// A statement means what it meant where it was prepared, wherever it runs later,
// and preparing it leaves no trace in the connection.
func TestStatementsArePreparedAsTheyWereMeant(t *testing.T) {
	inA := &Profile{Schema: "test_a", Collation: 45}
	inB := &Profile{Schema: "test_b", Collation: 45}
	cases := []struct {
		name       string
		now, under *Profile
		text, want string
	}{
		{"another schema", inB, inA, "SELECT v FROM pp", "a"},
		{"ANSI_QUOTES", inA, inA.With("sql_mode", "ANSI_QUOTES"), `SELECT "v" FROM pp`, "a"},
		{"no ANSI_QUOTES any more", inA.With("sql_mode", "ANSI_QUOTES"), inA, `SELECT "v" FROM pp`, "v"},
		{"NO_BACKSLASH_ESCAPES", inA, inA.With("sql_mode", "NO_BACKSLASH_ESCAPES"), `SELECT LENGTH('a\n')`, "3"},
		{"PIPES_AS_CONCAT", inA, inA.With("sql_mode", "PIPES_AS_CONCAT"), `SELECT 'a'||'b'`, "ab"},
		{"gbk", inA, withNames(inA, "gbk", "gbk_chinese_ci"), "SELECT LENGTH('\x81\x5c')", "2"},
		{"latin1", inA, withNames(inA, "latin1", "latin1_swedish_ci"), "SELECT LENGTH('\xe4')", "1"},
		{"utf8mb4 from latin1", withNames(inA, "latin1", "latin1_swedish_ci"), inA, "SELECT LENGTH('ä')", "2"},
		{"another collation", inA, withNames(inA, "utf8mb4", "utf8mb4_bin"), "SELECT 'a'='A'", "0"},
		{"character_set_results alone, and back", inA, inA.With("character_set_results", ""), "SELECT 1", "1"},
		{"all of it", withNames(inB, "latin1", "latin1_german2_ci").With("character_set_results", "").With("sql_mode", "ANSI"),
			withNames(inA, "gbk", "gbk_bin").With("sql_mode", "NO_BACKSLASH_ESCAPES"), `SELECT CONCAT(v, LENGTH('a\n')) FROM pp`, "a3"},
	}
	onServers(t, func(t *testing.T, r *rig, _ localserver.Flavour) {
		for i, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				conn := r.acquireAs(uint64(i+1), multi, c.now)
				defer conn.Discard()
				before := variables(t, conn)
				if err := conn.Prepare(7, []byte(c.text), c.under); err != nil {
					t.Fatal(err)
				}
				if got := execute(t, conn, conn.Statements[7].ID); got != c.want {
					t.Errorf("%s gives %q, want %q", c.text, got, c.want)
				}
				if err := conn.Prepare(8, []byte("SELEC"), c.under); !isServerError(err) || conn.Dirt == MustClose {
					t.Errorf("nonsense: %v, dirt %v", err, conn.Dirt)
				}
				if err := conn.Prepare(9, []byte("SELECT 1"), c.under.WithSchema("test_missing")); !isServerError(err) || conn.Dirt == MustClose {
					t.Errorf("a schema that is gone: %v, dirt %v", err, conn.Dirt)
				}
				if d := differences(before, variables(t, conn)); len(d) > 0 {
					t.Errorf("left behind: %s", d)
				}
				if err := conn.CloseStatement(7); err != nil || len(conn.Statements) != 0 {
					t.Errorf("%v, %v", err, conn.Statements)
				}
			})
		}
	})
}

func withNames(p *Profile, charset, collation string) *Profile {
	return p.With("character_set_client", charset).With("character_set_connection", charset).
		With("character_set_results", charset).With("collation_connection", collation)
}

// execute runs a prepared statement without parameters and returns the only
// value, which must be a string or an integer.
func execute(t *testing.T, c *Conn, id uint32) string {
	t.Helper()
	p := peer(c)
	arg := binary.LittleEndian.AppendUint32(nil, id)
	if err := p.Command(wire.ComStmtExecute, string(append(arg, 0, 1, 0, 0, 0))); err != nil {
		t.Fatal(err)
	}
	var packets [][]byte
	for len(packets) < 4 { // count, column, row, OK
		b, err := p.Read()
		if err != nil {
			t.Fatal(err)
		}
		if wire.IsErr(b) {
			t.Fatal(asError(b))
		}
		packets = append(packets, slices.Clone(b))
	}
	var column wire.ColumnDef
	if err := column.Parse(packets[1], c.Caps); err != nil {
		t.Fatal(err)
	}
	value := packets[2][2:] // header and NULL bitmap
	switch column.Type {
	case 3: // LONG
		return fmt.Sprint(binary.LittleEndian.Uint32(value))
	case 8: // LONGLONG
		return fmt.Sprint(binary.LittleEndian.Uint64(value))
	}
	b, _ := wire.ReadLenencBytes(value)
	return string(b)
}
