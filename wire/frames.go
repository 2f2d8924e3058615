package wire

import "net"

// Frames is a layer that sends packets in frames with a count of their own, as
// compression does.
type Frames interface {
	net.Conn
	// StartCommand makes the next frame written number 0.
	StartCommand()
}

// framing are the capabilities that put packets into frames once a login is
// through.
const framing = Compress | ZstdCompress

// PushFrames is Push for a layer with frames. From here on the sequence ids of
// packets received are not looked at: neither MySQL 9.7 nor MariaDB 10.11 does,
// and both go back in the middle of an answer (wire/compress, live_test.go).
func (c *Conn) PushFrames(wrap func(below net.Conn) Frames) {
	c.Push(func(below net.Conn) net.Conn {
		c.frames = wrap(below)
		return c.frames
	})
}

// Framed reports whether packets travel in frames, so that the sequence ids of
// those received mean nothing.
func (c *Conn) Framed() bool { return c.frames != nil }

// StartCommand is to be called before the first packet of a command is queued
// or written, and before a server says something unasked. It sets Seq to 0. In
// frames, where no two commands may be together, what is queued goes out now;
// if that fails, so does all that is written afterwards.
func (c *Conn) StartCommand() {
	c.Seq = 0
	if c.frames != nil {
		_ = c.Flush()
		c.frames.StartCommand()
	}
}
