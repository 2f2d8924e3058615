package lex

import "bytes"

// phaseWord takes a word in a phase in which words have a meaning of their own.
func (s *scanner) phaseWord(kw keyword, start, end int) {
	switch s.phase {
	case phWith:
		if s.depth == s.verbDepth {
			s.mainVerb(kw)
		}
	case phExplain:
		s.explainWord(kw)
	case phAnalyze:
		s.analyzeWord(kw)
	case phShow:
		s.showWord(kw)
	case phShowCreate:
		s.phase = phBody
		if kw != kwUser {
			s.show = ShowMetadata
		}
	case phUse, phDDLName:
		s.nameWord(kw, start, end)
	case phSet:
		if s.setItem {
			s.setWord(kw, start, end)
		}
	case phSetStatement:
		if kw == kwFor && s.depth == s.verbDepth {
			s.phase = phAfterFor
		}
	case phBegin:
		s.phase = phBody
		if kw == kwNot { // BEGIN NOT ATOMIC
			s.beginBlock()
			s.blockDepth = 1
		}
	case phStartVerb:
		s.phase = phBody
		if kw == kwTransaction {
			s.class, s.phase = Begin, phTrxOptions
		}
	case phTrxOptions:
		s.trxOption(kw)
	case phRollback:
		if kw == kwTo {
			s.class = Savepoint
		}
	case phDDL:
		s.ddlWord(kw)
	case phLoad:
		if kw == kwLocal {
			s.f.Flags |= FlagLocalInfile
		} else if kw == kwTable {
			s.phase = phBody
		}
	case phLock:
		s.phase = phBody
		if kw == kwInstance {
			s.f.Flags |= FlagBackupLock
		}
	case phBackup:
		s.f.Flags |= FlagBackupLock
		if kw == kwUnlock || kw == kwEnd {
			s.class = Unlock
		}
	case phFlush:
		if kw == kwLock && s.last.prevKw() == kwRead || kw == kwExport && s.last.prevKw() == kwFor {
			s.class = Lock
		}
	case phKill:
		if kw == kwQuery {
			s.f.Flags |= FlagKillQuery
		}
	}
}

func (s *scanner) explainWord(kw keyword) {
	switch kw {
	case kwAnalyze:
		s.class = Explain
		s.f.Flags |= FlagExplainAnalyze
	case kwFormat, kwFor:
		s.class = Explain
	case kwWith:
		s.class, s.phase, s.verbDepth = Explain, phWith, s.depth
	default:
		s.mainVerb(kw)
	}
}

func (s *scanner) analyzeWord(kw keyword) {
	switch kw {
	case kwTable, kwTables, kwLocal:
		s.phase = phBody
	case kwFormat:
		s.class = Explain
		s.f.Flags |= FlagExplainAnalyze
	case kwWith:
		s.class, s.phase, s.verbDepth = Explain, phWith, s.depth
		s.f.Flags |= FlagExplainAnalyze
	default:
		if s.mainVerb(kw) {
			s.f.Flags |= FlagExplainAnalyze
		}
	}
}

// showWord decides what SHOW shows. Only what is known to be replicated is
// ShowMetadata.
func (s *scanner) showWord(kw keyword) {
	switch kw {
	case kwFull, kwExtended, kwSession, kwLocal:
		return
	case kwGlobal:
		s.setScope = kwGlobal
		return
	case kwCreate:
		s.phase = phShowCreate
		return
	case kwTable, kwTables, kwColumns, kwFields, kwIndex, kwIndexes, kwKeys, kwTriggers, kwEvents,
		kwDatabases, kwSchemas, kwCollation, kwCharset, kwCharacter, kwFunction, kwProcedure, kwPackage:
		s.show = ShowMetadata
	case kwWarnings, kwErrors, kwCount:
		s.show = ShowDiagnostics
	case kwStatus:
		if s.setScope != kwGlobal {
			s.show = ShowSession
		}
	case kwProfile, kwProfiles:
		s.show = ShowSession
	}
	s.phase = phBody
}

func (s *scanner) trxOption(kw keyword) {
	switch {
	case kw == kwOnly && s.last.prevKw() == kwRead:
		s.f.Flags |= FlagReadOnlyTrx
	case kw == kwWrite && s.last.prevKw() == kwRead:
		s.f.Flags |= FlagReadWriteTrx
	case kw == kwSnapshot:
		s.f.Flags |= FlagConsistentSnapshot
	}
}

// ddlWord looks for the kind of object behind CREATE, ALTER, DROP, RENAME.
func (s *scanner) ddlWord(kw keyword) {
	switch kw {
	case kwTemporary:
		s.temporary = true
	case kwTable, kwTables:
		s.phase = phBody
		if s.verb == kwCreate && s.temporary || s.verb == kwDrop {
			s.phase = phDDLName
		}
		if s.temporary {
			s.f.Flags |= FlagTemporary
		}
	case kwUser, kwRole:
		s.class, s.phase = Account, phBody
	case kwProcedure, kwFunction, kwTrigger, kwEvent, kwPackage:
		s.phase = phBody
		if s.verb != kwDrop {
			s.program, s.careful = true, true
			s.f.Flags |= FlagProgram
		}
	case kwPrepare:
		s.class, s.phase = Deallocate, phBody
	case kwView, kwIndex, kwDatabase, kwSchema, kwServer, kwTablespace:
		s.phase = phBody
	}
}

// name takes a quoted or qualified name outside of phBody.
func (s *scanner) name(start, end int) {
	switch s.phase {
	case phUse, phDDLName:
		s.nameWord(0, start, end)
	case phSet:
		if s.setItem {
			s.assign(s.lookupName(start, end), start, end, s.setScope, false)
		}
	case phStart, phAfterFor:
	default:
		s.grammar(0, start, end)
	}
}

// nameWord takes the schema of USE or the table of CREATE and DROP TABLE. Of a
// qualified name the last part counts.
func (s *scanner) nameWord(kw keyword, start, end int) {
	span := Span{uint32(start), uint32(end)}
	if s.phase == phUse {
		s.f.schema = span
		s.phase = phBody
		return
	}
	switch {
	case s.haveName && s.last.prev() == tokDot:
		s.setTempName(span, true)
	case s.haveName:
		s.phase = phBody
	case kw == kwIf || kw == kwNot || kw == kwExists:
	default:
		s.setTempName(span, false)
	}
}

// setTempName adds a name, or replaces the last one.
func (s *scanner) setTempName(span Span, replace bool) {
	s.haveName = true
	names, n := &s.f.tempDropped, &s.f.nDropped
	if s.verb == kwCreate {
		names, n = &s.f.tempCreated, &s.f.nCreated
	}
	if replace && *n > 0 {
		names[*n-1] = span
		return
	}
	if *n == maxTempNames {
		s.f.Flags |= FlagTempOverflow
		return
	}
	names[*n] = span
	*n++
}

// phaseComma takes a comma outside of phBody.
func (s *scanner) phaseComma() {
	switch s.phase {
	case phSet:
		if s.depth == s.verbDepth {
			s.setItem, s.setScope = true, 0
		}
	case phDDLName:
		s.haveName = false
	}
}

// setWord takes the word that says what SET sets.
func (s *scanner) setWord(kw keyword, start, end int) {
	switch kw {
	case kwGlobal, kwPersist, kwPersistOnly, kwSession, kwLocal:
		s.setScope = kw
		return
	case kwDefault: // SET DEFAULT ROLE
		return
	case kwNames, kwCharset, kwCharacter, kwChar:
		s.f.Flags |= FlagSetNames
	case kwTransaction:
		s.setTransaction(s.setScope)
		s.phase = phBody // a comma is followed by another characteristic
	case kwRole:
		if s.last.prevKw() == kwDefault {
			s.class = Account
		} else {
			s.f.Flags |= FlagSetRole
		}
	case kwPassword:
		s.class = Account
	case kwStatement:
		s.f.Flags |= FlagSetStatement
		s.phase = phSetStatement
	case kwResource: // the resource group of the thread: state nobody reports
		s.f.Flags |= FlagUncertain
	default:
		s.assign(s.lookupName(start, end), start, end, s.setScope, false)
	}
	s.setItem = false
}

// setTransaction notes the scope of SET TRANSACTION.
func (s *scanner) setTransaction(scope keyword) {
	switch scope {
	case 0:
		s.f.Flags |= FlagSetNextTransaction
	case kwGlobal, kwPersist, kwPersistOnly:
		s.f.Flags |= FlagSetGlobal
	}
}

// assign notes the assignment of a system variable.
func (s *scanner) assign(w *word, start, end int, scope keyword, at bool) {
	s.setItem = false
	if scope == kwGlobal || scope == kwPersist || scope == kwPersistOnly {
		s.f.Flags |= FlagSetGlobal
		return
	}
	s.f.SetVars++
	if w != nil {
		switch w.kw {
		case kwVarAutocommit:
			s.f.Flags |= FlagSetAutocommit
		case kwVarSQLMode:
			s.f.Flags |= FlagSetSQLMode
		case kwVarIdentity, kwVarInsertID, kwVarLastInsertID:
			s.f.Flags |= FlagLastInsertIDWrite
		case kwVarTrxIsolation, kwVarTxIsolation, kwVarTrxReadOnly, kwVarTxReadOnly:
			// With @@ and no scope it is for the next transaction only.
			if at && scope == 0 {
				s.f.SetVars--
			}
			if at {
				s.setTransaction(scope)
			}
		}
		return
	}
	switch name := s.b[start:end]; {
	case hasPrefixFold(name, "session_track_"):
		s.f.Flags |= FlagSetTrackVars
	case hasPrefixFold(name, "character_set_"), hasPrefixFold(name, "collation_"):
		s.f.Flags |= FlagSetNames
	}
}

func hasPrefixFold(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && equalFold(b[:len(prefix)], prefix)
}

// killID reads the plain number behind KILL.
func (s *scanner) killID(start, end int) {
	var id uint64
	for _, c := range s.b[start:end] {
		if c-'0' > 9 || id > 1<<60 {
			return
		}
		id = id*10 + uint64(c-'0')
	}
	s.f.KillID = id
	s.phase = phBody
}

// CallsFunction reports whether a statement calls a function with this name,
// given in lower case, in any spelling. It is for the rare case that
// Facts.Calls has the function's bit; it reads the statement again.
func CallsFunction(stmt []byte, mode Mode, name string) bool {
	text := DigestText(nil, stmt, mode)
	for i := 0; ; {
		at := bytes.Index(text[i:], []byte(name))
		if at < 0 {
			return false
		}
		start := i + at
		i = start + len(name)
		if start > 0 && wordBytes[text[start-1]] {
			continue
		}
		end := i
		if end < len(text) && text[end] == '`' {
			end++
		}
		if end = skipSpace(text, end); end < len(text) && text[end] == '(' {
			return true
		}
	}
}

// StringArgument returns the content of the first string literal of a
// statement, which for PREPARE s FROM '...' and EXECUTE IMMEDIATE '...' is the
// text of another one; nil if there is none.
func StringArgument(stmt []byte, mode Mode) []byte {
	var f Facts
	f.Stmt = stmt
	var s scanner
	s.init(stmt, mode, &f)
	s.wantString = true
	s.run()
	return s.firstString
}
