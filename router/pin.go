package router

import "strings"

// PinSet is a set of kinds of state for whose sake a session keeps its
// connection to the primary.
type PinSet uint32

// The pins. State of these kinds lives in one server connection and cannot be
// established on another one.
const (
	// PinUserVariables: @x has been assigned a value that is not known.
	PinUserVariables PinSet = 1 << iota
	// PinTemporaryTables: a temporary table may exist.
	PinTemporaryTables
	// PinUserLocks: GET_LOCK may hold a lock.
	PinUserLocks
	// PinTableLocks: LOCK TABLES or FLUSH TABLES ... WITH READ LOCK.
	PinTableLocks
	// PinBackupLock: LOCK INSTANCE FOR BACKUP, BACKUP STAGE, BACKUP LOCK.
	PinBackupLock
	// PinHandler: a HANDLER is open.
	PinHandler
	// PinSQLPrepared: PREPARE has made a statement.
	PinSQLPrepared
	// PinCursor: a cursor of a prepared statement is open. Set by the session,
	// never by the router.
	PinCursor
	// PinLongData: COM_STMT_SEND_LONG_DATA has been received. Set by the
	// session, never by the router.
	PinLongData
	// PinFoundRows: SQL_CALC_FOUND_ROWS has run. It keeps the connection the
	// statement ran on, which may be a replica's, until the next statement
	// that does not ask for FOUND_ROWS().
	PinFoundRows
	// PinLastInsertID: LAST_INSERT_ID() has a value. The router sets it for
	// LAST_INSERT_ID(expr) and SET last_insert_id; for INSERT the session sets
	// it when the OK packet carries an insert id.
	PinLastInsertID
	// PinNextTransaction: SET TRANSACTION waits for the next transaction.
	PinNextTransaction
	// PinRole: SET ROLE has changed the privileges.
	PinRole
	// PinStoredFunction: a function unknown to the lexer has run. It may have
	// left user variables and user locks.
	PinStoredFunction
	// PinOpaque: CALL, EXECUTE, a compound statement or one the lexer could
	// not read has run: any state may exist.
	PinOpaque

	numPins = iota
)

// forcing are the pins under which every statement needs the pinned connection.
// User locks are among them: what is read between GET_LOCK and RELEASE_LOCK has
// to be what the previous holder of the lock wrote, and he may not have written
// it through this proxy.
const forcing = PinTemporaryTables | PinUserLocks | PinTableLocks | PinBackupLock | PinLongData |
	PinNextTransaction | PinRole | PinOpaque

var pinNames = [numPins]string{
	"user_variables", "temporary_tables", "user_locks", "table_locks", "backup_lock", "handler",
	"sql_prepared", "cursor", "long_data", "found_rows", "last_insert_id",
	"next_transaction", "role", "stored_function", "opaque",
}

// Has reports whether the set and other have a pin in common.
func (p PinSet) Has(other PinSet) bool { return p&other != 0 }

// Forces reports whether every statement of the session has to run on the
// pinned connection. The other pins keep the connection for the statements
// that need it, while proven reads that do not may run on a replica.
func (p PinSet) Forces() bool { return p&forcing != 0 }

// String returns the names separated by commas, "" for the empty set.
func (p PinSet) String() string {
	var names []string
	for i, name := range pinNames {
		if p&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}
