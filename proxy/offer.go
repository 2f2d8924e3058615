package proxy

import (
	"strconv"
	"strings"

	"github.com/telamondb/telamon/backend"
	"github.com/telamondb/telamon/wire"
)

// serverOffer is a capability that servers of one flavour have from a version on.
type serverOffer struct {
	capability wire.Capability
	flavor     backend.Flavor
	since      [3]int
}

// serverOffers are the capabilities that depend on the servers. A connection to
// a server has them if and only if the client has: they are pool.LoginFlags.
var serverOffers = [...]serverOffer{
	{wire.QueryAttributes, backend.MySQL, [3]int{8, 0, 23}},
	{wire.MariaDBProgress, backend.MariaDB, [3]int{10, 2, 0}},
	{wire.MariaDBStmtBulk, backend.MariaDB, [3]int{10, 2, 0}},
	{wire.MariaDBExtMetadata, backend.MariaDB, [3]int{10, 5, 2}},
	{wire.MariaDBCacheMetadata, backend.MariaDB, [3]int{10, 6, 0}},
	{wire.MariaDBBulkUnitResults, backend.MariaDB, [3]int{11, 5, 1}}, // MDEV-30366
}

// offers returns what the greeting offers: no more than all the servers that
// have ever answered can do, and nothing in particular before the first. A
// server that comes later and can do less is translated for.
//
// CLIENT_LONG_PASSWORD means something else to MariaDB, whose servers leave it
// out to say that there are extended capabilities. Where they are not the only
// ones it is set.
func (s *Session) offers() wire.Capability {
	known, caps := 0, wire.Capability(0)
	for i := range serverOffers {
		caps |= serverOffers[i].capability
	}
	mariadb := true
	t := s.proxy.deps.Store.Load()
	for i := range t.States {
		st := &t.States[i]
		if st.Version == "" {
			continue
		}
		known++
		mariadb = mariadb && st.Flavor == backend.MariaDB
		version := versionNumbers(st.Version)
		for _, o := range serverOffers {
			if st.Flavor != o.flavor || older(version, o.since) {
				caps &^= o.capability
			}
		}
	}
	switch {
	case known == 0:
		return offered | wire.LongPassword
	case mariadb:
		return offered | caps
	}
	return offered | caps | wire.LongPassword
}

// versionNumbers reads the numbers at the beginning of a version.
func versionNumbers(version string) (numbers [3]int) {
	for i := range numbers {
		digits := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
		if digits < 0 {
			digits = len(version)
		}
		numbers[i], _ = strconv.Atoi(version[:digits])
		if digits == len(version) || version[digits] != '.' {
			break
		}
		version = version[digits+1:]
	}
	return numbers
}

func older(a, b [3]int) bool {
	for i := range a {
		if a[i] != b[i] {
			return a[i] < b[i]
		}
	}
	return false
}
