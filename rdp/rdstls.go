package rdp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf16"
)

// RDSTLS ([MS-RDPBCGR] 5.4.5.3) is how a redirected client hands over its credentials,
// inside TLS and before anything else: AVD's clients get a key and a certificate with
// their connection, and send the password encrypted for both.

// Results of RDSTLS authentication.
const (
	RDSTLSSuccess      = 0x0
	RDSTLSAccessDenied = 0x5
	RDSTLSLogonFailure = 0x52E
)

const (
	rdstlsVersions     = 0x3 // 1, and 2 for tokens
	rdstlsCapabilities = 1
	rdstlsRequest      = 2
	rdstlsResponse     = 4
	rdstlsPassword     = 1
	rdstlsToken        = 3
)

// RDSTLSCapabilities is what the server says first.
func RDSTLSCapabilities() []byte {
	return words(1, rdstlsCapabilities, 1, rdstlsVersions)
}

// RDSTLSResponse answers a request.
func RDSTLSResponse(version uint16, result uint32) []byte {
	return binary.LittleEndian.AppendUint32(words(version, rdstlsResponse, 1), result)
}

func words(w ...uint16) []byte {
	var b []byte
	for _, v := range w {
		b = binary.LittleEndian.AppendUint16(b, v)
	}
	return b
}

// RDSTLSRequest is what a client proves itself by: a password, encrypted, or a token.
type RDSTLSRequest struct {
	Version  uint16
	User     string
	Domain   string
	Password []byte // for RedirectionKey.Password
	Token    string // of the connection file (endpointfedauth); version 2 only
}

// ReadRDSTLSRequest reads a client's request; its parts are at most 64 KiB each.
func ReadRDSTLSRequest(r io.Reader) (q RDSTLSRequest, err error) {
	head, err := readWords(r, 3)
	if err != nil {
		return q, fmt.Errorf("read RDSTLS request: %w", err)
	}
	q.Version = head[0]
	if head[1] != rdstlsRequest || q.Version&rdstlsVersions == 0 || q.Version > rdstlsVersions {
		return q, fmt.Errorf("read RDSTLS request: type %d of version %d is none", head[1], q.Version)
	}
	var parts [][]byte
	count := map[uint16]int{rdstlsPassword: 4, rdstlsToken: 1}[head[2]] // else 0
	for range count {
		n, err := readWords(r, 1)
		if err != nil {
			return q, fmt.Errorf("read RDSTLS request: %w", err)
		}
		b := make([]byte, n[0])
		if _, err := io.ReadFull(r, b); err != nil {
			return q, fmt.Errorf("read RDSTLS request: %w", err)
		}
		parts = append(parts, b)
	}
	switch count {
	case 4: // the first is the GUID of the redirection, which the connection tells already
		q.User, q.Domain, q.Password = fromUTF16(parts[1]), fromUTF16(parts[2]), parts[3]
	case 1:
		q.Token = fromUTF16(parts[0])
	default:
		return q, fmt.Errorf("read RDSTLS request: data of type %d; a password (1) or a token (3) is taken", head[2])
	}
	return q, nil
}

func readWords(r io.Reader, n int) ([]uint16, error) {
	b := make([]byte, 2*n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	w := make([]uint16, n)
	for i := range w {
		w[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return w, nil
}

// fromUTF16 reads UTF-16 up to its first NUL.
func fromUTF16(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		u := binary.LittleEndian.Uint16(b)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

func toUTF16(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// RedirectionKey is the key of one connection that its client encrypts the password
// with; RSA is the key of the certificate that it was given.
type RedirectionKey struct {
	AES [32]byte
	RSA *rsa.PrivateKey
}

// Blob is redirectedAuthBlob of AVD's answer to a connection request.
func (k RedirectionKey) Blob() string {
	b := append(toUTF16("AES"), 0, 0)
	b = append(b, "KDBM"...) // BCRYPT_KEY_DATA_BLOB_HEADER: magic, version 1, length
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(k.AES)))
	return wrapped(append(b, k.AES[:]...))
}

// TargetCertificate is redirectedServerCert of that answer, of a DER certificate.
func TargetCertificate(der []byte) string {
	b := binary.LittleEndian.AppendUint32(nil, 32) // CERT_PROP: the certificate itself
	b = binary.LittleEndian.AppendUint32(b, 1)     // encoding: X.509
	b = binary.LittleEndian.AppendUint32(b, uint32(len(der)))
	return wrapped(append(b, der...))
}

// wrapped encodes bytes as AVD does: base64, as UTF-16, in base64 again.
func wrapped(b []byte) string {
	return base64.StdEncoding.EncodeToString(toUTF16(base64.StdEncoding.EncodeToString(b)))
}

var errPassword = errors.New("the password was not encrypted for this connection")

// Password decrypts what a client sent. Whatever is wrong with it, the error is the same.
func (k RedirectionKey) Password(encrypted []byte) (string, error) {
	text := bytes.Map(func(r rune) rune {
		if r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, []byte(fromUTF16(encrypted)))
	sealed, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		return "", errPassword
	}
	inner, err := rsa.DecryptPKCS1v15(nil, k.RSA, sealed)
	if err != nil || len(inner) == 0 || len(inner)%aes.BlockSize != 0 {
		return "", errPassword
	}
	block, err := aes.NewCipher(k.AES[:])
	if err != nil {
		return "", fmt.Errorf("use the redirection's key: %w", err)
	}
	cipher.NewCBCDecrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(inner, inner)
	pad := int(inner[len(inner)-1])
	if pad == 0 || pad > aes.BlockSize || !bytes.Equal(inner[len(inner)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return "", errPassword
	}
	plain := inner[:len(inner)-pad]
	// Padding alone comes right for one wrong key in 256; the text also ends with its NUL.
	if len(plain) < 2 || len(plain)%2 != 0 || plain[len(plain)-1] != 0 || plain[len(plain)-2] != 0 {
		return "", errPassword
	}
	return fromUTF16(plain), nil
}
