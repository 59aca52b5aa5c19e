package ntlm

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The example of [MS-NLMP] 4.2.4: user "User", domain "Domain", password "Password".
var nonce = [8]byte{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef}

const (
	exampleTemp = "01010000000000000000000000000000aaaaaaaaaaaaaaaa0000000002000c0044006f006d00610069006e0001000c005300650072007600650072000000000000000000"
	// NTProofStr of the example.
	exampleProof = "68cd0ab851e51c96aabc927bebef6a1c"
)

// answer makes an authenticate message.
func answer(user, domain string, response []byte) []byte {
	const head = 64
	d, u := utf16LE(domain), utf16LE(user)
	b := append([]byte{}, signature...)
	b = binary.LittleEndian.AppendUint32(b, typeAuthenticate)
	b = appendField(b, 0, head)
	b = appendField(b, len(response), head+len(d)+len(u))
	b = appendField(b, len(d), head)
	b = appendField(b, len(u), head+len(d))
	b = appendField(b, 0, head)
	b = appendField(b, 0, head)
	b = binary.LittleEndian.AppendUint32(b, flagUnicode|flagNTLM)
	return append(append(append(b, d...), u...), response...)
}

func TestTheHashIsThatOfTheSpecification(t *testing.T) {
	h := HashOf("Password")
	if got := hex.EncodeToString(h[:]); got != "a4f49c406510bdcab6824ee7c30fd852" {
		t.Error(got)
	}
	if h.String() != "redacted" {
		t.Error("a hash can be printed")
	}
}

func TestTheExampleOfTheSpecificationProvesItself(t *testing.T) {
	a, err := ParseAnswer(answer("User", "Domain", unhex(t, exampleProof+exampleTemp)))
	if err != nil || a.User != "User" || a.Domain != "Domain" {
		t.Fatalf("%+v, %v", a, err)
	}
	if !a.Proves(HashOf("Password"), nonce) {
		t.Error("the right password is refused")
	}
	other := nonce
	other[0]++
	for name, bad := range map[string]bool{
		"another password": a.Proves(HashOf("password"), nonce),
		"another nonce":    a.Proves(HashOf("Password"), other),
		"another user":     Answer{User: "Useq", Domain: a.Domain, proof: a.proof, blob: a.blob}.Proves(HashOf("Password"), nonce),
	} {
		if bad {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestAnswersThatAreNoneAreRefused(t *testing.T) {
	good := answer("User", "Domain", unhex(t, exampleProof+exampleTemp))
	outside := bytes.Clone(good)
	binary.LittleEndian.PutUint32(outside[24:], 1<<31)
	ansi := bytes.Clone(good)
	ansi[60] = 0
	for name, b := range map[string][]byte{
		"empty": nil, "cut": good[:63], "outside": outside, "not Unicode": ansi,
		"NTLMv1": answer("User", "Domain", make([]byte, 24)), "a negotiation": append(append([]byte{}, signature...), 1, 0, 0, 0),
		"too long": append(good, make([]byte, maxMessage)...),
	} {
		if a, err := ParseAnswer(b); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
}

func TestTheChallengeHasItsForm(t *testing.T) {
	b := Challenge("DESK", nonce, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if kindOf(b) != typeChallenge || !bytes.Equal(b[24:32], nonce[:]) {
		t.Fatalf("%x", b)
	}
	name, err := field(b, 12)
	if err != nil || text(name) != "DESK" {
		t.Errorf("target %q, %v", name, err)
	}
	info, err := field(b, 40)
	if err != nil {
		t.Fatal(err)
	}
	var ids []uint16
	for len(info) >= 4 {
		n := int(binary.LittleEndian.Uint16(info[2:]))
		ids = append(ids, binary.LittleEndian.Uint16(info))
		info = info[4+n:]
	}
	if len(info) != 0 || len(ids) != 6 || ids[5] != 0 {
		t.Errorf("attributes %v and %d bytes more", ids, len(info))
	}
}

// FuzzParseAnswer: no message proves a password that it was not made with.
func FuzzParseAnswer(f *testing.F) {
	f.Add(answer("User", "Domain", unhex(f, exampleProof+exampleTemp)))
	f.Add(answer("", "", nil))
	secret := HashOf("another password, which nobody knows")
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := ParseAnswer(b)
		if err == nil && a.Proves(secret, nonce) {
			t.Errorf("%x proves a password that it does not know", b)
		}
	})
}
