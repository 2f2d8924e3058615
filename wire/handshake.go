package wire

import (
	"encoding/binary"
	"strings"
)

// SaltSize is the length of the challenge in the greeting.
const SaltSize = 20

// mariaDBPrefix stands before MariaDB's version in greetings, so that old
// replicas do not take version 10 for 1.0 (MariaDB KB, "Connection").
const mariaDBPrefix = "5.5.5-"

// HandshakeV10 is the greeting, the first packet a server sends; protocol doc
// "Protocol::HandshakeV10".
type HandshakeV10 struct {
	ServerVersion string // as on the wire, with MariaDB's "5.5.5-"
	ConnectionID  uint32
	Salt          [SaltSize]byte // Append sends it as it is: it must contain no NUL
	// Capabilities of the server. MariaDB's extended ones are sent and
	// understood only while LongPassword is clear, which is how MariaDB says
	// that it is MariaDB.
	Capabilities Capability
	// Collation is the low byte of the server's default collation id; it says
	// nothing when the id is above 255.
	Collation  byte
	Status     Status
	AuthPlugin string // empty when PluginAuth is not among Capabilities
}

// Append appends the payload. PluginAuth, SecureConnection and Protocol41
// decide the layout and should be among Capabilities.
func (h *HandshakeV10) Append(dst []byte) []byte {
	c := h.Capabilities
	dst = append(dst, 10)
	dst = append(append(dst, h.ServerVersion...), 0)
	dst = binary.LittleEndian.AppendUint32(dst, h.ConnectionID)
	dst = append(append(dst, h.Salt[:8]...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(c))
	dst = append(dst, h.Collation)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(h.Status))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(c>>16))
	if c.Has(PluginAuth) {
		dst = append(dst, SaltSize+1)
	} else {
		dst = append(dst, 0)
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, c.extended())
	dst = append(append(dst, h.Salt[8:]...), 0)
	if c.Has(PluginAuth) {
		dst = append(append(dst, h.AuthPlugin...), 0)
	}
	return dst
}

// Parse reads a greeting. It keeps nothing of p. A server that refuses the
// connection sends an ERR packet instead; see ParseErr. Servers older than 4.1
// (no Protocol41, a salt of 8 bytes) are refused as malformed.
func (h *HandshakeV10) Parse(p []byte) error {
	d := decoder{rest: p, message: "greeting"}
	if d.byte("protocol version") != 10 {
		d.fail("protocol version")
	}
	version := d.nulString("server version")
	id := d.uint32("connection id")
	salt1 := d.take("salt", 8)
	d.skip("filler", 1)
	caps := Capability(d.uint16("capabilities"))
	collation := d.byte("collation")
	status := d.uint16("status")
	caps |= Capability(d.uint16("upper capabilities")) << 16
	saltLen := int(d.byte("salt length"))
	d.skip("reserved", 6)
	if ext := d.uint32("extended capabilities"); !caps.Has(LongPassword) {
		caps |= Capability(ext) << 32
	}
	// The second part takes max(13, length - 8) bytes: 12 of salt and a NUL.
	salt2 := d.take("salt", SaltSize-8)
	d.skip("salt", max(1, saltLen-SaltSize))
	var plugin []byte
	if caps.Has(PluginAuth) {
		// MySQL before 5.5.10 forgets the final NUL (its bug 59453).
		plugin = d.lastString()
	}
	if d.err == nil && !caps.Has(Protocol41) {
		d.fail("capabilities without PROTOCOL_41")
	}
	if d.err != nil {
		return d.err
	}
	*h = HandshakeV10{
		ServerVersion: string(version),
		ConnectionID:  id,
		Capabilities:  caps,
		Collation:     collation,
		Status:        Status(status),
		AuthPlugin:    string(plugin),
	}
	copy(h.Salt[:8], salt1)
	copy(h.Salt[8:], salt2)
	return nil
}

// IsMariaDB reports whether the greeting is from a MariaDB server (or from a
// proxy that presents one). MariaDB 11 and later may drop the "5.5.5-", so the
// name in the version counts as well.
func (h *HandshakeV10) IsMariaDB() bool {
	return !h.Capabilities.Has(LongPassword) ||
		strings.HasPrefix(h.ServerVersion, mariaDBPrefix) ||
		strings.Contains(h.ServerVersion, "MariaDB")
}

// Version returns ServerVersion without MariaDB's "5.5.5-", which is what
// SELECT VERSION() gives.
func (h *HandshakeV10) Version() string {
	if rest, ok := strings.CutPrefix(h.ServerVersion, mariaDBPrefix); ok && rest != "" && rest[0] >= '0' && rest[0] <= '9' {
		return rest
	}
	return h.ServerVersion
}

// extended returns MariaDB's upper 32 bits, or 0 when they may not be sent
// because the sender presents itself as MySQL.
func (c Capability) extended() uint32 {
	if c.Has(LongPassword) {
		return 0
	}
	return uint32(c >> 32)
}
