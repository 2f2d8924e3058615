package wire

import (
	"slices"
	"testing"
)

func TestATrackViewShowsWhatTheClientHasAskedFor(t *testing.T) {
	var (
		zone   = variable("time_zone", "+01:00")
		mode   = variable("sql_mode", "ANSI")
		gtid   = variable("last_gtid", "0-1-2")
		schema = AppendChange(nil, ChangeSchema, "app")
		gtids  = []byte("\x03\x05\x00\x03a:1")
		state  = []byte("\x02\x011")
		trx    = AppendChange(nil, ChangeTrxState, "T_______")
		all    = slices.Concat(zone, mode, gtid, schema, gtids, state, trx)
	)
	for _, c := range []struct {
		name  string
		view  TrackView
		block []byte
		want  []byte
	}{
		{"the defaults", DefaultTrackView(), all, slices.Concat(zone, schema, state, trx)},
		{"nothing", TrackView{}, all, slices.Concat(state, trx)},
		{"all variables", TrackView{Variables: "*"}, all, slices.Concat(zone, mode, gtid, state, trx)},
		{"all variables, one of them spelled otherwise", TrackView{Variables: "*, SQL_Mode"}, mode, variable("SQL_Mode", "ANSI")},
		{"names in the client's spelling", TrackView{Variables: "Time_Zone,sql_mode"}, all, slices.Concat(variable("Time_Zone", "+01:00"), mode, state, trx)},
		{"a name that only begins like one", TrackView{Variables: "time_zone2,sql_mod"}, all, slices.Concat(state, trx)},
		{"GTIDs", TrackView{GTIDs: true}, all, slices.Concat(gtids, state, trx)},
		{"an empty block", DefaultTrackView(), nil, nil},
		{"several variables in one entry", TrackView{Variables: "b"}, []byte("\x00\x08\x01a\x01x\x01b\x01y"), variable("b", "y")},
		{"a length in more bytes than it needs", TrackView{Variables: "B"}, []byte("\x00\x09\x01b\xfc\x01\x00y\x01a\x00"), []byte("\x00\x06\x01B\xfc\x01\x00y")},
		{"a name whose length has more bytes than it needs", TrackView{Variables: "B"}, []byte("\x00\x06\xfc\x01\x00b\x01y"), []byte("\x00\x06\xfc\x01\x00B\x01y")},
		{"an entry that cannot be read", TrackView{}, []byte("\x01\x02\x01a\x01\xfe"), []byte("\x01\xfe")},
		{"a single byte", TrackView{}, []byte{1}, []byte{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.view.Append(nil, c.block); string(got) != string(c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestATrackViewAllocatesNothing(t *testing.T) {
	view := DefaultTrackView()
	block := slices.Concat(variable("time_zone", "+01:00"), variable("last_gtid", "0-1-2"), AppendChange(nil, ChangeSchema, "app"))
	dst := make([]byte, 0, 200)
	if n := testing.AllocsPerRun(100, func() { dst = view.Append(dst[:0], block) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzTrackView(f *testing.F) {
	f.Add("*", true, true, []byte("\x00\x08\x01a\x01x\x01b\x01y\x01\x02\x01a"))
	f.Fuzz(func(t *testing.T, variables string, schema, gtids bool, block []byte) {
		view := TrackView{Variables: variables, Schema: schema, GTIDs: gtids}
		once := view.Append(nil, block)
		if twice := view.Append(nil, once); string(twice) != string(once) {
			t.Errorf("%q becomes %q, and that %q", block, once, twice)
		}
	})
}
