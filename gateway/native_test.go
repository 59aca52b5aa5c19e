package gateway

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/rdp"
	"github.com/deskyard/deskyard/tsgu"

	"github.com/gobwas/ws"
)

func utf16LE(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func sized(b []byte) []byte {
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// packet is one of the RD Gateway protocol.
func packet(kind uint16, body ...byte) []byte {
	b := binary.LittleEndian.AppendUint16(nil, kind)
	b = binary.LittleEndian.AppendUint32(append(b, 0, 0), uint32(8+len(body)))
	return append(b, body...)
}

// dialRDG opens the WebSocket as mstsc does, and sends so many of the packets that come
// before data.
func (s *service) dialRDG(ticket string, packets int) *browser {
	s.t.Helper()
	u, err := url.Parse(s.base)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	head := "RDG_OUT_DATA " + tsgu.Path + " HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: 0123456789abcd?\r\n\r\n"
	if _, err := io.WriteString(conn, head); err != nil {
		s.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, &http.Request{Method: "RDG_OUT_DATA"})
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		s.t.Fatalf("%v, %v", resp, err)
	}
	b := &browser{Conn: &ahead{conn, in}}
	cookie := sized(append(utf16LE(ticket), 0, 0))
	opening := [][]byte{
		packet(1, 1, 0, 0, 0, 2, 0), packet(4, append([]byte{0x3f, 0, 0, 0, 1, 0, 0, 0}, cookie...)...),
		packet(6, append([]byte{0, 0}, sized(utf16LE("laptop"))...)...), packet(8, append([]byte{1, 0, 0x3d, 0x0d, 3, 0}, sized(utf16LE("sh-1"))...)...),
	}
	for _, p := range opening[:packets] {
		if _, err := b.Write(p); err != nil {
			s.t.Fatal(err)
		}
	}
	return b
}

// ahead is a connection of which something was read already.
type ahead struct {
	net.Conn
	in *bufio.Reader
}

func (a *ahead) Read(b []byte) (int, error) { return a.in.Read(b) }

func readPacket(t testing.TB, from io.Reader) (kind uint16, body []byte) {
	t.Helper()
	head := make([]byte, 8)
	if _, err := io.ReadFull(from, head); err != nil {
		t.Fatal(err)
	}
	body = make([]byte, binary.LittleEndian.Uint32(head[4:])-8)
	if _, err := io.ReadFull(from, body); err != nil {
		t.Fatal(err)
	}
	return binary.LittleEndian.Uint16(head), body
}

func TestANativeClientSpeaksWithItsHostEndToEnd(t *testing.T) {
	s, _ := newService(t)
	s.alter = func(a *deskyard.Admission) { a.Redirect.Clipboard = true }
	b := s.dialRDG("good", 4)
	for _, want := range []uint16{2, 5, 7, 9} {
		if kind, body := readPacket(t, b); kind != want || kind == 7 && body[8] != 0x17 {
			t.Fatalf("packet %d %x, not %d", kind, body, want)
		}
	}
	if _, err := b.Write(packet(0xA, sized(rdp.Request{Protocols: 1}.Bytes())...)); err != nil {
		t.Fatal(err)
	}
	if kind, body := readPacket(t, b); kind != 0xA || !bytes.Equal(body[2:], s.host.answer.Bytes()) {
		t.Fatalf("the host's answer is %d %x", kind, body)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.end(); e.Connection != "c-1" || e.Traffic.FromClient != 19 || e.Traffic.FromHost != 19 {
		t.Errorf("%+v", e)
	}
	if r := s.seen[0]; r.Door != deskyard.DoorRDG || r.Ticket != "good" {
		t.Errorf("asked %+v", r)
	}
}

func TestANativeClientWithABadTicketIsTold(t *testing.T) {
	s, _ := newService(t)
	b := s.dialRDG("bad", 4)
	for _, want := range []uint16{2, 5, 7, 9} {
		if kind, body := readPacket(t, b); kind != want {
			t.Fatalf("packet %d %x, not %d", kind, body, want)
		}
	}
	words := string(utf16LE("Connect again from the list"))
	if kind, body := readPacket(t, b); kind != 0xB || !strings.Contains(string(body), words) {
		t.Errorf("told %d %q", kind, body)
	}
	if kind, body := readPacket(t, b); kind != 0x10 || binary.LittleEndian.Uint32(body) != tsgu.CodeBadCookie {
		t.Errorf("told %d %x", kind, body)
	}
}

// unwrapped undoes AVD's encoding: base64 of UTF-16 of base64.
func unwrapped(t testing.TB, s string) []byte {
	t.Helper()
	outer, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(string(outer), "\x00", ""))
	if err != nil {
		t.Fatal(err)
	}
	return inner
}

// credentials is what FreeRDP 3 sends in RDSTLS: the password under AES under RSA.
func credentials(t testing.TB, to rdp.Redirection, password string) []byte {
	t.Helper()
	cert, err := x509.ParseCertificate(unwrapped(t, to.Certificate)[12:])
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(unwrapped(t, to.AuthBlob)[20:])
	if err != nil {
		t.Fatal(err)
	}
	plain := append(utf16LE(password), 0, 0)
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(plain, bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(plain, plain)
	sealed, err := rsa.EncryptPKCS1v15(rand.Reader, cert.PublicKey.(*rsa.PublicKey), plain)
	if err != nil {
		t.Fatal(err)
	}
	nul := []byte{0, 0}
	return bytes.Join([][]byte{{1, 0, 2, 0, 1, 0}, sized(nil), sized(append(utf16LE("ann"), nul...)), sized(nul), sized(append(utf16LE(base64.StdEncoding.EncodeToString(sealed)), nul...))}, nil)
}

// frontTo brings a promised connection as FreeRDP 3 does, up to the answer to its
// credentials.
func (s *service) frontTo(to rdp.Redirection, password string) (inner *tls.Conn, result uint32) {
	s.t.Helper()
	resp, err := s.http.Get(s.base + to.Path)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK || len(resp.Cookies()) != 1 {
		s.t.Fatalf("before the upgrade: %d %v", resp.StatusCode, resp.Cookies())
	}
	d := ws.Dialer{TLSConfig: &tls.Config{InsecureSkipVerify: true}, Timeout: 10 * time.Second}
	conn, _, _, err := d.Dial(s.t.Context(), strings.Replace(s.base, "https", "wss", 1)+to.Path+"&ClmTk=Bearer%20x")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	b := &browser{Conn: conn}
	if _, err := b.Write(rdp.Request{Protocols: rdp.ProtocolTLS | rdp.ProtocolRDSTLS}.Bytes()); err != nil {
		s.t.Fatal(err)
	}
	first, err := rdp.ReadTPKT(b, rdp.MaxNegotiation)
	if err != nil {
		s.t.Fatal(err)
	}
	if c, err := rdp.ParseConfirm(first); err != nil || c.Protocol != rdp.ProtocolRDSTLS {
		s.t.Fatalf("%+v, %v", c, err)
	}
	inner = tls.Client(b, &tls.Config{InsecureSkipVerify: true})
	if err := inner.Handshake(); err != nil {
		s.t.Fatal(err)
	}
	capabilities := make([]byte, 8)
	if _, err := io.ReadFull(inner, capabilities); err != nil || !bytes.Equal(capabilities, rdp.RDSTLSCapabilities()) {
		s.t.Fatalf("capabilities %x, %v", capabilities, err)
	}
	if _, err := inner.Write(credentials(s.t, to, password)); err != nil {
		s.t.Fatal(err)
	}
	answer := make([]byte, 10)
	if _, err := io.ReadFull(inner, answer); err != nil {
		s.t.Fatal(err)
	}
	return inner, binary.LittleEndian.Uint32(answer[6:])
}

func TestAClientOfAVDsRequestIsFrontedToItsHost(t *testing.T) {
	s, g := newService(t)
	to, err := g.Promise("good")
	if err != nil {
		t.Fatal(err)
	}
	inner, result := s.frontTo(to, "secret")
	if result != rdp.RDSTLSSuccess {
		t.Fatalf("result %#x", result)
	}
	text := "\x03\x00\x00\x0c\x02\xf0\x80\x04\x01\x00\x01\x00"
	if _, err := io.WriteString(inner, text); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(inner, got); err != nil || string(got) != text {
		t.Errorf("echo %q, %v", got, err)
	}
	if resp, err := s.http.Get(s.base + to.Path); err != nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a promise was kept twice: %v, %v", resp, err)
	} else {
		_ = resp.Body.Close()
	}
	if err := inner.NetConn().(*browser).Conn.Close(); err != nil {
		t.Fatal(err)
	}
	if e := s.end(); e.Connection != "c-1" || s.seen[0].Door != deskyard.DoorAVD {
		t.Errorf("%+v", e)
	}
}

func TestAPromiseOfABadTicketIsRefusedInRDSTLS(t *testing.T) {
	s, g := newService(t)
	to, err := g.Promise("bad")
	if err != nil {
		t.Fatal(err)
	}
	if _, result := s.frontTo(to, "secret"); result != rdp.RDSTLSAccessDenied {
		t.Errorf("result %#x", result)
	}
	other, err := g.Promise("good")
	if err != nil {
		t.Fatal(err)
	}
	mixed := other
	mixed.AuthBlob = to.AuthBlob // of another connection
	if _, result := s.frontTo(mixed, "secret"); result != rdp.RDSTLSLogonFailure {
		t.Errorf("another connection's key: %#x", result)
	}
}
