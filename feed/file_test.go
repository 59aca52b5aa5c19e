package feed

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
)

func sample() *File {
	f := &File{}
	f.Merge("audiomode:i:1;redirectclipboard:i:0;use multimon:i:1;")
	f.Set("full address", "sh-1")
	f.Set("gatewayhostname", "gw.test:443")
	f.SetNumber("redirectclipboard", 1)
	return f
}

func TestSettingsKeepTheirOrderAndTheLastValue(t *testing.T) {
	want := "audiomode:i:1\r\nredirectclipboard:i:1\r\nuse multimon:i:1\r\nfull address:s:sh-1\r\ngatewayhostname:s:gw.test:443\r\n"
	if got := string(sample().Bytes()); got != want {
		t.Errorf("got\n%s", got)
	}
}

func TestAValueCannotAddASetting(t *testing.T) {
	f := &File{}
	f.Set("remoteapplicationname", "Editor\r\nfull address:s:evil.test\x00")
	if got := string(f.Bytes()); got != "remoteapplicationname:s:Editor  full address:s:evil.test \r\n" {
		t.Errorf("got %q", got)
	}
}

func TestNamesBeyondASCIIAreInUTF16(t *testing.T) {
	f := &File{}
	f.Set("remoteapplicationname", "Köln")
	if got := f.Bytes(); !bytes.HasPrefix(got, []byte{0xff, 0xfe, 'r', 0, 'e', 0}) || !bytes.Contains(got, []byte{'K', 0, 0xf6, 0}) {
		t.Errorf("got % x", got)
	}
}

func TestTheSignatureCoversWhereAConnectionGoes(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Deskyard"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	f := sample()
	if err := f.Sign(key, []*x509.Certificate{cert}); err != nil {
		t.Fatal(err)
	}
	text := string(f.Bytes())
	const scope = "Full Address,Alternate Full Address,GatewayHostname,AudioMode,RedirectClipboard"
	if !strings.Contains(text, "\r\nsignscope:s:"+scope+"\r\n") || !strings.Contains(text, "alternate full address:s:sh-1\r\n") {
		t.Fatalf("got\n%s", text)
	}
	_, value, _ := strings.Cut(text, "signature:s:")
	blob, err := base64.StdEncoding.DecodeString(strings.TrimSpace(value))
	if err != nil || len(blob) < 12 {
		t.Fatalf("%x, %v", blob, err)
	}
	p, err := pkcs7.Parse(blob[12:])
	if err != nil {
		t.Fatal(err)
	}
	covered := "full address:s:sh-1\r\nalternate full address:s:sh-1\r\ngatewayhostname:s:gw.test:443\r\naudiomode:i:1\r\nredirectclipboard:i:1\r\nsignscope:s:" + scope + "\r\n\x00"
	p.Content = utf16LE(covered)
	if err := p.Verify(); err != nil {
		t.Errorf("verify: %v", err)
	}
	p.Content = utf16LE(strings.Replace(covered, "gw.test", "ev.test", 1))
	if err := p.Verify(); err == nil {
		t.Error("another gateway is covered by the same signature")
	}
}
