package wire

// Error codes that Telamon raises or looks at. The names are the servers'
// without ER_ and CR_; the numbers are the same in both flavours unless noted.
const (
	CodeConCount              = 1040 // Too many connections
	CodeBadHost               = 1042 // Can't get hostname for your address
	CodeHandshake             = 1043 // Bad handshake
	CodeDBAccessDenied        = 1044
	CodeAccessDenied          = 1045
	CodeNoDB                  = 1046 // No database selected
	CodeUnknownCommand        = 1047
	CodeBadDB                 = 1049 // Unknown database
	CodeServerShutdown        = 1053
	CodeBadField              = 1054
	CodeParse                 = 1064
	CodeEmptyQuery            = 1065
	CodeNoSuchThread          = 1094
	CodeKillDenied            = 1095
	CodeUnknown               = 1105
	CodeUnknownCharset        = 1115
	CodeHostBlocked           = 1129
	CodeHostNotPrivileged     = 1130
	CodeTableAccessDenied     = 1142
	CodeNoSuchTable           = 1146
	CodeAbortingConnection    = 1152
	CodePacketTooLarge        = 1153 // Got a packet bigger than 'max_allowed_packet' bytes
	CodeNetPacketsOutOfOrder  = 1156
	CodeNetUncompress         = 1157
	CodeNetReadError          = 1158
	CodeNetReadInterrupted    = 1159
	CodeNetErrorOnWrite       = 1160
	CodeNetWriteInterrupted   = 1161
	CodeNewAbortingConnection = 1184
	CodeUnknownSystemVariable = 1193
	CodeTooManyUserConns      = 1203
	CodeLockWaitTimeout       = 1205
	CodeDeadlock              = 1213
	CodeUserLimitReached      = 1226
	CodeSpecificAccessDenied  = 1227
	CodeWrongArguments        = 1210 // Incorrect arguments to ...
	CodeUnknownStmt           = 1243 // Unknown prepared statement handler
	CodeNotSupportedAuthMode  = 1251
	CodeUnknownCollation      = 1273
	CodeOptionPreventsStmt    = 1290 // running with the --read-only option
	CodeUnsupportedPS         = 1295 // not supported in the prepared statement protocol yet
	CodeQueryInterrupted      = 1317
	CodeMaxPreparedStmtCount  = 1461
	CodePluginIsNotLoaded     = 1524
	CodeReadOnlyTransaction   = 1792
	CodeReadOnlyMode          = 1836
	CodeMustChangePassword    = 1820
	CodeMustChangePasswordLog = 1862 // at login
	CodeStatementTimeout      = 1969 // MariaDB max_statement_time
	CodeNetRead               = 1158 // reading from the other side
	CodeConnectToSource       = 1429 // connecting to another server
	CodeConnectionKilled      = 1927 // MariaDB
	CodeMalformedPacket       = 1835
	CodeQueryTimeout          = 3024 // MySQL max_execution_time
	CodeAccountLocked         = 3118 // MySQL; MariaDB has 4151
	CodeCompressionLevel      = 3923 // MySQL
	CodeSecureTransport       = 3159 // --require_secure_transport=ON
	CodeClientInteraction     = 4031 // MySQL: disconnected because of inactivity
	CodeAccountLockedMariaDB  = 4151
	CodeServerOfflineMode     = 3032

	CodeClientServerGone   = 2006
	CodeClientMalformed    = 2027
	CodeClientLocalRejects = 2068 // LOAD DATA LOCAL INFILE rejected
)

// stateGeneral is the SQLSTATE of errors that have none of their own.
const stateGeneral = "HY000"

// SQLState returns the SQLSTATE both flavours send with code, "HY000" when it
// has none of its own.
func SQLState(code uint16) string {
	if s, ok := sqlStates[code]; ok {
		return s
	}
	return stateGeneral
}

// sqlStates lists the codes whose SQLSTATE is not HY000, as in MySQL 9.7.4's
// performance_schema.events_errors_summary_global_by_error (those of MariaDB
// alone from its errmsg-utf8.txt); it is not changed.
var sqlStates = map[uint16]string{
	CodeConCount:              "08004",
	CodeBadHost:               "08S01",
	CodeHandshake:             "08S01",
	CodeDBAccessDenied:        "42000",
	CodeAccessDenied:          "28000",
	CodeNoDB:                  "3D000",
	CodeUnknownCommand:        "08S01",
	CodeBadDB:                 "42000",
	CodeServerShutdown:        "08S01",
	CodeBadField:              "42S22",
	CodeParse:                 "42000",
	CodeEmptyQuery:            "42000",
	CodeUnknownCharset:        "42000",
	CodeTableAccessDenied:     "42000",
	CodeNoSuchTable:           "42S02",
	CodeAbortingConnection:    "08S01",
	CodePacketTooLarge:        "08S01",
	CodeNetPacketsOutOfOrder:  "08S01",
	CodeNetUncompress:         "08S01",
	CodeNetReadError:          "08S01",
	CodeNetReadInterrupted:    "08S01",
	CodeNetErrorOnWrite:       "08S01",
	CodeNetWriteInterrupted:   "08S01",
	CodeNewAbortingConnection: "08S01",
	CodeTooManyUserConns:      "42000",
	CodeDeadlock:              "40001",
	CodeUserLimitReached:      "42000",
	CodeSpecificAccessDenied:  "42000",
	CodeNotSupportedAuthMode:  "08004",
	CodeQueryInterrupted:      "70100",
	CodeMaxPreparedStmtCount:  "42000",
	CodeReadOnlyTransaction:   "25006",
	CodeConnectionKilled:      "70100",
	CodeStatementTimeout:      "70100",
}
