package lex

import (
	"bytes"
	"math/bits"
)

// Scan reads one statement text (the payload of COM_QUERY or COM_STMT_PREPARE
// without the command byte) and fills f with its facts. It keeps stmt in f.
func Scan(stmt []byte, mode Mode, f *Facts) {
	*f = Facts{Stmt: stmt, Mode: mode}
	var s scanner
	s.init(stmt, mode, f)
	s.run()
	f.Digest = s.digest
}

// tokenKind is what the scanner remembers of a token.
type tokenKind uint8

const (
	tokNone    tokenKind = iota // beginning of a statement
	tokWord                     // unquoted, keyword or name
	tokQuoted                   // quoted identifier
	tokLiteral                  // string, number or ?
	tokVar                      // @x or @@x
	tokOpen
	tokClose
	tokComma
	tokDot
	tokOp
)

// lastTokens holds kind and keyword of the last two tokens in one word, because
// it is written for every token: kind2, keyword2, kind, keyword.
type lastTokens uint32

func (l lastTokens) prev() tokenKind  { return tokenKind(l >> 8) }
func (l lastTokens) prevKw() keyword  { return keyword(l) }
func (l lastTokens) prev2() tokenKind { return tokenKind(l >> 24) }
func (l lastTokens) prev2Kw() keyword { return keyword(l >> 16) }

// scanner is the state of one Scan. It lives on the stack.
type scanner struct {
	b      []byte // the statement without trailing blanks and semicolons
	f      *Facts
	isWord *[256]bool // bytes that continue a word
	mode   Mode
	need   uint8 // the known bits a word must have not to be a stored function
	tight  uint8 // the tight bits that count

	// The last two tokens. prevWord, prevHash, prevStart and prevEnd describe
	// the last word or quoted identifier (without its quotes).
	last      lastTokens
	prevWord  *word
	prevHash  uint64
	prevStart int
	prevEnd   int // end of the last token, quotes included

	statement
	normaliser

	wantString  bool   // keep the content of the first string
	firstString []byte // unescaped

	exec        int  // depth of executable comments
	boundary    bool // the last token was the edge of an executable comment
	modeChanged bool // an earlier statement of the packet may have changed how this one is read
}

// statement is what the scanner knows of the current statement.
type statement struct {
	phase      phase
	class      Class
	inner      Class
	show       ShowKind
	verb       keyword
	verbEnd    int
	depth      int  // of parentheses
	verbDepth  int  // depth at the verb
	explain    bool // a verb still to come is that of the explained statement
	where      bool
	sawSelect  bool
	into       bool
	insertCols bool // the next parenthesis behind a name is a list of columns
	temporary  bool
	setItem    bool // the next word of a SET names what is set
	setScope   keyword
	haveName   bool

	// Stored programs and blocks, whose statements end in ; too.
	program    bool
	block      bool
	blockDepth int
	pendingEnd bool // END seen, what it ends follows
	innerDML   bool // inside an UPDATE or DELETE of a block
	innerWhere bool
}

func (s *scanner) init(stmt []byte, mode Mode, f *Facts) {
	s.f, s.mode = f, mode
	n := len(stmt)
	for n > 0 && (stmt[n-1] == ';' || byteClass[stmt[n-1]] == clSpace) {
		n--
	}
	s.b = stmt[:n]
	s.isWord = &wordBytes
	if mode.Charset != CharsetUTF8 {
		s.isWord = &wordBytesASCII
	}
	switch mode.Flavor {
	case FlavorMySQL:
		s.need, s.tight = knownMySQL, tightInMySQL
	case FlavorMariaDB:
		s.need, s.tight = knownMariaDB, tightInMariaDB
	default:
		s.need, s.tight = knownMySQL|knownMariaDB, tightInMySQL|tightInMariaDB
	}
	if mode.IgnoreSpace {
		s.tight = 0
	}
	s.statement.depth = 0
}

// run is the loop over the tokens.
func (s *scanner) run() {
	b := s.b
	for i := 0; i < len(b); {
		switch c := b[i]; byteClass[c] {
		case clSpace:
			i++
		case clWord:
			i = s.word(i)
		case clDigit:
			i = s.number(i)
		case clSingleQuote:
			i = s.literal(s.str(i))
		case clDoubleQuote:
			if s.mode.ANSIQuotes {
				i = s.quoted(i)
			} else {
				i = s.literal(s.str(i))
			}
		case clBacktick:
			i = s.quoted(i)
		case clDot:
			i = s.dot(i)
		case clOpen:
			if s.last.prev() == tokWord || s.last.prev() == tokQuoted {
				s.call(i)
			}
			s.open()
			s.depth++
			s.shift(tokOpen, 0, i+1)
			i++
		case clClose:
			s.depth--
			s.close()
			s.shift(tokClose, 0, i+1)
			i++
		case clComma:
			s.comma()
			if s.phase != phBody {
				s.phaseComma()
			}
			s.shift(tokComma, 0, i+1)
			i++
		case clSemicolon:
			s.semicolon()
			i++
		case clAt:
			i = s.variable(i)
		case clQuestion:
			s.f.Flags |= FlagPlaceholder
			i = s.literal(i + 1)
		case clSlash:
			if i+1 < len(b) && b[i+1] == '*' {
				i = s.comment(i)
			} else {
				i = s.op(i)
			}
		case clStar:
			if s.exec > 0 && i+1 < len(b) && b[i+1] == '/' {
				i = s.endExecutable(i)
			} else {
				i = s.op(i)
			}
		case clHash:
			i = s.lineComment(i)
		case clDash:
			if s.isDashComment(i) {
				i = s.lineComment(i)
			} else {
				i = s.op(i)
			}
		case clHigh:
			if s.mode.Charset == CharsetUTF8 {
				i = s.word(i)
			} else {
				i = s.foreign(i)
			}
		case clNUL:
			// No statement contains it (measured: 1064 on both flavours).
			s.f.Flags |= FlagUnterminated
			i = s.op(i)
		default:
			i = s.op(i)
		}
	}
	s.finish()
}

// shift makes a token the last one.
func (s *scanner) shift(kind tokenKind, kw keyword, end int) {
	if s.phase == phStart && kind != tokOpen {
		s.phase, s.class = phBody, Unknown
	}
	s.last = s.last<<16 | lastTokens(kind)<<8 | lastTokens(kw)
	s.prevEnd = end
}

// word reads an unquoted word or one of the literals that begin like one.
func (s *scanner) word(start int) int {
	b, isWord := s.b, s.isWord
	i := start + 1
	for i < len(b) && isWord[b[i]] {
		i++
	}
	if i < len(b) && b[i] == '\'' && i == start+1 {
		switch b[start] {
		case 'x', 'X', 'b', 'B', 'n', 'N':
			return s.literal(s.str(i))
		}
	}
	lo, hi, hash := foldWord(b, start, i)
	w := lookup(b, start, i, lo, hi)
	if w != nil && isListLiteral(w.kw) && (s.last.prev() == tokOpen || s.last.prev() == tokComma) {
		return s.literal(i)
	}
	s.put(hash)
	if s.wantText {
		s.textWord(start, i)
	}
	var kw keyword
	if w != nil {
		kw = w.kw
	}
	if s.phase != phBody || kw != 0 || s.boundary || s.pendingEnd {
		s.grammar(kw, start, i)
	}
	s.prevWord, s.prevHash, s.prevStart = w, hash, start
	s.shift(tokWord, kw, i)
	return i
}

// isListLiteral reports whether the word counts as a literal in a list, so
// that (1, NULL) and (1, 2) have one digest.
func isListLiteral(kw keyword) bool {
	return kw == kwNull || kw == kwTrue || kw == kwFalse || kw == kwDefault
}

// qualified reads the word behind a dot: always a name, even if it looks like
// a keyword (MY_LEX_IDENT_SEP in sql/sql_lex.cc).
func (s *scanner) qualified(start int) int {
	b, isWord := s.b, s.isWord
	i := start
	for i < len(b) && isWord[b[i]] {
		i++
	}
	lo, _, hash := foldWord(b, start, i)
	s.put(hash)
	if s.wantText {
		s.textWord(start, i)
	}
	if s.mode.Flavor != FlavorMySQL && (lo == nextvalWord && i-start == 7 || lo == currvalWord && i-start == 7) {
		s.f.Flags |= FlagSequence
	}
	if s.phase != phBody {
		s.name(start, i)
	}
	s.prevWord, s.prevHash, s.prevStart = nil, hash, start
	s.shift(tokWord, 0, i)
	return i
}

const (
	nextvalWord = 'n' | 'e'<<8 | 'x'<<16 | 't'<<24 | 'v'<<32 | 'a'<<40 | 'l'<<48
	currvalWord = 'c' | 'u'<<8 | 'r'<<16 | 'r'<<24 | 'v'<<32 | 'a'<<40 | 'l'<<48
)

// dot reads a dot and, if it joins two names, the name behind it.
func (s *scanner) dot(i int) int {
	b := s.b
	joined := s.prevEnd == i && i > 0 && (s.last.prev() == tokWord || s.last.prev() == tokQuoted || s.last.prev() == tokVar)
	if !joined && i+1 < len(b) && byteClass[b[i+1]] == clDigit {
		return s.number(i)
	}
	if isServerSchema(s.last.prevKw()) || s.last.prev() == tokQuoted && s.quotedServerSchema() {
		s.f.Flags |= FlagServerSchema
	}
	s.put(hashDot)
	if s.wantText {
		s.textDot()
	}
	s.shift(tokDot, 0, i+1)
	if joined && i+1 < len(b) && s.isWord[b[i+1]] {
		return s.qualified(i + 1)
	}
	return i + 1
}

func isServerSchema(kw keyword) bool { return kw >= kwInformationSchema && kw <= kwSys }

// quotedServerSchema does the same for a quoted identifier, most of which have
// another length.
func (s *scanner) quotedServerSchema() bool {
	switch s.prevNameLen() {
	case len("sys"), len("mysql"), len("information_schema"):
		w := s.lookupName(s.prevStart, s.prevEnd-1)
		return w != nil && isServerSchema(w.kw)
	}
	return false
}

// number reads a number, or a name that begins with a digit such as 1a.
func (s *scanner) number(start int) int {
	b := s.b
	i := start
	for i < len(b) && byteClass[b[i]] == clDigit {
		i++
	}
	if i < len(b) && s.isWord[b[i]] {
		j := i
		for j < len(b) && s.isWord[b[j]] {
			j++
		}
		if !isNumber(b[start:j]) {
			if j < len(b) && (b[j] == '+' || b[j] == '-') && isMantissa(b[start:j]) &&
				j+1 < len(b) && byteClass[b[j+1]] == clDigit {
				return s.numberEnd(start, digits(b, j+1))
			}
			return s.word(start)
		}
		return s.numberEnd(start, j)
	}
	if i < len(b) && b[i] == '.' {
		i = digits(b, i+1)
		if i < len(b) && b[i]|0x20 == 'e' {
			j := i + 1
			if j < len(b) && (b[j] == '+' || b[j] == '-') {
				j++
			}
			if j < len(b) && byteClass[b[j]] == clDigit {
				i = digits(b, j)
			}
		}
	}
	return s.numberEnd(start, i)
}

func (s *scanner) numberEnd(start, end int) int {
	if s.phase == phKill {
		s.killID(start, end)
	}
	return s.literal(end)
}

func digits(b []byte, i int) int {
	for i < len(b) && byteClass[b[i]] == clDigit {
		i++
	}
	return i
}

// isNumber reports whether a word beginning with a digit is 0x41, 0b1 or 1e5.
func isNumber(w []byte) bool {
	if len(w) > 2 && w[0] == '0' && (w[1] == 'x' || w[1] == 'b') {
		for _, c := range w[2:] {
			if w[1] == 'b' && c != '0' && c != '1' || w[1] == 'x' && !isHex(c) {
				return false
			}
		}
		return true
	}
	i := digits(w, 0)
	return i < len(w)-1 && w[i]|0x20 == 'e' && digits(w, i+1) == len(w)
}

func isHex(c byte) bool { return c-'0' < 10 || c|0x20-'a' < 6 }

// isMantissa reports whether w is digits and an e, the beginning of 1e+5.
func isMantissa(w []byte) bool {
	i := digits(w, 0)
	return i == len(w)-1 && w[i]|0x20 == 'e'
}

// str reads a string from its opening quote and returns its end.
func (s *scanner) str(start int) int {
	b, quote := s.b, s.b[start]
	multibyte := s.mode.Charset.asciiTrail()
	doubtful := false
	for i := start + 1; i < len(b); i++ {
		switch c := b[i]; {
		case c == quote:
			if i+1 < len(b) && b[i+1] == quote {
				i++
				continue
			}
			if s.exec > 0 {
				s.checkHidden(start, i)
			}
			if s.wantString && s.firstString == nil {
				s.firstString = s.unescape(start+1, i, quote)
			}
			if s.modeChanged && (doubtful || quote == '"') {
				s.f.Flags |= FlagUncertain
			}
			return i + 1
		case c == '\\':
			doubtful = true
			if !s.mode.NoBackslashEscapes {
				i++
			}
		case c >= 0x80:
			doubtful = true
			if multibyte {
				if n := s.mode.Charset.charLen(b[i:]); n > 0 {
					i += n - 1
				}
			}
		}
	}
	s.unterminated(start)
	return len(b)
}

// unescape returns the content of a string as the server would store it.
func (s *scanner) unescape(start, end int, quote byte) []byte {
	out := make([]byte, 0, end-start)
	for i := start; i < end; i++ {
		c := s.b[i]
		if n := s.mode.Charset.charLen(s.b[i:end]); n > 0 {
			out = append(out, s.b[i:i+n]...)
			i += n - 1
			continue
		}
		if (c == quote || c == '\\' && !s.mode.NoBackslashEscapes) && i+1 < end {
			i++
			c = s.b[i]
			if e := bytes.IndexByte([]byte("ntr0bZ"), c); e >= 0 && s.b[i-1] == '\\' {
				c = "\n\t\r\x00\b\x1A"[e]
			}
		}
		out = append(out, c)
	}
	return out
}

// unterminated notes that a token that began at start has no end.
func (s *scanner) unterminated(start int) {
	s.f.Flags |= FlagUnterminated
	if s.modeChanged {
		s.f.Flags |= FlagUncertain
	}
	s.checkHidden(start, len(s.b))
}

// checkHidden looks at a quoted token or comment inside an executable comment:
// a server that skips the comment looks for its end there.
func (s *scanner) checkHidden(start, end int) {
	if s.exec > 0 && (bytes.Contains(s.b[start:end], endComment) || bytes.Contains(s.b[start:end], beginComment)) {
		s.f.Flags |= FlagUncertain
	}
}

var (
	beginComment = []byte("/*")
	endComment   = []byte("*/")
)

// literal makes the literal that ends before end a token.
func (s *scanner) literal(end int) int {
	s.emitLiteral()
	s.setItem = false
	s.shift(tokLiteral, 0, end)
	return end
}

// quoted reads a quoted identifier.
func (s *scanner) quoted(start int) int {
	b, quote := s.b, s.b[start]
	i := start + 1
	for ; i < len(b); i++ {
		c := b[i]
		if c == quote {
			if i+1 < len(b) && b[i+1] == quote {
				i++
				continue
			}
			break
		}
		if c >= 0x80 {
			i += s.quotedChar(i)
		}
	}
	if i >= len(b) {
		s.unterminated(start)
		s.op(start)
		return len(b)
	}
	if s.exec > 0 {
		s.checkHidden(start, i)
	}
	if s.modeChanged && quote == '"' {
		s.f.Flags |= FlagUncertain
	}
	_, _, hash := foldWord(b, start+1, i)
	s.put(hash)
	if s.wantText {
		s.textQuoted(start+1, i)
	}
	if s.phase != phBody {
		s.name(start+1, i)
	}
	s.prevWord, s.prevHash, s.prevStart = nil, hash, start+1
	s.shift(tokQuoted, 0, i+1)
	return i + 1
}

// op reads an operator. Characters that belong together are one token.
func (s *scanner) op(i int) int {
	b, start := s.b, i
	for i++; i < len(b) && opTail[b[i]]; i++ {
	}
	if b[start] == ':' && i-start == 2 && b[start+1] == '=' && s.last.prev() == tokVar {
		s.f.Flags |= FlagUserVarWrite
	}
	s.emitOp(start, i)
	s.shift(tokOp, 0, i)
	return i
}

// foreign reads a byte from 0x80 outside of quotes in a character set other
// than UTF-8. It may be a letter or, as 0xA0 in latin1 (measured: FOR<A0>UPDATE
// locks), a blank.
func (s *scanner) foreign(i int) int {
	s.f.Flags |= FlagForeignByte
	n := max(1, s.mode.Charset.charLen(s.b[i:]))
	s.emitOp(i, i+n)
	s.shift(tokOp, 0, i+n)
	return i + n
}

// variable reads @x, @'x', @`x`, @@x, @@session.x and the like.
func (s *scanner) variable(i int) int {
	b := s.b
	if i+1 < len(b) && b[i+1] == '@' {
		return s.systemVariable(i)
	}
	account := !s.setItem && (s.last.prev() == tokWord || s.last.prev() == tokLiteral || s.last.prev() == tokQuoted)
	start := i + 1
	end := start
	switch {
	case start >= len(b):
	case b[start] == '\'' || b[start] == '"':
		end = s.str(start)
	case b[start] == '`':
		end = s.skipBackticks(start)
	default:
		for end < len(b) && (s.isWord[b[end]] || b[end] == '.') {
			end++
		}
	}
	if !account || !s.class.namesAccounts() {
		s.userVariable()
	}
	s.emitVariable(i, end)
	s.setItem = false
	s.shift(tokVar, 0, end)
	return end
}

// namesAccounts reports whether user@host can occur in a statement.
func (c Class) namesAccounts() bool {
	return c == DDL || c == Account || c == Show || c == Set || c == Admin
}

func (s *scanner) userVariable() {
	if s.phase == phSet && s.setItem || s.into || s.class == Load || s.class == Diagnostics || s.class == Call {
		s.f.Flags |= FlagUserVarWrite
	}
	if !s.setItem {
		s.f.Flags |= FlagUserVarRead
	}
}

func (s *scanner) skipBackticks(start int) int {
	for i := start + 1; i < len(s.b); i++ {
		if s.b[i] == '`' {
			if i+1 < len(s.b) && s.b[i+1] == '`' {
				i++
				continue
			}
			return i + 1
		}
		if s.b[i] >= 0x80 {
			i += s.quotedChar(i)
		}
	}
	s.unterminated(start)
	return len(s.b)
}

// systemVariable reads @@x, @@scope.x and @@`x`; blanks may surround the dot.
func (s *scanner) systemVariable(i int) int {
	b := s.b
	start := i + 2
	nameStart, nameEnd, end := s.variableName(start)
	scope := keyword(0)
	if w := s.lookupName(nameStart, nameEnd); w != nil && isScope(w.kw) {
		if dot := skipSpace(b, end); dot < len(b) && b[dot] == '.' {
			scope = w.kw
			nameStart, nameEnd, end = s.variableName(skipSpace(b, dot+1))
		}
	}
	w := s.lookupName(nameStart, nameEnd)
	if s.phase == phSet && s.setItem {
		s.assign(w, nameStart, nameEnd, scope, true)
	} else {
		s.f.Flags |= FlagSysVarRead
		if scope != 0 && scope != kwSession && scope != kwLocal {
			s.f.Flags |= FlagServerVarRead
		}
		if w != nil {
			s.f.Flags |= w.sysvar
		}
	}
	s.emitVariable(i, end)
	s.shift(tokVar, 0, end)
	return end
}

func isScope(kw keyword) bool {
	return kw == kwGlobal || kw == kwSession || kw == kwLocal || kw == kwPersist || kw == kwPersistOnly
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && byteClass[b[i]] == clSpace {
		i++
	}
	return i
}

// variableName reads a name, quoted or not, and returns its bounds without
// quotes and its end.
func (s *scanner) variableName(i int) (start, end, next int) {
	b := s.b
	if i < len(b) && b[i] == '`' {
		next = s.skipBackticks(i)
		return i + 1, max(i+1, next-1), next
	}
	end = i
	for end < len(b) && s.isWord[b[end]] {
		end++
	}
	return i, end, end
}

func (s *scanner) lookupName(start, end int) *word {
	if start >= end {
		return nil
	}
	lo, hi, _ := foldWord(s.b, start, end)
	return lookup(s.b, start, end, lo, hi)
}

// semicolon ends a statement, unless it ends one inside a program or block.
func (s *scanner) semicolon() {
	if s.pendingEnd {
		s.blockEnd()
	}
	if s.block || s.program && s.blockDepth > 0 {
		s.endInnerDML()
		s.emitOp(0, 0)
		s.shift(tokOp, 0, 0)
		return
	}
	s.endStatement()
	s.emitOp(0, 0)
}

func (s *scanner) endStatement() {
	f := s.f
	if s.last.prev() == tokNone {
		s.class = Empty
	}
	f.Statements++
	dml := s.class
	if s.class == Explain {
		dml = Empty
		if f.Flags.Has(FlagExplainAnalyze) {
			dml = s.inner
			f.Classes |= dml.Set()
		}
	}
	if (dml == Update || dml == Delete) && !s.where {
		f.Flags |= FlagNoWhere
	}
	if s.program && s.blockDepth != 0 {
		f.Flags |= FlagUncertain
	}
	f.Classes |= s.class.Set()
	if f.Statements == 1 {
		f.Class, f.Inner, f.Show = s.class, s.inner, s.show
	} else {
		f.Flags |= FlagMultiStatement
	}
	if f.Flags.Has(FlagSetNames | FlagSetSQLMode) {
		s.modeChanged = true
	}
	s.statement = statement{}
	s.last, s.prevWord = 0, nil
}

func (s *scanner) finish() {
	if s.pendingEnd {
		s.blockEnd()
	}
	s.endInnerDML()
	s.flush()
	if s.exec > 0 {
		s.f.Flags |= FlagUnterminated
	}
	if s.last.prev() == tokNone && s.f.Statements == 0 && len(s.b) == 0 {
		s.f.Class, s.f.Classes = Empty, Empty.Set()
		return
	}
	s.endStatement()
}

func mix(digest, hash uint64) uint64 {
	return (bits.RotateLeft64(digest, 5) ^ hash) * hashMul
}
