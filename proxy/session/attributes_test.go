package session

import (
	"testing"
)

// named makes an execute of a client with QueryAttributes; rest follows the
// iteration count.
func named(rest string) []byte { return append(head(7, 8), rest...) }

func TestParseNamedExecute(t *testing.T) {
	for name, c := range map[string]struct {
		p      []byte
		params uint16
		want   Execute
		bad    bool
	}{
		"without the flag it is the plain form": {p: head(7, 0, 0, 1, 8, 0, 9), params: 1, want: Execute{ID: 7, TypesAt: 11, Bound: true}},
		"no values":                             {p: named("\x00"), want: Execute{ID: 7, Named: true, Values: 11}},
		"with a cursor":                         {p: append(head(7, 9), 0), want: Execute{ID: 7, Flags: 1, Named: true, Values: 11}},
		"a parameter":                           {p: named("\x01\x00\x01\x08\x00\x00v"), params: 1, want: Execute{ID: 7, Named: true, NullsAt: 11, TypesAt: 12, Bound: true, Values: 16}},
		"a parameter and attributes":            {p: named("\x03\x00\x01\x08\x00\x00\xfe\x00\x01n\xfe\x00\x02mmvv"), params: 1, want: Execute{ID: 7, Named: true, NullsAt: 11, TypesAt: 12, Bound: true, Values: 25}},
		"only an attribute":                     {p: named("\x01\x00\x01\xfe\x00\x01nv"), want: Execute{ID: 7, Named: true, NullsAt: 11, TypesAt: 12, Bound: true, Values: 17}},
		"types as before":                       {p: named("\x01\x00\x00v"), params: 1, want: Execute{ID: 7, Named: true, NullsAt: 11, TypesAt: 12, Values: 13}},
		"many NULLs in a few bytes":             {p: named("\x64" + string(make([]byte, 13)) + "\x00"), params: 100, want: Execute{ID: 7, Named: true, NullsAt: 11, TypesAt: 24, Values: 25}},
		"too short for its head":                {p: head(7, 8)[:9], bad: true},
		"no number":                             {p: named(""), bad: true},
		"fewer than the statement has":          {p: named("\x00"), params: 1, bad: true},
		"more than anybody takes":               {p: named("\xfd\xff\xff\xff"), params: 1, bad: true},
		"no flag":                               {p: named("\x01\x00"), params: 1, bad: true},
		"a type cut short":                      {p: named("\x01\x00\x01\x08"), params: 1, bad: true},
		"a type without a name":                 {p: named("\x01\x00\x01\x08\x00"), params: 1, bad: true},
		"a name cut short":                      {p: named("\x01\x00\x01\x08\x00\x05n"), params: 1, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseNamedExecute(c.p, c.params)
			if ok == c.bad {
				t.Fatalf("ok %v", ok)
			}
			if ok && got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestAnExecuteIsRebuiltForTheConnectionItRunsOn(t *testing.T) {
	types := []byte{8, 0, 0xfe, 0}
	plain := string(head(7, 0))
	for _, c := range []struct {
		name   string
		p      []byte
		params uint16
		named  bool // the connection has query attributes
		want   string
	}{
		{"types put into the plain form", head(7, 0, 0, 0, 'v'), 2, false, plain + "\x00\x01\x08\x00\xfe\x00v"},
		{"types put into the named form", named("\x02\x00\x00v"), 2, true, string(named("\x02\x00\x01\x08\x00\x00\xfe\x00\x00v"))},
		{"names taken out", named("\x02\x02\x01\x08\x00\x01a\xfe\x00\x00v"), 2, false, plain + "\x02\x01\x08\x00\xfe\x00v"},
		{"attributes taken out", named("\x03\x00\x01\x08\x00\x01a\xfe\x00\x00\xfe\x00\x01nvx"), 2, false, plain + "\x00\x01\x08\x00\xfe\x00vx"},
		{"names taken out and types put in", named("\x02\x00\x00v"), 2, false, plain + "\x00\x01\x08\x00\xfe\x00v"},
		{"attributes of a statement without parameters", named("\x01\x00\x01\xfe\x00\x01nv"), 0, false, plain},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, ok := ParseNamedExecute(c.p, c.params)
			if !ok {
				t.Fatal("malformed")
			}
			st := Prepared{Params: c.params, Types: types[:2*c.params], Generation: 1}
			st.BindExecute(c.p, &e)
			if st.Generation != 1 || string(st.Types) != string(types[:2*c.params]) {
				t.Errorf("bound anew: %v", st.Types)
			}
			if got := e.Rebuild(c.p, &st, c.named); string(got) != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
	t.Run("types that nobody knows", func(t *testing.T) {
		e, _ := ParseNamedExecute(named("\x01\x00\x00v"), 1)
		if got := e.Rebuild(named("\x01\x00\x00v"), &Prepared{Params: 1}, false); string(got) != plain+"\x00\x00v" {
			t.Errorf("got %q", got)
		}
	})
}

func TestNamedTypesAreBoundWithoutTheirNames(t *testing.T) {
	st := Prepared{Params: 2}
	for i, c := range []struct {
		types      string
		generation uint32
	}{
		{"\x08\x00\x00\xfe\x00\x01b", 1}, {"\x08\x00\x01a\xfe\x00\x00", 1}, {"\x08\x00\x00\xfd\x00\x00", 2},
	} {
		p := named("\x02\x00\x01" + c.types)
		e, ok := ParseNamedExecute(p, 2)
		st.BindExecute(p, &e)
		if !ok || st.Generation != c.generation || len(st.Types) != 4 {
			t.Errorf("step %d: %v, generation %d", i, st.Types, st.Generation)
		}
		if n := testing.AllocsPerRun(10, func() { st.BindExecute(p, &e) }); n != 0 {
			t.Errorf("%v allocations for types that have not changed", n)
		}
	}
}

func FuzzNamedExecute(f *testing.F) {
	f.Add(named("\x03\x00\x01\x08\x00\x01a\xfe\x00\x00\xfe\x00\x01nvx"), uint16(2), true)
	f.Add(named("\x02\x00\x00v"), uint16(2), false)
	f.Fuzz(func(t *testing.T, p []byte, params uint16, isNamed bool) {
		e, ok := ParseNamedExecute(p, params)
		if !ok {
			return
		}
		st := Prepared{Params: params}
		st.BindExecute(p, &e)
		rebuilt := e.Rebuild(p, &st, isNamed)
		again, ok := ParseNamedExecute(rebuilt, params)
		if !ok || again.ID != e.ID || again.Flags != e.Flags || again.Named && !isNamed {
			t.Errorf("%x becomes %x: %+v, %+v", p, rebuilt, e, again)
		}
	})
}

func TestABulkExecutionCarriesItsTypesOrReliesOnThoseBefore(t *testing.T) {
	const head = "\xfa\x07\x00\x00\x00"
	for name, c := range map[string]struct {
		p      string
		params uint16
		want   Execute
		bad    bool
	}{
		"types sent":                  {p: head + "\x80\x00\x08\x00v", params: 1, want: Execute{ID: 7, Bound: true, Bulk: true}},
		"types as before":             {p: head + "\x00\x00v", params: 1, want: Execute{ID: 7, Bulk: true}},
		"no parameters, no types":     {p: head + "\x00\x00", want: Execute{ID: 7, Bound: true, Bulk: true}},
		"types cut short":             {p: head + "\x80\x00\x08", params: 1, bad: true},
		"too short for its head":      {p: head + "\x80", params: 1, bad: true},
		"too short for its statement": {p: "\xfa\x07", bad: true},
	} {
		got, ok := ParseBulk([]byte(c.p), c.params)
		if ok == c.bad || ok && got != c.want {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
	st := Prepared{Params: 1}
	typed, untyped := []byte(head+"\x80\x00\x08\x00v"), []byte(head+"\x40\x00v")
	e, _ := ParseBulk(typed, 1)
	st.BindExecute(typed, &e)
	if e, _ = ParseBulk(untyped, 1); string(e.Rebuild(untyped, &st, false)) != head+"\xc0\x00\x08\x00v" {
		t.Errorf("rebuilt: %q", e.Rebuild(untyped, &st, false))
	}
}

func FuzzParseBulk(f *testing.F) {
	f.Add([]byte("\xfa\x07\x00\x00\x00\x80\x00\x08\x00v"), uint16(1))
	f.Fuzz(func(t *testing.T, p []byte, params uint16) {
		if e, ok := ParseBulk(p, params); ok {
			st := Prepared{Params: params}
			st.BindExecute(p, &e)
			_ = e.Rebuild(p, &st, false)
		}
	})
}
