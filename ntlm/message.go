package ntlm

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // NTLM is made of it
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf16"

	"golang.org/x/crypto/md4" //nolint:staticcheck // NTLM is made of it
)

var signature = []byte("NTLMSSP\x00")

const (
	typeNegotiate    = 1
	typeChallenge    = 2
	typeAuthenticate = 3

	// maxMessage bounds a client's message, in bytes; names of 256 characters and the
	// target's description need some 2 KiB.
	maxMessage = 16 << 10
)

// Flags of negotiation ([MS-NLMP] 2.2.2.5).
const (
	flagUnicode       = 0x1
	flagRequestTarget = 0x4
	flagNTLM          = 0x200
	flagAlwaysSign    = 0x8000
	flagTargetServer  = 0x20000
	flagExtended      = 0x80000
	flagTargetInfo    = 0x800000
)

// Hash is what a server keeps of a password (NTOWFv1). It is as good as the password.
type Hash [16]byte

// HashOf gives the hash of a password.
func HashOf(password string) (h Hash) {
	sum := md4.New()
	sum.Write(utf16LE(password)) // never fails
	copy(h[:], sum.Sum(nil))
	return h
}

// String keeps the hash out of logs.
func (Hash) String() string { return "redacted" }

// IsNegotiate reports whether a client's message opens an exchange.
func IsNegotiate(b []byte) bool { return kindOf(b) == typeNegotiate }

func kindOf(b []byte) uint32 {
	if len(b) < 12 || len(b) > maxMessage || !bytes.HasPrefix(b, signature) {
		return 0
	}
	return binary.LittleEndian.Uint32(b[8:])
}

// Challenge is the server's message with eight bytes that were never used before; server
// is its name.
func Challenge(server string, nonce [8]byte, now time.Time) []byte {
	name := utf16LE(server)
	var info []byte
	attribute := func(id uint16, value []byte) {
		info = binary.LittleEndian.AppendUint16(info, id)
		info = binary.LittleEndian.AppendUint16(info, uint16(len(value)))
		info = append(info, value...)
	}
	attribute(2, name)                                                         // NetBIOS domain: our own
	attribute(1, name)                                                         // NetBIOS computer
	attribute(4, utf16LE(strings.ToLower(server)))                             // DNS domain
	attribute(3, utf16LE(strings.ToLower(server)))                             // DNS computer
	attribute(7, binary.LittleEndian.AppendUint64(nil, uint64(filetime(now)))) // tells the client to send NTLMv2
	attribute(0, nil)

	const head = 56
	b := append([]byte{}, signature...)
	b = binary.LittleEndian.AppendUint32(b, typeChallenge)
	b = appendField(b, len(name), head)
	b = binary.LittleEndian.AppendUint32(b, flagUnicode|flagRequestTarget|flagNTLM|flagAlwaysSign|flagTargetServer|flagExtended|flagTargetInfo)
	b = append(b, nonce[:]...)
	b = append(b, make([]byte, 8)...)
	b = appendField(b, len(info), head+len(name))
	b = append(b, make([]byte, 8)...) // version: none
	return append(append(b, name...), info...)
}

func appendField(b []byte, size, offset int) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(size))
	b = binary.LittleEndian.AppendUint16(b, uint16(size))
	return binary.LittleEndian.AppendUint32(b, uint32(offset))
}

// filetime is the number of tenths of a microsecond since 1601.
func filetime(t time.Time) int64 { return t.UnixNano()/100 + 116444736000000000 }

// Answer is a client's last message.
type Answer struct {
	User   string
	Domain string // what the client puts before the user's name, or the part behind an @

	proof []byte // NTProofStr
	blob  []byte // what was proved over besides the nonce
}

// ParseAnswer reads a client's last message. NTLMv1's is an error.
func ParseAnswer(b []byte) (a Answer, err error) {
	if kindOf(b) != typeAuthenticate || len(b) < 64 {
		return a, errors.New("read NTLM answer: the message is none")
	}
	if binary.LittleEndian.Uint32(b[60:])&flagUnicode == 0 {
		return a, errors.New("read NTLM answer: names that are not in Unicode are not taken")
	}
	response, err := field(b, 20)
	if err != nil {
		return a, err
	}
	domain, err := field(b, 28)
	if err != nil {
		return a, err
	}
	user, err := field(b, 36)
	if err != nil {
		return a, err
	}
	if len(response) < 16+28 || response[16] != 1 || response[17] != 1 {
		return a, errors.New("read NTLM answer: it is not NTLMv2, which alone is taken")
	}
	return Answer{User: text(user), Domain: text(domain), proof: response[:16], blob: response[16:]}, nil
}

// field gives the bytes that the descriptor at that offset tells of.
func field(b []byte, at int) ([]byte, error) {
	size, offset := uint64(binary.LittleEndian.Uint16(b[at:])), uint64(binary.LittleEndian.Uint32(b[at+4:]))
	if offset+size > uint64(len(b)) {
		return nil, fmt.Errorf("read NTLM answer: %d bytes at %d lie outside of it", size, offset)
	}
	return b[offset : offset+size], nil
}

// Proves reports whether the answer was made with the password whose hash it is, to the
// challenge with that nonce. It takes the same time for any wrong one.
func (a Answer) Proves(h Hash, nonce [8]byte) bool {
	key := mac(h[:], utf16LE(strings.ToUpper(a.User)+a.Domain)) // NTOWFv2
	return hmac.Equal(mac(key, nonce[:], a.blob), a.proof)
}

func mac(key []byte, parts ...[]byte) []byte {
	m := hmac.New(md5.New, key)
	for _, p := range parts {
		m.Write(p) // never fails
	}
	return m.Sum(nil)
}

func utf16LE(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func text(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
