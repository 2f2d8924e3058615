package backend

import "testing"

func TestAStoreStartsWithItsBackendsUnknownAndMastersFirst(t *testing.T) {
	s, err := NewStore([]Spec{
		{Address: "a:1", Role: RoleRO, Weight: 1},
		{Address: "b:1", Role: RoleRW},
		{Address: "unix:/c", Role: RoleAuto, Weight: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"b:1", "a:1", "unix:/c"}
	for i, st := range s.Load().States {
		if st.String() != want[i] || st.Health != Unknown {
			t.Errorf("position %d: %s %s, want %s unknown", i+1, st.String(), st.Health, want[i])
		}
	}
	if p := s.Load().Primary(); p != nil {
		t.Errorf("primary %s before any check", p)
	}
}
