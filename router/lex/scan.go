package lex

import "encoding/binary"

// Scan reads one statement text (the payload of COM_QUERY or COM_STMT_PREPARE
// without the command byte) and fills f with its facts. It keeps stmt in f.
func Scan(stmt []byte, mode Mode, f *Facts) {
	f.reset(stmt, mode)
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

func (l lastTokens) shift(kind tokenKind, kw keyword) lastTokens {
	return l<<16 | lastTokens(kind)<<8 | lastTokens(kw)
}
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
	prevWord  wordIndex
	prevHash  uint64
	prevStart int
	prevEnd   int // end of the last token, quotes included

	statement
	normaliser

	wantString  bool   // keep the content of the first string
	firstString []byte // unescaped

	exec        int  // depth of executable comments
	boundary    bool // the last token was the edge of an executable comment
	careful     bool // no shortcuts: executable comments, modeChanged, a block, or text is wanted
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
	if mode.SQLMode.Has(IgnoreSpace) {
		s.tight = 0
	}
}

// run is the loop over the tokens. It reads plain names, which most tokens are,
// by itself, because the calls would cost as much as the rest: it does for them
// what word, quoted and dot do (TestShortNamesAreNothingSpecial compares). All
// else, and everything if s.careful, is left to these. Names stand before the
// switch, because a branch that is foretold costs less than a jump through a
// table.
func (s *scanner) run() {
	b := s.b
	last8 := len(b) - 8 // the last place where eight bytes can be read
	for i := 0; i < len(b); {
		c := b[i]
		class := byteClass[c]
		if class == clWord {
			if s.careful || i > last8 {
				i = s.word(i)
				continue
			}
			end := i + 1
			for end < len(b) && byteClass[b[end]] <= clDigit {
				end++
			}
			if end < len(b) && (b[end] >= 0x80 || b[end] == '\'') {
				i = s.word(i)
				continue
			}
			lo := first(foldASCII8(binary.LittleEndian.Uint64(b[i:])), end-i)
			hash := hash8(lo)
			if end-i > 8 {
				lo, hash = foldWord(b, i, end)
			}
			w, kw, matters := wordTable[slotOf(hash)], keyword(0), s.phase != phBody
			if w != 0 {
				e := &words[w]
				if e.hash != hash || len(e.name) != end-i || end-i > 8 {
					w = lookup(b, i, end, lo, hash)
					e = &words[w]
				}
				kw = e.kw // 0 in the entry that stands for no word
				matters = matters || e.known&acts != 0
			}
			if matters {
				if s.isListLiteral(kw) {
					i = s.literal(end)
					continue
				}
				s.grammar(kw, i, end)
			}
			s.put(hash)
			s.prevWord, s.prevHash, s.prevStart = w, hash, i
			s.shift(tokWord, kw, end)
			if i = end; i < len(b) && b[i] == ' ' {
				i++
			}
			continue
		}
		if class == clBacktick {
			start, end := i+1, i+1
			for end < len(b) && b[end] != '`' && b[end] < 0x80 {
				end++
			}
			if s.phase != phBody || s.careful || start > last8 || end == start || end == len(b) || b[end] != '`' ||
				end+1 < len(b) && b[end+1] == '`' {
				i = s.quoted(i)
				continue
			}
			n := end - start
			lo := foldASCII8(binary.LittleEndian.Uint64(b[start:]))
			hash := hash8(first(lo, n))
			if n > 8 {
				if n <= 16 && start <= last8-8 {
					hash = hash16(lo, foldASCII8(first(binary.LittleEndian.Uint64(b[start+8:]), n-8)), n)
				} else {
					_, hash = foldWord(b, start, end)
				}
			}
			i = end + 1
			s.put(hash)
			s.prevWord, s.prevHash, s.prevStart, s.prevEnd = 0, hash, start, i
			s.last = s.last.shift(tokQuoted, 0)
			if i < last8 && b[i] == '.' && b[i+1] == '`' && serverSchemas&callBit(hash) == 0 {
				i++
				s.digest = mix(s.digest, hashDot)
				s.prevEnd = i
				s.last = s.last.shift(tokDot, 0)
			} else if i < last8 && b[i] == ',' {
				i++
				s.digest = mix(s.digest, hashComma)
				s.prevEnd = i
				s.last = s.last.shift(tokComma, 0)
				if b[i] == ' ' {
					i++
				}
			} else if i < len(b) && b[i] == ' ' {
				i++
			}
			continue
		}
		switch class {
		case clSpace:
			i++
		case clDigit:
			end := digits(b, i+1)
			if end < len(b) && (s.isWord[b[end]] || b[end] == '.') || s.phase == phKill {
				i = s.number(i)
				continue
			}
			i = s.literal(end)
		case clSingleQuote:
			i = s.literal(s.str(i))
		case clDoubleQuote:
			if s.mode.SQLMode.Has(ANSIQuotes) {
				i = s.quoted(i)
			} else {
				i = s.literal(s.str(i))
			}
		case clDot:
			i = s.dot(i)
		case clOpen:
			if s.last.prev() == tokWord || s.last.prev() == tokQuoted {
				s.call(i)
			}
			s.open()
			if s.phase == phWith {
				s.withOpen()
			}
			s.depth++
			s.shift(tokOpen, 0, i+1)
			i++
		case clClose:
			s.depth--
			s.close()
			s.shift(tokClose, 0, i+1)
			i++
		case clComma:
			if s.state != listNone || s.wantText {
				s.comma()
			} else {
				s.digest = mix(s.digest, hashComma)
			}
			if s.phase != phBody {
				s.phaseComma()
			}
			i++
			s.shift(tokComma, 0, i)
			if i < len(b) && b[i] == ' ' {
				i++
			}
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
			if i+1 < len(b) && !opTail[b[i+1]] && !s.careful {
				i++
				s.put(opHash(c))
				s.shift(tokOp, 0, i)
				continue
			}
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
	s.last = s.last.shift(kind, kw)
	s.prevEnd = end
}

// word reads an unquoted word or one of the literals that begin like one.
func (s *scanner) word(start int) int {
	i, lo, hash := s.wordEnd(start)
	b := s.b
	if i == start+1 && i < len(b) && b[i] == '\'' {
		switch b[start] {
		case 'x', 'X', 'b', 'B', 'n', 'N':
			return s.literal(s.str(i))
		}
	}
	w := lookup(b, start, i, lo, hash)
	var kw keyword
	if w != 0 {
		kw = words[w].kw
		if s.isListLiteral(kw) {
			return s.literal(i)
		}
	}
	s.put(hash)
	if s.wantText {
		s.textWord(start, i)
	}
	if s.phase != phBody || w != 0 && words[w].known&acts != 0 || s.boundary || s.pendingEnd {
		s.grammar(kw, start, i)
	}
	s.prevWord, s.prevHash, s.prevStart = w, hash, start
	s.shift(tokWord, kw, i)
	return i
}

// wordEnd returns the end of the word that begins at start, its first bytes in
// lower case and its hash.
func (s *scanner) wordEnd(start int) (end int, lo, hash uint64) {
	b := s.b
	end = start
	for end < len(b) && s.isWord[b[end]] {
		end++
	}
	if n := end - start; n <= 8 && start+8 <= len(b) {
		lo = first(fold8(binary.LittleEndian.Uint64(b[start:])), n)
		return end, lo, hash8(lo)
	}
	lo, hash = foldWord(b, start, end)
	return end, lo, hash
}

// isListLiteral reports whether a word that comes next counts as a literal in a
// list, so that (1, NULL) and (1, 2) have one digest.
func (s *scanner) isListLiteral(kw keyword) bool {
	return (kw == kwNull || kw == kwTrue || kw == kwFalse || kw == kwDefault) &&
		(s.last.prev() == tokOpen || s.last.prev() == tokComma)
}

// qualified reads the word behind a dot: always a name, even if it looks like
// a keyword (MY_LEX_IDENT_SEP in sql/sql_lex.cc).
func (s *scanner) qualified(start int) int {
	i, lo, hash := s.wordEnd(start)
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
	s.prevWord, s.prevHash, s.prevStart = 0, hash, start
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
	s.join(i)
	if joined && i+1 < len(b) && s.isWord[b[i+1]] {
		return s.qualified(i + 1)
	}
	return i + 1
}

// join takes the dot at i.
func (s *scanner) join(i int) {
	if serverSchemas&callBit(s.prevHash) != 0 && s.isServerSchema() {
		s.f.Flags |= FlagServerSchema
	}
	s.put(hashDot)
	if s.wantText {
		s.textDot()
	}
	s.shift(tokDot, 0, i+1)
}

// serverSchemas holds a bit for the hash of each schema that every server has
// its own of; most other names have other bits.
var serverSchemas = FunctionBit("information_schema") | FunctionBit("performance_schema") |
	FunctionBit("mysql") | FunctionBit("sys")

// isServerSchema reports whether the last token names one of them.
func (s *scanner) isServerSchema() bool {
	kw := s.last.prevKw()
	if s.last.prev() == tokQuoted {
		if w := s.lookupName(s.prevStart, s.prevEnd-1); w != nil {
			kw = w.kw
		}
	}
	return kw >= kwInformationSchema && kw <= kwSys
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
	s.statement = statement{}
	s.last, s.prevWord = 0, 0
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
		s.modeChanged, s.careful = true, true
	}
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
	if s.f.Class == Set && s.f.Flags.Has(FlagUserVarWrite) && plainAssignments(s.f) {
		s.f.Flags |= FlagPlainAssign
	}
}

func mix(digest, hash uint64) uint64 {
	return (digest + hash) * hashMul
}
