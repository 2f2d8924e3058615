package fakebackend

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// Capability flags (CLIENT_*) the server offers or looks at.
const (
	capConnectWithDB   = 1 << 3
	capProtocol41      = 1 << 9
	capSecureConn      = 1 << 15
	capPluginAuth      = 1 << 19
	capConnectAttrs    = 1 << 20
	capLenencAuth      = 1 << 21
	capSessionTrack    = 1 << 23
	capDeprecateEOF    = 1 << 24
	capMySQL           = 1 << 0 // CLIENT_LONG_PASSWORD; MariaDB clears it and calls it CLIENT_MYSQL
	offeredCapability  = 1<<1 | 1<<2 | capConnectWithDB | 1<<7 | 1<<8 | capProtocol41 | 1<<10 | 1<<12 | 1<<13 | 1<<14 | capSecureConn | 1<<16 | 1<<17 | 1<<18 | capPluginAuth | capConnectAttrs | capLenencAuth | capSessionTrack | capDeprecateEOF
	nativePassword     = "mysql_native_password"
	maxPayload         = 64 << 20 // max_allowed_packet
	maxPacket          = 1<<24 - 1
	maxPreparedAtOnce  = 16382 // max_prepared_stmt_count of both flavours
	greetingSaltLength = 20
)

// phase is what the next packet of a session means.
type phase int

const (
	phaseLogin    phase = iota // HandshakeResponse41 is due; entered by greet
	phaseSwitch                // the answer to an AuthSwitchRequest is due
	phaseCommands              // entered by loggedIn
)

// session is one client connection; only the loop touches it.
type session struct {
	server  *Server
	fd      int
	id      uint32
	phase   phase
	seq     byte // of the last packet received
	caps    uint32
	status  uint16
	schema  string
	salt    [greetingSaltLength]byte
	partial []byte // input that is no whole packet yet
	payload []byte // earlier parts of a payload of 2^24-1 bytes and more
	pending []byte // output the socket did not take; input waits meanwhile
	gone    bool

	tracks    string // session_track_system_variables between commas; empty is the default
	trackGTID bool   // SET session_track_gtids or session_track_system_variables
	dirty     bool   // the open transaction has changed rows
	prepared  map[uint32]*prepared
	lastStmt  uint32
}

func (c *session) greet() {
	for i := range c.salt {
		// Printable and different per session is all that clients need.
		c.salt[i] = byte('!' + (uint32(i)*7+c.id*13+c.id>>8)%90)
	}
	version, caps := c.server.version(), uint32(offeredCapability|capMySQL)
	if c.server.opt.Flavour == MariaDB {
		version, caps = "5.5.5-"+version, offeredCapability
	}
	b := &builder{}
	b.begin()
	b.u8(10)
	b.nul(version)
	b.u32(c.id)
	b.raw(string(c.salt[:8]))
	b.u8(0)
	b.u16(uint16(caps))
	b.u8(45) // utf8mb4_general_ci
	b.u16(statusAutocommit)
	b.u16(uint16(caps >> 16))
	b.u8(greetingSaltLength + 1)
	b.raw("\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")
	b.nul(string(c.salt[8:]))
	b.nul(nativePassword)
	b.end()
	c.send(b.bytes)
}

// receive takes bytes as the socket gives them and handles every whole packet.
// data is not kept.
func (c *session) receive(data []byte) {
	if len(c.partial) > 0 {
		c.partial = append(c.partial, data...)
		data = c.partial
	}
	rest := c.consume(data)
	if c.gone {
		return
	}
	switch len(rest) {
	case 0:
		c.partial = nil
	case len(c.partial): // still the same packet: keep collecting in place
	default:
		c.partial = append([]byte(nil), rest...)
	}
}

func (c *session) consume(data []byte) (rest []byte) {
	for len(data) >= 4 && !c.gone && len(c.pending) == 0 {
		n := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
		if len(data) < 4+n {
			return data
		}
		seq, payload := data[3], data[4:4+n]
		data = data[4+n:]
		if n == maxPacket || len(c.payload) > 0 {
			c.payload = append(c.payload, payload...)
			if len(c.payload) > maxPayload {
				c.fail(1153, "08S01", "Got a packet bigger than 'max_allowed_packet' bytes")
				c.drop()
				return nil
			}
			if n == maxPacket {
				continue
			}
			payload, c.payload = c.payload, nil
		}
		c.packet(seq, payload)
	}
	return data
}

func (c *session) packet(seq byte, payload []byte) {
	c.seq = seq
	switch c.phase {
	case phaseLogin:
		c.login(seq, payload)
	case phaseSwitch:
		c.verify(seq, payload)
	case phaseCommands:
		if len(payload) == 0 {
			c.fail(1047, "08S01", "Unknown command")
			return
		}
		c.command(payload[0], payload[1:])
	}
}

func (c *session) login(seq byte, p []byte) {
	if len(p) < 32 || binary.LittleEndian.Uint32(p)&capProtocol41 == 0 {
		c.drop()
		return
	}
	c.caps = binary.LittleEndian.Uint32(p)
	p = p[32:]
	_, p, ok := bytes.Cut(p, []byte{0}) // user
	auth, p, ok2 := lengthPrefixed(p)
	if !ok || !ok2 {
		c.drop()
		return
	}
	if c.caps&capConnectWithDB != 0 {
		var db []byte
		db, p, _ = bytes.Cut(p, []byte{0})
		c.schema = string(db)
	}
	plugin := []byte(nativePassword)
	if c.caps&capPluginAuth != 0 {
		plugin, _, _ = bytes.Cut(p, []byte{0})
	}
	if string(plugin) != nativePassword && c.server.opt.Password != "" {
		c.phase = phaseSwitch
		b := &builder{seq: seq + 1}
		b.begin()
		b.u8(0xfe)
		b.nul(nativePassword)
		b.nul(string(c.salt[:]))
		b.end()
		c.send(b.bytes)
		return
	}
	c.verify(seq, auth)
}

// verify ends the login. seq is that of the client's last packet.
func (c *session) verify(seq byte, auth []byte) {
	b := &builder{seq: seq + 1}
	if pw := c.server.opt.Password; pw != "" && !bytes.Equal(auth, scramble(pw, c.salt[:])) {
		b.fail(1045, "28000", "Access denied (using password: YES)")
		c.send(b.bytes)
		c.drop()
		return
	}
	c.phase = phaseCommands
	b.ok(0, c.status, c.tracked(), nil)
	c.send(b.bytes)
}

// scramble is mysql_native_password's answer to salt:
// SHA1(password) XOR SHA1(salt + SHA1(SHA1(password))).
func scramble(password string, salt []byte) []byte {
	stage1 := sha1.Sum([]byte(password))
	stage2 := sha1.Sum(stage1[:])
	mix := sha1.Sum(append(slices.Clone(salt), stage2[:]...))
	for i := range mix {
		mix[i] ^= stage1[i]
	}
	return mix[:]
}

// answer starts the answer to the current command: a command of several packets
// has used several sequence numbers.
func (c *session) answer() *builder { return &builder{seq: c.seq + 1} }

func (c *session) tracked() bool      { return c.caps&capSessionTrack != 0 }
func (c *session) deprecateEOF() bool { return c.caps&capDeprecateEOF != 0 }

// reset puts the session back to what a fresh login gives.
func (c *session) reset() {
	c.status = statusAutocommit
	c.trackGTID = false
	c.tracks = ""
	c.dirty = false
	c.prepared = nil
}

// reply sends a prebuilt answer with the session's own status flags.
func (c *session) reply(r *response) {
	if c.status == statusAutocommit {
		c.send(r.bytes)
		return
	}
	patched := slices.Clone(r.bytes)
	for _, at := range r.status {
		binary.LittleEndian.PutUint16(patched[at:], c.status)
	}
	c.send(patched)
}

func (c *session) fail(code uint16, state, text string) {
	b := c.answer()
	b.fail(code, state, text)
	c.send(b.bytes)
}

// send writes what the socket takes and keeps the rest. p must not change
// until it is out.
func (c *session) send(p []byte) {
	if c.gone {
		return
	}
	if len(c.pending) > 0 {
		c.pending = append(slices.Clip(c.pending), p...)
		return
	}
	n, err := unix.Write(c.fd, p)
	switch {
	case err == nil && n == len(p):
		return
	case err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
		c.drop()
		return
	}
	c.pending = p[max(n, 0):]
	if c.server.watch(c.fd, unix.EPOLL_CTL_MOD, unix.EPOLLOUT) != nil {
		c.drop()
	}
}

// flush writes pending output and, once it is out, handles the input that came
// meanwhile. It reports whether the session may be read from.
func (c *session) flush() bool {
	n, err := unix.Write(c.fd, c.pending)
	if err != nil {
		if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
			c.drop()
		}
		return false
	}
	if c.pending = c.pending[n:]; len(c.pending) > 0 {
		return false
	}
	c.pending = nil
	if c.server.watch(c.fd, unix.EPOLL_CTL_MOD, unix.EPOLLIN) != nil {
		c.drop()
		return false
	}
	if len(c.partial) > 0 {
		waiting := c.partial
		c.partial = nil
		c.receive(waiting)
	}
	return !c.gone
}

func (c *session) drop() {
	if c.gone {
		return
	}
	c.gone = true
	delete(c.server.sessions, int32(c.fd))
	_ = unix.Close(c.fd)
}

// lengthPrefixed splits off a length-encoded string shorter than 64 KiB.
func lengthPrefixed(p []byte) (s, rest []byte, ok bool) {
	if len(p) == 0 {
		return nil, nil, false
	}
	n, head := int(p[0]), 1
	if p[0] == 0xfc && len(p) >= 3 {
		n, head = int(binary.LittleEndian.Uint16(p[1:])), 3
	} else if p[0] >= 0xfb {
		return nil, nil, false
	}
	if len(p) < head+n {
		return nil, nil, false
	}
	return p[head : head+n], p[head+n:], true
}
