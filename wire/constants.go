package wire

// Capability is a set of the CLIENT_* flags that both sides exchange in the
// handshake. The lower 32 bits are the protocol's; the upper 32 are MariaDB's
// extended capabilities (MariaDB KB, "Connection", server capabilities).
type Capability uint64

// Capability flags, protocol doc "Capabilities Flags".
const (
	LongPassword     Capability = 1 << 0 // CLIENT_LONG_PASSWORD; MariaDB clears it to announce extended capabilities
	FoundRows        Capability = 1 << 1 // CLIENT_FOUND_ROWS
	LongFlag         Capability = 1 << 2
	ConnectWithDB    Capability = 1 << 3
	NoSchema         Capability = 1 << 4
	Compress         Capability = 1 << 5
	ODBC             Capability = 1 << 6
	LocalFiles       Capability = 1 << 7
	IgnoreSpace      Capability = 1 << 8
	Protocol41       Capability = 1 << 9
	Interactive      Capability = 1 << 10
	SSL              Capability = 1 << 11
	IgnoreSigpipe    Capability = 1 << 12
	Transactions     Capability = 1 << 13
	Reserved         Capability = 1 << 14
	SecureConnection Capability = 1 << 15 // CLIENT_RESERVED2 / SECURE_CONNECTION
	MultiStatements  Capability = 1 << 16
	MultiResults     Capability = 1 << 17
	PSMultiResults   Capability = 1 << 18
	PluginAuth       Capability = 1 << 19
	ConnectAttrs     Capability = 1 << 20
	PluginAuthLenenc Capability = 1 << 21 // CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA
	ExpiredPasswords Capability = 1 << 22 // CLIENT_CAN_HANDLE_EXPIRED_PASSWORDS
	SessionTrack     Capability = 1 << 23
	DeprecateEOF     Capability = 1 << 24
	OptionalMetadata Capability = 1 << 25 // CLIENT_OPTIONAL_RESULTSET_METADATA
	ZstdCompress     Capability = 1 << 26
	QueryAttributes  Capability = 1 << 27
	MultiFactorAuth  Capability = 1 << 28
	VerifyServerCert Capability = 1 << 30
	RememberOptions  Capability = 1 << 31

	MariaDBProgress        Capability = 1 << 32
	MariaDBComMulti        Capability = 1 << 33
	MariaDBStmtBulk        Capability = 1 << 34
	MariaDBExtMetadata     Capability = 1 << 35
	MariaDBCacheMetadata   Capability = 1 << 36
	MariaDBBulkUnitResults Capability = 1 << 37
)

// Has reports whether all flags of want are set.
func (c Capability) Has(want Capability) bool { return c&want == want }

// Status is the server status of OK and EOF packets (SERVER_STATUS_*).
type Status uint16

// Status flags, protocol doc "SERVER_STATUS_flags_enum".
const (
	InTrans            Status = 1 << 0
	Autocommit         Status = 1 << 1
	MoreResultsExist   Status = 1 << 3
	NoGoodIndexUsed    Status = 1 << 4
	NoIndexUsed        Status = 1 << 5
	CursorExists       Status = 1 << 6
	LastRowSent        Status = 1 << 7
	DBDropped          Status = 1 << 8
	NoBackslashEscapes Status = 1 << 9
	MetadataChanged    Status = 1 << 10
	QueryWasSlow       Status = 1 << 11
	PSOutParams        Status = 1 << 12
	InTransReadOnly    Status = 1 << 13
	SessionStateChange Status = 1 << 14
)

// Has reports whether all flags of want are set.
func (s Status) Has(want Status) bool { return s&want == want }

// Command is the first byte of a client's request (COM_*).
type Command byte

// Commands, protocol doc "Command Phase"; the MariaDB ones from MariaDB KB.
const (
	ComSleep            Command = 0x00
	ComQuit             Command = 0x01
	ComInitDB           Command = 0x02
	ComQuery            Command = 0x03
	ComFieldList        Command = 0x04
	ComCreateDB         Command = 0x05
	ComDropDB           Command = 0x06
	ComRefresh          Command = 0x07
	ComShutdown         Command = 0x08
	ComStatistics       Command = 0x09
	ComProcessInfo      Command = 0x0a
	ComConnect          Command = 0x0b
	ComProcessKill      Command = 0x0c
	ComDebug            Command = 0x0d
	ComPing             Command = 0x0e
	ComTime             Command = 0x0f
	ComDelayedInsert    Command = 0x10
	ComChangeUser       Command = 0x11
	ComBinlogDump       Command = 0x12
	ComTableDump        Command = 0x13
	ComConnectOut       Command = 0x14
	ComRegisterSlave    Command = 0x15
	ComStmtPrepare      Command = 0x16
	ComStmtExecute      Command = 0x17
	ComStmtSendLongData Command = 0x18
	ComStmtClose        Command = 0x19
	ComStmtReset        Command = 0x1a
	ComSetOption        Command = 0x1b
	ComStmtFetch        Command = 0x1c
	ComDaemon           Command = 0x1d
	ComBinlogDumpGTID   Command = 0x1e
	ComResetConnection  Command = 0x1f
	ComStmtBulkExecute  Command = 0xfa // MariaDB
)

// First payload bytes that tell responses apart, protocol doc "Generic Response Packets".
const (
	headerOK          = 0x00
	headerLocalInfile = 0xfb
	headerEOF         = 0xfe
	headerERR         = 0xff
)

// HeaderSize is the length of a packet header: 3 bytes payload length, 1 byte sequence id.
const HeaderSize = 4

// MaxPayload is the largest payload of one physical packet; a payload of
// exactly this length is followed by a continuation packet (possibly empty).
const MaxPayload = 1<<24 - 1
