package router

// Reason is why a statement goes where it goes. The set is closed: it is what
// is counted per statement and shown by EXPLAIN ROUTE. The order is not stable,
// the names are.
type Reason uint8

// The reasons.
const (
	// Proven reads.
	ReasonRead Reason = iota
	ReasonMetadata
	ReasonHintReplica
	ReasonRuleReplica
	ReasonReadOnlyTransaction

	// What the session's state demands.
	ReasonInTransaction
	ReasonReplicaTransaction
	ReasonAutocommitOff
	ReasonTemporaryTables
	ReasonTableLocks
	ReasonUserLocks
	ReasonLongData
	ReasonNextTransaction
	ReasonRole
	ReasonOpaqueState

	// What somebody asked for.
	ReasonHintPrimary
	ReasonRulePrimary
	ReasonWriteListener

	// Reads that are not harmless, or belong to one server or connection.
	ReasonLockingRead
	ReasonInto
	ReasonUserVariable
	ReasonUnknownFunction
	ReasonUserLockFunction
	ReasonSideEffect
	ReasonSequence
	ReasonLastInsertID
	ReasonLastStatement
	ReasonSystemVariable
	ReasonServerIdentity
	ReasonServerSchema
	ReasonShowServer
	ReasonExplainWrite
	ReasonStoredDo

	// Statements that are no reads.
	ReasonWrite
	ReasonDDL
	ReasonAccount
	ReasonAdmin
	ReasonSet
	ReasonUse
	ReasonTransaction
	ReasonCall
	ReasonPrepared
	ReasonBlock
	ReasonHandler
	ReasonLock
	ReasonKill
	ReasonXA
	ReasonEmpty

	// Texts that prove nothing.
	ReasonExecutableComment
	ReasonMultiStatement
	ReasonUnreadable
	ReasonUnknown

	// Refusals.
	ReasonGuardNoWhere
	ReasonGuardFunction
	ReasonRuleDeny
	ReasonReadListener
	ReasonNeedsPrimary

	// NumReasons is the number of reasons, for arrays of counters.
	NumReasons
)

var reasons = [NumReasons]struct{ name, text string }{
	ReasonRead:                {"read", "The statement is proven to be a harmless read."},
	ReasonMetadata:            {"metadata", "SHOW, DESCRIBE or HELP of something that replicas have too."},
	ReasonHintReplica:         {"hint_replica", "A hint asks for a replica, and the statement is a harmless read."},
	ReasonRuleReplica:         {"rule_replica", "A routing rule asks for a replica, and the statement is a harmless read."},
	ReasonReadOnlyTransaction: {"read_only_transaction", "A READ ONLY transaction may run on one replica from beginning to end."},

	ReasonInTransaction:      {"in_transaction", "A transaction is open; all its statements run on the primary's connection that began it."},
	ReasonReplicaTransaction: {"replica_transaction", "A READ ONLY transaction is open on a replica; all its statements run there."},
	ReasonAutocommitOff:      {"autocommit_off", "With autocommit=0 any statement may begin a transaction."},
	ReasonTemporaryTables:    {"temporary_tables", "The session may have temporary tables, which exist in one connection only and hide others of the same name."},
	ReasonTableLocks:         {"table_locks", "The session holds LOCK TABLES, a global read lock or a backup lock."},
	ReasonUserLocks:          {"user_locks", "The session may hold a GET_LOCK lock; what it reads meanwhile must be current."},
	ReasonLongData:           {"long_data", "Parameter data has been sent ahead to one connection."},
	ReasonNextTransaction:    {"next_transaction", "SET TRANSACTION waits for the next transaction on one connection."},
	ReasonRole:               {"role", "SET ROLE has changed the privileges of one connection."},
	ReasonOpaqueState:        {"opaque_state", "CALL, EXECUTE or something unreadable ran before; it may have left any state in its connection."},

	ReasonHintPrimary:   {"hint_primary", "A hint asks for the primary."},
	ReasonRulePrimary:   {"rule_primary", "A routing rule asks for the primary."},
	ReasonWriteListener: {"write_listener", "The client is connected to the port that always goes to the primary."},

	ReasonLockingRead:      {"locking_read", "FOR UPDATE, FOR SHARE and LOCK IN SHARE MODE take locks, which count on the primary only."},
	ReasonInto:             {"select_into", "SELECT ... INTO writes a file or variables."},
	ReasonUserVariable:     {"user_variable", "User variables exist in one connection only."},
	ReasonUnknownFunction:  {"unknown_function", "A function is called that is not built in; it may change data."},
	ReasonUserLockFunction: {"user_lock_function", "GET_LOCK and its relatives exclude clients from each other on one server only."},
	ReasonSideEffect:       {"side_effect_function", "A built-in function is called that does more than compute."},
	ReasonSequence:         {"sequence", "Sequences are changed by reading them."},
	ReasonLastInsertID:     {"last_insert_id", "LAST_INSERT_ID() is known to the connection that ran the INSERT."},
	ReasonLastStatement:    {"last_statement", "The result is about the session's previous statement and comes from the connection that ran it."},
	ReasonSystemVariable:   {"system_variable", "System variables are read from the primary, so that all reads agree."},
	ReasonServerIdentity:   {"server_identity", "The answer depends on the server or connection; the primary's is the one that counts."},
	ReasonServerSchema:     {"server_schema", "information_schema, performance_schema, sys and mysql differ between servers."},
	ReasonShowServer:       {"show_server", "What this SHOW shows differs between servers."},
	ReasonExplainWrite:     {"explain_write", "EXPLAIN of a statement that is no harmless read; servers execute parts of it."},
	ReasonStoredDo:         {"do", "DO is used for its side effects."},

	ReasonWrite:       {"write", "The statement changes data."},
	ReasonDDL:         {"ddl", "The statement changes definitions."},
	ReasonAccount:     {"account", "The statement changes accounts or privileges."},
	ReasonAdmin:       {"admin", "Administrative statements go to the primary."},
	ReasonSet:         {"set", "SET runs on the primary; the proxy learns the result and applies it elsewhere."},
	ReasonUse:         {"use", "USE runs on the primary; the proxy applies the schema elsewhere."},
	ReasonTransaction: {"transaction", "Transactions begin and end on the primary."},
	ReasonCall:        {"call", "A stored procedure may do anything."},
	ReasonPrepared:    {"sql_prepared", "PREPARE, EXECUTE and DEALLOCATE belong to one connection, and what they run is not visible."},
	ReasonBlock:       {"block", "A compound statement may do anything."},
	ReasonHandler:     {"handler", "An open HANDLER belongs to one connection."},
	ReasonLock:        {"lock", "Locks are taken and released on the primary."},
	ReasonKill:        {"kill", "KILL concerns connections of the primary, unless the proxy knows the id."},
	ReasonXA:          {"xa", "XA transactions run on the primary."},
	ReasonEmpty:       {"empty", "There is no statement in the text."},

	ReasonExecutableComment: {"executable_comment", "The content of /*! or /*M! may or may not be executed."},
	ReasonMultiStatement:    {"multi_statement", "Several statements in one packet run on the primary in one go."},
	ReasonUnreadable:        {"unreadable", "The text cannot be read with certainty: open quotes or comments, bytes that may be blanks, or servers that differ."},
	ReasonUnknown:           {"unknown_statement", "The statement is not known to the proxy."},

	ReasonGuardNoWhere:  {"guard_no_where", "UPDATE and DELETE without WHERE are refused by guard.dml_without_where."},
	ReasonGuardFunction: {"guard_function", "A function is called that guard.denied_functions refuses."},
	ReasonRuleDeny:      {"rule_deny", "A routing rule refuses the statement."},
	ReasonReadListener:  {"read_listener", "The client is connected to the port for reads only."},
	ReasonNeedsPrimary:  {"needs_primary", "The statement needs the primary, but a READ ONLY transaction is open on a replica."},
}

// String returns the stable name in snake_case.
func (r Reason) String() string {
	if r >= NumReasons {
		return "invalid"
	}
	return reasons[r].name
}

// Explain returns one sentence for humans.
func (r Reason) Explain() string {
	if r >= NumReasons {
		return ""
	}
	return reasons[r].text
}
