package lex

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// word is one entry of the table of known words.
type word struct {
	name   string
	lo, hi uint64 // the first 16 bytes of name
	flags  Flags  // what calling it as a function means
	sysvar Flags  // what reading it as a system variable means
	known  uint8  // knownX bits
	kw     keyword
}

// What a flavour makes of a word in front of a parenthesis.
const (
	knownMySQL   = 1 << iota // built in or reserved: no stored function is called
	knownMariaDB             //
	tightInMySQL             // only if no blank follows
	tightInMariaDB
	isFunction // printed without a blank before the parenthesis
)

// tableBits is the size of the hash table: four times the number of words, so
// that most words that are not in it fall on an empty slot.
const tableBits = 12

var words, wordTable = buildWords()

// buildWords joins the lists of keywords.go and builtins.go.
func buildWords() ([]word, *[1 << tableBits]uint16) {
	list := make([]word, 1, 1<<10) // entry 0 means "not found"
	index := map[string]int{}
	entry := func(name string) *word {
		i, ok := index[name]
		if !ok {
			i = len(list)
			index[name] = i
			lo, hi, _ := foldWord([]byte(name), 0, len(name))
			list = append(list, word{name: name, lo: lo, hi: hi})
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
	var table [1 << tableBits]uint16
	for i := 1; i < len(list); i++ {
		slot := slotOf(list[i].lo, list[i].hi)
		for table[slot] != 0 {
			slot = (slot + 1) & (1<<tableBits - 1)
		}
		table[slot] = uint16(i)
	}
	return list, &table
}

func slotOf(lo, hi uint64) uint64 {
	return (lo ^ bits.RotateLeft64(hi*hashMul, 29)) * hashMul >> (64 - tableBits)
}

// lookup returns the entry of the word b[start:end], whose first bytes are lo
// and hi, or nil.
func lookup(b []byte, start, end int, lo, hi uint64) *word {
	for slot := slotOf(lo, hi); ; slot = (slot + 1) & (1<<tableBits - 1) {
		i := wordTable[slot]
		if i == 0 {
			return nil
		}
		w := &words[i]
		if w.lo != lo || w.hi != hi || len(w.name) != end-start {
			continue
		}
		if end-start <= 16 || equalFold(b[start+16:end], w.name[16:]) {
			return w
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

// fold8 turns the ASCII capitals among eight bytes into small letters.
func fold8(x uint64) uint64 {
	low := x & (0x7F * ones)
	geA := low + (0x80-'A')*ones
	gtZ := low + (0x7F-'Z')*ones
	return x | (^x&(0x80*ones)&(geA^gtZ))>>2
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

// foldWord returns the first 16 bytes of b[start:end] in lower case and a hash
// of all of them.
func foldWord(b []byte, start, end int) (lo, hi, hash uint64) {
	n := end - start
	if n <= 8 {
		lo = fold8(load8(b, start, n))
		return lo, 0, (lo ^ uint64(n)<<56) * hashMul
	}
	lo = fold8(load8(b, start, 8))
	if n <= 16 {
		hi = fold8(load8(b, start+8, n-8))
		return lo, hi, (lo ^ bits.RotateLeft64(hi*hashMul, 29) ^ uint64(n)) * hashMul
	}
	hi = fold8(load8(b, start+8, 8))
	hash = lo ^ bits.RotateLeft64(hi*hashMul, 29) ^ uint64(n)
	for i := start + 16; i < end; i += 8 {
		hash = bits.RotateLeft64(hash*hashMul, 29) ^ fold8(load8(b, i, min(8, end-i)))
	}
	return lo, hi, hash * hashMul
}

// isShort reports whether foldShort can read n bytes at start.
func isShort(b []byte, start, n int) bool { return uint(n-1) < 8 && start+8 <= len(b) }

// foldShort is foldWord for the common case; it is small enough to be inlined.
func foldShort(b []byte, start, n int) (lo, hash uint64) {
	lo = fold8(binary.LittleEndian.Uint64(b[start:]) & (^uint64(0) >> ((64 - 8*uint(n)) & 63)))
	return lo, (lo ^ uint64(n)<<56) * hashMul
}

// FunctionBit returns the bit of Facts.Calls that stands for a function.
func FunctionBit(name string) uint64 {
	_, _, hash := foldWord([]byte(name), 0, len(name))
	return callBit(hash)
}

func callBit(hash uint64) uint64 { return 1 << (hash >> 58) }
