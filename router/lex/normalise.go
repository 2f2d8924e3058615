package lex

// normaliser builds the digest and, if asked to, the normalised text. Commas
// behind a literal or a row of literals are held back, because the list may
// go on and is then folded into "?, ..." or "(?), ...".
type normaliser struct {
	digest   uint64
	text     []byte
	wantText bool
	glue     bool // no blank before the next token

	state     listState
	held      bool // a comma is held back
	more      bool // "..." has been written for this list
	rowsMore  bool
	firstLit  bool // the list of literals began right behind a parenthesis
	candidate bool // this parenthesis may turn out to be a further row
	rowDigest uint64
	rowText   int
}

type listState uint8

const (
	listNone listState = iota
	listLiteral
	listRow
)

// Hashes of the tokens that are not words.
const (
	hashComma uint64 = 0xA0761D6478BD642F + iota
	hashLiteral
	hashMore
	hashOpen
	hashClose
	hashDot
	hashOp
	hashExecutable
)

// DigestText appends the normalised text of a statement to dst: literals as ?,
// lists of literals as one, words in lower case, single blanks, no comments,
// identifiers without quotes where they need none. Statements with the same
// text have the same Facts.Digest. Literals are not part of it: SET
// autocommit=0 and =1 have one digest, so never decide by digest alone.
func DigestText(dst, stmt []byte, mode Mode) []byte {
	var f Facts
	f.Stmt = stmt
	var s scanner
	s.init(stmt, mode, &f)
	s.wantText, s.careful = true, true
	s.run()
	return append(dst, s.text...)
}

// flush writes a comma held back. It is kept out of put, which is called for
// every token.
//
//go:noinline
func (n *normaliser) flush() {
	if n.held {
		n.held = false
		n.digest = mix(n.digest, hashComma)
		if n.wantText {
			n.text = append(n.text, ',')
		}
	}
	n.state, n.more = listNone, false
}

func (n *normaliser) put(hash uint64) {
	if n.state != listNone {
		n.flush()
	}
	n.digest = (n.digest + hash) * hashMul // mix, in a form the compiler inlines
}

// space appends the blank before a token.
func (n *normaliser) space() {
	if len(n.text) > 0 && !n.glue {
		n.text = append(n.text, ' ')
	}
	n.glue = false
}

func (s *scanner) textWord(start, end int) {
	s.space()
	s.text = appendLower(s.text, s.b[start:end])
}

// textQuoted drops the quotes of identifiers that need none. The hash is that
// of the bare word either way.
func (s *scanner) textQuoted(start, end int) {
	s.space()
	name := s.b[start:end]
	bare := s.lookupName(start, end) == nil && len(name) > 0 && byteClass[name[0]] != clDigit
	for _, c := range name {
		bare = bare && s.isWord[c]
	}
	if !bare {
		s.text = append(s.text, '`')
	}
	s.text = appendLower(s.text, name)
	if !bare {
		s.text = append(s.text, '`')
	}
}

func (s *scanner) emitVariable(start, end int) {
	_, hash := foldWord(s.b, start, end)
	s.put(hash)
	if s.wantText {
		s.space()
		s.text = appendLower(s.text, s.b[start:end])
	}
}

func (s *scanner) emitLiteral() {
	if s.state == listLiteral {
		if s.held && !s.more {
			s.more = true
			s.digest = mix(s.digest, hashMore)
			if s.wantText {
				s.text = append(s.text, ", ..."...)
			}
		}
		s.held = false
		return
	}
	s.put(hashLiteral)
	s.state = listLiteral
	s.firstLit = s.last.prev() == tokOpen
	if s.wantText {
		s.space()
		s.text = append(s.text, '?')
	}
}

func (s *scanner) comma() {
	if s.state != listNone && !s.held {
		s.held = true
		return
	}
	s.put(hashComma)
	if s.wantText {
		s.textMark(',')
	}
}

func (s *scanner) open() {
	s.candidate = s.state == listRow && s.held
	s.rowDigest, s.rowText = s.digest, len(s.text)
	s.put(hashOpen)
	if s.wantText {
		if s.last.prev() == tokQuoted || s.last.prev() == tokWord && s.last.prevKw() != kwValues &&
			(s.prevWord == 0 || words[s.prevWord].known&isFunction != 0) {
			s.glue = true
		}
		s.space()
		s.text = append(s.text, '(')
		s.glue = true
	}
}

func (s *scanner) close() {
	row := s.state == listLiteral && s.firstLit && !s.held
	if row && s.candidate {
		s.digest, s.text = s.rowDigest, s.text[:s.rowText]
		if !s.rowsMore {
			s.rowsMore = true
			s.digest = mix(s.digest, hashMore)
			if s.wantText {
				s.text = append(s.text, ", ..."...)
			}
		}
		s.glue = false
		s.state, s.candidate = listRow, false
		return
	}
	s.put(hashClose)
	if s.wantText {
		s.textMark(')')
	}
	if row {
		s.state, s.rowsMore = listRow, false
	}
}

// textMark appends a character with no blank before it.
func (s *scanner) textMark(c byte) {
	s.text = append(s.text, c)
	s.glue = false
}

func (s *scanner) textDot() {
	s.text = append(s.text, '.')
	s.glue = true
}

// emitOp emits an operator; an empty one is the semicolon.
func (s *scanner) emitOp(start, end int) {
	h := hashOp
	if end-start == 1 {
		h = opHash(s.b[start])
	} else {
		for _, c := range s.b[start:end] {
			h = (h ^ uint64(c)) * hashMul
		}
	}
	s.put(h)
	if !s.wantText {
		return
	}
	if start == end {
		s.textMark(';')
		return
	}
	s.space()
	s.text = append(s.text, s.b[start:end]...)
}

// opHash is the hash of an operator of one character.
func opHash(c byte) uint64 { return hashOp ^ uint64(c)<<8 }

func (s *scanner) emitExecutable(mark string) {
	s.put(hashExecutable + uint64(len(mark)))
	if s.wantText {
		s.space()
		s.text = append(s.text, mark...)
	}
}

func appendLower(dst, src []byte) []byte {
	for _, c := range src {
		if c-'A' < 26 {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}
