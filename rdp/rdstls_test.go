package rdp

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"sync"
	"testing"
)

var redirection = sync.OnceValue(func() RedirectionKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	k := RedirectionKey{RSA: key}
	copy(k.AES[:], "0123456789abcdef0123456789abcdef")
	return k
})

// encrypted does as FreeRDP 3 does with a password (libfreerdp/core/gateway/arm.c).
func encrypted(t testing.TB, k RedirectionKey, password string) []byte {
	t.Helper()
	plain := append(toUTF16(password), 0, 0)
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	block, err := aes.NewCipher(k.AES[:])
	if err != nil {
		t.Fatal(err)
	}
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, plain)
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, &k.RSA.PublicKey, plain)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(sealed)
	var lines []string
	for len(text) > 64 {
		lines, text = append(lines, text[:64]), text[64:]
	}
	return append(toUTF16(strings.Join(append(lines, text), "\r\n")+"\r\n"), 0, 0)
}

func field(b []byte) []byte { return append(words(uint16(len(b))), b...) }

func passwordRequest(t testing.TB, password string) []byte {
	t.Helper()
	nul := []byte{0, 0}
	return bytes.Join([][]byte{
		words(1, rdstlsRequest, rdstlsPassword), field(toUTF16("guid")), field(append(toUTF16("ann"), nul...)), field(append(toUTF16("AzureAD"), nul...)),
		field(encrypted(t, redirection(), password)),
	}, nil)
}

func TestAPasswordIsReadAsTheClientTypedIt(t *testing.T) {
	for _, want := range []string{"", "pass word", "ünïcødé 🙂", strings.Repeat("x", 100)} {
		q, err := ReadRDSTLSRequest(bytes.NewReader(passwordRequest(t, want)))
		if err != nil || q.User != "ann" || q.Domain != "AzureAD" || q.Version != 1 {
			t.Fatalf("%+v, %v", q, err)
		}
		if got, err := redirection().Password(q.Password); got != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

func TestAPasswordForAnotherConnectionIsRefused(t *testing.T) {
	other := redirection()
	other.AES[0] ^= 1
	for _, b := range [][]byte{encrypted(t, other, "secret")[:40], nil, toUTF16("no base64!"), toUTF16(base64.StdEncoding.EncodeToString(make([]byte, 256)))} {
		if got, err := redirection().Password(b); err == nil {
			t.Errorf("read %q", got)
		}
	}
}

func TestATokenIsRead(t *testing.T) {
	q, err := ReadRDSTLSRequest(bytes.NewReader(append(words(2, rdstlsRequest, rdstlsToken), field(append(toUTF16("tick.et"), 0, 0))...)))
	if err != nil || q.Token != "tick.et" || q.Version != 2 {
		t.Errorf("%+v, %v", q, err)
	}
}

func TestWhatIsSaidToClientsHasTheirForm(t *testing.T) {
	if got := hex.EncodeToString(RDSTLSCapabilities()); got != "0100010001000300" {
		t.Errorf("capabilities %s", got)
	}
	if got := hex.EncodeToString(RDSTLSResponse(2, RDSTLSAccessDenied)); got != "02000400010005000000" {
		t.Errorf("response %s", got)
	}
	unwrap := func(s string) []byte {
		outer, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		inner, err := base64.StdEncoding.DecodeString(fromUTF16(outer))
		if err != nil {
			t.Fatal(err)
		}
		return inner
	}
	blob := unwrap(redirection().Blob())
	if want := "410045005300000" + "04b44424d0100000020000000"; hex.EncodeToString(blob[:20]) != want || string(blob[20:]) != "0123456789abcdef0123456789abcdef" {
		t.Errorf("blob %x", blob)
	}
	if got := hex.EncodeToString(unwrap(TargetCertificate([]byte{0xde, 0xad}))); got != "200000000100000002000000dead" {
		t.Errorf("certificate %s", got)
	}
}

// FuzzRDSTLSRequest: no bytes of a client make more than they say.
func FuzzRDSTLSRequest(f *testing.F) {
	f.Add(passwordRequest(f, "secret"))
	f.Add(append(words(2, rdstlsRequest, rdstlsToken), field(toUTF16("t"))...))
	f.Add(words(1, rdstlsRequest, 9))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ReadRDSTLSRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		if len(q.Password) > len(b) || len(q.Token) > 2*len(b) {
			t.Errorf("%d bytes made %+v", len(b), q)
		}
		if got, err := redirection().Password(q.Password); err == nil && len(got) > len(q.Password) {
			t.Errorf("%d bytes decrypted to %q", len(q.Password), got)
		}
	})
}
