package relay

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// rtt asks the kernel for the round trip of a stream's TCP connection.
type rtt struct{ raw syscall.RawConn }

func newRTT(s any) rtt {
	for {
		if t, ok := s.(*net.TCPConn); ok {
			raw, err := t.SyscallConn()
			if err != nil {
				return rtt{}
			}
			return rtt{raw}
		}
		b, ok := s.(below)
		if !ok {
			return rtt{}
		}
		s = b.NetConn()
	}
}

// measure gives the smoothed round trip, 0 where it is not known.
func (r rtt) measure() (d time.Duration) {
	if r.raw == nil {
		return 0
	}
	err := r.raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			d = time.Duration(info.Rtt) * time.Microsecond
		}
	})
	if err != nil {
		return 0
	}
	return d
}
