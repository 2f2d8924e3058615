package compress

import (
	"bytes"
	stdzlib "compress/zlib"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/telamondb/telamon/wire"
	"github.com/telamondb/telamon/wire/wiretest"
)

// plainly reads frames in the plainest way, whole and one after the other, and
// returns the contents up to the first frame that is wrong.
func plainly(a Algorithm, b []byte) (contents []byte, err error) {
	for next := byte(0); len(b) > 0; {
		if len(b) < headerSize {
			return contents, io.ErrUnexpectedEOF
		}
		size, seq, before := wire.PacketLen(b), b[3], wire.PacketLen(b[4:])
		if seq != next && seq != 0 {
			return contents, wire.ErrSequence
		}
		next = seq + 1
		if b = b[headerSize:]; len(b) < size {
			return contents, io.ErrUnexpectedEOF
		}
		body := b[:size]
		if before > 0 {
			if body, err = unpack(a, body, before); err != nil {
				return contents, err
			}
		}
		contents = append(contents, body...)
		b = b[size:]
	}
	return contents, nil
}

func unpack(a Algorithm, body []byte, want int) ([]byte, error) {
	if a == Zstd {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		p, err := d.DecodeAll(body, make([]byte, 0, want))
		if err == nil && len(p) != want {
			err = ErrFrame
		}
		return p, err
	}
	in := bytes.NewReader(body)
	r, err := stdzlib.NewReader(in)
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(io.LimitReader(r, int64(want)+1))
	if err == nil && (len(p) != want || in.Len() > 0) {
		err = ErrFrame
	}
	return p, err
}

// FuzzRead compares with the plain reader. Where that finds an error, the Conn
// must find one too, having yielded nothing else before.
func FuzzRead(f *testing.F) {
	for _, a := range algorithms {
		isZstd := a == Zstd
		f.Add(isZstd, stored(0, "abc"), uint16(1))
		f.Add(isZstd, append(packed(f, a, 0, rows(300)), stored(1, "abc")...), uint16(100))
		f.Add(isZstd, append(header(3, 0, 200), "abc"...), uint16(7))
		f.Add(isZstd, packed(f, a, 0, make([]byte, 100_000)), uint16(3000))
	}
	f.Fuzz(func(t *testing.T, isZstd bool, b []byte, chunk uint16) {
		a := Zlib
		if isZstd {
			a = Zstd
		}
		want, wantErr := plainly(a, b)
		m := &memory{}
		_, _ = m.Buffer.Write(b)
		c := Server(wiretest.NewFaultConn(m, wiretest.Faults{Chunk: int(chunk) + 1}), a)
		got, err := io.ReadAll(c)
		switch {
		case (err == nil) != (wantErr == nil):
			t.Fatalf("%v, the plain reader has %v", err, wantErr)
		case !bytes.HasPrefix(got, want):
			t.Fatalf("%d bytes, which do not begin with the %d of the plain reader", len(got), len(want))
		case err == nil && len(got) != len(want):
			t.Fatalf("%d bytes more than the plain reader has", len(got)-len(want))
		case c.buf != nil && c.r == c.w:
			t.Fatal("holds an empty buffer")
		}
	})
}
