package lex

// keyword numbers the words the scanner's little grammar knows. 0 is any other
// word.
type keyword uint8

// The verbs come first: kwAlter to lastVerb can begin a statement.
const (
	_ keyword = iota
	kwAlter
	kwAnalyze
	kwBackup
	kwBegin
	kwBinlog
	kwCache
	kwCall
	kwChange
	kwCheck
	kwChecksum
	kwClone
	kwCommit
	kwCreate
	kwDeallocate
	kwDelete
	kwDesc
	kwDescribe
	kwDo
	kwDrop
	kwExecute
	kwExplain
	kwFlush
	kwGet
	kwGrant
	kwHandler
	kwHelp
	kwImport
	kwInsert
	kwInstall
	kwKill
	kwLoad
	kwLock
	kwOptimize
	kwPrepare
	kwPurge
	kwRelease
	kwRename
	kwRepair
	kwReplace
	kwReset
	kwResignal
	kwRestart
	kwRevoke
	kwRollback
	kwSavepoint
	kwSelect
	kwSet
	kwShow
	kwShutdown
	kwSignal
	kwStart
	kwStop
	kwTable
	kwTruncate
	kwUninstall
	kwUnlock
	kwUpdate
	kwUse
	kwValues
	kwWith
	kwXA
	kwCase
	kwDeclare
	kwFor
	kwIf
	kwLoop
	kwRepeat
	kwWhile
	lastVerb = kwWhile
)

const (
	kwAgainst keyword = lastVerb + 1 + iota
	kwAs
	kwAtomic
	kwCharacter
	kwCharset
	kwCollation
	kwColumns
	kwConnection
	kwCount
	kwCurrval
	kwDatabase
	kwDatabases
	kwDefault
	kwDiagnostics
	kwElse
	kwEnd
	kwErrors
	kwEvent
	kwEvents
	kwExists
	kwExport
	kwExtended
	kwFalse
	kwFields
	kwFormat
	kwFull
	kwFunction
	kwGlobal
	kwHard
	kwImmediate
	kwIndex
	kwIndexes
	kwInstance
	kwInto
	kwKeys
	kwLocal
	kwNames
	kwNextval
	kwNot
	kwNull
	kwOnly
	kwPackage
	kwPartitions
	kwPassword
	kwPersist
	kwPersistOnly
	kwProcedure
	kwProfile
	kwProfiles
	kwQuery
	kwRead
	kwRecursive
	kwResource
	kwRole
	kwSchema
	kwSchemas
	kwServer
	kwSession
	kwShare
	kwSnapshot
	kwSoft
	kwSpatial
	kwCalcFoundRows
	kwChar
	kwStage
	kwStatement
	kwStatus
	kwTables
	kwTablespace
	kwTemporary
	kwThen
	kwTo
	kwTransaction
	kwTrigger
	kwTriggers
	kwTrue
	kwUser
	kwValue
	kwVariables
	kwView
	kwWarnings
	kwWhere
	kwWork
	kwWrite

	// System variables whose assignment means something.
	kwVarAutocommit
	kwVarIdentity
	kwVarInsertID
	kwVarLastInsertID
	kwVarSQLMode
	kwVarTrxIsolation
	kwVarTxIsolation
	kwVarTrxReadOnly
	kwVarTxReadOnly

	// Schemas that every server has its own of.
	kwInformationSchema
	kwMysql
	kwPerformanceSchema
	kwSys

	numKeywords
)

var keywordNames = [numKeywords]string{
	kwAlter: "alter", kwAnalyze: "analyze", kwBackup: "backup", kwBegin: "begin", kwBinlog: "binlog",
	kwCache: "cache", kwCall: "call", kwChange: "change", kwCheck: "check", kwChecksum: "checksum",
	kwClone: "clone", kwCommit: "commit", kwCreate: "create", kwDeallocate: "deallocate",
	kwDelete: "delete", kwDesc: "desc", kwDescribe: "describe", kwDo: "do", kwDrop: "drop",
	kwExecute: "execute", kwExplain: "explain", kwFlush: "flush", kwGet: "get", kwGrant: "grant",
	kwHandler: "handler", kwHelp: "help", kwImport: "import", kwInsert: "insert",
	kwInstall: "install", kwKill: "kill", kwLoad: "load", kwLock: "lock", kwOptimize: "optimize",
	kwPrepare: "prepare", kwPurge: "purge", kwRelease: "release", kwRename: "rename",
	kwRepair: "repair", kwReplace: "replace", kwReset: "reset", kwResignal: "resignal",
	kwRestart: "restart", kwRevoke: "revoke", kwRollback: "rollback", kwSavepoint: "savepoint",
	kwSelect: "select", kwSet: "set", kwShow: "show", kwShutdown: "shutdown", kwSignal: "signal",
	kwStart: "start", kwStop: "stop", kwTable: "table", kwTruncate: "truncate",
	kwUninstall: "uninstall", kwUnlock: "unlock", kwUpdate: "update", kwUse: "use",
	kwValues: "values", kwWith: "with", kwXA: "xa",
	kwCase: "case", kwDeclare: "declare", kwFor: "for", kwIf: "if", kwLoop: "loop",
	kwRepeat: "repeat", kwWhile: "while",

	kwAgainst: "against", kwAs: "as", kwAtomic: "atomic", kwChar: "char", kwCharacter: "character", kwCharset: "charset",
	kwCollation: "collation", kwColumns: "columns", kwConnection: "connection", kwCount: "count",
	kwCurrval: "currval", kwDatabase: "database", kwDatabases: "databases", kwDefault: "default",
	kwDiagnostics: "diagnostics", kwElse: "else", kwEnd: "end", kwErrors: "errors",
	kwEvent: "event", kwEvents: "events", kwExists: "exists", kwExport: "export",
	kwExtended: "extended", kwFalse: "false", kwFields: "fields", kwFormat: "format",
	kwFull: "full", kwFunction: "function", kwGlobal: "global", kwHard: "hard",
	kwImmediate: "immediate", kwIndex: "index", kwIndexes: "indexes", kwInstance: "instance",
	kwInto: "into", kwKeys: "keys", kwLocal: "local", kwNames: "names", kwNextval: "nextval",
	kwNot: "not", kwNull: "null", kwOnly: "only", kwPackage: "package",
	kwPartitions: "partitions", kwPassword: "password", kwPersist: "persist",
	kwPersistOnly: "persist_only", kwProcedure: "procedure", kwProfile: "profile",
	kwProfiles: "profiles", kwQuery: "query", kwRead: "read", kwRecursive: "recursive",
	kwResource: "resource", kwRole: "role", kwSchema: "schema", kwSchemas: "schemas",
	kwServer: "server", kwSession: "session", kwShare: "share", kwSnapshot: "snapshot",
	kwSoft: "soft", kwSpatial: "spatial", kwCalcFoundRows: "sql_calc_found_rows",
	kwStage: "stage", kwStatement: "statement", kwStatus: "status", kwTables: "tables",
	kwTablespace: "tablespace", kwTemporary: "temporary", kwThen: "then", kwTo: "to",
	kwTransaction: "transaction", kwTrigger: "trigger", kwTriggers: "triggers", kwTrue: "true",
	kwUser: "user", kwValue: "value", kwVariables: "variables", kwView: "view",
	kwWarnings: "warnings", kwWhere: "where", kwWork: "work", kwWrite: "write",

	kwVarAutocommit: "autocommit", kwVarIdentity: "identity",
	kwVarInsertID: "insert_id", kwVarLastInsertID: "last_insert_id", kwVarSQLMode: "sql_mode",
	kwVarTrxIsolation: "transaction_isolation",
	kwVarTxIsolation:  "tx_isolation", kwVarTrxReadOnly: "transaction_read_only",
	kwVarTxReadOnly: "tx_read_only",

	kwInformationSchema: "information_schema", kwMysql: "mysql",
	kwPerformanceSchema: "performance_schema", kwSys: "sys",
}
