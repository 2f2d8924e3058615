package wire

import "encoding/binary"

// ColumnType is the type of a column or parameter (MYSQL_TYPE_*).
type ColumnType byte

// Column types, protocol doc "field_types.h".
const (
	TypeDecimal    ColumnType = 0x00
	TypeTiny       ColumnType = 0x01
	TypeShort      ColumnType = 0x02
	TypeLong       ColumnType = 0x03
	TypeFloat      ColumnType = 0x04
	TypeDouble     ColumnType = 0x05
	TypeNull       ColumnType = 0x06
	TypeTimestamp  ColumnType = 0x07
	TypeLongLong   ColumnType = 0x08
	TypeInt24      ColumnType = 0x09
	TypeDate       ColumnType = 0x0a
	TypeTime       ColumnType = 0x0b
	TypeDatetime   ColumnType = 0x0c
	TypeYear       ColumnType = 0x0d
	TypeVarchar    ColumnType = 0x0f
	TypeBit        ColumnType = 0x10
	TypeJSON       ColumnType = 0xf5
	TypeNewDecimal ColumnType = 0xf6
	TypeEnum       ColumnType = 0xf7
	TypeSet        ColumnType = 0xf8
	TypeTinyBlob   ColumnType = 0xf9
	TypeMediumBlob ColumnType = 0xfa
	TypeLongBlob   ColumnType = 0xfb
	TypeBlob       ColumnType = 0xfc
	TypeVarString  ColumnType = 0xfd
	TypeString     ColumnType = 0xfe
	TypeGeometry   ColumnType = 0xff
)

// ColumnFlags describe a column, protocol doc "Column Definition Flags".
type ColumnFlags uint16

// Column flags.
const (
	FlagNotNull  ColumnFlags = 1 << 0
	FlagUnsigned ColumnFlags = 1 << 5
	FlagBinary   ColumnFlags = 1 << 7
	FlagNum      ColumnFlags = 1 << 15
)

// Collation ids that Telamon itself puts into column definitions.
const (
	CollationUTF8General  = 33 // utf8mb3_general_ci, known to every client
	CollationUTF8MB4      = 45 // utf8mb4_general_ci, the same on both flavours
	CollationBinary       = 63
	CollationUTF8MB4_0900 = 255 // utf8mb4_0900_ai_ci, MySQL 8 only: MariaDB takes it for latin1
)

// ColumnDef describes a column of a result set or a parameter of a prepared
// statement; protocol doc "Protocol::ColumnDefinition41".
type ColumnDef struct {
	Schema, Table, OrgTable, Name, OrgName string
	// Extended is MariaDB's extended metadata (its own data types), raw; only
	// with MariaDBExtMetadata.
	Extended  string
	Collation uint16
	Length    uint32
	Type      ColumnType
	Flags     ColumnFlags
	Decimals  byte
}

// TextColumn returns a column of text as the console shows it.
func TextColumn(name string) ColumnDef {
	return ColumnDef{Name: name, Type: TypeVarString, Collation: CollationUTF8General, Length: 1024}
}

// IntColumn returns a column of integers as the console shows it.
func IntColumn(name string) ColumnDef {
	return ColumnDef{Name: name, Type: TypeLongLong, Collation: CollationBinary, Length: 20, Flags: FlagBinary | FlagNum}
}

// fixedFieldsSize is the announced length of what follows the names.
const fixedFieldsSize = 0x0c

// Append appends the packet for a receiver with capabilities caps.
func (c *ColumnDef) Append(dst []byte, caps Capability) []byte {
	dst = AppendLenencString(dst, "def") // catalog, always
	for _, s := range [...]string{c.Schema, c.Table, c.OrgTable, c.Name, c.OrgName} {
		dst = AppendLenencString(dst, s)
	}
	if caps.Has(MariaDBExtMetadata) {
		dst = AppendLenencString(dst, c.Extended)
	}
	dst = append(dst, fixedFieldsSize)
	dst = binary.LittleEndian.AppendUint16(dst, c.Collation)
	dst = binary.LittleEndian.AppendUint32(dst, c.Length)
	dst = append(dst, byte(c.Type))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(c.Flags))
	return append(dst, c.Decimals, 0, 0)
}

// Parse reads a column definition. It keeps nothing of p. What follows the
// definition, the default value in replies to COM_FIELD_LIST, is ignored.
func (c *ColumnDef) Parse(p []byte, caps Capability) error {
	d := decoder{rest: p, message: "column definition"}
	d.lenencBytes("catalog")
	var names [5]string
	for i := range names {
		names[i] = string(d.lenencBytes("name"))
	}
	var extended string
	if caps.Has(MariaDBExtMetadata) {
		extended = string(d.lenencBytes("extended metadata"))
	}
	if d.lenencInt("length of fixed fields") != fixedFieldsSize {
		d.fail("length of fixed fields")
	}
	def := ColumnDef{
		Schema: names[0], Table: names[1], OrgTable: names[2], Name: names[3], OrgName: names[4],
		Extended:  extended,
		Collation: d.uint16("collation"),
		Length:    d.uint32("length"),
		Type:      ColumnType(d.byte("type")),
		Flags:     ColumnFlags(d.uint16("flags")),
		Decimals:  d.byte("decimals"),
	}
	d.skip("filler", 2)
	if d.err != nil {
		return d.err
	}
	*c = def
	return nil
}
