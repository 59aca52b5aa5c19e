package relay

import (
	"net"
	"time"
)

// deadAfter is how long a peer may leave what it is sent, or asked, without an answer:
// cuts of the network that are shorter are bridged by TCP, after a longer one the peer is
// gone for good, whether or not anything is sent. TCP's own limits are two minutes and a
// quarter of an hour.
const deadAfter = time.Minute

// watchPeer has the connection below a stream end when its peer is gone.
func watchPeer(s any) {
	for {
		if t, ok := s.(*net.TCPConn); ok {
			const ask = deadAfter / 6
			// A socket that takes no options still works, with the system's own times.
			_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: ask, Interval: ask, Count: 5})
			boundUnanswered(t)
			return
		}
		b, ok := s.(below)
		if !ok {
			return
		}
		s = b.NetConn()
	}
}
