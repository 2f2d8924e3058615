//go:build !linux

package pool

import "syscall"

// socketOptions is net.Dialer.Control. Keep-alive is all there is here.
func socketOptions(string, string, syscall.RawConn) error { return nil }
