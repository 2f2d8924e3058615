package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"
	"strings"
)

var (
	// ErrNone says that what has been received is not the beginning of a header.
	ErrNone = errors.New("no PROXY protocol header")
	// ErrIncomplete says that it is, and that there must be more.
	ErrIncomplete = errors.New("incomplete PROXY protocol header")
	// ErrMalformed says that it begins like a header and is not a valid one.
	ErrMalformed = errors.New("malformed PROXY protocol header")
)

// MaxSize is the size of the largest header that is accepted. One of version 1
// has 107 bytes at most. Version 2 would allow for 64 KiB of further values,
// which are skipped here; certificates of clients, the largest there are, take
// 2 KiB.
const MaxSize = 4 << 10

const (
	signature1 = "PROXY "
	signature2 = "\r\n\r\n\x00\r\nQUIT\n"
	maxLine    = 107
	fixed2     = 16 // signature, command, family, length
)

// Parse reads the header at the beginning of p, which must be all that has been
// received so far. size is its length, and source who connects. An invalid
// source means that the sender connects for itself (LOCAL, UNKNOWN) or for
// somebody whose address is of no use here (UNIX sockets): the address of the
// connection is what counts. IPv4 addresses mapped to IPv6 are unmapped.
func Parse(p []byte) (source netip.AddrPort, size int, err error) {
	switch {
	case begins(p, signature1):
		return parseLine(p)
	case begins(p, signature2):
		return parseBinary(p)
	}
	return source, 0, ErrNone
}

// Suspect reports whether p, which was read as something else, is or might be
// the beginning of a header. p has at least 4 bytes.
func Suspect(p []byte) bool {
	return len(p) >= 4 && (begins(p, signature1) || begins(p, signature2))
}

// begins reports whether p begins with signature, as far as p goes.
func begins(p []byte, signature string) bool {
	n := min(len(p), len(signature))
	return string(p[:n]) == signature[:n]
}

func parseLine(p []byte) (source netip.AddrPort, size int, err error) {
	end := bytes.Index(p[:min(len(p), maxLine)], []byte("\r\n"))
	if end < 0 {
		if len(p) >= maxLine {
			return source, 0, ErrMalformed
		}
		return source, 0, ErrIncomplete
	}
	size = end + 2
	words := strings.Split(string(p[:end]), " ")
	if words[1] == "UNKNOWN" {
		return source, size, nil
	}
	if len(words) != 6 {
		return source, 0, ErrMalformed
	}
	source, ok1 := parseEnd(words[1], words[2], words[4])
	_, ok2 := parseEnd(words[1], words[3], words[5])
	if !ok1 || !ok2 {
		return netip.AddrPort{}, 0, ErrMalformed
	}
	return source, size, nil
}

// parseEnd reads an address and a port. nginx announces TCP6 with the address
// of one end in IPv4.
func parseEnd(protocol, address, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	if err != nil || a.Zone() != "" || protocol != "TCP4" && protocol != "TCP6" || protocol == "TCP4" && !a.Is4() {
		return netip.AddrPort{}, false
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(port) > 1 && port[0] == '0' {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), true
}

// What stands in a header of version 2: version and command, and what the
// addresses are of.
const (
	commandLocal = 0x20
	commandProxy = 0x21

	familyNone   = 0x00
	familyTCP4   = 0x11
	familyTCP6   = 0x21
	familyStream = 0x31 // UNIX

	addresses4    = 2 * (4 + 2)
	addresses6    = 2 * (16 + 2)
	addressesUNIX = 2 * 108
)

func parseBinary(p []byte) (source netip.AddrPort, size int, err error) {
	if len(p) < fixed2 {
		return source, 0, ErrIncomplete
	}
	command, family, length := p[12], p[13], int(binary.BigEndian.Uint16(p[14:]))
	size = fixed2 + length
	if size > MaxSize || command != commandLocal && command != commandProxy {
		return source, 0, ErrMalformed
	}
	if len(p) < size {
		return source, 0, ErrIncomplete
	}
	if command == commandLocal {
		return source, size, nil // whatever it says of addresses
	}
	addresses := p[fixed2:size]
	switch {
	case family == familyTCP4 && length >= addresses4:
		a := netip.AddrFrom4([4]byte(addresses))
		return netip.AddrPortFrom(a, binary.BigEndian.Uint16(addresses[8:])), size, nil
	case family == familyTCP6 && length >= addresses6:
		a := netip.AddrFrom16([16]byte(addresses))
		return netip.AddrPortFrom(a.Unmap(), binary.BigEndian.Uint16(addresses[32:])), size, nil
	case family == familyNone, family == familyStream && length >= addressesUNIX:
		return source, size, nil
	}
	return source, 0, ErrMalformed
}

// Append appends a header of version 2 for a connection from source to
// destination, which is made for the sender itself if source is not valid. A
// destination that is not valid becomes an address of zeros. Addresses of both
// kinds are sent as IPv6.
func Append(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, signature2...)
	if !source.IsValid() {
		return append(dst, commandLocal, familyNone, 0, 0)
	}
	from, to := source.Addr().Unmap(), destination.Addr().Unmap()
	switch {
	case to.IsValid():
	case from.Is4():
		to = netip.IPv4Unspecified()
	default:
		to = netip.IPv6Unspecified()
	}
	if from.Is4() && to.Is4() {
		dst = append(dst, commandProxy, familyTCP4, 0, addresses4)
		dst = append(append(dst, from.AsSlice()...), to.AsSlice()...)
	} else {
		a, b := from.As16(), to.As16()
		dst = append(dst, commandProxy, familyTCP6, 0, addresses6)
		dst = append(append(dst, a[:]...), b[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port())
}
