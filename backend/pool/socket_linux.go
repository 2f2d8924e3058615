package pool

import (
	"strings"
	"syscall"
)

// userTimeout is how long sent data may stay unacknowledged before the kernel
// gives the connection up, in milliseconds. The monitor finds out about dead
// servers much sooner and interrupts their connections; this is for what it
// does not see. It also bounds how long a server may keep its receive window
// closed, hence not shorter.
const userTimeout = 30_000

const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT, tcp(7); not in package syscall

// socketOptions is net.Dialer.Control.
func socketOptions(network, _ string, c syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var err error
	ctlErr := c.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, userTimeout)
	})
	if ctlErr != nil {
		return ctlErr
	}
	return err
}
