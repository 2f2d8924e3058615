package conf

import (
	"fmt"
	"net/netip"
	"strings"
)

// Networks is a list of client networks. IPv4 networks are stored as such,
// never in their IPv4-mapped IPv6 form; host bits are zero.
type Networks []netip.Prefix

// Contains tells whether an address is in one of the networks. An IPv4-mapped
// address (::ffff:10.0.0.1, what a dual-stack listener reports) counts as the
// IPv4 address; a zone is ignored. The zero Addr is in no network.
func (n Networks) Contains(addr netip.Addr) bool {
	addr = addr.Unmap().WithZone("")
	for _, prefix := range n {
		if prefix.Contains(addr) {
			return true
		}
	}
	return false
}

// String returns the networks separated by ", "; an address stands alone.
func (n Networks) String() string {
	texts := make([]string, len(n))
	for i, prefix := range n {
		texts[i] = prefix.String()
		if prefix.IsSingleIP() {
			texts[i] = prefix.Addr().String()
		}
	}
	return strings.Join(texts, ", ")
}

// parseNetwork reads a CIDR network, an address, or an Atlas prefix: the
// first two or three numbers of an IPv4 address, which Atlas compares number
// by number, so that 192.168.1 is 192.168.1.0/24 and never 192.168.10.0.
func parseNetwork(text string) (netip.Prefix, error) {
	if strings.Contains(text, "/") {
		return parseCIDR(text)
	}
	if addr, err := netip.ParseAddr(text); err == nil {
		if addr.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q has a zone; leave out %%%s", text, addr.Zone())
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	octets := strings.Count(text, ".") + 1
	if octets == 2 || octets == 3 {
		full := text + strings.Repeat(".0", 4-octets)
		if addr, err := netip.ParseAddr(full); err == nil {
			return netip.PrefixFrom(addr, 8*octets), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%q is neither an address, a network such as 10.0.0.0/8, nor an Atlas prefix such as 192.168.1", text)
}

func parseCIDR(text string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a network such as 10.0.0.0/8 or fd00::/8", text)
	}
	if prefix.Addr().Is4In6() {
		// The first 96 bits of a mapped address say only that it is one.
		if prefix.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("%q holds more than the IPv4-mapped addresses; write the IPv4 network", text)
		}
		prefix = netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-96)
	}
	if whole := prefix.Masked(); whole != prefix {
		return netip.Prefix{}, fmt.Errorf("%q has bits set after the prefix; write %s", text, whole)
	}
	return prefix, nil
}
