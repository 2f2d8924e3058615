package load

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// shape is what kind of answer a command has.
type shape int

const (
	shapeOK   shape = iota // one OK packet
	shapeRows              // a result set
)

// expect is the one right answer to a request.
type expect struct {
	shape    shape
	affected uint64 // of an OK
	rows     int
	sum      uint32 // crc32c of all row payloads in order
	inTrans  bool   // SERVER_STATUS_IN_TRANS afterwards
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// stage is what the next packet of an answer is.
type stage int

const (
	stageFirst       stage = iota // OK, ERR or column count
	stageDefinitions              // column definitions
	stageEOF                      // the EOF after them, without CLIENT_DEPRECATE_EOF
	stageRows                     // rows up to the terminator
	stageDone
)

// headLimit is how much of a packet is kept for parsing: all of an OK, and
// enough of an ERR.
const headLimit = 256

// scanner follows one answer through bytes cut anywhere. It keeps only the head
// of the current packet.
type scanner struct {
	deprecateEOF bool
	want         expect

	stage   stage
	columns uint64
	rows    int
	sum     uint32
	seq     byte

	header  [4]byte
	nheader int
	left    int // payload bytes of the current packet still to come
	size    int
	isRow   bool
	head    [headLimit]byte
	nhead   int
}

// start prepares for the answer to a command.
func (s *scanner) start(want expect) {
	s.want = want
	s.stage, s.columns, s.rows, s.sum = stageFirst, 0, 0, 0
	s.seq, s.nheader = 1, 0
}

// feed takes the next bytes. It reports whether the answer is complete; it must
// end exactly with p. An ERR or any difference from what was expected is an
// error, after which the scanner is of no more use.
func (s *scanner) feed(p []byte) (done bool, err error) {
	for len(p) > 0 {
		if s.stage == stageDone {
			return false, fmt.Errorf("%d bytes after the end of the answer", len(p))
		}
		if s.nheader < 4 {
			n := copy(s.header[s.nheader:], p)
			s.nheader += n
			p = p[n:]
			if s.nheader < 4 {
				break
			}
			if err := s.beginPacket(); err != nil {
				return false, err
			}
			if len(p) == 0 {
				break
			}
		}
		n := min(s.left, len(p))
		s.take(p[:n])
		p = p[n:]
		if s.left == 0 {
			s.nheader = 0
			if err := s.endPacket(); err != nil {
				return false, err
			}
		}
	}
	return s.stage == stageDone, nil
}

func (s *scanner) beginPacket() error {
	s.size = int(s.header[0]) | int(s.header[1])<<8 | int(s.header[2])<<16
	if s.header[3] != s.seq {
		return fmt.Errorf("packet sequence %d, want %d", s.header[3], s.seq)
	}
	if s.size == 0 || s.size == 1<<24-1 {
		return fmt.Errorf("packet of %d bytes in an answer that has none such", s.size)
	}
	s.seq++
	s.left, s.nhead, s.isRow = s.size, 0, false
	return nil
}

// take consumes payload bytes of the current packet.
func (s *scanner) take(p []byte) {
	first := s.nhead == 0
	if s.nhead < headLimit {
		s.nhead += copy(s.head[s.nhead:], p)
	}
	if s.stage == stageRows {
		if first {
			s.isRow = !s.terminates()
		}
		if s.isRow {
			s.sum = crc32.Update(s.sum, castagnoli, p)
		}
	}
	s.left -= len(p)
}

// terminates reports whether the current packet ends the rows. A row that
// starts with 0xfe is longer: its first value has 2^24 bytes or more.
func (s *scanner) terminates() bool {
	return s.head[0] == 0xff || s.head[0] == 0xfe && (s.deprecateEOF || s.size < 9)
}

func (s *scanner) endPacket() error {
	head := s.head[:s.nhead]
	if head[0] == 0xff && s.stage != stageDefinitions {
		return serverError(head)
	}
	switch s.stage {
	case stageFirst:
		return s.first(head)
	case stageDefinitions:
		if s.columns--; s.columns == 0 {
			s.stage = stageEOF
			if s.deprecateEOF {
				s.stage = stageRows
			}
		}
	case stageEOF:
		if head[0] != 0xfe || s.size != 5 {
			return fmt.Errorf("no EOF after the column definitions")
		}
		s.stage = stageRows
	case stageRows:
		if s.isRow {
			s.rows++
			return nil
		}
		return s.finish(head)
	}
	return nil
}

func (s *scanner) first(head []byte) error {
	if head[0] == 0 {
		if s.want.shape != shapeOK {
			return fmt.Errorf("OK instead of a result set")
		}
		affected, rest := lenenc(head[1:])
		if affected != s.want.affected {
			return fmt.Errorf("%d rows affected, want %d", affected, s.want.affected)
		}
		_, rest = lenenc(rest)
		return s.ended(rest)
	}
	if s.want.shape != shapeRows {
		return fmt.Errorf("result set instead of OK")
	}
	s.columns, _ = lenenc(head)
	if s.columns == 0 || head[0] >= 0xfb {
		return fmt.Errorf("column count packet starts with %#x", head[0])
	}
	s.stage = stageDefinitions
	return nil
}

func (s *scanner) finish(head []byte) error {
	if s.rows != s.want.rows || s.sum != s.want.sum {
		return fmt.Errorf("%d rows with checksum %08x, want %d with %08x", s.rows, s.sum, s.want.rows, s.want.sum)
	}
	if !s.deprecateEOF {
		if len(head) < 5 {
			return fmt.Errorf("EOF of %d bytes", len(head))
		}
		return s.ended(head[3:])
	}
	_, rest := lenenc(head[1:])
	_, rest = lenenc(rest)
	return s.ended(rest)
}

// ended checks the status flags, which rest starts with.
func (s *scanner) ended(rest []byte) error {
	if len(rest) < 2 {
		return fmt.Errorf("last packet ends before its status flags")
	}
	status := binary.LittleEndian.Uint16(rest)
	const inTrans, moreResults = 1, 8
	if status&moreResults != 0 {
		return fmt.Errorf("more results announced")
	}
	if got := status&inTrans != 0; got != s.want.inTrans {
		return fmt.Errorf("in a transaction: %t, want %t", got, s.want.inTrans)
	}
	s.stage = stageDone
	return nil
}

// serverError makes an error of an ERR packet.
func serverError(p []byte) error {
	if len(p) < 3 {
		return fmt.Errorf("server: ERR of %d bytes", len(p))
	}
	code, text := binary.LittleEndian.Uint16(p[1:]), p[3:]
	if len(text) >= 6 && text[0] == '#' {
		text = text[6:]
	}
	return fmt.Errorf("server: error %d: %s", code, text)
}

// lenenc reads a length-encoded integer; rest is empty if p is too short.
func lenenc(p []byte) (v uint64, rest []byte) {
	if len(p) == 0 {
		return 0, nil
	}
	n := 0
	switch p[0] {
	case 0xfc:
		n = 2
	case 0xfd:
		n = 3
	case 0xfe:
		n = 8
	default:
		return uint64(p[0]), p[1:]
	}
	if len(p) < 1+n {
		return 0, nil
	}
	for i := n; i > 0; i-- {
		v = v<<8 | uint64(p[i])
	}
	return v, p[1+n:]
}
