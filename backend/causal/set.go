package causal

import (
	"bytes"
	"slices"
	"strconv"
)

// interval is a range of transaction numbers, both ends included.
type interval struct{ first, last uint64 }

// maxIntervals bounds the gaps remembered of one source. Gaps close by
// themselves as concurrent commits are reported; what stays open for so long
// is waited for as if it had been written, which is safe.
const maxIntervals = 32

// source are the transactions of one origin: a MySQL server (uuid, or
// uuid:tag from 8.3 on), or a MariaDB replication domain.
type source struct {
	name      string
	server    uint64 // MariaDB: the server of the last transaction
	intervals []interval
}

// set is a set of transactions of either flavour.
type set struct {
	mariadb bool
	sources []source
}

func (s *set) source(name []byte) *source {
	for i := range s.sources {
		if s.sources[i].name == string(name) {
			return &s.sources[i]
		}
	}
	s.sources = append(s.sources, source{name: string(name)})
	return &s.sources[len(s.sources)-1]
}

// add merges a report: "uuid:5", "uuid:1-3:7,uuid2:tag:1" (MySQL manual, "GTID
// Format and Storage"), or "0-1-8,1-2-3" (MariaDB KB, "Global Transaction ID").
// It reports whether all of it could be read; what could be is kept.
func (s *set) add(text []byte) bool {
	ok := true
	for len(text) > 0 {
		var entry []byte
		entry, text, _ = bytes.Cut(text, []byte{','})
		entry = bytes.TrimSpace(entry)
		if len(entry) == 0 {
			continue
		}
		mariadb := bytes.IndexByte(entry, ':') < 0
		switch {
		case len(s.sources) > 0 && s.mariadb != mariadb:
			ok = false
		case mariadb:
			ok = s.addMariaDB(entry) && ok
		default:
			ok = s.addMySQL(entry) && ok
		}
	}
	return ok
}

func (s *set) addMySQL(entry []byte) bool {
	s.mariadb = false
	name, rest, _ := bytes.Cut(entry, []byte{':'})
	if !isWord(name, false) {
		return false
	}
	end, any := len(name), false
	for len(rest) > 0 {
		var part []byte
		part, rest, _ = bytes.Cut(rest, []byte{':'})
		part = bytes.TrimSpace(part)
		if isWord(part, true) {
			// A tag: the source's name goes on up to it, counted from the
			// uuid, which is there once.
			name = append(append(entry[:end:end], ':'), part...)
			continue
		}
		iv, ok := parseInterval(part)
		if !ok {
			return false
		}
		s.source(name).add(iv)
		any = true
	}
	return any
}

// isWord reports whether p is a tag, or a uuid. The text goes into a statement,
// so nothing else may be in it.
func isWord(p []byte, tag bool) bool {
	for i, c := range p {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', tag && c == '_':
		case c >= '0' && c <= '9', c == '-' && !tag:
			if tag && i == 0 {
				return false
			}
		default:
			return false
		}
	}
	return len(p) > 0
}

func parseInterval(p []byte) (interval, bool) {
	a, b, ranged := bytes.Cut(p, []byte{'-'})
	first, ok := parseUint(a)
	if !ok || first == 0 {
		return interval{}, false
	}
	if !ranged {
		return interval{first, first}, true
	}
	last, ok := parseUint(b)
	return interval{first, last}, ok && last >= first
}

// addMariaDB takes a transaction as the end of its domain: sequence numbers of
// a domain grow in the order of the binary log, and replicas apply in order.
func (s *set) addMariaDB(entry []byte) bool {
	domain, rest, ok := bytes.Cut(entry, []byte{'-'})
	server, seq, ok2 := bytes.Cut(rest, []byte{'-'})
	_, okDomain := parseUint(domain)
	id, okServer := parseUint(server)
	n, okSeq := parseUint(seq)
	if !ok || !ok2 || !okDomain || !okServer || !okSeq {
		return false
	}
	s.mariadb = true
	src := s.source(domain)
	if len(src.intervals) == 0 {
		src.intervals = append(src.intervals, interval{})
	}
	if n >= src.intervals[0].last {
		src.intervals[0].last, src.server = n, id
	}
	return true
}

func parseUint(p []byte) (n uint64, ok bool) {
	if len(p) == 0 || len(p) > 19 {
		return 0, false
	}
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + uint64(c-'0')
	}
	return n, true
}

// add merges an interval.
func (src *source) add(iv interval) {
	i, _ := slices.BinarySearchFunc(src.intervals, iv, func(a, b interval) int {
		if a.last+1 < b.first { // neither overlaps nor touches
			return -1
		}
		return 1
	})
	j := i
	for j < len(src.intervals) && src.intervals[j].first <= iv.last+1 {
		iv.first, iv.last = min(iv.first, src.intervals[j].first), max(iv.last, src.intervals[j].last)
		j++
	}
	src.intervals = slices.Replace(src.intervals, i, j, iv)
	if len(src.intervals) > maxIntervals {
		src.intervals[1].first = src.intervals[0].first
		src.intervals = slices.Delete(src.intervals, 0, 1)
	}
}

// append appends the set as text that the server's wait function takes.
func (s *set) append(dst []byte) []byte {
	for i := range s.sources {
		src := &s.sources[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, src.name...)
		if s.mariadb {
			dst = strconv.AppendUint(append(dst, '-'), src.server, 10)
			dst = strconv.AppendUint(append(dst, '-'), src.intervals[0].last, 10)
			continue
		}
		for _, iv := range src.intervals {
			dst = strconv.AppendUint(append(dst, ':'), iv.first, 10)
			if iv.last != iv.first {
				dst = strconv.AppendUint(append(dst, '-'), iv.last, 10)
			}
		}
	}
	return dst
}

// within reports whether all of s is in a set given as text, or with reversed
// the other way round. What cannot be read, or is of the other flavour, is in
// nothing.
func (s *set) within(text []byte, reversed bool) bool {
	var other set
	if !other.add(text) {
		return false
	}
	sub, super := s, &other
	if reversed {
		sub, super = super, sub
	}
	for i := range sub.sources {
		src := &sub.sources[i]
		j := slices.IndexFunc(super.sources, func(o source) bool { return o.name == src.name })
		if j < 0 || sub.mariadb != super.mariadb || !src.within(&super.sources[j], s.mariadb) {
			return false
		}
	}
	return true
}

// within reports whether all transactions of src are in o. Of a domain the last
// one says it all.
func (src *source) within(o *source, mariadb bool) bool {
	if mariadb {
		return src.intervals[0].last <= o.intervals[0].last
	}
	for _, iv := range src.intervals {
		if !slices.ContainsFunc(o.intervals, func(in interval) bool { return in.first <= iv.first && iv.last <= in.last }) {
			return false
		}
	}
	return true
}
