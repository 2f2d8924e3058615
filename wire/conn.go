package wire

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// ReadSize is how much a Conn asks the kernel for at a time. One server reply
// of the usual kind fits; larger ones stream through it.
const ReadSize = 16 << 10

// buffers are borrowed while a Conn has unread or unsent bytes and given back
// when it has none, so that an idle connection holds no buffer.
var buffers = sync.Pool{New: func() any { return new([ReadSize]byte) }}

// ErrPacketTooLarge is returned by ReadPacket for a payload above its limit.
var ErrPacketTooLarge = errors.New("packet larger than the limit")

// ErrSequence is returned by ReadPacket when a packet's sequence id is not the
// expected one, which means that the stream is out of step.
var ErrSequence = errors.New("packets out of order")

// Conn frames packets over one network connection, for either side. It is not
// safe for concurrent use, except that SetDeadline and Close of the underlying
// net.Conn may be called from anywhere to interrupt it.
//
// There are two ways to use it. ReadPacket, WritePacket and Flush move whole
// packets and serve the handshake, the console and everything that is not hot.
// Fill, Buffered, Discard and Write expose the raw stream and serve relaying:
// bytes are looked at in the read buffer and written on from there without a
// copy. Both see the same buffer and may be mixed between packets.
//
// After any method returned an error the Conn must be closed.
type Conn struct {
	nc net.Conn
	// top is what is read and written: nc, or the uppermost layer on it.
	top     net.Conn
	layered bool
	tls     *tls.Conn // the layer that is TLS, nil without
	frames  Frames    // the layer with frames, nil without
	// raw is nil when nc is not a plain socket (net.Pipe in tests).
	raw   syscall.RawConn
	recv  func(fd uintptr) bool // c.receive, bound once: a method value allocates
	peek  func(fd uintptr)      // c.look, bound likewise
	quiet bool
	byte  [1]byte
	recvN int
	recvE error

	pooled *[ReadSize]byte // what buf points into, nil when idle or grown
	buf    []byte
	r, w   int // buf[r:w] is unread; 0 <= r <= w <= len(buf)

	out       []byte          // packets written, not yet flushed
	outPooled *[ReadSize]byte // what out was made of, nil when empty

	// Seq is the sequence id the next packet sent or received carries.
	// ReadPacket checks and advances it, WritePacket advances it; relaying
	// code sets it itself. A new command starts at 0; see StartCommand.
	Seq byte
}

// NewConn wraps nc. Bytes that were already read from nc can be given back with Unread.
func NewConn(nc net.Conn) *Conn {
	c := &Conn{nc: nc, top: nc}
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			c.raw = raw
			c.recv = c.receive
			c.peek = c.look
		}
	}
	return c
}

// NetConn returns the connection at the bottom, below all layers, for deadlines
// and addresses. It is the same for the life of c.
func (c *Conn) NetConn() net.Conn { return c.nc }

// Close closes the underlying connection and gives the buffers back.
// It must not be called while another goroutine is inside a method of c;
// to interrupt one, set a deadline in the past on NetConn.
func (c *Conn) Close() error {
	c.w, c.r = 0, 0
	c.releaseBuffer()
	c.releaseOut()
	return c.top.Close()
}

// Buffered returns the bytes received and not yet consumed, valid until the
// next call of Fill, Discard or ReadPacket. The caller may change them in place.
func (c *Conn) Buffered() []byte { return c.buf[c.r:c.w] }

// Discard consumes n buffered bytes; n must not exceed len(Buffered()).
// The buffer is given back when nothing is left in it.
func (c *Conn) Discard(n int) {
	c.r += n
	if c.r == c.w {
		c.r, c.w = 0, 0
		c.releaseBuffer()
	}
}

// Fill waits for at least one more byte and appends what there is to Buffered.
// A buffer that is full of unread bytes grows, doubling (see Grow); relaying
// code keeps that from happening by consuming what it has seen.
// A connection closed by the peer is io.EOF.
func (c *Conn) Fill() error {
	if c.raw == nil {
		c.makeRoom()
		n, err := c.top.Read(c.buf[c.w:])
		c.w += n
		if n > 0 {
			return nil
		}
		if err == nil {
			err = io.ErrNoProgress
		}
		return err
	}
	c.recvN, c.recvE = 0, nil
	if err := c.raw.Read(c.recv); err != nil {
		return err
	}
	switch {
	case c.recvE != nil:
		return c.recvE
	case c.recvN == 0:
		return io.EOF
	}
	return nil
}

// Grow makes the buffer large enough for n bytes at once. It is for those who
// know that so many are to come and that some of them have: who only says so
// costs nothing.
func (c *Conn) Grow(n int) {
	if n > len(c.buf) {
		c.resize(n)
	}
}

// resize moves what is unread to a new buffer of n bytes.
func (c *Conn) resize(n int) {
	grown := make([]byte, n)
	w := copy(grown, c.buf[c.r:c.w])
	c.releaseBuffer()
	c.buf, c.r, c.w = grown, 0, w
}

// Quiet reports whether the peer has neither closed the connection nor sent
// anything that has not been consumed. It makes one system call and does not
// wait; of a connection that is not on a socket it only knows what is buffered.
// It may read something, which is then buffered.
func (c *Conn) Quiet() bool {
	if c.r < c.w {
		return false
	}
	if c.layered {
		return c.quietLayered()
	}
	if c.raw == nil {
		return true
	}
	c.quiet = false
	return c.raw.Control(c.peek) == nil && c.quiet
}

func (c *Conn) look(fd uintptr) {
	_, _, err := syscall.Recvfrom(int(fd), c.byte[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	c.quiet = err == syscall.EAGAIN
}

// receive is called by the runtime with the socket: once at once and again
// whenever it has become readable. It borrows a buffer only for the attempt.
func (c *Conn) receive(fd uintptr) (done bool) {
	c.makeRoom()
	n, err := readNow(fd, c.buf[c.w:])
	switch err {
	case nil:
		c.w += n
		c.recvN = n
		return true
	case syscall.EAGAIN:
		c.Idle()
		return false
	}
	c.recvE = readError(c.nc, err)
	return true
}

// makeRoom makes sure that buf has free space behind w.
func (c *Conn) makeRoom() {
	if c.r == c.w {
		c.r, c.w = 0, 0
		if c.pooled == nil {
			c.buf = nil // grown for a large packet, which is through
		}
	}
	switch {
	case c.buf == nil:
		c.pooled = buffers.Get().(*[ReadSize]byte)
		c.buf = c.pooled[:]
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	default:
		c.resize(2 * len(c.buf))
	}
}

func (c *Conn) releaseBuffer() {
	if c.pooled != nil {
		buffers.Put(c.pooled)
		c.pooled = nil
	}
	c.buf = nil
}

// Unread puts p before the bytes that are buffered.
func (c *Conn) Unread(p []byte) {
	if len(p) == 0 {
		return
	}
	all := make([]byte, 0, max(ReadSize, len(p)+len(c.Buffered())))
	all = append(append(all, p...), c.Buffered()...)
	c.releaseBuffer()
	c.buf, c.r, c.w = all[:cap(all)], 0, len(all)
}

// Write sends p at once, after whatever WritePacket has queued. It does not
// keep p.
func (c *Conn) Write(p []byte) (int, error) {
	if len(c.out) > 0 {
		if len(c.out)+len(p) <= ReadSize {
			c.Queue(p)
			return len(p), c.Flush()
		}
		if err := c.Flush(); err != nil {
			return 0, err
		}
	}
	return c.top.Write(p)
}

// Queue appends raw bytes (whole packets with their headers, or pieces of
// them) to what the next Flush sends. It does not keep p.
func (c *Conn) Queue(p []byte) { c.out = append(c.outBuffer(), p...) }

// outBuffer returns out, with a buffer borrowed for it if it is empty.
func (c *Conn) outBuffer() []byte {
	if c.out == nil {
		c.outPooled = buffers.Get().(*[ReadSize]byte)
		c.out = c.outPooled[:0]
	}
	return c.out
}

// Queued returns the number of bytes waiting for Flush.
func (c *Conn) Queued() int { return len(c.out) }

// Flush sends what WritePacket and Queue have put together, in one write.
func (c *Conn) Flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.top.Write(c.out)
	c.releaseOut()
	return err
}

func (c *Conn) releaseOut() {
	if c.outPooled != nil {
		buffers.Put(c.outPooled)
	}
	c.out, c.outPooled = nil, nil
}

// WritePacket queues one payload as a packet, split at MaxPayload, and
// advances Seq. Nothing is sent before Flush.
func (c *Conn) WritePacket(payload []byte) {
	c.out, c.Seq = AppendPacket(c.outBuffer(), c.Seq, payload)
}

// AppendPacket appends payload framed as one or more packets, the first with
// sequence id seq, and returns the sequence id after the last.
func AppendPacket(dst []byte, seq byte, payload []byte) ([]byte, byte) {
	for {
		n := min(len(payload), MaxPayload)
		dst = append(dst, byte(n), byte(n>>8), byte(n>>16), seq)
		dst = append(dst, payload[:n]...)
		seq++
		payload = payload[n:]
		if n < MaxPayload {
			return dst, seq
		}
	}
}

// PacketLen returns the payload length in the header that p starts with;
// p holds at least 3 bytes.
func PacketLen(p []byte) int { return int(p[0]) | int(p[1])<<8 | int(p[2])<<16 }

// ReadPacket returns the next payload, joined from its continuation packets,
// and advances Seq. A payload above limit bytes gives ErrPacketTooLarge before
// more than ReadSize bytes of it have been stored; memory grows only with the
// bytes received. The slice is valid until the next read of any kind.
func (c *Conn) ReadPacket(limit int) ([]byte, error) {
	n, err := c.readHeader(0, limit)
	if err != nil {
		return nil, err
	}
	if n < MaxPayload {
		if err := c.need(HeaderSize + n); err != nil {
			return nil, err
		}
		p := c.buf[c.r+HeaderSize : c.r+HeaderSize+n : c.r+HeaderSize+n]
		c.consumePacket(HeaderSize + n)
		return p, nil
	}
	return c.readLong(limit)
}

// readLong joins a payload of several packets in a buffer of its own. The
// first header, of a full packet, has been read and still is in the buffer.
func (c *Conn) readLong(limit int) ([]byte, error) {
	var joined []byte
	for n := MaxPayload; ; {
		c.Discard(HeaderSize)
		for left := n; left > 0; {
			if len(c.Buffered()) == 0 {
				if err := c.Fill(); err != nil {
					return nil, unexpected(err)
				}
			}
			p := c.Buffered()
			p = p[:min(len(p), left)]
			joined = append(joined, p...)
			left -= len(p)
			c.Discard(len(p))
		}
		if n < MaxPayload {
			return joined, nil
		}
		var err error
		if n, err = c.readHeader(len(joined), limit); err != nil {
			return nil, unexpected(err)
		}
	}
}

// readHeader makes a header available, checks length (added to what came
// before it) and sequence id, and returns the payload length.
func (c *Conn) readHeader(before, limit int) (int, error) {
	if err := c.need(HeaderSize); err != nil {
		return 0, err
	}
	h := c.buf[c.r:]
	n := PacketLen(h)
	if h[3] != c.Seq && c.frames == nil {
		return 0, fmt.Errorf("%w: got sequence id %d, want %d", ErrSequence, h[3], c.Seq)
	}
	if before+n > limit {
		return 0, fmt.Errorf("%w: %d bytes, at most %d", ErrPacketTooLarge, before+n, limit)
	}
	c.Seq++
	return n, nil
}

// need fills until n bytes are buffered. EOF before the first of them is
// io.EOF, later io.ErrUnexpectedEOF.
func (c *Conn) need(n int) error {
	for c.w-c.r < n {
		if err := c.Fill(); err != nil {
			if c.w > c.r {
				return unexpected(err)
			}
			return err
		}
	}
	return nil
}

// consumePacket is Discard that leaves the buffer in place: the payload just
// returned still lies in it.
func (c *Conn) consumePacket(n int) {
	c.r += n
}

// Idle gives the buffer back if nothing is left in it. Call it when payloads
// returned by ReadPacket are no longer used and the connection may be quiet
// for long.
func (c *Conn) Idle() {
	if c.r == c.w {
		c.r, c.w = 0, 0
		c.releaseBuffer()
	}
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// SetDeadline sets the absolute time after which blocked calls fail; the zero
// time means none.
func (c *Conn) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }
