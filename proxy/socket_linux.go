package proxy

import (
	"net"
	"syscall"
	"time"
)

const tcpUserTimeout = 0x12 // TCP_USER_TIMEOUT, tcp(7); not in package syscall

// boundWrites makes the kernel give up a client that has taken nothing of what
// was sent to it for so long: whose machine is gone, or that does not read. The
// kernel watches, so that writes need no deadlines. On a UNIX socket there is no
// such thing.
func boundWrites(nc net.Conn, limit time.Duration) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || limit <= 0 {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return // it is closed already
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit/time.Millisecond))
	})
}
