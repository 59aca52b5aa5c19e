//go:build !linux

package relay

import (
	"net"
	"syscall"
)

// socketOf is for Linux only: elsewhere a connection that waits keeps its buffer.
func socketOf(net.Conn) syscall.RawConn { return nil }

func readNow(uintptr, []byte) (n int, again bool, err error) { panic("relay: no socket to read") }
