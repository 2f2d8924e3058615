package lex

// phase is where in a statement the scanner is, as far as words mean something
// there that they do not mean elsewhere.
type phase uint8

const (
	phStart   phase = iota // the verb comes next
	phBody                 // nothing special any more
	phWith                 // behind WITH, before the main verb
	phExplain              // behind EXPLAIN, DESCRIBE
	phAnalyze              // behind ANALYZE
	phShow
	phShowCreate
	phUse
	phSet
	phSetStatement // behind SET STATEMENT, before FOR
	phAfterFor     // behind its FOR: the verb comes next
	phBegin
	phStartVerb // behind START
	phTrxOptions
	phRollback
	phDDL     // behind CREATE, ALTER, DROP, before the kind of object
	phDDLName // behind CREATE TABLE, DROP TABLE
	phLoad
	phLock
	phBackup
	phFlush
	phKill
)

// grammar is told every word that is a keyword, and in phases other than
// phBody every other word too (kw 0).
func (s *scanner) grammar(kw keyword, start, end int) {
	if s.boundary {
		s.boundary = false
		if s.phase != phStart && makesState(kw) {
			// With the comment read the other way this word might be the verb.
			s.f.Flags |= FlagUncertain
		}
	}
	if s.pendingEnd {
		if s.last.prevKw() != kwEnd {
			kw, s.pendingEnd = s.afterEnd(0, kw), false
		} else {
			kw, s.pendingEnd = s.afterEnd(kw, kw), false
		}
	}
	switch s.phase {
	case phStart, phAfterFor:
		s.verbWord(kw, end)
	case phBody:
		s.body(kw)
	default:
		s.phaseWord(kw, start, end)
		s.body(kw)
	}
}

// makesState reports whether a statement with this verb may leave state in the
// connection.
func makesState(kw keyword) bool {
	switch kw {
	case kwBackup, kwBegin, kwCall, kwCreate, kwDo, kwExecute, kwFlush, kwGet, kwHandler, kwLoad,
		kwLock, kwPrepare, kwSet, kwStart, kwUse, kwXA, kwUnlock, kwCommit, kwRollback, kwDeclare:
		return true
	}
	return false
}

// actingKeywords are those that body and programWord look for, and those that
// are literals in a list.
var actingKeywords = []keyword{
	kwUpdate, kwShare, kwLock, kwFor, kwInto, kwWhere, kwSelect, kwSet, kwValues, kwValue, kwCalcFoundRows,
	kwBegin, kwCase, kwEnd, kwDelete, kwNull, kwTrue, kwFalse, kwDefault,
}

// body looks at words that mean the same wherever they stand, the actingKeywords.
func (s *scanner) body(kw keyword) {
	switch kw {
	case 0:
		return
	case kwUpdate, kwShare:
		if s.last.prevKw() == kwFor {
			s.f.Flags |= FlagLocking
		}
	case kwLock:
		s.f.Flags |= FlagLocking
	case kwFor:
		if s.last.prevKw() == kwValue { // NEXT VALUE FOR, PREVIOUS VALUE FOR
			s.f.Flags |= FlagSequence
		}
	case kwInto:
		if !s.insertCols && s.class != Load || s.sawSelect {
			s.f.Flags |= FlagInto
			s.into = true
		}
	case kwWhere:
		if s.depth == s.verbDepth {
			s.where = true
		}
		s.innerWhere = true
	case kwSelect:
		s.sawSelect, s.insertCols = true, false
	case kwSet, kwValues, kwValue:
		s.insertCols = false
	case kwCalcFoundRows:
		s.f.Flags |= FlagCalcFoundRows
	}
	if s.program || s.block {
		s.programWord(kw)
	}
}

// programWord counts BEGIN ... END and CASE ... END, the only brackets whose
// END is not followed by their own name, and guards the statements of a block.
func (s *scanner) programWord(kw keyword) {
	switch kw {
	case kwBegin, kwCase:
		s.blockDepth++
	case kwEnd:
		s.pendingEnd = true
	case kwUpdate, kwDelete:
		if s.block && s.beginsInner() {
			s.endInnerDML()
			s.innerDML, s.innerWhere = true, false
		}
	}
}

// beginsInner reports whether a statement of a block may begin here.
func (s *scanner) beginsInner() bool {
	switch s.last.prevKw() {
	case kwBegin, kwThen, kwElse, kwDo, kwLoop, kwAtomic, kwRepeat:
		return true
	}
	return s.last.prev() == tokOp && s.prevEnd == 0
}

func (s *scanner) endInnerDML() {
	if s.innerDML && !s.innerWhere {
		s.f.Flags |= FlagNoWhere
	}
	s.innerDML = false
}

// afterEnd closes what END ends. name is the word right behind it: the END of
// IF, LOOP, WHILE, REPEAT and FOR closes something that was not counted. It
// returns the keyword to go on with.
func (s *scanner) afterEnd(name, kw keyword) keyword {
	switch name {
	case kwIf, kwLoop, kwWhile, kwRepeat, kwFor:
		return 0
	}
	s.blockEnd()
	if name == kwCase {
		return 0
	}
	return kw
}

func (s *scanner) blockEnd() {
	s.pendingEnd = false
	if s.blockDepth > 0 {
		s.blockDepth--
	}
}

// verbWord takes the first word of a statement.
func (s *scanner) verbWord(kw keyword, end int) {
	s.verb, s.verbEnd, s.verbDepth = kw, end, s.depth
	s.phase = phBody
	s.class = verbClass[kw]
	switch kw {
	case kwSelect, kwValues, kwTable:
		s.sawSelect = true
	case kwWith:
		s.phase = phWith
	case kwInsert, kwReplace, kwLoad:
		s.insertCols = true
		if kw == kwLoad {
			s.phase = phLoad
		}
	case kwShow:
		s.phase, s.show = phShow, ShowServer
	case kwDesc, kwDescribe, kwExplain:
		s.phase, s.explain = phExplain, true
	case kwAnalyze:
		s.phase, s.explain = phAnalyze, true
	case kwUse:
		s.phase = phUse
	case kwSet:
		s.phase, s.setItem = phSet, true
	case kwBegin:
		s.phase = phBegin
		if s.mode.SQLMode.Has(Oracle) {
			s.beginBlock()
			s.blockDepth = 1
		}
	case kwStart:
		s.phase = phStartVerb
	case kwRollback:
		s.phase = phRollback
	case kwCreate, kwAlter, kwDrop, kwRename:
		s.phase = phDDL
	case kwLock, kwUnlock:
		s.phase = phLock
	case kwBackup:
		s.phase = phBackup
	case kwFlush:
		s.phase = phFlush
	case kwKill:
		s.phase = phKill
	case kwCase, kwDeclare, kwFor, kwIf, kwLoop, kwRepeat, kwWhile:
		s.beginBlock()
	}
}

// beginBlock makes the rest of the packet one compound statement.
func (s *scanner) beginBlock() {
	s.class, s.block, s.phase = Block, true, phBody
	s.careful = true
}

var verbClass = [numKeywords]Class{
	kwAlter: DDL, kwAnalyze: Admin, kwBackup: Lock, kwBegin: Begin, kwBinlog: Admin, kwCache: Admin,
	kwCall: Call, kwChange: Admin, kwCheck: Admin, kwChecksum: Admin, kwClone: Admin,
	kwCommit: Commit, kwCreate: DDL, kwDeallocate: Deallocate, kwDelete: Delete, kwDesc: Describe,
	kwDescribe: Describe, kwDo: Do, kwDrop: DDL, kwExecute: Execute, kwExplain: Describe,
	kwFlush: Admin, kwGet: Diagnostics, kwGrant: Account, kwHandler: Handler, kwHelp: Help,
	kwImport: Load, kwInsert: Insert, kwInstall: Admin, kwKill: Kill, kwLoad: Load, kwLock: Lock,
	kwOptimize: Admin, kwPrepare: Prepare, kwPurge: Admin, kwRelease: Savepoint, kwRename: DDL,
	kwRepair: Admin, kwReplace: Replace, kwReset: Admin, kwResignal: Signal, kwRestart: Admin,
	kwRevoke: Account, kwRollback: Rollback, kwSavepoint: Savepoint, kwSelect: Select, kwSet: Set,
	kwShow: Show, kwShutdown: Admin, kwSignal: Signal, kwStart: Admin, kwStop: Admin,
	kwTable: Select, kwTruncate: DDL, kwUninstall: Admin, kwUnlock: Unlock, kwUpdate: Update,
	kwUse: Use, kwValues: Select, kwXA: XA,
}

// mainVerb takes a verb that comes behind WITH or EXPLAIN.
func (s *scanner) mainVerb(kw keyword) bool {
	switch kw {
	case kwSelect, kwValues, kwTable:
		s.sawSelect = true
	case kwInsert, kwReplace:
		s.insertCols = true
	case kwUpdate, kwDelete:
	default:
		return false
	}
	c := verbClass[kw]
	if s.explain {
		s.class, s.inner = Explain, c
	} else {
		s.class = c
	}
	s.phase, s.verbDepth = phBody, s.depth
	return true
}

// withOpen takes a parenthesis behind WITH. One right behind that of a common
// table expression, or behind another one of its own kind, opens the main query.
func (s *scanner) withOpen() {
	if s.depth == s.verbDepth && (s.last.prev() == tokClose || s.last.prev() == tokOpen) {
		s.verbDepth++
	}
}

// call looks at the word before an opening parenthesis at i.
func (s *scanner) call(i int) {
	s.f.Calls |= callBit(s.prevHash)
	var w *word
	if s.prevWord != 0 {
		w = &words[s.prevWord]
	}
	if s.last.prev() == tokWord && w != nil && s.last.prev2() != tokDot &&
		w.known&s.need == s.need && (w.known&s.tight == 0 || s.prevEnd == i) {
		if w.flags != 0 {
			s.builtin(w, i)
		}
		return
	}
	if w == nil {
		w = s.lookupName(s.prevStart, s.prevStart+s.prevNameLen())
	}
	if w != nil && w.flags != 0 {
		// In quotes these are still built in, and who writes them with a
		// schema means them (measured: 1305 there).
		s.builtin(w, i)
		if s.last.prev2() != tokDot && w.known&s.need == s.need && !w.flags.Has(FlagSequence|FlagLastResult) {
			return
		}
	}
	if !s.isCall() {
		return
	}
	s.f.Flags |= FlagUnknownFunction
}

// prevNameLen returns the length of the last word without quotes.
func (s *scanner) prevNameLen() int {
	n := s.prevEnd - s.prevStart
	if s.last.prev() == tokQuoted {
		n--
	}
	return n
}

// builtin notes what calling a built-in function means.
func (s *scanner) builtin(w *word, open int) {
	s.f.Flags |= w.flags
	if w.flags.Has(FlagLastInsertID) {
		if next := skipSpace(s.b, open+1); next < len(s.b) && s.b[next] != ')' {
			s.f.Flags |= FlagLastInsertIDWrite
		}
	}
}

// isCall reports whether a name before a parenthesis may be called there. It
// is not in places where a name takes a list of columns.
func (s *scanner) isCall() bool {
	if s.last.prev2() == tokDot {
		// db.f( or, in INSERT INTO db.t(a), a table.
		if s.insertCols && s.depth == s.verbDepth {
			s.insertCols = false
			return false
		}
		return s.callsMatter()
	}
	switch {
	case s.insertCols && s.depth == s.verbDepth:
		s.insertCols = false
		return false
	case s.last.prev2() == tokClose, s.last.prev2() == tokLiteral: // MATCH (a) AGAINST (...), (SELECT 1) t (a), '$' COLUMNS (...)
		return false
	case s.prev2Is(kwAs), s.prev2Is(kwTable), s.prev2Is(kwWith), s.prev2Is(kwRecursive):
		return false
	case s.phase == phWith && s.depth == s.verbDepth && s.last.prev2() == tokComma:
		return false
	}
	return s.callsMatter()
}

func (s *scanner) prev2Is(kw keyword) bool {
	return s.last.prev2() == tokWord && s.last.prev2Kw() == kw
}

// callsMatter reports whether the statement runs the functions it names:
// definitions do not, and what CALL runs is unknown anyway.
func (s *scanner) callsMatter() bool {
	switch s.class {
	case DDL:
		return s.sawSelect && !s.program
	case Account, Admin, Call, Lock, Handler:
		return false
	}
	return true
}
