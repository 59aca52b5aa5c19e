package gateway

import (
	"bytes"
	"net"

	"github.com/deskyard/deskyard/relay"
)

// goodbye ends what a host sends in order: an MCS Disconnect Provider Ultimatum ([T.125]
// 7, [MS-RDPBCGR] 1.3.1.4.1), but for its last byte, the reason.
var goodbye = []byte{3, 0, 0, 9, 2, 0xf0, 0x80, 0x21}

// vanished is the reason of a session whose host closed it without that: its RDP server
// or its stack ended, and not the session.
const vanished = "error: the session host closed the connection without a word: its RDP server or its stack ended"

// listened is a host whose RDP the gateway sees, and so how it takes its leave. It is
// read by one goroutine.
type listened struct {
	relay.Stream
	conn net.Conn // the same, as what stands on the leg
	tail [9]byte  // the last bytes that came
}

func listen(host net.Conn) *listened { return &listened{Stream: host, conn: host} }

// NetConn is what it stands on, for the relay.
func (l *listened) NetConn() net.Conn { return l.conn }

func (l *listened) Read(b []byte) (int, error) {
	n, err := l.Stream.Read(b)
	if n >= len(l.tail) {
		copy(l.tail[:], b[n-len(l.tail):n])
	} else if n > 0 {
		copy(l.tail[:], l.tail[n:])
		copy(l.tail[len(l.tail)-n:], b[:n])
	}
	return n, err
}

// reason is that of a session which ended for another.
func (l *listened) reason(of string) string {
	if of == relay.HostClosed && !bytes.HasPrefix(l.tail[:], goodbye) {
		return vanished
	}
	return of
}
