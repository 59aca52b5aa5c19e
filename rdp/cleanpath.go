package rdp

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
)

// RDCleanPath is how the web client's RDP begins: one DER message each way, and then the
// stream, whose TLS with the host is the gateway's. Its fields are those of IronRDP.

const (
	cleanPathVersion = 3390
	// MaxCleanPath bounds a request, in bytes.
	MaxCleanPath = 64 << 10
)

// Kinds of RDCleanPath errors.
const (
	CleanPathGeneral     = 1
	CleanPathNegotiation = 2
)

// CleanPathError says why there is no connection; what is 0 is not said.
type CleanPathError struct {
	Code     int `asn1:"explicit,tag:0"`
	HTTP     int `asn1:"explicit,optional,tag:1"` // as of an HTTP answer
	Socket   int `asn1:"explicit,optional,tag:2"` // as of Windows' sockets: 10060 timed out, 10061 refused, 10065 no way there
	TLSAlert int `asn1:"explicit,optional,tag:3"`
}

// cleanPath is the message.
type cleanPath struct {
	Version     int64          `asn1:"explicit,tag:0"`
	Error       CleanPathError `asn1:"explicit,optional,tag:1"`
	Destination string         `asn1:"explicit,optional,utf8,tag:2"`
	Auth        string         `asn1:"explicit,optional,utf8,tag:3"`
	ServerAuth  string         `asn1:"explicit,optional,utf8,tag:4"`
	Blob        string         `asn1:"explicit,optional,utf8,tag:5"`
	X224        []byte         `asn1:"explicit,optional,tag:6"`
	Chain       [][]byte       `asn1:"explicit,optional,tag:7"`
	Server      string         `asn1:"explicit,optional,utf8,tag:9"`
}

// CleanPathRequest is what a web client asks.
type CleanPathRequest struct {
	Destination string // free text
	Ticket      string // a secret
	Blob        string // preconnection blob, to be sent before everything; mostly ""
	X224        []byte // the connection request for the host, a TPKT
}

// ReadCleanPath reads a request. It reads not a byte beyond it.
func ReadCleanPath(r io.Reader) (q CleanPathRequest, err error) {
	b, err := readDER(r)
	if err != nil {
		return q, fmt.Errorf("read RDCleanPath request: %w", err)
	}
	var m cleanPath
	rest, err := asn1.Unmarshal(b, &m)
	switch {
	case err != nil:
		return q, fmt.Errorf("read RDCleanPath request: %w", err)
	case len(rest) > 0:
		return q, errors.New("read RDCleanPath request: bytes follow it")
	case m.Version != cleanPathVersion:
		return q, fmt.Errorf("read RDCleanPath request: version %d is not %d", m.Version, cleanPathVersion)
	case m.Auth == "" || len(m.X224) == 0:
		return q, errors.New("read RDCleanPath request: it has no ticket or no connection request")
	}
	return CleanPathRequest{Destination: m.Destination, Ticket: m.Auth, Blob: m.Blob, X224: m.X224}, nil
}

// readDER reads one SEQUENCE, header and all.
func readDER(r io.Reader) ([]byte, error) {
	head := make([]byte, 2, 6)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if head[0] != 0x30 {
		return nil, errors.New("it is no DER sequence")
	}
	size := int(head[1])
	if size >= 0x80 {
		more := make([]byte, size&0x7f)
		if len(more) == 0 || len(more) > 3 {
			return nil, errors.New("its length has no usable form")
		}
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, err
		}
		head, size = append(head, more...), 0
		for _, b := range more {
			size = size<<8 | int(b)
		}
	}
	if size > MaxCleanPath {
		return nil, fmt.Errorf("it has %d bytes, at most %d are allowed", size, MaxCleanPath)
	}
	b := make([]byte, len(head)+size)
	copy(b, head)
	_, err := io.ReadFull(r, b[len(head):])
	return b, err
}

// Bytes is the request as a client sends it.
func (q CleanPathRequest) Bytes() ([]byte, error) {
	return asn1.Marshal(cleanPath{Version: cleanPathVersion, Destination: q.Destination, Auth: q.Ticket, Blob: q.Blob, X224: q.X224})
}

// CleanPathSuccess answers a request: the host's confirm, its certificates, the leaf
// first, and its name.
func CleanPathSuccess(confirm []byte, chain [][]byte, server string) ([]byte, error) {
	return asn1.Marshal(cleanPath{Version: cleanPathVersion, X224: confirm, Chain: chain, Server: server})
}

// CleanPathFailure answers a request that comes to nothing; confirm is the host's where
// it refused to negotiate, nil otherwise.
func CleanPathFailure(e CleanPathError, confirm []byte) ([]byte, error) {
	return asn1.Marshal(cleanPath{Version: cleanPathVersion, Error: e, X224: confirm})
}
