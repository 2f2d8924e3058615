package pool

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/wire"
)

func TestProfilesAreImmutable(t *testing.T) {
	p := plain.With("b", "1")
	q := p.With("a", "1").With("c", "1").With("b", "2").WithSchema("shop")
	if d := cmp.Diff([]Var{{"b", "1"}}, p.Vars); d != "" || p.Schema != "" {
		t.Errorf("the original has changed (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]Var{{"a", "1"}, {"b", "2"}, {"c", "1"}}, q.Vars); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if p.With("b", "1") != p || p.WithSchema("") != p {
		t.Error("a change that is none makes a new profile")
	}
	if v, ok := q.Value("b"); v != "2" || !ok {
		t.Errorf("b is %q, %v", v, ok)
	}
	if _, ok := q.Value("d"); ok {
		t.Error("d has a value")
	}
}

func TestWhatIsSetAlongIsSupersededByIt(t *testing.T) {
	p := (&Profile{}).With("long_query_time", "1").With("tmp_table_size", "1").With("sql_big_selects", "ON").
		With("tmp_memory_table_size", "2").With("max_join_size", "3").With("collation_server", "latin1_bin")
	want := []Var{{"collation_server", "latin1_bin"}, {"long_query_time", "1"}, {"max_join_size", "3"}, {"tmp_memory_table_size", "2"}}
	if diff := cmp.Diff(want, p.Vars); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(append(want[:2:2], Var{"max_join_size", "3"}, Var{"sql_big_selects", "OFF"}, Var{"tmp_memory_table_size", "2"}),
		p.With("sql_big_selects", "OFF").Vars); diff != "" {
		t.Error(diff)
	}
	// The same value again sets it along again.
	if diff := cmp.Diff(want, p.With("sql_big_selects", "ON").With("max_join_size", "3").Vars); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsSetAlongIsSetAgain(t *testing.T) {
	have := (&Profile{}).With("sql_big_selects", "ON")
	want := (&Profile{}).With("max_join_size", "3").With("sql_big_selects", "ON")
	if got := string(appendSet(nil, have, want)); got != "SET max_join_size=3,sql_big_selects='ON'" {
		t.Error(got)
	}
	if got := string(appendSet(nil, want, want.With("a", "1"))); got != "SET a=1" {
		t.Error(got)
	}
	for name, other := range setAlong {
		if setAlong[other] != name && other < name {
			t.Errorf("%s would be set before %s, which sets it along", other, name)
		}
	}
}

func TestEqualProfiles(t *testing.T) {
	p := &Profile{Schema: "shop", Collation: 45, Vars: []Var{{"a", "1"}}}
	for _, c := range []struct {
		name  string
		q     *Profile
		equal bool
	}{
		{"itself", p, true},
		{"a copy", &Profile{Schema: "shop", Collation: 45, Vars: []Var{{"a", "1"}}}, true},
		{"another schema", p.WithSchema("other"), false},
		{"another collation", &Profile{Schema: "shop", Collation: 8, Vars: p.Vars}, false},
		{"another value", p.With("a", "2"), false},
		{"one variable more", p.With("b", "1"), false},
	} {
		if p.Equal(c.q) != c.equal || c.q.Equal(p) != c.equal {
			t.Errorf("%s: not %v", c.name, c.equal)
		}
	}
}

func TestValuesAreWrittenSoThatServersTakeThem(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"sql_select_limit", "18446744073709551615", "SET sql_select_limit=18446744073709551615"},
		{"long_query_time", "2.500000", "SET long_query_time=2.500000"},
		{"optimizer_trace_offset", "-2", "SET optimizer_trace_offset=-2"},
		{"foreign_key_checks", "OFF", "SET foreign_key_checks='OFF'"},
		{"sql_mode", "", "SET sql_mode=''"},
		{"character_set_results", "", "SET character_set_results=NULL"},
		{"time_zone", "+05:30", "SET time_zone='+05:30'"},
		{"x", "1.2.3", "SET x='1.2.3'"},
		{"x", "1-2", "SET x='1-2'"},
		{"x", "-", "SET x='-'"},
		{"x", ".", "SET x='.'"},
	} {
		if got := string(appendSet(nil, plain, plain.With(c.name, c.value))); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

func TestCharacterSetsAreSetByNamesWhereThatIsEnough(t *testing.T) {
	charsets := func(client, connection, results, collation string) *Profile {
		return plain.With("character_set_client", client).With("character_set_connection", connection).
			With("character_set_results", results).With("collation_connection", collation)
	}
	bin := charsets("utf8mb4", "utf8mb4", "utf8mb4", "utf8mb4_bin")
	for _, c := range []struct {
		name       string
		have, want *Profile
		sql        string
	}{
		{"all the same", plain, bin, "SET NAMES utf8mb4 COLLATE utf8mb4_bin"},
		{"with another variable", plain, bin.With("sql_mode", ""), "SET NAMES utf8mb4 COLLATE utf8mb4_bin,sql_mode=''"},
		{"there already", bin, bin.With("sql_mode", ""), "SET sql_mode=''"},
		{"another collation", bin, charsets("utf8mb4", "utf8mb4", "utf8mb4", "utf8mb4_0900_ai_ci"), "SET NAMES utf8mb4 COLLATE utf8mb4_0900_ai_ci"},
		{"other results", plain, charsets("gbk", "gbk", "", "gbk_bin"),
			"SET character_set_client='gbk',character_set_connection='gbk',character_set_results=NULL,collation_connection='gbk_bin'"},
		{"another connection", bin, charsets("latin1", "utf8mb4", "latin1", "utf8mb4_bin"),
			"SET character_set_client='latin1',character_set_results='latin1'"},
		{"a collation of another character set", bin, charsets("utf8mb4", "utf8mb4", "utf8mb4", "latin1_bin"), "SET collation_connection='latin1_bin'"},
		{"no collation", plain, plain.With("character_set_client", "gbk"), "SET character_set_client='gbk'"},
	} {
		if got := string(appendSet(nil, c.have, c.want)); got != c.sql {
			t.Errorf("%s: %s, want %s", c.name, got, c.sql)
		}
	}
}

func TestWhatIsNotPortable(t *testing.T) {
	for _, c := range []struct {
		name, value string
		portable    bool
	}{
		{"sql_mode", "ANSI_QUOTES", true},
		{"time_zone", "Europe/Berlin", true},
		{"timestamp", "1000.000000", false},
		{"rand_seed1", "0", false},
		{"gtid_next", "AUTOMATIC", false},
		{"x", `it's`, false},
		{"x", `back\slash`, false},
		{"x", "caf\xc3\xa9", false},
		{"x", "line\n", false},
		{"x", "nul\x00", false},
	} {
		if Portable(c.name, c.value) != c.portable {
			t.Errorf("%s=%q: not %v", c.name, c.value, c.portable)
		}
	}
}

func TestSwitchOfContext(t *testing.T) {
	a := &Profile{Schema: "a", Collation: 45}
	null := a.With("character_set_results", "")
	gbk := a.With("character_set_client", "gbk").With("character_set_results", "")
	use := func(s string) command { return command{wire.ComInitDB, s} }
	sql := func(s string) command { return command{wire.ComQuery, s} }
	const names = "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci"
	for _, c := range []struct {
		name     string
		from, to *Profile
		want     []command
	}{
		{"none to itself", a, a, nil},
		{"none to an equal one", a, &Profile{Schema: "a", Collation: 45}, nil},
		{"none for variables that do not matter", a, a.With("wait_timeout", "1"), nil},
		{"the schema", a, a.WithSchema("b"), []command{use("b")}},
		{"not from a schema to none", a, plain, nil},
		{"nor from none to a schema", plain, a, nil},
		{"to a sql_mode", a, a.With("sql_mode", "ANSI"), []command{sql("SET sql_mode='ANSI'")}},
		{"back to the server's", a.With("sql_mode", "ANSI"), a, []command{sql("SET sql_mode='STRICT_ALL_TABLES'")}},
		{"to a character set", a, null, []command{sql(names), sql("SET character_set_results=NULL")}},
		{"back from it", null, a, []command{sql(names)}},
		{"between two that have something in common", gbk, null, []command{sql(names), sql("SET character_set_results=NULL")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := &Conn{BaseMode: "STRICT_ALL_TABLES"}
			if d := cmp.Diff(c.want, conn.contextSwitch(c.from, c.to), cmp.AllowUnexported(command{})); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}
