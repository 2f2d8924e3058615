package proxy

import (
	"errors"
	"time"

	"github.com/telamondb/telamon/backend/pool"
	"github.com/telamondb/telamon/router/lex"
	"github.com/telamondb/telamon/wire"
)

// Data that flows from the client to a server while a command is under way: the
// rest of a command too long to be read first, and the file of LOCAL INFILE.

// stream sends the rest of a command that is too long to be read first.
func (s *Session) stream(c *pool.Conn) error {
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	for {
		for s.cmd.left > 0 {
			p, err := s.moreOfCommand()
			if err != nil {
				return err
			}
			_, err = c.Wire.Write(p)
			s.client.Discard(len(p))
			if err != nil {
				return s.streamBroke(c, err)
			}
		}
		if !s.cmd.full {
			s.cmd.streamed = false
			s.response.StartAt(s.cmd.last + 1)
			return nil
		}
		header, err := s.nextFragment()
		if err != nil {
			return err
		}
		if _, err := c.Wire.Write(header[:]); err != nil {
			return s.streamBroke(c, err)
		}
	}
}

// moreOfCommand returns bytes of the physical packet being read; the caller
// discards them.
func (s *Session) moreOfCommand() ([]byte, error) {
	if len(s.client.Buffered()) == 0 {
		if err := s.client.Fill(); err != nil {
			return nil, errClientGone
		}
	}
	p := s.client.Buffered()
	p = p[:min(len(p), s.cmd.left)]
	s.cmd.left -= len(p)
	return p, nil
}

// nextFragment reads the header of the next physical packet of the command.
func (s *Session) nextFragment() (header [wire.HeaderSize]byte, err error) {
	for len(s.client.Buffered()) < wire.HeaderSize {
		if err := s.client.Fill(); err != nil {
			return header, errClientGone
		}
	}
	copy(header[:], s.client.Buffered())
	s.client.Discard(wire.HeaderSize)
	if s.client.Framed() {
		header[3] = s.cmd.last + 1
	}
	if header[3] != s.cmd.last+1 {
		return header, errClientGone // out of step: nothing sensible can follow
	}
	s.cmd.last++
	s.cmd.left = wire.PacketLen(header[:])
	s.cmd.full = s.cmd.left == wire.MaxPayload
	s.cmd.total += s.cmd.left
	if s.cmd.total >= s.cmd.limit {
		return header, errTooLarge
	}
	return header, nil
}

// swallow reads what is still to come of a streamed command and drops it.
func (s *Session) swallow() error {
	if !s.cmd.streamed {
		return nil
	}
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	for {
		for s.cmd.left > 0 {
			p, err := s.moreOfCommand()
			if err != nil {
				return err
			}
			s.client.Discard(len(p))
		}
		if !s.cmd.full {
			s.cmd.streamed = false
			return nil
		}
		switch _, err := s.nextFragment(); {
		case errors.Is(err, errTooLarge):
			return s.tooLarge()
		case err != nil:
			return err
		}
	}
}

// errTooLarge is returned for a command that the server would not take. It
// refuses those that reach max_allowed_packet, by 1153 in answer to the header
// that shows it, and hangs up (measured on MariaDB 10.11 and MySQL 9.7).
var errTooLarge = errors.New("command as large as max_allowed_packet")

// heed makes c's max_allowed_packet the limit of the streamed command, of which
// nothing has been sent yet.
func (s *Session) heed(c *pool.Conn) error {
	limit, err := c.PacketLimit()
	if err != nil {
		return &lostError{server: c.Server, err: err, unsent: true}
	}
	if s.cmd.limit = limit; s.cmd.total >= limit {
		return errTooLarge
	}
	return nil
}

// linger is how long at most a client is listened to that has been refused in the
// middle of a command. Closing at once would reset the connection under the
// error that it has not read yet.
const linger = 3 * time.Second

// tooLarge refuses the command being received and ends the session.
func (s *Session) tooLarge() error {
	s.client.Seq = s.cmd.last + 1
	s.sendError(wire.NewErr(wire.CodePacketTooLarge, "Got a packet bigger than 'max_allowed_packet' bytes"))
	if c, ok := s.client.NetConn().(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = s.client.SetDeadline(time.Now().Add(linger))
	s.cmd = command{}
	for heard := 0; heard < maxCommand; {
		n := len(s.client.Buffered())
		heard += n
		s.client.Discard(n)
		if s.client.Fill() != nil {
			break
		}
	}
	return errEnd
}

// lastWords is how long a server that has stopped reading is given to say why.
const lastWords = time.Second

// streamBroke handles a server that closes while a command is being sent. It
// has usually said why, for instance that the packet is too large (1153). The
// client hears it when it has sent all of it.
func (s *Session) streamBroke(c *pool.Conn, writeErr error) error {
	lost := &lostError{server: c.Server, err: writeErr}
	_ = c.Wire.SetDeadline(time.Now().Add(lastWords))
	for len(c.Wire.Buffered()) < wire.HeaderSize {
		if err := c.Wire.Fill(); err != nil {
			return lost
		}
	}
	c.Wire.Seq = c.Wire.Buffered()[3]
	p, err := c.Wire.ReadPacket(64 << 10)
	if err != nil || !wire.IsErr(p) {
		return lost
	}
	e, err := wire.ParseErr(p)
	if err != nil {
		return lost
	}
	return e
}

// infile passes a file from the client to the server, which has asked for it
// by the packet of n bytes at the start of its buffer. A server that asks
// without having been told to is not to be trusted with anything further.
func (s *Session) infile(c *pool.Conn, n int) error {
	fromClient, toServer := s.response.InfileSeq()
	if !s.facts.Flags.Has(lex.FlagLocalInfile) || !s.caps.Has(wire.LocalFiles) {
		s.response.InfileSent(toServer, fromClient-1) // the client has not seen the request
		return &lostError{server: c.Server, err: errors.New("the server asks for a file of the client, which the statement does not offer")}
	}
	if err := s.forward(c, n, true); err != nil {
		return err
	}
	s.client.Discard(s.cmd.size)
	s.cmd.size, s.cmd.packet, s.cmd.payload = 0, nil, nil
	var broken error // of the server: the client sends all of the file nevertheless
	for {
		size, err := s.infilePacket(c, fromClient, toServer, &broken)
		if err != nil {
			return err
		}
		fromClient++
		toServer++
		if size == 0 {
			s.response.InfileSent(toServer, fromClient)
			return broken
		}
	}
}

// infilePacket passes one packet on, unless broken, and returns its payload's
// size.
func (s *Session) infilePacket(c *pool.Conn, fromClient, toServer byte, broken *error) (int, error) {
	for len(s.client.Buffered()) < wire.HeaderSize {
		if err := s.client.Fill(); err != nil {
			return 0, errClientGone
		}
	}
	header := s.client.Buffered()[:wire.HeaderSize]
	if header[3] != fromClient && !s.client.Framed() {
		return 0, errClientGone
	}
	header[3] = toServer
	size := wire.PacketLen(header)
	for left := wire.HeaderSize + size; left > 0; {
		if len(s.client.Buffered()) == 0 {
			if err := s.client.Fill(); err != nil {
				return 0, errClientGone
			}
		}
		p := s.client.Buffered()
		p = p[:min(len(p), left)]
		if *broken == nil {
			if _, err := c.Wire.Write(p); err != nil {
				*broken = &lostError{server: c.Server, err: err}
			}
		}
		s.client.Discard(len(p))
		left -= len(p)
	}
	return size, nil
}
