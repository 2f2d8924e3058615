package session

import "github.com/telamondb/telamon/router/lex"

// Locks counts the user locks that a session may hold, with their depth: both
// flavours allow GET_LOCK of a lock that is held already, and want as many
// RELEASE_LOCK (MySQL 5.7 and MariaDB 10.0.2 on). It errs to the side of a lock
// being held. The zero value is none.
type Locks struct {
	held int
	// names counts those of held whose names are known. A name counts as it is
	// written: what else names the same lock is the server's business.
	names map[string]int
	// unknown: there may be others.
	unknown bool
}

// maxLockNames bounds the names remembered.
const maxLockNames = 64

// Any reports whether there may be a lock.
func (l *Locks) Any() bool { return l.unknown || l.held > 0 }

// Answer is what a statement of a single call has answered.
type Answer uint8

// The answers.
const (
	AnswerUnseen Answer = iota
	AnswerNo            // 0 or NULL
	AnswerYes
)

// Finished takes note of what a statement that mentions user locks has done.
// failed says that it ended in an error.
func (l *Locks) Finished(f *lex.Facts, answer Answer, code uint16) {
	st := lex.UserLock(f)
	if !st.Answers {
		answer = AnswerUnseen
	}
	switch {
	case st.Call == lex.NoLockCall:
		l.unknown = l.unknown || f.Flags.Has(lex.FlagGetLock)
	case st.Call == lex.GetLock:
		if answer != AnswerNo && !lockRefused(code) {
			l.got(st.Name)
		}
	case code != 0:
	case st.Call == lex.ReleaseAllLocks:
		*l = Locks{}
	case answer == AnswerYes:
		l.released(st.Name)
	case answer == AnswerUnseen && l.names[string(st.Name)] > 0:
		l.released(st.Name)
	}
}

// lockRefused reports whether an error of GET_LOCK says that the lock is not
// taken: its name is wrong (MySQL), or taking it would be a deadlock.
func lockRefused(code uint16) bool {
	const wrongName, deadlock, lockDeadlock = 3057, 1213, 3058
	return code == wrongName || code == deadlock || code == lockDeadlock
}

func (l *Locks) got(name []byte) {
	l.held++
	if name == nil || len(l.names) >= maxLockNames && l.names[string(name)] == 0 {
		return
	}
	if l.names == nil {
		l.names = map[string]int{}
	}
	l.names[string(name)]++
}

// released takes note of one lock less. If it is not known by this name it may
// be any of those that are known by another, whose counts are then too high to
// rely on.
func (l *Locks) released(name []byte) {
	l.held = max(l.held-1, 0)
	switch n := l.names[string(name)]; {
	case n > 1:
		l.names[string(name)] = n - 1
	case n == 1:
		delete(l.names, string(name))
	default:
		l.names = nil
	}
}
