package template

import (
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// armNamespace is the namespace of ARM's guid(): 11fb06fb-712d-4ddd-98c7-e71bbd588830.
var armNamespace = [16]byte{0x11, 0xfb, 0x06, 0xfb, 0x71, 0x2d, 0x4d, 0xdd, 0x98, 0xc7, 0xe7, 0x1b, 0xbd, 0x58, 0x88, 0x30}

// nameGUID is the name-based GUID (RFC 9562, version 5) of name in ARM's namespace.
func nameGUID(name string) string {
	sum := sha1.Sum(append(armNamespace[:], name...))
	g := sum[:16]
	g[6] = g[6]&0x0f | 0x50
	g[8] = g[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
}

// uniqueString is ARM's 13 characters: the 64-bit hash in base 32, five bits each
// from the top.
func uniqueString(s string) string {
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	h := hash64([]byte(s))
	var out [13]byte
	for i := range out {
		out[i] = alphabet[h>>59]
		h <<= 5
	}
	return string(out[:])
}

// hash64 is the hash behind uniqueString and templateHash: a Murmur hash with two
// interleaved 32-bit lanes and ARM's own constants, seed 0. It is not documented;
// the tests hold it against strings that Azure gave.
func hash64(data []byte) uint64 {
	const (
		c1, c2, add1, add2 = 0x239b961b, 0xab0e9789, 0x561ccd1b, 0x0bcaa747
	)
	var h1, h2 uint32
	lane1 := func(k uint32) uint32 { return bits.RotateLeft32(k*c1, 15) * c2 }
	lane2 := func(k uint32) uint32 { return bits.RotateLeft32(k*c2, 17) * c1 }
	rest := data
	for ; len(rest) >= 8; rest = rest[8:] {
		h1 ^= lane1(binary.LittleEndian.Uint32(rest))
		h1 = (bits.RotateLeft32(h1, 19)+h2)*5 + add1
		h2 ^= lane2(binary.LittleEndian.Uint32(rest[4:]))
		h2 = (bits.RotateLeft32(h2, 13)+h1)*5 + add2
	}
	var tail [8]byte
	copy(tail[:], rest)
	if len(rest) > 0 {
		h1 ^= lane1(binary.LittleEndian.Uint32(tail[:]))
	}
	if len(rest) > 4 {
		h2 ^= lane2(binary.LittleEndian.Uint32(tail[4:]))
	}
	h1 ^= uint32(len(data))
	h2 ^= uint32(len(data))
	h1 += h2
	h2 += h1
	h1, h2 = finish(h1), finish(h2)
	h1 += h2
	h2 += h1
	return uint64(h2)<<32 | uint64(h1)
}

func finish(h uint32) uint32 {
	h = (h ^ h>>16) * 0x85ebca6b
	h = (h ^ h>>13) * 0xc2b2ae35
	return h ^ h>>16
}

// Minify is a template without blanks and comments, as calculateTemplateHash
// answers it.
func Minify(v Value) []byte { return v.Reveal() }

// Hash is the decimal hash that ARM calls templateHash, over the minified template
// in upper case: equal for templates that differ in blanks, comments or case.
// How Azure orders members before it hashes is not known; this keeps their order.
func Hash(v Value) string {
	return strconv.FormatUint(hash64([]byte(strings.ToUpper(string(v.Reveal())))), 10)
}
