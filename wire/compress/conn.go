package compress

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/telamondb/telamon/wire"
)

// ErrFrame is what errors about a frame wrap that is not what its header says.
var ErrFrame = errors.New("malformed compressed frame")

const (
	// headerSize is the length of a frame's header.
	headerSize = 7
	// minContents is the length from which on contents are compressed:
	// MIN_COMPRESS_LENGTH of both servers.
	minContents = 50
	// maxContents is how much of a Write goes into one frame. The format would
	// allow 2^24-1 bytes, all of which the other side may have to hold.
	maxContents = 64 << 10
)

// Conn sends what is written to it in compressed frames, and yields the
// contents of the frames it receives. It is a layer in the sense of
// wire.Conn.Push: it does not wait where the connection below does not.
//
// A frame is inflated once all of it has been received, and only as far as Read
// asks: memory grows with what the peer has sent, not with what that inflates
// to. A zlib stream takes its window of 32 KiB on top of that, one of zstd the
// window that it names, of 16 MiB at most. Not more is ever inflated than a
// frame's header says, which can be 2^24-1 bytes, and a frame that is not what
// its header says is an error. Between two frames a Conn holds no buffer and no
// state of a compression.
//
// Like the wire.Conn above it, it is not safe for concurrent use, except for
// Close and the deadlines. After an error it must be closed.
type Conn struct {
	net.Conn
	algorithm Algorithm
	server    bool
	// next is the sequence id of the next frame, in whichever direction.
	next byte

	pooled *[wire.ReadSize]byte // what buf points into, nil when idle or grown
	buf    []byte
	r, w   int // buf[r:w] has been received and not been used up

	inflater *inflater // of the frame being read, nil if it is stored
	size     int       // of that frame in buf
	left     int       // contents of it still to come

	readErr  error // what every further Read returns
	writeErr error // what every further Write returns
}

// Server is the side of nc that takes commands.
func Server(nc net.Conn, a Algorithm) *Conn {
	return &Conn{Conn: nc, algorithm: a, server: true}
}

// Client is the side of nc that gives commands.
func Client(nc net.Conn, a Algorithm) *Conn {
	return &Conn{Conn: nc, algorithm: a}
}

// StartCommand makes the next frame written number 0. A client calls it before
// each command, and writes no two of them at once; a server, whose frames go on
// from the command's, before what it says unasked.
func (c *Conn) StartCommand() { c.next = 0 }

// Read returns contents of the frame that has been received, or of the next
// one. A connection closed between two frames is io.EOF.
func (c *Conn) Read(p []byte) (n int, err error) {
	if c.readErr != nil {
		return 0, c.readErr
	}
	if len(p) == 0 {
		return 0, nil
	}
	for n == 0 && err == nil {
		switch {
		case c.left == 0:
			err = c.begin()
		case c.inflater == nil:
			n, err = c.copyStored(p)
		default:
			n, err = c.inflate(p)
		}
	}
	if c.r == c.w {
		c.giveBack()
	}
	return n, err
}

// begin takes the header of the next frame in, and all of its body if that is
// compressed.
func (c *Conn) begin() error {
	if err := c.receive(headerSize); err != nil {
		return err
	}
	h := c.buf[c.r:]
	size, seq, contents := wire.PacketLen(h), h[3], wire.PacketLen(h[4:])
	// A client that starts a command starts counting. What a server's frame
	// must be numbered is not known while several commands are under way.
	if c.server && seq != c.next && seq != 0 {
		c.readErr = fmt.Errorf("%w: got frame %d, want %d", wire.ErrSequence, seq, c.next)
		return c.readErr
	}
	if contents == 0 {
		c.next = seq + 1
		c.r += headerSize
		c.left = size
		return nil
	}
	if err := c.receive(headerSize + size); err != nil {
		return err
	}
	c.next = seq + 1
	c.r += headerSize
	c.size, c.left = size, contents
	var err error
	if c.inflater, err = inflate(c.algorithm, c.buf[c.r:c.r+size], contents); err != nil {
		return c.broken(err)
	}
	return nil
}

func (c *Conn) copyStored(p []byte) (int, error) {
	if err := c.receive(1); err != nil {
		return 0, unexpected(err)
	}
	n := copy(p[:min(len(p), c.left)], c.buf[c.r:c.w])
	c.r += n
	c.left -= n
	return n, nil
}

func (c *Conn) inflate(p []byte) (int, error) {
	n, err := c.inflater.Read(p[:min(len(p), c.left)])
	c.left -= n
	switch {
	case err == io.EOF && c.left > 0:
		err = fmt.Errorf("it inflates to %d bytes less than it says", c.left)
	case c.left == 0 && (err == nil || err == io.EOF):
		err = c.inflater.end()
	}
	if err != nil {
		return n, c.broken(err)
	}
	if c.left == 0 {
		c.inflater.release(c.algorithm)
		c.inflater = nil
		c.r += c.size
	}
	return n, nil
}

func (c *Conn) broken(err error) error {
	c.inflater, c.left, c.r, c.w = nil, 0, 0, 0
	c.readErr = fmt.Errorf("%w: %w", ErrFrame, err)
	return c.readErr
}

// receive reads until n bytes are in buf. What has come by the time of an error
// stays there.
func (c *Conn) receive(n int) error {
	for c.w-c.r < n {
		c.makeRoom()
		got, err := c.Conn.Read(c.buf[c.w:])
		c.w += got
		switch {
		case got > 0:
		case err == nil:
			return io.ErrNoProgress
		case c.r < c.w:
			return unexpected(err)
		default:
			return err
		}
	}
	return nil
}

// makeRoom makes sure that buf has free space behind w.
func (c *Conn) makeRoom() {
	switch {
	case c.buf == nil:
		c.pooled = buffers.Get().(*[wire.ReadSize]byte)
		c.buf = c.pooled[:]
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	default:
		grown := make([]byte, 2*len(c.buf))
		w := copy(grown, c.buf)
		c.giveBack()
		c.buf, c.w = grown, w
	}
}

var buffers = sync.Pool{New: func() any { return new([wire.ReadSize]byte) }}

func (c *Conn) giveBack() {
	if c.pooled != nil {
		buffers.Put(c.pooled)
		c.pooled = nil
	}
	c.buf, c.r, c.w = nil, 0, 0
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Write sends p in one frame or more, of at most 64 KiB each. The count is 0
// only if nothing has left.
func (c *Conn) Write(p []byte) (n int, err error) {
	if c.writeErr != nil {
		return 0, c.writeErr
	}
	d := deflaterFor(c.algorithm)
	for len(p) > 0 {
		contents := p[:min(len(p), maxContents)]
		sent, err := c.Conn.Write(d.frame(c.next, contents))
		if err != nil {
			c.writeErr = err
			return max(n, min(sent, 1)), err
		}
		c.next++
		n += len(contents)
		p = p[len(contents):]
	}
	d.release(c.algorithm)
	return n, nil
}
