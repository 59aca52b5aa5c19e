package sxs

import (
	"bytes"
	"net"
)

// alert is the head of the record in which TLS 1.3 says its only word about an end that
// is no fault, close_notify, encrypted: 2 bytes, their type and the tag make 19
// ([RFC 8446] 5.2, 6.1). alert12 begins that of TLS 1.2.
var (
	alert   = []byte{23, 3, 3, 0, 19}
	alert12 = []byte{21, 3, 3, 0}
)

// listened is the RDP server's side of a leg. What it says is encrypted for the client,
// but how it takes its leave is seen: an orderly end has TLS's last word before it,
// whether the user logged off or somebody ended the connection, and a server that was
// killed has not. It is read by one goroutine.
type listened struct {
	net.Conn
	secure bool     // TLS has begun
	tail   [36]byte // the last bytes that came
}

// NetConn is what it stands on, for the relay.
func (l *listened) NetConn() net.Conn { return l.Conn }

func (l *listened) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	got := b[:n]
	l.secure = l.secure || bytes.HasPrefix(got, []byte{22, 3})
	if n >= len(l.tail) {
		copy(l.tail[:], got[n-len(l.tail):])
	} else if n > 0 {
		copy(l.tail[:], l.tail[n:])
		copy(l.tail[len(l.tail)-n:], got)
	}
	return n, err
}

// vanished reports whether the server, which has closed the connection, did so without
// TLS's last word. A server that closes before TLS refuses the client.
func (l *listened) vanished() bool {
	if !l.secure {
		return false
	}
	for _, size := range []int{26, 18, 2} { // TLS 1.2: AES-GCM, ChaCha20-Poly1305, in clear
		at := len(l.tail) - size - 5
		if bytes.HasPrefix(l.tail[at:], alert12) && int(l.tail[at+4]) == size {
			return false
		}
	}
	return !bytes.HasPrefix(l.tail[len(l.tail)-24:], alert)
}
