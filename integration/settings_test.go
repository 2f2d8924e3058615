//go:build integration

package integration

import (
	"strings"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
	"github.com/telamondb/telamon/internal/localserver"
)

// TestSettingsStayWithTheirSession: one session sets one variable after the
// other, and another one that uses the same connections has none of it. MariaDB
// reports some of them under the names of others from 11.1 on.
func TestSettingsStayWithTheirSession(t *testing.T) {
	settings := []struct{ set, name, value string }{
		{"SET unique_checks = 0", "unique_checks", "0"},
		{"SET foreign_key_checks = 0", "foreign_key_checks", "0"},
		{"SET SESSION sql_notes = OFF, sort_buffer_size = 100000", "sql_notes", "0"},
		{"SET innodb_lock_wait_timeout = 7", "innodb_lock_wait_timeout", "7"},
		{"SET sql_safe_updates = 1", "sql_safe_updates", "1"},
		{"SET autocommit = 0", "autocommit", "0"},
		{"SET autocommit = 1, sql_warnings = 1", "autocommit", "1"},
		{"SET @@SESSION.sql_auto_is_null = 0, SESSION wait_timeout = 2147, sql_mode = ''", "wait_timeout", "2147"},
		{"SET @@sql_big_selects = 0, @x = 5", "sql_big_selects", "0"},
		{"SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES'), foreign_key_checks = 1", "foreign_key_checks", "1"},
		{"SET sort_buffer_size = DEFAULT, unique_checks = 1", "unique_checks", "1"},
		{"SET sql_big_selects = 1", "sql_big_selects", "1"},
		{"SET max_join_size = 1000", "sql_big_selects", "0"},
		{"SET sql_big_selects = 1", "sql_big_selects", "1"},
		{"SET max_join_size = 1000", "sql_big_selects", "0"},
		{"SET tmp_table_size = 65536", "tmp_table_size", "65536"},
		{"SET tmp_memory_table_size = 32768", "tmp_table_size", "32768"},
		{"SET collation_server = latin1_bin", "character_set_server", "latin1"},
		{"SET character_set_server = gbk", "collation_server", "gbk_chinese_ci"},
		{"SET NAMES latin1, sql_quote_show_create = 0", "character_set_client", "latin1"},
		{"SET tx_isolation = 'SERIALIZABLE'", "tx_isolation", "SERIALIZABLE"},
		{"SET transaction_isolation = 'READ-COMMITTED'", "transaction_isolation", "READ-COMMITTED"},
	}
	everywhere := settings[:len(settings)-2] // without isolation, whose names differ
	names := []string{"sort_buffer_size", "sql_warnings", "sql_auto_is_null", "sql_mode", "sql_quote_show_create", "collation_connection", "max_join_size"}
	for _, s := range everywhere {
		names = append(names, s.name)
	}
	values := "SELECT CONCAT_WS(' ', @@" + strings.Join(names, ", @@") + ")"
	suite.EachFlavour(t, func(t *testing.T, c *localserver.Cluster) {
		cfg := harness.ProxyConfig(c)
		for i := range cfg.Backends {
			cfg.Backends[i].MaxConnections = 1
		}
		cfg.Settings["pool"] = `wait_timeout = "2s"`
		p := suite.StartProxy(t, cfg)
		// A session that makes the same settings without the proxy.
		setter, other, directly := plain(t, p.Addr(), login{}), plain(t, p.Addr(), login{}), plain(t, c.Primary.Addr(), login{})
		last := "the login"
		ask := func(client *plainClient, sql string) string {
			t.Helper()
			got, err := client.ask(sql)
			if err != nil {
				t.Fatalf("after %s: %.20s: %v", last, sql, err)
			}
			return got
		}
		fresh := ask(directly, values)
		for _, s := range settings {
			last = s.set
			if _, err := directly.ask(s.set); err != nil {
				if !strings.Contains(err.Error(), "1193") {
					t.Fatal(err)
				}
				continue // a name that the flavour does not have
			}
			ask(setter, s.set)
			want := ask(directly, values)
			for range 2 {
				for _, hint := range []string{"/*master*/ ", "/*slave*/ "} {
					if got := ask(other, hint+values); got != fresh {
						t.Errorf("%s: another session has on %s\n%s, want\n%s", s.set, hint, got, fresh)
					}
					if got := ask(setter, hint+values); got != want {
						t.Errorf("%s: the session has on %s\n%s, want\n%s", s.set, hint, got, want)
					}
					if got := ask(setter, hint+"SELECT @@"+s.name); got != s.value {
						t.Errorf("%s: %s is %s", s.set, s.name, got)
					}
				}
			}
		}
	})
}
