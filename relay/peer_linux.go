package relay

import (
	"net"

	"golang.org/x/sys/unix"
)

// boundUnanswered bounds how long bytes that were sent may lack their acknowledgement.
func boundUnanswered(t *net.TCPConn) {
	raw, err := t.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { // without it, they have the system's quarter of an hour
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(deadAfter.Milliseconds()))
	})
}
