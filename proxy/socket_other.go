//go:build !linux

package proxy

import (
	"net"
	"time"
)

// boundWrites is for Linux only: elsewhere keep-alive is all there is.
func boundWrites(net.Conn, time.Duration) {}
