package relay

import (
	"errors"
	"net"
	"syscall"
)

// socketOf gives what waits for bytes of a connection without a buffer; nil where it is
// no socket.
func socketOf(conn net.Conn) syscall.RawConn {
	s, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// readNow reads what has arrived; again tells that nothing has.
func readNow(fd uintptr, b []byte) (n int, again bool, err error) {
	for {
		n, err = syscall.Read(int(fd), b)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, true, nil
		default:
			return n, false, err
		}
	}
}
