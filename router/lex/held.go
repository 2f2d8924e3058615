package lex

// LockCall is what a statement that consists of a single call of a user lock
// function does.
type LockCall uint8

// The calls.
const (
	NoLockCall      LockCall = iota // none, or something besides
	GetLock                         // GET_LOCK(name, timeout)
	ReleaseLock                     // RELEASE_LOCK(name)
	ReleaseAllLocks                 // RELEASE_ALL_LOCKS()
)

// LockStatement is SELECT or DO of a LockCall.
type LockStatement struct {
	Call LockCall
	// Name of the lock, if it is a literal in ASCII; else nil.
	Name []byte
	// Answers says that the result is a row with the value of the call alone.
	Answers bool
}

// UserLock returns what a statement does to user locks; Call is NoLockCall if
// that cannot be told.
func UserLock(f *Facts) LockStatement {
	var l LockStatement
	if !f.held(Select, Do) || !f.Flags.Has(FlagUserLock) || f.Flags.Has(FlagUnknownFunction|FlagInto) {
		return l
	}
	r := newReader(f)
	l.Answers = r.keyword("select")
	if !l.Answers && !r.keyword("do") {
		return l
	}
	var call LockCall
	switch fn := r.word(); {
	case equalFold(fn, "get_lock"):
		call = GetLock
	case equalFold(fn, "release_lock"):
		call = ReleaseLock
	case equalFold(fn, "release_all_locks"):
		call = ReleaseAllLocks
	default:
		return l
	}
	if !r.take('(') {
		return l
	}
	if call != ReleaseAllLocks {
		if l.Name = r.lockName(); l.Name == nil && !r.take('?') {
			return l
		}
	}
	if call == GetLock && (!r.take(',') || !r.timeout()) {
		return l
	}
	if !r.take(')') || !r.alias() {
		return l
	}
	l.Call = call
	return l
}

// held reports whether a statement is the only one, of one of the classes, and
// read without doubt.
func (f *Facts) held(classes ...Class) bool {
	const doubtful = FlagExecutableComment | FlagUncertain | FlagUnterminated | FlagForeignByte
	return f.Statements == 1 && Classes(classes...).Has(f.Class) && !f.Flags.Has(doubtful)
}

func (r *reader) lockName() []byte {
	name, ok := r.text()
	if !ok {
		return nil
	}
	for _, c := range name {
		if c >= 0x80 {
			return nil
		}
	}
	return name
}

func (r *reader) timeout() bool {
	if r.take('?') {
		return true
	}
	r.take('-')
	return r.number() != nil
}

// alias passes over the name of a column, up to the end.
func (r *reader) alias() bool {
	if r.done() {
		return true
	}
	r.keyword("as")
	if s, ok := r.text(); !ok || s == nil {
		if len(r.name()) == 0 {
			return false
		}
	}
	return r.done()
}

// NamedCall is what a statement does to something of the connection that has
// a name.
type NamedCall uint8

// The calls.
const (
	NoNamedCall NamedCall = iota // none, or it cannot be told
	OpenNamed                    // PREPARE name FROM ..., HANDLER table OPEN AS name
	UseNamed                     // EXECUTE name, HANDLER name READ
	CloseNamed                   // DEALLOCATE PREPARE name, HANDLER name CLOSE
)

// Named returns what a PREPARE, EXECUTE, DEALLOCATE or HANDLER does, and the
// name it does it to, as it is written there.
func Named(f *Facts) (NamedCall, []byte) {
	if !f.held(Prepare, Execute, Deallocate, Handler) {
		return NoNamedCall, nil
	}
	r := newReader(f)
	switch f.Class {
	case Prepare:
		if r.keyword("prepare") {
			if name := r.name(); len(name) > 0 && r.keyword("from") {
				return OpenNamed, name
			}
		}
	case Execute:
		if r.keyword("execute") {
			if name := r.name(); len(name) > 0 && (r.done() || r.keyword("using")) {
				return UseNamed, name
			}
		}
	case Deallocate:
		if (r.keyword("deallocate") || r.keyword("drop")) && r.keyword("prepare") {
			if name := r.name(); len(name) > 0 && r.done() {
				return CloseNamed, name
			}
		}
	case Handler:
		return r.handler()
	}
	return NoNamedCall, nil
}

func (r *reader) handler() (NamedCall, []byte) {
	if !r.keyword("handler") {
		return NoNamedCall, nil
	}
	name := r.name()
	if r.take('.') {
		name = r.name()
	}
	switch {
	case len(name) == 0:
	case r.keyword("read"):
		return UseNamed, name
	case r.keyword("close") && r.done():
		return CloseNamed, name
	case r.keyword("open"):
		if r.done() {
			return OpenNamed, name
		}
		r.keyword("as")
		if name = r.name(); len(name) > 0 && r.done() {
			return OpenNamed, name
		}
	}
	return NoNamedCall, nil
}
