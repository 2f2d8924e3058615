package session

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

const (
	latin1  = 8  // latin1_swedish_ci
	gbk     = 28 // gbk_chinese_ci
	utf8mb4 = 45
)

func variable(name, value string) []byte {
	pair := wire.AppendLenencString(wire.AppendLenencString(nil, name), value)
	return wire.AppendLenencBytes([]byte{byte(wire.ChangeSystemVariable)}, pair)
}

func schemaReport(name string) []byte {
	return wire.AppendLenencBytes([]byte{byte(wire.ChangeSchema)}, wire.AppendLenencString(nil, name))
}

func blocks(all ...[]byte) (block []byte) {
	for _, b := range all {
		block = append(block, b...)
	}
	return block
}

func fresh(collation byte, mode string, flags wire.Capability) *State {
	var s State
	s.Start(pool.Login{User: "app", Flags: flags}, collation, "d", mode, lex.FlavorMySQL)
	return &s
}

func facts(t *testing.T, s *State, text string) *lex.Facts {
	t.Helper()
	var f lex.Facts
	lex.Scan([]byte(text), s.Mode, &f)
	return &f
}

// run plays a statement: what it makes the server report, and how it ends.
func run(t *testing.T, s *State, text string, reports []byte, out Outcome) router.Decision {
	t.Helper()
	f := facts(t, s, text)
	d := router.Route(&router.Request{Facts: f, View: s.ViewOf(f)}, nil)
	if d.Target == router.Deny {
		t.Fatalf("%s: %s", text, d.Deny)
	}
	if out.Target = router.Primary; d.Target == router.Replica {
		out.Target = router.Replica
	}
	s.Sent(f, &d)
	s.SessionChanges(reports)
	s.Finished(f, &d, &out)
	return d
}

// ok is the end of a statement with a status.
func ok(status wire.Status) Outcome { return Outcome{Status: status, StatusSeen: true} }

func fails(code uint16) Outcome { return Outcome{ErrCode: code} }

func TestModeFollowsSQLModeAndCharset(t *testing.T) {
	for name, c := range map[string]struct {
		collation byte
		base      string
		flags     wire.Capability
		reports   []byte
		want      lex.Mode
	}{
		"a plain login":                         {collation: utf8mb4},
		"the mode servers start with":           {collation: utf8mb4, base: "ANSI_QUOTES,NO_BACKSLASH_ESCAPES", want: lex.Mode{SQLMode: lex.ANSIQuotes | lex.NoBackslashEscapes}},
		"a combined mode lists its parts":       {collation: utf8mb4, reports: variable("sql_mode", "REAL_AS_FLOAT,PIPES_AS_CONCAT,ANSI_QUOTES,IGNORE_SPACE,ANSI"), want: lex.Mode{SQLMode: lex.ANSIQuotes | lex.IgnoreSpace}},
		"a mode that only begins like one":      {collation: utf8mb4, base: "ANSI_QUOTES_NOT,XORACLE"},
		"a report outweighs the base":           {collation: utf8mb4, base: "ANSI_QUOTES", reports: variable("sql_mode", "")},
		"Oracle":                                {collation: utf8mb4, reports: variable("sql_mode", "ORACLE"), want: lex.Mode{SQLMode: lex.Oracle}},
		"CLIENT_IGNORE_SPACE":                   {collation: utf8mb4, flags: wire.IgnoreSpace, want: lex.Mode{SQLMode: lex.IgnoreSpace}},
		"CLIENT_IGNORE_SPACE that SET undid":    {collation: utf8mb4, flags: wire.IgnoreSpace, reports: variable("sql_mode", "")},
		"the login's charset":                   {collation: gbk, want: lex.Mode{Charset: lex.CharsetGBK}},
		"a single-byte charset":                 {collation: latin1, want: lex.Mode{Charset: lex.CharsetSingle}},
		"a charset set since":                   {collation: gbk, reports: variable("character_set_client", "utf8mb4")},
		"only character_set_client counts":      {collation: utf8mb4, reports: blocks(variable("character_set_results", "gbk"), variable("character_set_connection", "sjis"))},
		"a collation nobody knows is no UTF-8":  {collation: 0, want: lex.Mode{Charset: lex.CharsetSingle}},
		"the last of several reports":           {collation: utf8mb4, reports: blocks(variable("sql_mode", "ANSI_QUOTES"), variable("sql_mode", "NO_BACKSLASH_ESCAPES")), want: lex.Mode{SQLMode: lex.NoBackslashEscapes}},
		"a charset with ASCII in its trail":     {collation: utf8mb4, reports: variable("character_set_client", "sjis"), want: lex.Mode{Charset: lex.CharsetSJIS}},
		"a malformed report leaves what was it": {collation: gbk, reports: []byte{0, 200, 1}, want: lex.Mode{Charset: lex.CharsetGBK}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(c.collation, c.base, c.flags)
			s.SessionChanges(c.reports)
			c.want.Flavor = lex.FlavorMySQL
			if diff := cmp.Diff(c.want, s.Mode); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSetBaseModeCountsUntilSQLModeIsSet(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	if s.SetBaseMode("ANSI_QUOTES"); !s.Mode.SQLMode.Has(lex.ANSIQuotes) {
		t.Error("the base mode does not count")
	}
	s.SessionChanges(variable("sql_mode", "ORACLE"))
	if s.SetBaseMode("ANSI_QUOTES"); s.Mode.SQLMode.Has(lex.ANSIQuotes) || !s.Mode.SQLMode.Has(lex.Oracle) {
		t.Error("the base mode outweighs what was set")
	}
	if s.Reset(); !s.Mode.SQLMode.Has(lex.ANSIQuotes) || s.Mode.SQLMode.Has(lex.Oracle) {
		t.Error("a reset does not lead back to the base mode")
	}
}

func TestProfileFollowsReports(t *testing.T) {
	for name, c := range map[string]struct {
		reports []byte
		schema  string
		vars    []pool.Var
		pins    router.PinSet
		unread  bool
		retrack bool
	}{
		"nothing":            {schema: "d"},
		"a schema":           {reports: schemaReport("e"), schema: "e"},
		"no schema any more": {reports: schemaReport("")},
		"a schema in some character set": {
			reports: schemaReport("caf\xe9"), schema: "caf\xe9", pins: router.PinOpaque,
		},
		"variables, sorted": {
			reports: blocks(variable("time_zone", "+02:00"), variable("foreign_key_checks", "OFF"), variable("time_zone", "UTC")),
			schema:  "d", vars: []pool.Var{{Name: "foreign_key_checks", Value: "OFF"}, {Name: "time_zone", Value: "UTC"}},
		},
		"what changes by itself": {
			reports: blocks(variable("statement_id", "7"), variable("last_gtid", "0-1-2"), variable("autocommit", "ON"), variable("in_transaction", "1")), schema: "d",
		},
		"autocommit once it was off": {
			reports: blocks(variable("autocommit", "OFF"), variable("autocommit", "ON")), schema: "d", vars: []pool.Var{{Name: "autocommit", Value: "ON"}},
		},
		"what cannot be carried elsewhere": {reports: variable("timestamp", "12345.0"), schema: "d", pins: router.PinOpaque},
		"a value that cannot be quoted":    {reports: variable("init_connect", `it's`), schema: "d", pins: router.PinOpaque},
		"SET NAMES, whose collation is not reported": {
			reports: blocks(variable("character_set_client", "latin1"), variable("character_set_connection", "latin1"), variable("character_set_results", "latin1")),
			schema:  "d", unread: true,
			vars: []pool.Var{{Name: "character_set_client", Value: "latin1"}, {Name: "character_set_connection", Value: "latin1"}, {Name: "character_set_results", Value: "latin1"}},
		},
		"what the proxy listens to": {reports: variable("session_track_schema", "OFF"), schema: "d", retrack: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			before := s.Profile
			s.SessionChanges(c.reports)
			if s.Profile.Schema != c.schema {
				t.Errorf("schema %q, want %q", s.Profile.Schema, c.schema)
			}
			if diff := cmp.Diff(c.vars, s.Profile.Vars); diff != "" {
				t.Error(diff)
			}
			if s.Pins != c.pins || s.Unread != c.unread || s.Retrack != c.retrack {
				t.Errorf("pins %v, unread %v, retrack %v", s.Pins, s.Unread, s.Retrack)
			}
			if before.Schema != "d" || len(before.Vars) != 0 {
				t.Error("the former profile was changed: others may hold it")
			}
		})
	}
}

func TestTheCollationOfACharacterSetIsAwaited(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	s.SessionChanges(variable("character_set_connection", "latin1"))
	if s.Releasable() {
		t.Fatal("releasable while the collation is not known")
	}
	s.SessionChanges(variable("collation_connection", "latin1_german1_ci"))
	if v, _ := s.Profile.Value("collation_connection"); v != "latin1_german1_ci" || !s.Releasable() {
		t.Errorf("collation %q, releasable %v", v, s.Releasable())
	}
	for _, together := range [][]byte{
		blocks(variable("character_set_connection", "utf8mb4"), variable("collation_connection", "utf8mb4_bin")),
		blocks(variable("collation_connection", "utf8mb4_bin"), variable("character_set_connection", "utf8mb4")),
	} {
		s.Unread = true
		if s.SessionChanges(together); s.Unread {
			t.Errorf("%q: still awaited", together)
		}
	}
}

func TestWithoutAutocommitNothingIsHeldBetweenTransactions(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	for _, st := range []struct {
		text       string
		reports    []byte
		status     wire.Status
		releasable bool
	}{
		{"SET autocommit=0", variable("autocommit", "OFF"), 0, true},
		{"INSERT INTO t VALUES (1)", nil, wire.InTrans, false},
		{"COMMIT", nil, 0, true},
		{"SET autocommit=1", variable("autocommit", "ON"), wire.Autocommit, true},
		{"SET autocommit=0", nil, 0, false}, // not reported: elsewhere it would be on
	} {
		run(t, s, st.text, st.reports, ok(st.status))
		s.Pins = 0 // not the subject
		if got := s.Releasable(); got != st.releasable {
			t.Errorf("after %s: releasable %v", st.text, got)
		}
	}
}

func TestWithoutAutocommitAnErrorMayHaveBegunATransaction(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	for _, st := range []struct {
		text       string
		reports    []byte
		out        Outcome
		releasable bool
	}{
		{"SELECT bad", nil, fails(1054), true},
		{"SET autocommit=0", variable("autocommit", "OFF"), ok(0), true},
		{"SELECT * FROM t FOR UPDATE", nil, fails(1205), false},
		{"SELECT bad", nil, fails(1054), false},
		{"ROLLBACK", nil, ok(0), true},
		{"INSERT INTO t VALUES (1)", nil, fails(1062), false},
		{"INSERT INTO t VALUES (2)", nil, ok(wire.InTrans), false},
		{"COMMIT", nil, ok(0), true},
		{"SET autocommit=1", variable("autocommit", "ON"), ok(wire.Autocommit), true},
		{"INSERT INTO t VALUES (1)", nil, fails(1062), true},
	} {
		run(t, s, st.text, st.reports, st.out)
		s.Pins = 0 // not the subject
		if got := s.Releasable(); got != st.releasable {
			t.Errorf("after %s: releasable %v", st.text, got)
		}
	}
	run(t, s, "SET autocommit=0", variable("autocommit", "OFF"), ok(0))
	run(t, s, "SELECT bad", nil, fails(1054))
	if s.Releasable() {
		t.Error("releasable")
	}
	if s.Reset(); !s.Releasable() {
		t.Error("not even a reset helps")
	}
}

func TestWhatIsNotReportedCanBeAskedFor(t *testing.T) {
	ac := ok(wire.Autocommit)
	for name, c := range map[string]struct {
		text    string
		reports []byte
		want    string // names; "" is a pin
	}{
		"all was reported":           {text: "SET time_zone='UTC'", reports: variable("time_zone", "UTC"), want: "nothing"},
		"a setting without a scope":  {text: "SET @@TIME_ZONE='UTC'", want: "time_zone"},
		"one of two":                 {text: "SET time_zone='UTC', @@sql_mode=''", reports: variable("time_zone", "UTC"), want: "time_zone,sql_mode"},
		"set along with tracking":    {text: "SET session_track_schema=1, time_zone='UTC', @x=1, autocommit=1, GLOBAL a=1", want: "time_zone"},
		"tracking alone":             {text: "SET session_track_schema=1", want: "nothing"},
		"names along with tracking":  {text: "SET NAMES utf8mb4, session_track_schema=1", want: "character_set_client,character_set_connection,character_set_results"},
		"what cannot be set again":   {text: "SET session_track_schema=1, timestamp=1"},
		"what cannot be read":        {text: "SET session_track_schema=1, time_zone=(@x:=1)"},
		"several statements":         {text: "SET session_track_schema=1; SET time_zone='UTC'", want: "time_zone"},
		"one that is no SET":         {text: "SET session_track_schema=1; DO 1"},
		"the next transaction alone": {text: "SET @@transaction_isolation='SERIALIZABLE', @@time_zone='UTC'"},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			run(t, s, c.text, c.reports, ac)
			opaque := s.Pins.Has(router.PinOpaque)
			names := s.Unconfirmed(facts(t, s, c.text))
			if opaque == (c.want == "nothing") || c.want != "nothing" && strings.Join(names, ",") != c.want {
				t.Fatalf("opaque %v, names %q", opaque, names)
			}
			s.Confirming()
			if s.Pins.Has(router.PinOpaque) != (c.want == "") {
				t.Errorf("pins %q", s.Pins)
			}
		})
	}
}

func TestPins(t *testing.T) {
	ac := ok(wire.Autocommit)
	failed := func(code uint16) Outcome { return Outcome{ErrCode: code} }
	type step struct {
		text    string
		reports []byte
		out     Outcome
	}
	for name, c := range map[string]struct {
		steps []step
		want  router.PinSet
	}{
		"a read":                                     {[]step{{text: "SELECT 1", out: ac}}, 0},
		"a user variable":                            {[]step{{text: "SET @a=@b", out: ac}}, router.PinUserVariables},
		"a user variable whose value is known":       {[]step{{text: "SET @a=1", out: ac}}, 0},
		"one that failed may have been set":          {[]step{{text: "SET @a=1, @b=x", out: failed(1054)}}, router.PinUserVariables},
		"one of those known that failed":             {[]step{{text: "SET @a=1, time_zone='x'", out: failed(1298)}}, router.PinUserVariables},
		"a lock that was released":                   {[]step{{text: "LOCK TABLES t READ", out: ac}, {text: "UNLOCK TABLES", out: ac}}, 0},
		"a release that failed":                      {[]step{{text: "LOCK TABLES t READ", out: ac}, {text: "UNLOCK TABLES", out: failed(1223)}}, router.PinTableLocks},
		"SET TRANSACTION until the next transaction": {[]step{{text: "SET TRANSACTION READ ONLY", out: ac}, {text: "BEGIN", out: ok(wire.Autocommit | wire.InTrans)}}, 0},
		"an insert id":                               {[]step{{text: "INSERT INTO t VALUES ()", out: Outcome{Status: wire.Autocommit, StatusSeen: true, LastInsertID: 7}}}, router.PinLastInsertID},
		"a setting that was reported":                {[]step{{"SET time_zone='UTC'", variable("time_zone", "UTC"), ac}}, 0},
		"a setting that was not":                     {[]step{{text: "SET unheard_of=1", out: ac}}, router.PinOpaque},
		"one of two settings that was not":           {[]step{{"SET time_zone='UTC', unheard_of=1", variable("time_zone", "UTC"), ac}}, router.PinOpaque},
		"a setting that was refused":                 {[]step{{text: "SET unheard_of=1", out: failed(1193)}}, 0},
		"autocommit set to what it was":              {[]step{{"SET autocommit=1", variable("autocommit", "ON"), ac}}, 0},
		"a procedure":                                {[]step{{text: "CALL p()", out: ac}}, router.PinOpaque},
		"SQL_CALC_FOUND_ROWS until another read":     {[]step{{text: "SELECT SQL_CALC_FOUND_ROWS 1", out: ac}, {text: "SELECT 1", out: ac}}, 0},
		"SQL_CALC_FOUND_ROWS":                        {[]step{{text: "SELECT SQL_CALC_FOUND_ROWS 1", out: ac}}, router.PinFoundRows},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			for _, st := range c.steps {
				run(t, s, st.text, st.reports, st.out)
			}
			if s.Pins != c.want {
				t.Errorf("pins %q, want %q", s.Pins, c.want)
			}
		})
	}
}

func TestTrackingThatAClientChangesIsToBeRestored(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	run(t, s, "SET SESSION session_track_system_variables='autocommit'", nil, ok(wire.Autocommit)) // MySQL is silent about it
	if !s.Retrack {
		t.Error("not noticed in the text")
	}
}

func TestTransactions(t *testing.T) {
	const in, ac = wire.InTrans, wire.Autocommit
	lost := Outcome{ErrCode: 1213}
	type step struct {
		text string
		out  Outcome
		in   bool          // InTransaction afterwards
		on   router.Target // where
	}
	for name, steps := range map[string][]step{
		"BEGIN to COMMIT": {{"BEGIN", ok(in | ac), true, router.Primary}, {"SELECT 1", ok(in | ac), true, router.Primary}, {"COMMIT", ok(ac), false, router.Primary}},
		"an ERR leaves it open, as nobody knows": {
			{"BEGIN", ok(in | ac), true, router.Primary}, {"INSERT INTO t VALUES (1)", lost, true, router.Primary},
			{"SELECT 1", ok(ac), false, router.Primary}, // the OK knows: 1213 has ended it
		},
		"an ERR outside does not open one":           {{"INSERT INTO t VALUES (1)", lost, false, router.Primary}},
		"autocommit off is one all the time":         {{"SET autocommit=0", ok(0), true, router.Primary}, {"COMMIT", ok(0), true, router.Primary}, {"SET autocommit=1", ok(ac), false, router.Primary}},
		"READ ONLY runs where it began":              {{"START TRANSACTION READ ONLY", ok(in | ac | wire.InTransReadOnly), true, router.Replica}, {"SELECT 1", ok(in | ac | wire.InTransReadOnly), true, router.Replica}, {"COMMIT", ok(ac), false, router.Primary}, {"BEGIN", ok(in | ac), true, router.Primary}},
		"flags of one statement are not kept":        {{"SELECT 1; SELECT 2", ok(ac | wire.MoreResultsExist | wire.CursorExists | wire.LastRowSent | wire.NoIndexUsed), false, router.Primary}},
		"COMMIT AND CHAIN stays in a transaction":    {{"BEGIN", ok(in | ac), true, router.Primary}, {"COMMIT AND CHAIN", ok(in | ac), true, router.Primary}},
		"an answer without a status changes nothing": {{"BEGIN", ok(in | ac), true, router.Primary}, {"SELECT 1", Outcome{}, true, router.Primary}},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(utf8mb4, "", 0)
			for _, st := range steps {
				run(t, s, st.text, nil, st.out)
				s.Pins = 0 // not the subject
				if s.InTransaction() != st.in || s.TransactionOn != st.on {
					t.Errorf("after %s: in %v on %v, want %v on %v", st.text, s.InTransaction(), s.TransactionOn, st.in, st.on)
				}
				if s.Releasable() == st.in {
					t.Errorf("after %s: releasable %v", st.text, s.Releasable())
				}
				if other := s.Status &^ (in | ac | wire.InTransReadOnly | wire.NoBackslashEscapes); other != 0 {
					t.Errorf("after %s: status has %#x", st.text, other)
				}
			}
		})
	}
}

func TestResetKeepsSchemaLoginAndListenerOnly(t *testing.T) {
	s := fresh(gbk, "ANSI_QUOTES", wire.FoundRows)
	s.Listener = router.ReadOnly
	s.Start(s.Login, gbk, "d", "ANSI_QUOTES", lex.FlavorMySQL)
	s.SessionChanges(blocks(schemaReport("e"), variable("character_set_client", "utf8mb4"), variable("sql_mode", ""), variable("timestamp", "1"), variable("character_set_connection", "utf8mb4")))
	s.Status = wire.InTrans
	s.Retrack = true
	s.Reset()
	want := fresh(gbk, "ANSI_QUOTES", wire.FoundRows)
	want.Listener = router.ReadOnly
	want.Profile = want.Profile.WithSchema("e")
	if diff := cmp.Diff(want, s, cmp.AllowUnexported(State{}, TempTables{}, Locks{}, Named{}, partial{}), cmp.Comparer(func(a, b pool.Login) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestReportsOfEveryWriteAllocateNothing(t *testing.T) {
	s := fresh(utf8mb4, "", 0)
	block := variable("last_gtid", "0-1-123456789")
	if n := testing.AllocsPerRun(100, func() { s.SessionChanges(block) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzSessionChanges(f *testing.F) {
	f.Add(blocks(variable("sql_mode", "ANSI_QUOTES"), schemaReport("d")))
	f.Add([]byte{0, 250, 1, 2})
	f.Add([]byte{1, 1, 0})
	f.Fuzz(func(t *testing.T, block []byte) {
		s := fresh(utf8mb4, "", 0)
		s.SessionChanges(block)
		for _, v := range s.Profile.Vars {
			if !pool.Portable(v.Name, v.Value) {
				t.Errorf("%s=%q would be put into a SET", v.Name, v.Value)
			}
		}
	})
}
