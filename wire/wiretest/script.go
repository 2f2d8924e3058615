package wiretest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"

	"github.com/telamondb/telamon/wire"
)

// Step is one thing a fake does behind the login: expect a packet, send some,
// hang up. It works for servers and clients alike.
type Step func(p *Peer) error

// Script does steps one after the other.
func Script(steps ...Step) Step {
	return func(p *Peer) error {
		for i, step := range steps {
			if err := step(p); err != nil {
				return fmt.Errorf("step %d: %w", i+1, err)
			}
		}
		return nil
	}
}

// ExpectCommand reads a request and compares it.
func ExpectCommand(cmd wire.Command, arg string) Step {
	want := append([]byte{byte(cmd)}, arg...)
	return func(p *Peer) error {
		p.Seq = 0
		return expect(p, want)
	}
}

// ExpectQuery reads a COM_QUERY and compares its text. Clients with
// QueryAttributes send more before the text; that is not understood here.
func ExpectQuery(sql string) Step { return ExpectCommand(wire.ComQuery, sql) }

// Expect reads a packet that goes on from the last one and compares it.
func Expect(payload []byte) Step {
	return func(p *Peer) error { return expect(p, payload) }
}

func expect(p *Peer, want []byte) error {
	got, err := p.Read()
	if err != nil {
		return fmt.Errorf("waiting for %s: %w", excerpt(want), err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("got %s, want %s", excerpt(got), excerpt(want))
	}
	return nil
}

func excerpt(b []byte) string {
	const most = 200
	if len(b) <= most {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q... (%d bytes)", b[:most], len(b))
}

// ExpectClose waits for the other side to close, with or without COM_QUIT.
func ExpectClose() Step {
	return func(p *Peer) error {
		b, err := p.ReadCommand()
		if err == nil && len(b) == 1 && wire.Command(b[0]) == wire.ComQuit {
			b, err = p.ReadCommand()
		}
		if err == nil {
			return fmt.Errorf("got %s, want the end of the connection", excerpt(b))
		}
		if !IsClosed(err) {
			return err
		}
		return nil
	}
}

// Packets sends payloads as packets that go on from the last one received.
func Packets(payloads ...[]byte) Step {
	return func(p *Peer) error { return p.Send(payloads...) }
}

// Raw sends bytes as they are, headers included, whatever they are.
func Raw(b []byte) Step {
	return func(p *Peer) error {
		_, err := p.Write(b)
		return err
	}
}

// OK sends an OK packet; the peer's Status is added to its own.
func OK(ok wire.OK) Step {
	return func(p *Peer) error {
		ok := ok
		ok.Status |= p.Status
		return p.Send(ok.Append(nil, 0, p.Capabilities))
	}
}

// Err sends an ERR packet.
func Err(code uint16, message string) Step {
	e := wire.NewErr(code, "%s", message)
	return func(p *Peer) error { return p.Send(e.Append(nil)) }
}

// Rows sends a result set of text columns.
func Rows(columns []string, rows ...[]string) Step {
	return func(p *Peer) error {
		defs := make([]wire.ColumnDef, len(columns))
		for i, name := range columns {
			defs[i] = wire.TextColumn(name)
		}
		values := make([][]wire.Value, len(rows))
		for i, row := range rows {
			for _, text := range row {
				values[i] = append(values[i], wire.Value{Text: text})
			}
		}
		return p.SendResult(defs, values)
	}
}

// SendResult sends a result set.
func (p *Peer) SendResult(columns []wire.ColumnDef, rows [][]wire.Value) error {
	var b []byte
	b, p.Seq = wire.AppendTextResult(nil, p.Seq, p.Capabilities, p.Status, columns, rows)
	p.Queue(b)
	return p.Flush()
}

// Hangup closes the connection.
func Hangup() Step {
	return func(p *Peer) error { return p.Close() }
}

// Answer answers every request by what f sends, until the client says
// COM_QUIT or closes. arg is valid until f reads.
func Answer(f func(p *Peer, cmd wire.Command, arg []byte) error) Step {
	return func(p *Peer) error {
		for {
			b, err := p.ReadCommand()
			switch {
			case err != nil && IsClosed(err):
				return nil
			case err != nil:
				return err
			case len(b) == 0:
				return errors.New("empty request")
			case wire.Command(b[0]) == wire.ComQuit:
				return nil
			}
			if err := f(p, wire.Command(b[0]), b[1:]); err != nil {
				return err
			}
		}
	}
}

// IsClosed reports whether err says that the connection has ended, by whoever.
func IsClosed(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
