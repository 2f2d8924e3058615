package backend

import "testing"

func TestWhatAServerHasAppliedGrowsWithinAnEpochAndIsForgottenWithIt(t *testing.T) {
	s, err := newServer(1, "127.0.0.1:3306")
	if err != nil {
		t.Fatal(err)
	}
	if s.Applied() != 0 {
		t.Errorf("fresh server has applied %d", s.Applied())
	}
	epoch := s.Epoch()
	for _, step := range []struct{ note, want uint64 }{{5, 5}, {3, 5}, {9, 9}} {
		if s.NoteApplied(epoch, step.note); s.Applied() != step.want {
			t.Errorf("after %d: %d, want %d", step.note, s.Applied(), step.want)
		}
	}
	s.epoch.Add(1)
	if s.Applied() != 0 {
		t.Errorf("a new epoch still has %d", s.Applied())
	}
	if s.NoteApplied(epoch, 100); s.Applied() != 0 {
		t.Errorf("a connection of the old epoch was believed: %d", s.Applied())
	}
	if s.NoteApplied(epoch+1, 2); s.Applied() != 2 {
		t.Errorf("new epoch: %d, want 2", s.Applied())
	}
}

func TestAnEpochBeyondTheBitsKeptStillMatches(t *testing.T) {
	s, err := newServer(1, "127.0.0.1:3306")
	if err != nil {
		t.Fatal(err)
	}
	s.epoch.Store(1<<20 + 7)
	if s.NoteApplied(s.Epoch(), 4); s.Applied() != 4 {
		t.Errorf("got %d", s.Applied())
	}
}
