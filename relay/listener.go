package relay

import "net"

// Listen wraps what a server that speaks TLS accepts connections from: those that become
// sessions know then what has arrived, and send what belongs together at once.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

// Accept gives the next connection, below TLS.
func (l listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return NewRecords(conn), nil
}
