package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrPre41 is returned for a login by the protocol before MySQL 4.1, whose
// passwords and packets no current server accepts. Servers answer it with
// error 1251.
var ErrPre41 = errors.New("client speaks the protocol before MySQL 4.1")

// sslRequestSize is the length of the part that SSLRequest and
// HandshakeResponse41 have in common.
const sslRequestSize = 32

// HandshakeResponse is the client's login; protocol doc
// "Protocol::HandshakeResponse41".
type HandshakeResponse struct {
	// Capabilities the client uses. MariaDB's extended ones are sent and
	// understood only while LongPassword is clear.
	Capabilities Capability
	MaxPacket    uint32
	// Collation is one byte on the wire: a client whose collation id is above
	// 255 sends the low byte of it and a SET NAMES afterwards. Connectors that
	// send 16 bits here (MySQL Connector/Python) are read as servers read
	// them, by the low byte.
	Collation    byte
	User         string
	AuthResponse []byte
	Database     string // only with ConnectWithDB
	AuthPlugin   string // only with PluginAuth; may be empty even so
	Attributes   []byte // raw connection attributes without their total length, only with ConnectAttrs; see ParseAttributes
	ZstdLevel    byte   // only with ZstdCompress
}

// IsSSLRequest reports whether p is the short packet by which a client asks
// for TLS before it logs in. A complete login that has the SSL flag set is not
// one; it is what follows inside TLS.
func IsSSLRequest(p []byte) bool {
	return len(p) == sslRequestSize &&
		Capability(binary.LittleEndian.Uint32(p)).Has(SSL|Protocol41)
}

// AppendSSLRequest appends the payload that asks for TLS; Capabilities must
// contain SSL, there and in the login that follows it inside TLS.
func (h *HandshakeResponse) AppendSSLRequest(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Capabilities))
	dst = binary.LittleEndian.AppendUint32(dst, h.MaxPacket)
	dst = append(dst, h.Collation)
	dst = append(dst, make([]byte, 19)...)
	return binary.LittleEndian.AppendUint32(dst, h.Capabilities.extended())
}

// Append appends the payload, laid out as Capabilities say. User, Database and
// AuthPlugin must contain no NUL. Without PluginAuthLenenc an AuthResponse
// above 255 bytes cannot be sent and is cut.
func (h *HandshakeResponse) Append(dst []byte) []byte {
	c := h.Capabilities
	dst = h.AppendSSLRequest(dst)
	dst = append(append(dst, h.User...), 0)
	switch {
	case c.Has(PluginAuthLenenc):
		dst = AppendLenencBytes(dst, h.AuthResponse)
	case c.Has(SecureConnection):
		dst = appendShortBytes(dst, h.AuthResponse)
	default:
		dst = append(append(dst, h.AuthResponse...), 0)
	}
	if c.Has(ConnectWithDB) {
		dst = append(append(dst, h.Database...), 0)
	}
	if c.Has(PluginAuth) {
		dst = append(append(dst, h.AuthPlugin...), 0)
	}
	if c.Has(ConnectAttrs) {
		dst = AppendLenencBytes(dst, h.Attributes)
	}
	if c.Has(ZstdCompress) {
		dst = append(dst, h.ZstdLevel)
	}
	return dst
}

// Parse reads a login. It keeps nothing of p. A packet without PROTOCOL_41
// gives ErrPre41, one that does not hold what its capabilities announce wraps
// ErrMalformed (servers answer 1043 "Bad handshake"). As MySQL 9.7 and MariaDB
// 10.11 do, it tolerates a plugin name that is missing or lacks its NUL, and
// bytes behind the last field. A missing zstd level is 0.
func (h *HandshakeResponse) Parse(p []byte) error {
	d := decoder{rest: p, message: "login"}
	if len(p) < 4 {
		d.fail("capabilities")
		return d.err
	}
	caps := Capability(binary.LittleEndian.Uint32(p))
	if !caps.Has(Protocol41) {
		return ErrPre41
	}
	d.skip("capabilities", 4)
	maxPacket := d.uint32("max packet")
	collation := d.byte("collation")
	d.skip("reserved", 19)
	if ext := d.uint32("extended capabilities"); !caps.Has(LongPassword) {
		caps |= Capability(ext) << 32
	}
	user := d.nulString("user")
	response := d.authResponse(caps)
	var database []byte
	if caps.Has(ConnectWithDB) {
		database = d.nulString("database")
	}
	plugin := d.pluginName(caps, caps.Has(ConnectWithDB))
	attributes := d.attributes(caps)
	var level byte
	if caps.Has(ZstdCompress) && len(d.rest) > 0 {
		level = d.byte("zstd level")
	}
	if d.err != nil {
		return d.err
	}
	*h = HandshakeResponse{
		Capabilities: caps,
		MaxPacket:    maxPacket,
		Collation:    collation,
		User:         string(user),
		AuthResponse: bytes.Clone(response),
		Database:     string(database),
		AuthPlugin:   string(plugin),
		Attributes:   bytes.Clone(attributes),
		ZstdLevel:    level,
	}
	return nil
}

// authResponse reads the answer to the challenge in the form caps announce.
func (d *decoder) authResponse(caps Capability) []byte {
	switch {
	case caps.Has(PluginAuthLenenc):
		return d.lenencBytes("auth response")
	case caps.Has(SecureConnection):
		return d.take("auth response", int(d.byte("auth response length")))
	}
	return d.nulString("auth response")
}

// pluginName reads the name of the client's authentication plugin. Older
// Connector/J writes the NUL of an empty database name without announcing
// a database (vitessio/vitess#3818); it is told from an empty plugin name by
// what follows not being the rest of a login.
func (d *decoder) pluginName(caps Capability, databaseRead bool) []byte {
	if !caps.Has(PluginAuth) || d.err != nil {
		return nil
	}
	if !databaseRead && len(d.rest) > 1 && d.rest[0] == 0 && !isBehindPlugin(d.rest[1:], caps) {
		d.rest = d.rest[1:]
	}
	return d.lastString()
}

// isBehindPlugin reports whether p is what follows a plugin name: the
// attributes, exactly as long as they say, and the zstd level.
func isBehindPlugin(p []byte, caps Capability) bool {
	if caps.Has(ConnectAttrs) {
		_, n := ReadLenencBytes(p)
		if n == 0 {
			return false
		}
		p = p[n:]
	}
	return len(p) == 0 || len(p) == 1 && caps.Has(ZstdCompress)
}

// attributes reads the connection attributes, without looking into them, as
// servers do.
func (d *decoder) attributes(caps Capability) []byte {
	if !caps.Has(ConnectAttrs) {
		return nil
	}
	return d.lenencBytes("attributes")
}

// ParseAttributes splits raw connection attributes into names and values, in
// their order.
func ParseAttributes(raw []byte) ([][2]string, error) {
	d := decoder{rest: raw, message: "connection attributes"}
	var pairs [][2]string
	for len(d.rest) > 0 {
		name := d.lenencBytes("name")
		value := d.lenencBytes("value")
		if d.err != nil {
			return nil, d.err
		}
		pairs = append(pairs, [2]string{string(name), string(value)})
	}
	return pairs, nil
}

// AppendAttribute appends one connection attribute to raw ones.
func AppendAttribute(raw []byte, name, value string) []byte {
	return AppendLenencString(AppendLenencString(raw, name), value)
}

// appendShortBytes appends b behind a length of one byte, cut to what that can
// express.
func appendShortBytes(dst, b []byte) []byte {
	b = b[:min(len(b), 255)]
	return append(append(dst, byte(len(b))), b...)
}
