package wiretest

import (
	"crypto/tls"
	"fmt"

	"github.com/telamondb/telamon/wire"
)

// maxPayload bounds what a fake reads.
const maxPayload = 128 << 20

// Peer is a fake's side of a connection behind the login. It is not safe for
// concurrent use.
type Peer struct {
	*wire.Conn
	// Capabilities both sides have agreed on.
	Capabilities wire.Capability
	Greeting     wire.HandshakeV10
	Login        wire.HandshakeResponse
	// Status goes into every OK and EOF that the steps send.
	Status wire.Status
	// Info is what the OK of a client's login said.
	Info []byte
	// TLSConn is a client's TLS, for what goes on below the packets.
	TLSConn *tls.Conn
}

// Send sends payloads as packets that go on from the last one received.
func (p *Peer) Send(payloads ...[]byte) error {
	for _, b := range payloads {
		p.WritePacket(b)
	}
	return p.Flush()
}

// Command sends a request; its reply begins at sequence id 1.
func (p *Peer) Command(cmd wire.Command, arg string) error {
	p.StartCommand()
	return p.Send(append([]byte{byte(cmd)}, arg...))
}

// ReadCommand returns the next request, command byte included, valid until the
// next read.
func (p *Peer) ReadCommand() ([]byte, error) {
	p.StartCommand()
	return p.ReadPacket(maxPayload)
}

// Read returns the next packet of an exchange, valid until the next read.
func (p *Peer) Read() ([]byte, error) { return p.ReadPacket(maxPayload) }

// Result is one result of a statement: either rows (Columns is not nil) or an
// OK. Final is the OK or EOF at its end.
type Result struct {
	Columns []wire.ColumnDef
	Rows    [][]wire.Value
	Final   wire.OK
}

// Query sends a statement as a client and reads the whole reply, of several
// results if there are. An ERR packet, at whatever place, is returned as a
// *wire.Err along with the results before it. It works packet by packet, in the
// plainest way, to be the measure for code that is cleverer.
func (p *Peer) Query(sql string) ([]Result, error) {
	if err := p.Command(wire.ComQuery, sql); err != nil {
		return nil, err
	}
	var results []Result
	for {
		r, err := p.readResult()
		if err != nil {
			return results, err
		}
		results = append(results, r)
		if !r.Final.Status.Has(wire.MoreResultsExist) {
			return results, nil
		}
	}
}

func (p *Peer) readResult() (Result, error) {
	b, err := p.readOrErr()
	if err != nil {
		return Result{}, err
	}
	if b[0] == 0 {
		ok, err := p.parseOK(b)
		return Result{Final: ok}, err
	}
	count, err := wire.ParseColumnCount(b)
	if err != nil {
		return Result{}, err
	}
	r := Result{Columns: make([]wire.ColumnDef, count)}
	for i := range r.Columns {
		if b, err = p.readOrErr(); err != nil {
			return r, err
		}
		if err := r.Columns[i].Parse(b, p.Capabilities); err != nil {
			return r, err
		}
	}
	if !p.Capabilities.Has(wire.DeprecateEOF) {
		if b, err = p.readOrErr(); err != nil {
			return r, err
		}
		if _, err := wire.ParseEOF(b); err != nil {
			return r, err
		}
	}
	return r, p.readRows(&r)
}

func (p *Peer) readRows(r *Result) error {
	for {
		b, err := p.readOrErr()
		if err != nil {
			return err
		}
		if wire.IsEOF(b) && !p.Capabilities.Has(wire.DeprecateEOF) {
			eof, err := wire.ParseEOF(b)
			r.Final = wire.OK{Status: eof.Status, Warnings: eof.Warnings}
			return err
		}
		if b[0] == 0xfe && len(b) < wire.MaxPayload && p.Capabilities.Has(wire.DeprecateEOF) {
			r.Final, err = p.parseOK(b)
			return err
		}
		fields, err := wire.ParseTextRow(nil, b, len(r.Columns))
		if err != nil {
			return err
		}
		row := make([]wire.Value, len(fields))
		for i, f := range fields {
			row[i] = wire.Value{Text: string(f), Null: f == nil}
		}
		r.Rows = append(r.Rows, row)
	}
}

// parseOK reads an OK whose slices outlive the packet.
func (p *Peer) parseOK(b []byte) (wire.OK, error) {
	return wire.ParseOK(append([]byte(nil), b...), p.Capabilities)
}

// readOrErr reads a packet that is not empty; an ERR packet becomes the error.
func (p *Peer) readOrErr() ([]byte, error) {
	b, err := p.Read()
	switch {
	case err != nil:
		return nil, err
	case len(b) == 0:
		return nil, fmt.Errorf("%w: empty packet", wire.ErrMalformed)
	case wire.IsErr(b):
		e, err := wire.ParseErr(b)
		if err != nil {
			return nil, err
		}
		return nil, e
	}
	return b, nil
}
