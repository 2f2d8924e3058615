package router

import "github.com/telamondb/telamon/router/lex"

// readKind is how far a statement is proven to be a read.
type readKind uint8

const (
	// notARead: it may change something, or needs state of one connection.
	notARead readKind = iota
	// ownRead: it is harmless anywhere, but the answer depends on the server.
	// It belongs to the primary unless somebody asks for another one.
	ownRead
	// anyRead: it is harmless and the answer is the same on every server that
	// is up to date.
	anyRead
)

// proof is what the facts alone say about a statement.
type proof struct {
	kind   readKind
	target Target // Last, or Primary which means nothing
	reason Reason
}

// flagReasons are the facts that keep a statement from being a read that any
// server may answer, the most telling first.
var flagReasons = []struct {
	flags  lex.Flags
	kind   readKind
	reason Reason
}{
	{lex.FlagUncertain | lex.FlagUnterminated | lex.FlagForeignByte, notARead, ReasonUnreadable},
	{lex.FlagExecutableComment, notARead, ReasonExecutableComment},
	{lex.FlagMultiStatement, notARead, ReasonMultiStatement},
	{lex.FlagLocking, notARead, ReasonLockingRead},
	{lex.FlagInto, notARead, ReasonInto},
	{lex.FlagSequence, notARead, ReasonSequence},
	{lex.FlagUserLock, notARead, ReasonUserLockFunction},
	{lex.FlagUnknownFunction, notARead, ReasonUnknownFunction},
	{lex.FlagSideEffect, notARead, ReasonSideEffect},
	{lex.FlagUserVarRead | lex.FlagUserVarWrite, notARead, ReasonUserVariable},
	{lex.FlagLastInsertID | lex.FlagLastInsertIDWrite, notARead, ReasonLastInsertID},
	{lex.FlagSetStatement, notARead, ReasonSet},
	{lex.FlagServerVarRead | lex.FlagConnectionID, ownRead, ReasonServerIdentity},
	{lex.FlagServerSchema, ownRead, ReasonServerSchema},
	{lex.FlagSysVarRead, ownRead, ReasonSystemVariable},
}

// classReasons are the reasons of statements that are no reads.
var classReasons = [lex.NumClasses]Reason{
	lex.Unknown: ReasonUnknown, lex.Empty: ReasonEmpty, lex.Use: ReasonUse, lex.Set: ReasonSet,
	lex.Begin: ReasonTransaction, lex.Commit: ReasonTransaction, lex.Rollback: ReasonTransaction,
	lex.Savepoint: ReasonTransaction, lex.Insert: ReasonWrite, lex.Replace: ReasonWrite,
	lex.Update: ReasonWrite, lex.Delete: ReasonWrite, lex.Load: ReasonWrite, lex.DDL: ReasonDDL,
	lex.Account: ReasonAccount, lex.Call: ReasonCall, lex.Do: ReasonStoredDo, lex.Handler: ReasonHandler,
	lex.Lock: ReasonLock, lex.Unlock: ReasonLock, lex.Prepare: ReasonPrepared,
	lex.Execute: ReasonPrepared, lex.Deallocate: ReasonPrepared, lex.Kill: ReasonKill, lex.XA: ReasonXA,
	lex.Signal: ReasonBlock, lex.Block: ReasonBlock, lex.Admin: ReasonAdmin,
}

// judge proves what it can about a statement from its facts.
func judge(f *lex.Facts) proof {
	base := judgeClass(f)
	if base.kind == notARead && base.target != Last || f.Class == lex.Diagnostics {
		return judgeText(f, base)
	}
	for i := range flagReasons {
		fr := &flagReasons[i]
		if fr.kind == ownRead && f.Flags.Has(lex.FlagLastResult) {
			return proof{kind: notARead, target: Last, reason: ReasonLastStatement}
		}
		if f.Flags.Has(fr.flags) {
			return proof{kind: fr.kind, reason: fr.reason}
		}
	}
	return base
}

// judgeText lets doubts about the text win over the class, whose name would
// mislead.
func judgeText(f *lex.Facts, base proof) proof {
	for i := range flagReasons[:3] {
		if fr := &flagReasons[i]; f.Flags.Has(fr.flags) {
			return proof{kind: notARead, reason: fr.reason}
		}
	}
	return base
}

func judgeClass(f *lex.Facts) proof {
	switch f.Class {
	case lex.Select:
		return proof{kind: anyRead, reason: ReasonRead}
	case lex.Describe, lex.Help:
		return proof{kind: anyRead, reason: ReasonMetadata}
	case lex.Explain:
		if f.Inner == lex.Select {
			return proof{kind: anyRead, reason: ReasonRead}
		}
		return proof{kind: notARead, reason: ReasonExplainWrite}
	case lex.Show:
		switch f.Show {
		case lex.ShowMetadata:
			return proof{kind: anyRead, reason: ReasonMetadata}
		case lex.ShowDiagnostics, lex.ShowSession:
			return proof{kind: notARead, target: Last, reason: ReasonLastStatement}
		}
		return proof{kind: ownRead, reason: ReasonShowServer}
	case lex.Diagnostics:
		// It writes user variables, so it is no business of a replica unless
		// the previous statement ran there.
		return proof{kind: notARead, target: Last, reason: ReasonLastStatement}
	}
	return proof{kind: notARead, reason: classReasons[f.Class]}
}

// pins returns the pins a statement adds.
func pins(f *lex.Facts) PinSet {
	const opaque = 1<<lex.Unknown | 1<<lex.Call | 1<<lex.Execute | 1<<lex.Block | 1<<lex.XA
	var p PinSet
	if f.Classes&opaque != 0 || f.Flags.Has(lex.FlagUncertain) {
		p |= PinOpaque
	}
	if f.Classes == lex.DDL.Set() && f.Flags.Has(lex.FlagProgram) {
		return p // what the body says is stored, not run
	}
	for i := range flagPins {
		if f.Flags.Has(flagPins[i].flag) {
			p |= flagPins[i].pin
		}
	}
	if f.Flags.Has(lex.FlagPlainAssign) {
		p &^= PinUserVariables // they are part of the session's profile
	}
	if f.NumTempCreated() > 0 || f.Flags.Has(lex.FlagTempOverflow) {
		p |= PinTemporaryTables
	}
	if f.Classes.Has(lex.Lock) {
		if f.Flags.Has(lex.FlagBackupLock) {
			p |= PinBackupLock
		}
		if !f.Flags.Has(lex.FlagBackupLock) || f.Statements > 1 {
			p |= PinTableLocks
		}
	}
	if f.Classes.Has(lex.Handler) {
		p |= PinHandler
	}
	if f.Classes.Has(lex.Prepare) {
		p |= PinSQLPrepared
	}
	return p
}

var flagPins = []struct {
	flag lex.Flags
	pin  PinSet
}{
	{lex.FlagUserVarWrite, PinUserVariables},
	{lex.FlagGetLock, PinUserLocks},
	{lex.FlagCalcFoundRows, PinFoundRows},
	{lex.FlagLastInsertIDWrite, PinLastInsertID},
	{lex.FlagSetNextTransaction, PinNextTransaction},
	{lex.FlagSetRole, PinRole},
	{lex.FlagUnknownFunction, PinStoredFunction},
}

// releases returns the pins among held that end with the statement. In a
// packet of several statements nothing ends: they may come in any order.
func releases(f *lex.Facts, held PinSet) PinSet {
	if held == 0 || f.Statements != 1 || f.Flags.Has(lex.FlagUncertain|lex.FlagExecutableComment) {
		return 0
	}
	var r PinSet
	switch f.Class {
	case lex.Unlock:
		r = PinTableLocks
		if f.Flags.Has(lex.FlagBackupLock) {
			r = PinBackupLock
		}
	case lex.Begin, lex.Commit, lex.Rollback, lex.Insert, lex.Replace, lex.Update, lex.Delete, lex.Load, lex.DDL:
		r = PinNextTransaction
	}
	if !f.Flags.Has(lex.FlagLastResult | lex.FlagCalcFoundRows) {
		r |= PinFoundRows
	}
	return r & held
}

// syntaxErrorIsSafe reports whether 1064 can only come from parsing the packet
// and not from something it has run.
func syntaxErrorIsSafe(f *lex.Facts) bool {
	const running = 1<<lex.Call | 1<<lex.Execute | 1<<lex.Block
	return f.Statements <= 1 && f.Classes&running == 0 && !f.Flags.Has(lex.FlagUnknownFunction)
}

// reason returns why the pins force a statement to their connection.
func (p PinSet) reason() Reason {
	switch {
	case p.Has(PinOpaque):
		return ReasonOpaqueState
	case p.Has(PinTemporaryTables):
		return ReasonTemporaryTables
	case p.Has(PinTableLocks | PinBackupLock):
		return ReasonTableLocks
	case p.Has(PinUserLocks):
		return ReasonUserLocks
	case p.Has(PinNextTransaction):
		return ReasonNextTransaction
	case p.Has(PinRole):
		return ReasonRole
	}
	return ReasonLongData
}
