package wire

// Query attributes are parameters that a client sends along with a statement
// and that the statement may ask for by name (MySQL 8.0.23 and later). With
// CLIENT_QUERY_ATTRIBUTES every COM_QUERY has a block of them before its text.

// NoAttributes is the block of a COM_QUERY without attributes.
const NoAttributes = "\x00\x01"

// AttributesAvailable is the flag of a COM_STMT_EXECUTE that says how many
// values it has (PARAMETER_COUNT_AVAILABLE): those of the statement's own
// parameters, then query attributes. Their types then come with names.
const AttributesAvailable = 8

// QueryText returns where the statement begins in a COM_QUERY payload, command
// byte included, of a client with QueryAttributes; protocol doc "COM_QUERY".
// What is malformed to MySQL 9.7 wraps ErrMalformed. Nothing is allocated
// otherwise.
func QueryText(payload []byte) (at int, err error) {
	d := decoder{rest: payload, message: "query attributes"}
	d.skip("command", 1)
	count := d.lenencInt("number of attributes")
	if d.lenencInt("number of sets") != 1 {
		d.fail("number of sets")
	}
	if d.err != nil || count == 0 {
		return len(payload) - len(d.rest), d.err
	}
	if count > uint64(len(payload)) { // each takes more than a byte
		d.fail("number of attributes")
	}
	nulls := d.take("NULLs", int(count+7)/8)
	if d.byte("new_params_bind_flag") != 1 {
		d.fail("new_params_bind_flag")
	}
	types := decoder{rest: d.rest, message: d.message}
	for i := uint64(0); i < count && d.err == nil; i++ {
		d.skip("type", 2)
		d.lenencBytes("name")
	}
	for i := uint64(0); i < count && d.err == nil; i++ {
		typ := ColumnType(types.uint16("type"))
		types.lenencBytes("name")
		if nulls[i/8]&(1<<(i%8)) == 0 {
			d.binaryValue(typ)
		}
	}
	return len(payload) - len(d.rest), d.err
}

// binaryValue skips a value of the binary protocol; protocol doc "Binary
// Protocol Value". A type nobody knows is read as a string (MySQL 9.7).
func (d *decoder) binaryValue(t ColumnType) {
	switch t {
	case TypeNull:
	case TypeTiny, typeBool:
		d.skip("value", 1)
	case TypeShort, TypeYear:
		d.skip("value", 2)
	case TypeLong, TypeInt24, TypeFloat:
		d.skip("value", 4)
	case TypeLongLong, TypeDouble:
		d.skip("value", 8)
	case TypeDate, TypeTime, TypeDatetime, TypeTimestamp:
		d.skip("value", int(d.byte("length of value")))
	default:
		d.lenencBytes("value")
	}
}

// typeBool is MYSQL_TYPE_BOOL, which only occurs here.
const typeBool ColumnType = 0xf4
