package lex

// Flags are facts about a statement, or about any of several statements in
// one packet. Each is set if it may hold; a set flag never makes a statement
// more harmless.
type Flags uint64

// The flags.
const (
	// FlagLocking: FOR UPDATE, FOR SHARE, LOCK IN SHARE MODE anywhere.
	FlagLocking Flags = 1 << iota
	// FlagInto: SELECT ... INTO a file or variables.
	FlagInto
	// FlagUserVarRead and FlagUserVarWrite: @x is mentioned, @x is or may be
	// assigned (SET @x, @x := 1, INTO @x, LOAD DATA (@x)).
	FlagUserVarRead
	FlagUserVarWrite
	// FlagSysVarRead: @@x is read, except as part of what the next flags say.
	FlagSysVarRead
	// FlagServerVarRead: @@x is read and is known to differ between servers:
	// @@global.x, @@hostname, @@server_id, @@read_only, @@gtid_..., ...
	FlagServerVarRead
	// FlagUnknownFunction: something is called that is not on the list of
	// built-in functions of the flavour.
	FlagUnknownFunction
	// FlagSideEffect: a built-in function is called that is no harmless read
	// on a replica: SETVAL, LOAD_FILE, MASTER_POS_WAIT, ...
	FlagSideEffect
	// FlagUserLock: GET_LOCK or one of its relatives is called in any spelling.
	FlagUserLock
	// FlagGetLock: GET_LOCK is called (FlagUserLock is set too).
	FlagGetLock
	// FlagLastInsertID: LAST_INSERT_ID(), @@identity, @@last_insert_id are read.
	FlagLastInsertID
	// FlagLastInsertIDWrite: LAST_INSERT_ID(expr), SET last_insert_id or insert_id.
	FlagLastInsertIDWrite
	// FlagLastResult: the result speaks of the connection's previous statement:
	// FOUND_ROWS(), ROW_COUNT(), @@warning_count, @@error_count.
	FlagLastResult
	// FlagConnectionID: CONNECTION_ID(), @@pseudo_thread_id.
	FlagConnectionID
	// FlagCalcFoundRows: SQL_CALC_FOUND_ROWS.
	FlagCalcFoundRows
	// FlagSequence: NEXTVAL, SETVAL, LASTVAL, NEXT VALUE FOR, PREVIOUS VALUE FOR,
	// s.nextval, s.currval.
	FlagSequence
	// FlagServerSchema: a table of information_schema, performance_schema, sys
	// or mysql is named: its content differs between servers.
	FlagServerSchema
	// FlagExecutableComment: there is a /*! or /*M! comment. The server may or
	// may not run its content; facts are those of running it.
	FlagExecutableComment
	// FlagMultiStatement: more than one statement in the packet.
	FlagMultiStatement
	// FlagTemporary: CREATE TEMPORARY TABLE or DROP TEMPORARY TABLE; names by
	// Facts.TempCreated and Facts.TempDropped.
	FlagTemporary
	// FlagTempOverflow: more temporary tables are named than Facts can hold.
	FlagTempOverflow
	// FlagUnterminated: the text ends inside a string, a quoted identifier or
	// a comment, or contains a byte no statement contains.
	FlagUnterminated
	// FlagUncertain: servers may read the bytes in ways that differ; what runs
	// and what state it leaves is not known.
	FlagUncertain
	// FlagForeignByte: a byte from 0x80 outside of quotes and comments in a
	// character set where it may be a blank.
	FlagForeignByte
	// FlagSetGlobal: SET GLOBAL, SET PERSIST, SET PERSIST_ONLY, SET @@global.x.
	FlagSetGlobal
	// FlagSetNextTransaction: SET TRANSACTION without a scope: holds for the
	// next transaction only.
	FlagSetNextTransaction
	// FlagSetTrackVars: a session_track_... variable is set.
	FlagSetTrackVars
	// FlagSetRole: SET ROLE.
	FlagSetRole
	// FlagSetNames: SET NAMES, SET CHARACTER SET, or a character_set_... or
	// collation_... variable is set.
	FlagSetNames
	// FlagSetSQLMode: sql_mode is set.
	FlagSetSQLMode
	// FlagSetAutocommit: autocommit is set.
	FlagSetAutocommit
	// FlagSetStatement: MariaDB's SET STATEMENT ... FOR; Class is that of the
	// statement behind FOR.
	FlagSetStatement
	// FlagReadOnlyTrx, FlagReadWriteTrx, FlagConsistentSnapshot: options of
	// START TRANSACTION.
	FlagReadOnlyTrx
	FlagReadWriteTrx
	FlagConsistentSnapshot
	// FlagNoWhere: an UPDATE or DELETE without a WHERE of its own.
	FlagNoWhere
	// FlagPlaceholder: a ? parameter.
	FlagPlaceholder
	// FlagExplainAnalyze: EXPLAIN ANALYZE or MariaDB's ANALYZE: the inner
	// statement is executed.
	FlagExplainAnalyze
	// FlagLocalInfile: LOAD DATA LOCAL.
	FlagLocalInfile
	// FlagKillQuery: KILL QUERY, not KILL [CONNECTION].
	FlagKillQuery
	// FlagUnknownHint: a comment in the place of a hint looks like one but is
	// none, or its argument cannot be read.
	FlagUnknownHint
	// FlagBackupLock: the lock is one UNLOCK TABLES does not release: LOCK
	// INSTANCE FOR BACKUP, BACKUP STAGE, BACKUP LOCK.
	FlagBackupLock
	// FlagProgram: CREATE PROCEDURE, FUNCTION, TRIGGER, EVENT or PACKAGE with
	// a body that is stored, not run.
	FlagProgram
	// FlagPlainAssign: the user variables that are assigned are set to literals
	// by SET; see SetItems. FlagUserVarWrite is set too.
	FlagPlainAssign
)

// Has reports whether any of the flags in mask is set.
func (f Flags) Has(mask Flags) bool { return f&mask != 0 }

// Span is a part of a statement, as byte offsets.
type Span struct{ Start, End uint32 }

// maxTempNames is how many names of temporary tables one Facts holds.
const maxTempNames = 4

// Facts is what Scan found out. A Facts is meant to be reused: Scan resets it.
// Slices it hands out are parts of the statement scanned and live as long as
// its buffer does. A Facts is owned by one goroutine; the statement must not
// change while it is in use.
type Facts struct {
	// Stmt is the statement scanned, Mode how.
	Stmt []byte
	Mode Mode
	// Flags of all statements of the packet.
	Flags Flags
	// Classes of all statements of the packet, those behind EXPLAIN ANALYZE
	// and in doubtful comments included.
	Classes ClassSet
	// Digest identifies the normalised text, see DigestText.
	Digest uint64
	// Calls is a Bloom filter of the names of all functions called: bit
	// FunctionBit(name) is set for each. Use CallsFunction to be sure.
	Calls uint64
	// KillID is the argument of KILL, if it is a plain number.
	KillID uint64
	// Statements is the number of statements in the packet, counted as the
	// server would run them; 0 for an empty one.
	Statements int
	// SetVars is the number of assignments to system variables of the session;
	// SET NAMES and SET TRANSACTION are not among them. A server that reports
	// changes of fewer has left one out.
	SetVars int
	// Class of the first statement.
	Class Class
	// Inner is the class of the statement behind EXPLAIN.
	Inner Class
	// Show says what a SHOW shows.
	Show ShowKind
	// Hint is the routing hint.
	Hint Hint

	schema      Span
	tempCreated [maxTempNames]Span
	tempDropped [maxTempNames]Span
	nCreated    uint8
	nDropped    uint8
	hinted      bool // Hint is not the zero value
}

// reset makes f that of a new statement. It names the fields because there is
// no need to clear the arrays.
func (f *Facts) reset(stmt []byte, mode Mode) {
	f.Stmt, f.Mode = stmt, mode
	f.Flags, f.Classes, f.Digest, f.Calls, f.KillID, f.Statements, f.SetVars = 0, 0, 0, 0, 0, 0, 0
	f.Class, f.Inner, f.Show = Unknown, Unknown, ShowNothing
	f.schema, f.nCreated, f.nDropped = Span{}, 0, 0
	if f.hinted {
		f.Hint, f.hinted = Hint{}, false
	}
}

func (f *Facts) bytes(s Span) []byte { return f.Stmt[s.Start:s.End:s.End] }

// Schema returns the name in the last USE of the packet without its quotes, or
// nil. A doubled quote inside the name stays doubled.
func (f *Facts) Schema() []byte {
	if f.schema.End == 0 {
		return nil
	}
	return f.bytes(f.schema)
}

// NumTempCreated returns how many temporary tables the packet creates, as far
// as they are held; see FlagTempOverflow.
func (f *Facts) NumTempCreated() int { return int(f.nCreated) }

// TempCreated returns the name of the i-th temporary table created, without a
// schema and without quotes.
func (f *Facts) TempCreated(i int) []byte { return f.bytes(f.tempCreated[i]) }

// NumTempDropped returns how many tables are dropped by DROP TEMPORARY TABLE
// or DROP TABLE, as far as they are held; see FlagTempOverflow.
func (f *Facts) NumTempDropped() int { return int(f.nDropped) }

// TempDropped returns the name of the i-th table dropped, without a schema and
// without quotes.
func (f *Facts) TempDropped(i int) []byte { return f.bytes(f.tempDropped[i]) }

// RouteHint is what a hint says about the target.
type RouteHint uint8

// The hints about the target.
const (
	HintNone    RouteHint = iota
	HintPrimary           // /*master*/ /*primary*/
	HintReplica           // /*slave*/ /*replica*/
	HintTag               // /*slave@TAG*/ /*replica@TAG*/
	HintBackend           // /*backend=ADDRESS*/
)

// Hint is what the comments before the verb, or right after it, ask for. The
// slices are parts of the statement; nil means not given. Of two contradicting
// hints the later one counts, except that HintPrimary always wins.
type Hint struct {
	Route RouteHint
	// Arg is the tag or the address.
	Arg []byte
	// MaxLag is the argument of max_lag=: digits and ms, s or m, in any case.
	MaxLag []byte
	// Consistency is the argument of consistency=: off, session or global, in
	// any case.
	Consistency []byte
}
