package session

import (
	"testing"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

func TestServersThatReportOnlySomeVariables(t *testing.T) {
	changed := wire.AppendChange(nil, wire.ChangeState, "1")
	zone, latin1 := variable("time_zone", "+01:00"), variable("character_set_client", "latin1")
	autocommit := ok(wire.Autocommit)
	const asked = "(asked)"
	for _, c := range []struct {
		name, text string
		reports    []byte
		out        Outcome
		vars       string // of the profile, or asked, or "opaque"
	}{
		{"what is reported is taken", "SET TIME_ZONE = '+01:00'", blocks(zone, changed), autocommit, "time_zone=+01:00"},
		{"what is not is asked for", "SET foreign_key_checks = 0", changed, autocommit, asked},
		{"of two one is reported", "SET SQL_NOTES = 0, time_zone = '+01:00'", blocks(zone, changed), autocommit, asked},
		{"another name of what is set", "SET tx_isolation = 'SERIALIZABLE'", blocks(variable("transaction_isolation", "SERIALIZABLE"), changed), autocommit, asked},
		{"autocommit", "SET autocommit = 0", blocks(variable("autocommit", "OFF"), changed), ok(0), "autocommit=OFF"},
		{"a switch that can only be asked for", "SET sql_auto_is_null = 0", changed, autocommit, asked},
		{"LAST_INSERT_ID has a reason of its own", "SET last_insert_id = 5", changed, autocommit, ""},
		{"a schema amid other things", "SELECT 1; USE e", blocks(schemaReport("e"), changed), autocommit, ""},
		{"what is reported from now on", "SET session_track_schema = 1", changed, autocommit, ""},
		{"what cannot be moved stays", "SET timestamp = 5", changed, autocommit, "opaque"},
		{"character sets", "SET NAMES latin1", blocks(latin1, changed), autocommit, "character_set_client=latin1"},
		{"character sets and another one", "SET NAMES latin1, sql_notes = 0", blocks(latin1, variable("character_set_results", "latin1"), changed), autocommit, asked},
		{"character sets in a comment", "/*!40101 SET NAMES latin1 */", blocks(latin1, changed), autocommit, "character_set_client=latin1"},
		{"character sets and another one in a comment", "/*!40101 SET NAMES latin1, sql_notes = 0 */", blocks(latin1, changed), autocommit, "opaque"},
		{"user variables", "SET @x = 1", changed, autocommit, ""},
		{"autocommit shares a word with what is set", "SET foreign_key_checks = 0", blocks(variable("autocommit", "ON"), changed), autocommit, asked},
		{"a SET in a comment", "/*!40014 SET FOREIGN_KEY_CHECKS = 0 */", blocks(variable("autocommit", "ON"), changed), autocommit, "opaque"},
		{"two SETs", "SET foreign_key_checks = 0; SET sql_notes = 0", blocks(variable("autocommit", "ON"), changed), autocommit, asked},
		{"a SET behind something else", "COMMIT; SET sql_notes = 0", blocks(variable("autocommit", "ON"), changed), autocommit, "opaque"},
		{"a trigger", "INSERT INTO t VALUES (1)", changed, autocommit, "opaque"},
		{"a write", "INSERT INTO t VALUES (1)", variable("last_gtid", "0-1-1"), autocommit, ""},
		{"a schema", "USE e", blocks(schemaReport("e"), changed), autocommit, ""},
		{"a temporary table that goes", "DROP TABLE t", changed, autocommit, ""},
		{"settings of a statement", "SET STATEMENT foreign_key_checks = 0 FOR SELECT 1", changed, autocommit, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			s.Mode.Flavor = lex.FlavorMariaDB
			s.PartialReports(true, nil)
			run(t, s, c.text, c.reports, c.out)
			got := ""
			for _, v := range s.Profile.Vars {
				if v.Name != "character_set_results" {
					got += v.Name + "=" + v.Value
				}
			}
			if s.Pins.Has(router.PinOpaque) {
				got = "opaque"
				if names := s.Unconfirmed(facts(t, s, c.text)); len(names) > 0 {
					got = asked
				}
			}
			if got != c.vars {
				t.Errorf("%q, want %q", got, c.vars)
			}
		})
	}
}

func TestStateChangesAreHiddenFromWhoDoesNotWantThem(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	block := wire.AppendChange(nil, wire.ChangeState, "1")
	for _, c := range []struct{ partial, wants, shown bool }{
		{false, false, true}, // the server was not asked by Telamon
		{true, false, false},
		{true, true, true},
	} {
		s.WantsState = c.wants
		s.PartialReports(c.partial, nil)
		if shown := len(s.Track.Append(nil, block)) > 0; shown != c.shown {
			t.Errorf("%+v: shown %v", c, shown)
		}
	}
	s.WantsState = false
	s.PartialReports(true, facts(t, s, "SET Session_Track_State_Change = ON"))
	if len(s.Track.Append(nil, block)) == 0 {
		t.Error("the answer to the statement that wants them has none")
	}
}
