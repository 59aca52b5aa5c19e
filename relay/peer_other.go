//go:build !linux

package relay

import "net"

// boundUnanswered is for Linux only; elsewhere the system's own time holds.
func boundUnanswered(*net.TCPConn) {}
