package session

import (
	"encoding/binary"
	"testing"

	"github.com/telamondb/telamon/wire"
)

func TestNumbersOfStatementsAreNotUsedTwice(t *testing.T) {
	var ps PreparedStore
	seen := map[uint32]bool{}
	for range 10 {
		id := ps.NextID()
		if seen[id] || id == 0 {
			t.Fatalf("number %d again", id)
		}
		seen[id] = true
		ps.Add(&Prepared{ID: id})
	}
	ps.Remove(3)
	if ps.Get(3) != nil || ps.Get(4) == nil || ps.Len() != 9 {
		t.Error("removed the wrong one")
	}
	ps.Clear()
	if ps.Len() != 0 || ps.Get(4) != nil || seen[ps.NextID()] {
		t.Error("numbers start again after Clear: a client may still use an old one")
	}
}

func TestNumbersWrapAroundReservedAndUsedOnes(t *testing.T) {
	ps := PreparedStore{lastID: 1<<32 - 3}
	ps.Add(&Prepared{ID: 1})
	for _, want := range []uint32{1<<32 - 2, 2} { // not 0xFFFFFFFF, 0 and 1
		if got := ps.NextID(); got != want {
			t.Errorf("number %d, want %d", got, want)
		}
	}
}

func TestHolding(t *testing.T) {
	var ps PreparedStore
	ps.Add(&Prepared{ID: 1})
	ps.Add(&Prepared{ID: 2, Cursor: true})
	if cursor, long := ps.Holding(); !cursor || long {
		t.Errorf("cursor %v, long data %v", cursor, long)
	}
	ps.Add(&Prepared{ID: 3, LongData: true})
	ps.Remove(2)
	if cursor, long := ps.Holding(); cursor || !long {
		t.Errorf("cursor %v, long data %v", cursor, long)
	}
}

// head is the beginning of an execute payload.
func head(id uint32, flags byte, rest ...byte) []byte {
	p := append(binary.LittleEndian.AppendUint32([]byte{0x17}, id), flags, 1, 0, 0, 0)
	return append(p, rest...)
}

func TestParseExecute(t *testing.T) {
	for name, c := range map[string]struct {
		p      []byte
		params uint16
		want   Execute
		bad    bool
	}{
		"without parameters":                      {p: head(7, 0), want: Execute{ID: 7}},
		"with a cursor":                           {p: head(7, 1), want: Execute{ID: 7, Flags: 1}},
		"bytes behind are the server's business":  {p: head(7, 0, 1, 2, 3), want: Execute{ID: 7}},
		"types sent":                              {p: head(7, 0, 0, 1, 8, 0, 9), params: 1, want: Execute{ID: 7, TypesAt: 11, Bound: true}},
		"any number but 0 announces types":        {p: head(7, 0, 0, 2, 8, 0), params: 1, want: Execute{ID: 7, TypesAt: 11, Bound: true}},
		"types as before":                         {p: head(7, 0, 0, 0), params: 1, want: Execute{ID: 7, TypesAt: 11}},
		"nine parameters need two bytes of NULLs": {p: head(7, 0, 0, 0, 0), params: 9, want: Execute{ID: 7, TypesAt: 12}},
		"too short for its head":                  {p: head(7, 0)[:9], bad: true},
		"nothing":                                 {bad: true},
		"no flag":                                 {p: head(7, 0, 0), params: 1, bad: true},
		"types cut short":                         {p: head(7, 0, 0, 1, 8), params: 1, bad: true},
		"NULLs cut short":                         {p: head(7, 0, 0), params: 9, bad: true},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ParseExecute(c.p, c.params)
			if ok == c.bad {
				t.Fatalf("ok %v", ok)
			}
			if ok && got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestBindCountsChangesOfTypes(t *testing.T) {
	var p Prepared
	buffer := []byte{8, 0, 253, 0}
	for i, c := range []struct {
		types      []byte
		generation uint32
	}{
		{buffer, 1}, {[]byte{8, 0, 253, 0}, 1}, {[]byte{8, 128, 253, 0}, 2}, {[]byte{8, 0, 253, 0}, 3},
	} {
		if p.Bind(c.types); p.Generation != c.generation || string(p.Types) != string(c.types) {
			t.Errorf("step %d: generation %d of %v, want %d of %v", i, p.Generation, p.Types, c.generation, c.types)
		}
	}
	types := []byte{1, 0, 1, 0}
	p.Bind(types)
	if types[0] = 99; p.Types[0] != 1 {
		t.Error("the client's buffer was kept")
	}
	same := append([]byte(nil), p.Types...)
	if n := testing.AllocsPerRun(100, func() { p.Bind(same) }); n != 0 {
		t.Errorf("%v allocations for types that have not changed", n)
	}
}

func FuzzParseExecute(f *testing.F) {
	f.Add(head(7, 0), uint16(0))
	f.Add(head(7, 1, 0, 1, 8, 0, 9), uint16(1))
	f.Add(head(7, 1, 0, 0, 1), uint16(65535))
	f.Fuzz(func(t *testing.T, p []byte, params uint16) {
		e, ok := ParseExecute(p, params)
		if !ok {
			return
		}
		if e.ID != binary.LittleEndian.Uint32(p[1:5]) || e.Flags != p[5]&^wire.AttributesAvailable {
			t.Errorf("%+v of %x", e, p)
		}
		// What the session slices has to be there.
		if e.Bound {
			var st Prepared
			st.Bind(p[e.TypesAt+1 : e.TypesAt+1+2*int(params)])
		}
		if params > 0 {
			_, _ = p[:e.TypesAt], p[e.TypesAt+1:]
		}
	})
}

func TestTheStatementPreparedLastIsKnownUntilItIsGone(t *testing.T) {
	var ps PreparedStore
	add := func() uint32 {
		ps.Preparing()
		p := &Prepared{ID: ps.NextID()}
		ps.Add(p)
		return p.ID
	}
	if got := ps.Latest(); got != Direct {
		t.Errorf("none yet: %d", got)
	}
	first, second := add(), add()
	if got := ps.Latest(); got != second {
		t.Errorf("%d instead of %d", got, second)
	}
	if ps.Remove(first); ps.Latest() != second {
		t.Error("another one was closed")
	}
	if ps.Remove(second); ps.Latest() != Direct {
		t.Error("it was closed")
	}
	add()
	if ps.Preparing(); ps.Latest() != Direct {
		t.Error("the next one could not be prepared")
	}
	add()
	if ps.Clear(); ps.Latest() != Direct || ps.Get(Direct) != nil {
		t.Error("all are gone")
	}
}
