package compress

import (
	"bytes"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"

	"github.com/telamondb/telamon/wire"
)

// Algorithm is how contents are compressed, always at its fastest level. Pieces
// of 16 KiB, which is what there is to compress, become as short by it as by
// level 6 of zlib, in two thirds of the time, and within 5 % of level 3 of zstd
// (rows, JSON, text and machine code; BenchmarkWrite). The higher levels of zstd
// would cost tens of MiB: which one a client asks for is its wish about the
// processor of somebody else.
type Algorithm uint8

// The algorithms of the protocol.
const (
	Zlib Algorithm = iota
	Zstd
)

// String is the name of the algorithm in settings of servers and clients.
func (a Algorithm) String() string {
	if a == Zstd {
		return "zstd"
	}
	return "zlib"
}

// Negotiated returns the algorithm that capabilities stand for which both sides
// have, false for none. Where they have both, MySQL 9.7 takes zlib.
func Negotiated(caps wire.Capability) (a Algorithm, ok bool) {
	switch {
	case caps.Has(wire.Compress):
		return Zlib, true
	case caps.Has(wire.ZstdCompress):
		return Zstd, true
	}
	return 0, false
}

// Levels of zstd that a client may name, and the one it names if it does not care.
const (
	MinZstdLevel, MaxZstdLevel = 1, 22
	DefaultZstdLevel           = 3
)

// maxWindow is the largest window of a zstd stream that is accepted. A server
// or client that compresses at the highest levels uses as much as a frame can
// hold.
const maxWindow = 1 << 24

// keepBelow is the length of contents from which on what inflated them is left
// to the garbage collector, as it may hold a window of that size.
const keepBelow = 1 << 20

// inflater reads the contents of one compressed frame.
type inflater struct {
	io.Reader              // the contents
	frame     bytes.Reader // the frame
	keep      bool         // for the next frame
	more      [1]byte
}

var inflaters [2]sync.Pool

// inflate returns an inflater of a frame, which must not change before it is
// released.
func inflate(a Algorithm, frame []byte, contents int) (*inflater, error) {
	f, _ := inflaters[a].Get().(*inflater)
	if f == nil {
		f = &inflater{}
	}
	f.frame.Reset(frame)
	f.keep = contents < keepBelow
	if a == Zstd {
		return f, f.beginZstd()
	}
	return f, f.beginZlib()
}

func (f *inflater) beginZlib() (err error) {
	if f.Reader != nil {
		return f.Reader.(zlib.Resetter).Reset(&f.frame, nil)
	}
	f.Reader, err = zlib.NewReader(&f.frame)
	return err
}

func (f *inflater) beginZstd() (err error) {
	if f.Reader != nil {
		return f.Reader.(*zstd.Decoder).Reset(&f.frame)
	}
	f.Reader, err = zstd.NewReader(&f.frame, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow))
	return err
}

var (
	errMore   = errors.New("it inflates to more than it says")
	errBehind = errors.New("bytes behind its contents")
)

// end is called when all contents have been read. The stream must be at its
// end, where its checksum is, and so must the frame.
func (f *inflater) end() error {
	n, err := f.Read(f.more[:])
	switch {
	case n > 0:
		return errMore
	case err != io.EOF:
		return err
	case f.frame.Len() > 0:
		return errBehind
	}
	return nil
}

func (f *inflater) release(a Algorithm) {
	f.frame.Reset(nil)
	if f.keep {
		inflaters[a].Put(f)
	}
}

// deflater makes frames.
type deflater struct {
	out  []byte
	zlib *zlib.Writer
	zstd *zstd.Encoder
}

var deflaters [2]sync.Pool

func deflaterFor(a Algorithm) *deflater {
	if d, ok := deflaters[a].Get().(*deflater); ok {
		return d
	}
	d := &deflater{}
	var err error
	if a == Zstd {
		d.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithEncoderCRC(false), zstd.WithWindowSize(maxContents), zstd.WithLowerEncoderMem(true))
	} else {
		d.zlib, err = zlib.NewWriterLevel(d, zlib.BestSpeed)
	}
	if err != nil {
		panic(err) // an option out of its range
	}
	return d
}

func (d *deflater) release(a Algorithm) { deflaters[a].Put(d) }

// Write takes what zlib puts out.
func (d *deflater) Write(p []byte) (int, error) {
	d.out = append(d.out, p...)
	return len(p), nil
}

// frame returns contents as a frame, valid until the next call. Contents that
// do not become shorter are stored.
func (d *deflater) frame(seq byte, contents []byte) []byte {
	var header [headerSize]byte
	d.out = append(d.out[:0], header[:]...)
	if len(contents) >= minContents {
		d.compress(contents)
	}
	before := len(contents)
	if size := len(d.out) - headerSize; size == 0 || size >= len(contents) {
		d.out = append(d.out[:headerSize], contents...)
		before = 0
	}
	size := len(d.out) - headerSize
	d.out[0], d.out[1], d.out[2], d.out[3] = byte(size), byte(size>>8), byte(size>>16), seq
	d.out[4], d.out[5], d.out[6] = byte(before), byte(before>>8), byte(before>>16)
	return d.out
}

func (d *deflater) compress(contents []byte) {
	if d.zstd != nil {
		d.out = d.zstd.EncodeAll(contents, d.out)
		return
	}
	d.zlib.Reset(d)
	_, _ = d.zlib.Write(contents) // d.Write does not fail
	_ = d.zlib.Close()
}
