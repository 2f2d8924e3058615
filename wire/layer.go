package wire

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A Conn may have layers between itself and the socket: TLS, and compression
// above it. Layers are net.Conns that know nothing of each other. What makes
// them as cheap as a plain socket while nothing happens is that reading does
// not wait inside of them but below all of them, in Conn.Fill, with no buffer
// borrowed: at the bottom of the stack a Read that would have to wait returns
// ErrWouldBlock, and the layers pass that up.

// ErrWouldBlock is what reading below a Conn returns when nothing is there. It
// is a temporary net.Error: crypto/tls keeps what it has of a record and goes
// on with it at the next Read (Go 1.26, tls.Conn.readRecordOrCCS).
var ErrWouldBlock net.Error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "nothing to read" }
func (wouldBlock) Timeout() bool   { return false }
func (wouldBlock) Temporary() bool { return true }

// Push puts a layer on top of what c reads and writes now. wrap is given the
// connection below and returns the layer; from here on c reads and writes only
// the layer and, by Close, closes it.
//
// The first bytes read from below are those c has received and nobody has
// consumed: bytes that came before the layer are never taken for bytes that
// came through it. A Read from below returns ErrWouldBlock instead of waiting,
// unless c is not on a socket (net.Pipe); the layer keeps what it has by then,
// returns ErrWouldBlock itself, as the same value, and goes on when it is read
// again. It must not return it for any other reason. Writes wait as usual.
//
// Nothing may be queued when Push is called. Deadlines, addresses and NetConn
// remain those of the socket.
func (c *Conn) Push(wrap func(below net.Conn) net.Conn) {
	c.push(&below{Conn: c.top, raw: c.bottom()}, wrap)
}

func (c *Conn) push(b *below, wrap func(below net.Conn) net.Conn) {
	b.ahead = append(b.ahead, c.Buffered()...)
	c.Discard(len(c.Buffered()))
	c.top = wrap(b)
	if c.raw != nil {
		c.recv = c.receiveLayered
	}
	c.layered = true
}

// bottom is the socket if c reads it directly, nil if there is a layer already,
// which sees to not waiting.
func (c *Conn) bottom() syscall.RawConn {
	if c.layered {
		return nil
	}
	return c.raw
}

// below is what a layer stands on: the socket, or the layer underneath.
type below struct {
	net.Conn
	// raw is the socket, read without waiting; nil to read Conn as it is.
	raw   syscall.RawConn
	ahead []byte // received before the layer was there
}

func (b *below) Read(p []byte) (int, error) {
	if len(b.ahead) > 0 {
		n := copy(p, b.ahead)
		if b.ahead = b.ahead[n:]; len(b.ahead) == 0 {
			b.ahead = nil
		}
		return n, nil
	}
	if b.raw == nil {
		return b.Conn.Read(p)
	}
	var n int
	var err error
	// Control and not Read: whoever waits for the socket is inside its Read.
	if ctl := b.raw.Control(func(fd uintptr) { n, err = readNow(fd, p) }); ctl != nil {
		return 0, ctl
	}
	switch {
	case err == syscall.EAGAIN:
		return 0, ErrWouldBlock
	case err != nil:
		return 0, readError(b.Conn, err)
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

// readNow reads what a non-blocking socket has.
func readNow(fd uintptr, p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}

// readError words a failed read as package net would.
func readError(nc net.Conn, err error) error {
	a := nc.RemoteAddr()
	return &net.OpError{Op: "read", Net: a.Network(), Addr: a, Err: os.NewSyscallError("read", err)}
}

// receiveLayered is receive for a Conn with layers.
func (c *Conn) receiveLayered(uintptr) (done bool) {
	c.makeRoom()
	n, err := c.top.Read(c.buf[c.w:])
	c.w += n
	c.recvN = n
	switch {
	case n > 0:
		return true
	case err == ErrWouldBlock:
		c.Idle()
		return false
	case err == nil:
		err = io.ErrNoProgress
	}
	c.recvE = err
	return true
}

// quietLayered is Quiet for a Conn with layers: an attempt to read, since what
// lies in the socket may be nothing to the reader, such as the session tickets
// servers send after a TLS 1.3 handshake.
func (c *Conn) quietLayered() bool {
	if c.raw == nil {
		return true
	}
	c.recvN, c.recvE = 0, nil
	return !c.receiveLayered(0)
}
