package lex

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// word is one entry of the table of known words.
type word struct {
	name   string
	lo     uint64 // the first 8 bytes of name
	hash   uint64 // of name, as foldWord makes it
	flags  Flags  // what calling it as a function means
	sysvar Flags  // what reading it as a system variable means
	known  uint8  // knownX bits
	kw     keyword
}

// wordIndex is an index of words; 0 stands for a word that is not in the table.
type wordIndex uint16

// What a flavour makes of a word in front of a parenthesis.
const (
	knownMySQL   = 1 << iota // built in or reserved: no stored function is called
	knownMariaDB             //
	tightInMySQL             // only if no blank follows
	tightInMariaDB
	isFunction // printed without a blank before the parenthesis
	acts       // one of the actingKeywords
)

// tableBits is the size of the hash table: four times the number of words, so
// that most words that are not in it fall on an empty slot.
const tableBits = 12

var words, wordTable = buildWords()

// buildWords joins the lists of keywords.go and builtins.go.
func buildWords() ([]word, *[1 << tableBits]wordIndex) {
	list := make([]word, 1, 1<<10) // entry 0 means "not found"
	index := map[string]int{}
	entry := func(name string) *word {
		i, ok := index[name]
		if !ok {
			i = len(list)
			index[name] = i
			lo, hash := foldWord([]byte(name), 0, len(name))
			list = append(list, word{name: name, lo: lo, hash: hash})
		}
		return &list[i]
	}
	add := func(names string, known uint8) {
		for _, name := range strings.Fields(names) {
			entry(name).known |= known
		}
	}
	add(functionsBoth, knownMySQL|knownMariaDB|isFunction)
	add(functionsMySQL, knownMySQL|isFunction)
	add(functionsMariaDB, knownMariaDB|isFunction)
	add(tightMySQL, tightInMySQL)
	add(tightMariaDB, tightInMariaDB)
	add(reservedBoth, knownMySQL|knownMariaDB)
	add(reservedMySQL, knownMySQL)
	add(reservedMariaDB, knownMariaDB)
	for _, ff := range functionFlags {
		for _, name := range strings.Fields(ff.names) {
			entry(name).flags |= ff.flags
		}
	}
	for _, vf := range variableFlags {
		for _, name := range strings.Fields(vf.names) {
			entry(name).sysvar |= vf.flags
		}
	}
	for kw, name := range keywordNames {
		if name != "" {
			entry(name).kw = keyword(kw)
		}
	}
	for _, kw := range actingKeywords {
		entry(keywordNames[kw]).known |= acts
	}
	var table [1 << tableBits]wordIndex
	for i := 1; i < len(list); i++ {
		slot := slotOf(list[i].hash)
		for table[slot] != 0 {
			slot = (slot + 1) & (1<<tableBits - 1)
		}
		table[slot] = wordIndex(i)
	}
	return list, &table
}

func slotOf(hash uint64) uint64 { return hash >> (64 - tableBits) }

// lookup returns the index of the word b[start:end], whose first bytes and hash
// are lo and hash, or 0. Up to 16 bytes, length, lo and hash leave one word.
func lookup(b []byte, start, end int, lo, hash uint64) wordIndex {
	for slot := slotOf(hash); ; slot = (slot + 1) & (1<<tableBits - 1) {
		i := wordTable[slot]
		if i == 0 {
			return 0
		}
		w := &words[i]
		if w.hash != hash || w.lo != lo || len(w.name) != end-start {
			continue
		}
		if end-start <= 16 || equalFold(b[start+8:end], w.name[8:]) {
			return i
		}
	}
}

// equalFold compares b to a name in lower case.
func equalFold(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := range b {
		c := b[i]
		if c-'A' < 26 {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
}

// hashMul is 2^64 divided by the golden ratio, the usual multiplicative hash.
const hashMul = 0x9E3779B97F4A7C15

const ones = 0x0101010101010101

const highBits = 0x80 * ones

// fold8 turns the ASCII capitals among eight bytes into small letters. It also
// maps bytes that no unquoted word contains, such as @ to a backtick.
func fold8(x uint64) uint64 { return x | ^x&highBits>>2 }

// foldASCII8 is fold8 for eight bytes of which only those below 0x80 count.
func foldASCII8(x uint64) uint64 { return x | ' '*ones }

// first keeps the lowest n bytes of x, 1 <= n <= 8. The & 63 spares the
// processor a comparison.
func first(x uint64, n int) uint64 { return x & (^uint64(0) >> ((64 - 8*uint(n)) & 63)) }

// hash8 is the hash of a word of at most 8 bytes. It leaves one word of a length,
// because the multiplier is odd.
func hash8(lo uint64) uint64 { return lo * hashMul }

// hash16 is the hash of a word of 9 to 16 bytes: lo are the first eight, hi what
// follows, and blanks.
func hash16(lo, hi uint64, n int) uint64 {
	return (bits.RotateLeft64((lo^uint64(n))*hashMul, 29) ^ hi) * hashMul
}

// load8 returns n <= 8 bytes of b from start on as a little-endian number.
func load8(b []byte, start, n int) uint64 {
	if start+8 <= len(b) {
		return binary.LittleEndian.Uint64(b[start:]) & (1<<(8*uint(n)) - 1)
	}
	if end := start + n; end >= 8 {
		return binary.LittleEndian.Uint64(b[end-8:]) >> (64 - 8*uint(n))
	}
	var x uint64
	for i := n - 1; i >= 0; i-- {
		x = x<<8 | uint64(b[start+i])
	}
	return x
}

// foldWord returns the first 8 bytes of b[start:end] in lower case and a hash
// of all of them.
func foldWord(b []byte, start, end int) (lo, hash uint64) {
	n := end - start
	if n <= 8 {
		lo = first(fold8(load8(b, start, n)), n)
		return lo, hash8(lo)
	}
	lo = fold8(load8(b, start, 8))
	hash = lo ^ uint64(n)
	for i := start + 8; i < end; i += 8 {
		hash = bits.RotateLeft64(hash*hashMul, 29) ^ fold8(load8(b, i, min(8, end-i)))
	}
	return lo, hash * hashMul
}

// FunctionBit returns the bit of Facts.Calls that stands for a function.
func FunctionBit(name string) uint64 {
	_, hash := foldWord([]byte(name), 0, len(name))
	return callBit(hash)
}

func callBit(hash uint64) uint64 { return 1 << (hash >> 58) }

// plain8 returns how many bytes of x, the lowest first, are neither the quote
// nor a backslash and have no bit of lead, before the first that is or has.
func plain8(x uint64, quote byte, lead uint64) int {
	q, e := x^uint64(quote)*ones, x^'\\'*ones
	return bits.TrailingZeros64(((q-ones)&^q|(e-ones)&^e|x&lead)&highBits) / 8
}
