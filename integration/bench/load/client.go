package load

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Capability flags (CLIENT_*) the client asks for.
const (
	capConnectWithDB = 1 << 3
	capDeprecateEOF  = 1 << 24
	wantedCapability = 1<<0 | 1<<2 | capConnectWithDB | 1<<9 | 1<<13 | 1<<15 | 1<<17 | 1<<19 | capDeprecateEOF
)

// Commands (COM_*).
const (
	comQuit        = 0x01
	comQuery       = 0x03
	comStmtPrepare = 0x16
	comStmtExecute = 0x17
)

// Login is who logs in.
type Login struct {
	User     string
	Password string
	Schema   string
	// OldEOF declines CLIENT_DEPRECATE_EOF.
	OldEOF bool
}

// client is one logged-in connection, for one goroutine at a time.
type client struct {
	rw           io.ReadWriter
	deprecateEOF bool
	buf          []byte
	scan         scanner
}

// handshake logs in over a fresh connection.
func handshake(rw io.ReadWriter, who Login) (*client, error) {
	c := &client{rw: rw, buf: make([]byte, 4<<10)}
	greeting, seq, err := c.readPacket()
	if err != nil {
		return nil, fmt.Errorf("greeting: %w", err)
	}
	caps, salt, plugin, err := parseGreeting(greeting)
	if err != nil {
		return nil, err
	}
	caps &= wantedCapability
	if who.OldEOF {
		caps &^= capDeprecateEOF
	}
	c.deprecateEOF = caps&capDeprecateEOF != 0
	c.scan.deprecateEOF = c.deprecateEOF
	auth, err := authResponse(plugin, who.Password, salt)
	if err != nil { // a plugin this client does not have: let the server switch
		plugin = "mysql_native_password"
		auth = nativePassword(who.Password, salt)
	}
	p := binary.LittleEndian.AppendUint32(nil, caps)
	p = binary.LittleEndian.AppendUint32(p, 1<<24)
	p = append(p, 45)
	p = append(p, make([]byte, 23)...)
	p = append(append(p, who.User...), 0)
	p = append(append(p, byte(len(auth))), auth...)
	p = append(append(p, who.Schema...), 0)
	p = append(append(p, plugin...), 0)
	if err := c.writePacket(seq+1, p); err != nil {
		return nil, err
	}
	return c, c.finishLogin(who.Password)
}

// finishLogin follows the server to its OK.
func (c *client) finishLogin(password string) error {
	for {
		p, seq, err := c.readPacket()
		if err != nil {
			return fmt.Errorf("login: %w", err)
		}
		switch {
		case len(p) == 0:
			return errors.New("login: empty packet")
		case p[0] == 0:
			return nil
		case p[0] == 0xff:
			return serverError(p)
		case p[0] == 1 && len(p) == 2 && p[1] == 3: // caching_sha2_password: fast authentication succeeded
		case p[0] == 0xfe:
			plugin, salt, _ := bytes.Cut(p[1:], []byte{0})
			auth, err := authResponse(string(plugin), password, bytes.TrimSuffix(salt, []byte{0}))
			if err != nil {
				return err
			}
			if err := c.writePacket(seq+1, auth); err != nil {
				return err
			}
		default:
			return fmt.Errorf("login: the server asks for more with packet %#x, which this client does not support", p)
		}
	}
}

func parseGreeting(p []byte) (caps uint32, salt []byte, plugin string, err error) {
	if len(p) > 0 && p[0] == 0xff {
		return 0, nil, "", serverError(p)
	}
	_, rest, ok := bytes.Cut(p, []byte{0}) // protocol and server version
	if !ok || p[0] != 10 || len(rest) < 4+8+1+2+1+2+2+1+10+12 {
		return 0, nil, "", fmt.Errorf("greeting of %d bytes is none of protocol 10", len(p))
	}
	rest = rest[4:]
	salt = slices.Clone(rest[:8])
	rest = rest[9:]
	caps = uint32(binary.LittleEndian.Uint16(rest)) | uint32(binary.LittleEndian.Uint16(rest[5:]))<<16
	rest = rest[2+1+2+2+1+10:]
	salt = append(salt, rest[:12]...)
	name, _, _ := bytes.Cut(bytes.TrimPrefix(rest[12:], []byte{0}), []byte{0})
	return caps, salt, string(name), nil
}

func authResponse(plugin, password string, salt []byte) ([]byte, error) {
	switch {
	case password == "":
		return nil, nil
	case plugin == "mysql_native_password":
		return nativePassword(password, salt), nil
	case plugin == "caching_sha2_password":
		return cachingSHA2(password, salt), nil
	}
	return nil, fmt.Errorf("authentication plugin %q is not supported", plugin)
}

// nativePassword is SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))).
func nativePassword(password string, salt []byte) []byte {
	if password == "" {
		return nil
	}
	once := sha1.Sum([]byte(password))
	twice := sha1.Sum(once[:])
	mix := sha1.Sum(append(slices.Clone(salt), twice[:]...))
	for i := range mix {
		mix[i] ^= once[i]
	}
	return mix[:]
}

// cachingSHA2 is SHA256(password) XOR SHA256(SHA256(SHA256(password)) + salt).
func cachingSHA2(password string, salt []byte) []byte {
	once := sha256.Sum256([]byte(password))
	twice := sha256.Sum256(once[:])
	mix := sha256.Sum256(append(slices.Clone(twice[:]), salt...))
	for i := range mix {
		mix[i] ^= once[i]
	}
	return mix[:]
}

// readPacket reads one packet of less than 16 MiB; payload is its own.
func (c *client) readPacket() (payload []byte, seq byte, err error) {
	var header [4]byte
	if _, err := io.ReadFull(c.rw, header[:]); err != nil {
		return nil, 0, err
	}
	payload = make([]byte, int(header[0])|int(header[1])<<8|int(header[2])<<16)
	_, err = io.ReadFull(c.rw, payload)
	return payload, header[3], err
}

func (c *client) writePacket(seq byte, payload []byte) error {
	_, err := c.rw.Write(packet(seq, payload))
	return err
}

// packet frames a payload of less than 16 MiB.
func packet(seq byte, payload []byte) []byte {
	n := len(payload)
	return append([]byte{byte(n), byte(n >> 8), byte(n >> 16), seq}, payload...)
}

// prepare returns the id of a new prepared statement.
func (c *client) prepare(text string) (uint32, error) {
	if err := c.writePacket(0, append([]byte{comStmtPrepare}, text...)); err != nil {
		return 0, err
	}
	p, _, err := c.readPacket()
	if err != nil {
		return 0, err
	}
	if len(p) > 0 && p[0] == 0xff {
		return 0, serverError(p)
	}
	if len(p) < 12 || p[0] != 0 {
		return 0, fmt.Errorf("answer to prepare: %#x", p)
	}
	id := binary.LittleEndian.Uint32(p[1:])
	columns, params := int(binary.LittleEndian.Uint16(p[5:])), int(binary.LittleEndian.Uint16(p[7:]))
	follow := columns + params
	if !c.deprecateEOF {
		follow += min(columns, 1) + min(params, 1)
	}
	for range follow {
		if _, _, err := c.readPacket(); err != nil {
			return 0, fmt.Errorf("answer to prepare: %w", err)
		}
	}
	return id, nil
}

// do sends one request and reads its answer to the end.
func (c *client) do(r request) error {
	if _, err := c.rw.Write(r.packet); err != nil {
		return err
	}
	c.scan.start(r.want)
	for {
		n, err := c.rw.Read(c.buf)
		if err != nil {
			return fmt.Errorf("answer to %s: %w", r.name, err)
		}
		done, err := c.scan.feed(c.buf[:n])
		if err != nil {
			return fmt.Errorf("answer to %s: %w", r.name, err)
		}
		if done {
			return nil
		}
	}
}

// quit says goodbye; the server closes the connection without an answer.
func (c *client) quit() error { return c.writePacket(0, []byte{comQuit}) }
