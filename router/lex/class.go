package lex

// Class says what kind of statement it is, by its verb.
type Class uint8

// The classes. Unknown is the zero value: a statement whose verb the scanner
// does not know may do anything.
const (
	Unknown     Class = iota
	Empty             // nothing but blanks and comments
	Select            // SELECT, VALUES, TABLE t, WITH ... SELECT, with or without parentheses
	Show              // see Facts.Show for what
	Describe          // DESCRIBE t
	Explain           // EXPLAIN of a statement, MariaDB's ANALYZE of one; see Facts.Inner
	Help              // HELP 'topic'
	Use               // see Facts.Schema
	Set               // SET of variables, NAMES, TRANSACTION, ROLE, PASSWORD, STATEMENT
	Begin             // BEGIN, START TRANSACTION
	Commit            // COMMIT
	Rollback          // ROLLBACK, not TO SAVEPOINT
	Savepoint         // SAVEPOINT, ROLLBACK TO, RELEASE SAVEPOINT
	Insert            // INSERT
	Replace           // REPLACE
	Update            // UPDATE
	Delete            // DELETE
	Load              // LOAD DATA, LOAD XML, LOAD INDEX, IMPORT TABLE
	DDL               // CREATE, ALTER, DROP, RENAME, TRUNCATE
	Account           // GRANT, REVOKE, CREATE USER, SET PASSWORD, ...
	Call              // CALL
	Do                // DO
	Handler           // HANDLER ... OPEN, READ, CLOSE
	Lock              // LOCK TABLES, LOCK INSTANCE, BACKUP STAGE, BACKUP LOCK, FLUSH TABLES ... WITH READ LOCK
	Unlock            // UNLOCK TABLES, UNLOCK INSTANCE, BACKUP UNLOCK, BACKUP STAGE END
	Prepare           // PREPARE
	Execute           // EXECUTE, EXECUTE IMMEDIATE
	Deallocate        // DEALLOCATE PREPARE, DROP PREPARE
	Kill              // KILL; see Facts.KillID
	XA                // XA ...
	Diagnostics       // GET DIAGNOSTICS
	Signal            // SIGNAL, RESIGNAL
	Block             // BEGIN NOT ATOMIC and other compound statements outside of a stored program
	Admin             // FLUSH, RESET, ANALYZE TABLE, OPTIMIZE, PURGE, START REPLICA, SHUTDOWN, ...

	// NumClasses is the number of classes.
	NumClasses
)

var classNames = [NumClasses]string{
	Unknown: "unknown", Empty: "empty", Select: "select", Show: "show", Describe: "describe",
	Explain: "explain", Help: "help", Use: "use", Set: "set", Begin: "begin", Commit: "commit",
	Rollback: "rollback", Savepoint: "savepoint", Insert: "insert", Replace: "replace",
	Update: "update", Delete: "delete", Load: "load", DDL: "ddl", Account: "account",
	Call: "call", Do: "do", Handler: "handler", Lock: "lock", Unlock: "unlock",
	Prepare: "prepare", Execute: "execute", Deallocate: "deallocate", Kill: "kill", XA: "xa",
	Diagnostics: "diagnostics", Signal: "signal", Block: "block", Admin: "admin",
}

// String returns the class in lower case.
func (c Class) String() string {
	if c >= NumClasses {
		return "invalid"
	}
	return classNames[c]
}

// ClassSet is a set of classes.
type ClassSet uint64

// Set returns the set that holds c alone.
func (c Class) Set() ClassSet { return 1 << c }

// Classes returns the set of the classes given.
func Classes(cs ...Class) ClassSet {
	var s ClassSet
	for _, c := range cs {
		s |= c.Set()
	}
	return s
}

// Has reports whether c is in the set.
func (s ClassSet) Has(c Class) bool { return s&c.Set() != 0 }

// ShowKind says what a SHOW shows.
type ShowKind uint8

// The kinds of SHOW.
const (
	ShowNothing     ShowKind = iota // not a SHOW
	ShowServer                      // something that differs between servers, or unknown: PROCESSLIST, VARIABLES, MASTER STATUS, ...
	ShowMetadata                    // replicated definitions: TABLES, COLUMNS, CREATE TABLE, ...
	ShowDiagnostics                 // WARNINGS, ERRORS, COUNT(*) of them
	ShowSession                     // STATUS, PROFILE, PROFILES: about the connection's previous statement
)
