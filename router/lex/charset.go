package lex

// Charset groups the character sets a client may use by what they mean for a
// lexer. The zero value is UTF-8.
type Charset uint8

// The groups. In the four multi-byte groups the trail byte of a character may
// be an ASCII byte such as \ or `, so that only a reader who knows the set
// finds the end of a string.
const (
	// CharsetUTF8 is utf8mb3 and utf8mb4: no ASCII byte occurs inside a
	// character, bytes from 0x80 belong to words.
	CharsetUTF8 Charset = iota
	// CharsetSingle is every set without ASCII trail bytes that is not UTF-8:
	// latin1, cp1251, ..., and the EUC family (ujis, eucjpms, euckr, gb2312).
	// Bytes from 0x80 may be letters or blanks, depending on the set.
	CharsetSingle
	// CharsetGBK is gbk.
	CharsetGBK
	// CharsetSJIS is sjis and cp932.
	CharsetSJIS
	// CharsetBig5 is big5.
	CharsetBig5
	// CharsetGB18030 is gb18030, with characters of up to four bytes.
	CharsetGB18030
)

// CharsetByName returns the group of a character set by the server's name for
// it, in lower case as character_set_client reports it. Unknown names are
// CharsetSingle; the multi-byte sets of both servers are all known here.
func CharsetByName(name string) Charset {
	switch name {
	case "utf8", "utf8mb3", "utf8mb4":
		return CharsetUTF8
	case "gbk":
		return CharsetGBK
	case "sjis", "cp932":
		return CharsetSJIS
	case "big5":
		return CharsetBig5
	case "gb18030":
		return CharsetGB18030
	}
	return CharsetSingle
}

// asciiTrail reports whether a trail byte of the set may be an ASCII byte.
func (c Charset) asciiTrail() bool { return c >= CharsetGBK }

func within(b, lo, hi byte) bool { return b >= lo && b <= hi }

// charLen returns the length in bytes of the multi-byte character at the start
// of b, or 0 if there is none. As in the server (my_ismbchar of strings/ctype-*.c)
// a lead byte without a valid trail byte is no character: it is read alone.
func (c Charset) charLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	b0, b1 := b[0], b[1]
	switch c {
	case CharsetGBK:
		if within(b0, 0x81, 0xFE) && (within(b1, 0x40, 0x7E) || within(b1, 0x80, 0xFE)) {
			return 2
		}
	case CharsetSJIS:
		if (within(b0, 0x81, 0x9F) || within(b0, 0xE0, 0xFC)) &&
			(within(b1, 0x40, 0x7E) || within(b1, 0x80, 0xFC)) {
			return 2
		}
	case CharsetBig5:
		if within(b0, 0xA1, 0xF9) && (within(b1, 0x40, 0x7E) || within(b1, 0xA1, 0xFE)) {
			return 2
		}
	case CharsetGB18030:
		if !within(b0, 0x81, 0xFE) {
			return 0
		}
		if within(b1, 0x40, 0x7E) || within(b1, 0x80, 0xFE) {
			return 2
		}
		if len(b) >= 4 && within(b1, 0x30, 0x39) && within(b[2], 0x81, 0xFE) && within(b[3], 0x30, 0x39) {
			return 4
		}
	}
	return 0
}
