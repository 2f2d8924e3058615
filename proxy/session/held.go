package session

import (
	"github.com/telamondb/telamon/router"
	"github.com/telamondb/telamon/router/lex"
)

// finishedHeld takes note of user locks, SQL-level prepared statements and
// HANDLERs that come and go, and ends the pins of which nothing is left.
func (s *State) finishedHeld(f *lex.Facts, out *Outcome) {
	const prepared = 1<<lex.Prepare | 1<<lex.Execute | 1<<lex.Deallocate
	if f.Flags.Has(lex.FlagUserLock) {
		s.Locks.Finished(f, out.Answer, out.ErrCode)
		s.hold(router.PinUserLocks, s.Locks.Any())
	}
	if f.Classes&prepared != 0 {
		s.Prepared.Finished(f, out.ErrCode)
		s.hold(router.PinSQLPrepared, s.Prepared.Any())
	}
	if f.Classes.Has(lex.Handler) {
		s.Handlers.Finished(f, out.ErrCode)
		s.hold(router.PinHandler, s.Handlers.Any())
	}
}

func (s *State) hold(pin router.PinSet, held bool) {
	if held {
		s.Pins |= pin
	} else {
		s.Pins &^= pin
	}
}
