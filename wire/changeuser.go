package wire

import (
	"bytes"
	"encoding/binary"
)

// ChangeUser is COM_CHANGE_USER: a new login on an existing connection;
// protocol doc "COM_CHANGE_USER".
type ChangeUser struct {
	User         string
	AuthResponse []byte // for the salt of the connection's greeting
	Database     string
	// Collation is a complete collation id here, unlike in the login. 0 means
	// that the client did not say.
	Collation  uint16
	AuthPlugin string // only with PluginAuth
	Attributes []byte // raw, only with ConnectAttrs; see ParseAttributes
}

// Append appends the payload, command byte included, for a connection with
// capabilities caps. An AuthResponse above 255 bytes is cut.
func (u *ChangeUser) Append(dst []byte, caps Capability) []byte {
	dst = append(dst, byte(ComChangeUser))
	dst = append(append(dst, u.User...), 0)
	if caps.Has(SecureConnection) {
		dst = appendShortBytes(dst, u.AuthResponse)
	} else {
		dst = append(append(dst, u.AuthResponse...), 0)
	}
	dst = append(append(dst, u.Database...), 0)
	dst = binary.LittleEndian.AppendUint16(dst, u.Collation)
	if caps.Has(PluginAuth) {
		dst = append(append(dst, u.AuthPlugin...), 0)
	}
	if caps.Has(ConnectAttrs) {
		dst = AppendLenencBytes(dst, u.Attributes)
	}
	return dst
}

// Parse reads the payload of the command, its first byte included, as sent by
// a client with capabilities caps. It keeps nothing of p. Servers answer what
// is malformed with 1047 "Unknown command"; MySQL 9.7 then closes, MariaDB
// 10.11 goes on as the old user.
func (u *ChangeUser) Parse(p []byte, caps Capability) error {
	d := decoder{rest: p, message: "COM_CHANGE_USER"}
	if Command(d.byte("command")) != ComChangeUser {
		d.fail("command")
	}
	user := d.nulString("user")
	// Always one byte of length here, never a length-encoded integer.
	response := d.authResponse(caps &^ PluginAuthLenenc)
	database := d.nulString("database")
	var collation uint16
	if len(d.rest) > 0 || caps.Has(PluginAuth) {
		collation = d.uint16("collation")
	}
	var plugin []byte
	if caps.Has(PluginAuth) {
		if len(d.rest) == 0 {
			d.fail("plugin name")
		}
		plugin = d.lastString()
	}
	attributes := d.attributes(caps)
	if d.err != nil {
		return d.err
	}
	*u = ChangeUser{
		User:         string(user),
		AuthResponse: bytes.Clone(response),
		Database:     string(database),
		Collation:    collation,
		AuthPlugin:   string(plugin),
		Attributes:   bytes.Clone(attributes),
	}
	return nil
}
