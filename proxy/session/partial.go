package session

import (
	"bytes"
	"slices"
	"strings"

	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// partial is what is known of a statement on a server that reports only some
// variables, and otherwise that something has changed (MariaDB from 11.1 on, see
// pool.Conn.PartialReports).
type partial struct {
	on      bool
	changed bool     // something has changed, be it reported or not
	names   []string // of the variables reported
	missing bool     // the statement has set a variable that was not reported
	touched bool     // it has changed something else, for a while or longer
}

func (p *partial) begin() { *p = partial{on: p.on, names: p.names[:0]} }

func (p *partial) heard(name string) {
	if p.on {
		p.names = append(p.names, name)
	}
}

// PartialReports says whether the server of the next statement reports only some
// variables. facts may be nil.
func (s *State) PartialReports(on bool, f *lex.Facts) {
	s.partial.on = on
	s.Track.HideState = on && !s.WantsState && !switchesState(f)
}

// switchesState reports whether a statement sets session_track_state_change:
// that is a change of which a server tells (measured, MariaDB 11.8).
func switchesState(f *lex.Facts) bool {
	return f != nil && f.Flags.Has(lex.FlagSetTrackVars) && bytes.Contains(bytes.ToLower(f.Stmt), []byte("session_track_state_change"))
}

// Restores reports whether the settings of the statement have ended with it, which
// a server with partial reports tells with the next one.
func (s *State) Restores() bool { return s.partial.on && s.transient }

// missed finds out whether the statement has changed more than was reported: a
// SET names it, others are not to do such things unnoticed.
func (s *State) missed(f *lex.Facts) {
	if !s.partial.on || !s.partial.changed || f == nil {
		return
	}
	switch {
	case s.transient:
		s.reported = f.SetVars // they have ended with it
	case f.SetVars > 0:
		s.partial.missing = s.leavesOut(f)
	case f.Class == lex.Set || f.Class == lex.Use:
	case mayRunPrograms(f):
		s.Pins |= router.PinOpaque
	default:
		s.partial.touched = true
	}
}

// incomplete reports whether a statement that has succeeded has made settings
// that the server did not tell of.
func (s *State) incomplete(f *lex.Facts) bool {
	if s.partial.on && s.partial.changed && f.SetVars > 0 && !s.transient && !f.Flags.Has(lex.FlagSetTrackVars) {
		return s.partial.missing
	}
	return s.partial.missing || s.unreported(f)
}

// leavesOut reports whether a statement assigns a variable that was not reported,
// or may do so. How many were reported says nothing: autocommit is, when a
// variable in the same word changes.
func (s *State) leavesOut(f *lex.Facts) bool {
	left := false
	ok := lex.AllSetItems(f, func(item lex.SetItem) {
		switch name := strings.ToLower(string(item.Name)); {
		case item.User || item.Global || slices.Contains(s.partial.names, name) || strings.HasPrefix(name, "session_track_"):
		case name == "last_insert_id" || name == "identity":
			s.Pins |= router.PinLastInsertID // as variableChanged does
		default:
			left = true
		}
	})
	return left || !ok
}

// mayRunPrograms reports whether a statement may set variables without saying
// so, by a trigger. What calls programs by name is pinned anyway. Others change
// the state by what they are: USE, PREPARE, temporary tables; and the execution of
// a statement prepared in another schema does for a moment (measured, 11.8).
func mayRunPrograms(f *lex.Facts) bool {
	const writes = 1<<lex.Insert | 1<<lex.Replace | 1<<lex.Update | 1<<lex.Delete | 1<<lex.Load
	return f.Classes&writes != 0
}

// Touched reports whether the statement has changed the state in a way that was
// not reported: nobody else may have the connection as it is.
func (s *State) Touched() bool { return s.partial.touched }
