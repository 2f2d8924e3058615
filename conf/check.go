package conf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// optional lets an empty string pass.
func optional(check func(string) error) func(string) error {
	return func(text string) error {
		if text == "" {
			return nil
		}
		return check(text)
	}
}

var (
	plainName    = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)
	functionName = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$.]{0,63}$`)
	hostName     = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$`)
	versionText  = regexp.MustCompile(`^[0-9]+\.[0-9]+[!-~]{0,50}$`)
)

func checkInstance(text string) error {
	if !plainName.MatchString(text) {
		return fmt.Errorf("must be 1 to 64 letters, digits, dots, dashes or underscores, is %q", text)
	}
	return nil
}

func checkTag(text string) error { return checkInstance(text) }

func checkCompression(text string) error {
	if text != "zlib" && text != "zstd" {
		return fmt.Errorf("must be zlib or zstd, is %q", text)
	}
	return nil
}

func checkFunction(text string) error {
	if !functionName.MatchString(text) {
		return fmt.Errorf("%q is not the name of a function", text)
	}
	return nil
}

// checkUserName allows what servers allow: MariaDB 80 characters, MySQL 32.
// NUL would end the name in the handshake.
func checkUserName(text string) error {
	if n := len([]rune(text)); n < 1 || n > 80 || strings.ContainsRune(text, 0) {
		return fmt.Errorf("must be 1 to 80 characters, is %q", text)
	}
	return nil
}

// checkServerVersion keeps the text drivers parse: they read digits and dots
// up to the first other character.
func checkServerVersion(text string) error {
	if text != "auto" && !versionText.MatchString(text) {
		return fmt.Errorf(`must be "auto" or a version such as "8.0.40", is %q`, text)
	}
	return nil
}

func checkRegexp(text string) error {
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Errorf("is not a regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return nil
}

func checkRoute(text string) error {
	switch text {
	case "primary", "replica", "master", "slave", "deny":
		return nil
	}
	if tag, ok := strings.CutPrefix(text, "tag:"); ok {
		return checkTag(tag)
	}
	if address, ok := strings.CutPrefix(text, "backend:"); ok {
		return checkBackend(address)
	}
	return fmt.Errorf("must be primary, replica, tag:NAME, backend:ADDRESS or deny, is %q", text)
}

// checkListen accepts an address to listen on. Port 0 lets the kernel choose,
// no host means all interfaces.
func checkListen(text string) error {
	return checkAddress(text, 0, true)
}

// checkBackend accepts the address of a server.
func checkBackend(text string) error {
	return checkAddress(text, 1, false)
}

func checkAddress(text string, minPort int, anyHost bool) error {
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		return checkSocketPath(path)
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return addressError(text, err)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || int(n) < minPort {
		return fmt.Errorf("port must be between %d and 65535, is %q", minPort, port)
	}
	if host == "" {
		if !anyHost {
			return fmt.Errorf("%q has no host before the colon", text)
		}
		return nil
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an IPv6 address", host)
		}
		return nil
	}
	return checkHost(host)
}

// addressError says what to write instead of an address that has no port or
// no brackets.
func addressError(text string, err error) error {
	if strings.HasPrefix(text, "/") {
		return fmt.Errorf("%q looks like a socket; write unix:%s", text, text)
	}
	var addrErr *net.AddrError
	if errors.As(err, &addrErr) && strings.Contains(addrErr.Err, "too many colons") {
		return fmt.Errorf("%q: an IPv6 address needs brackets, as in [::1]:3306", text)
	}
	return fmt.Errorf("must be HOST:PORT, [IPv6]:PORT or unix:PATH, is %q", text)
}

// checkHost accepts an IPv4 address or a host name. Digits and dots alone are
// never a name: a mistyped address would otherwise be asked of the resolver.
func checkHost(host string) error {
	if strings.Trim(host, "0123456789.") == "" {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Errorf("%q is not an IPv4 address", host)
		}
		return nil
	}
	if len(host) > 253 || !hostName.MatchString(host) {
		return fmt.Errorf("%q is not a host name", host)
	}
	return nil
}

// maxSocketPath is what sockaddr_un holds on Linux, unix(7): 108 bytes with
// the NUL.
const maxSocketPath = 107

func checkSocketPath(path string) error {
	switch {
	case !strings.HasPrefix(path, "/"):
		return fmt.Errorf("the path of a socket must be absolute, is %q", path)
	case len(path) > maxSocketPath:
		return fmt.Errorf("the path of a socket must be at most %d bytes, is %d", maxSocketPath, len(path))
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("the path of a socket must not contain NUL")
	}
	return nil
}
