package tsgu

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
	"unicode/utf16"
)

// gate lets the cookie "good" in.
type gate struct{ asked []Request }

func (g *gate) Open(_ context.Context, r Request) (Grant, error) {
	g.asked = append(g.asked, r)
	if r.Cookie != "good" {
		return Grant{}, &Refusal{Code: CodeBadCookie, Err: errors.New("bad ticket")}
	}
	return Grant{Redirect: Redirection{Clipboard: true}, Idle: 90 * time.Minute}, nil
}

func text(s string) []byte {
	var b []byte
	for _, u := range append(utf16.Encode([]rune(s)), 0) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return append(binary.LittleEndian.AppendUint16(nil, uint16(len(b))), b...)
}

// What a client sends until its channel stands.
func opening(cookie string) []byte {
	return bytes.Join([][]byte{
		encode(typeHandshakeRequest, uint8(1), uint8(0), uint16(0), uint16(authPAA)),
		encode(typeTunnelCreate, uint32(0x3f), uint16(1), uint16(0), text(cookie)),
		encode(typeTunnelAuth, uint16(0), text("laptop")),
		encode(typeChannelCreate, uint8(1), uint8(0), uint16(3389), uint16(3), text("sh-1")),
	}, nil)
}

func data(s string) []byte { return encode(typeData, uint16(len(s)), []byte(s)) }

// wire is a client that has said everything already.
type wire struct {
	io.Reader
	bytes.Buffer
}

func (w *wire) Read(b []byte) (int, error) { return w.Reader.Read(b) }

func TestAClientWithATicketGetsItsChannel(t *testing.T) {
	w := &wire{Reader: bytes.NewReader(append(opening("good"), bytes.Join([][]byte{
		data("abc"), encode(typeKeepalive), data(""), data("defg"), encode(typeCloseChannel, uint32(0)),
	}, nil)...))}
	g := &gate{}
	c, err := Accept(t.Context(), w, g)
	if err != nil {
		t.Fatal(err)
	}
	if c.Client != "laptop" || c.Destination.Port != 3389 || c.Destination.Names[0] != "sh-1" {
		t.Errorf("client %q asks for %v", c.Client, c.Destination)
	}
	if got, err := io.ReadAll(c); string(got) != "abcdefg" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if _, err := c.Write(bytes.Repeat([]byte("x"), window+1)); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		kind uint16
		body string // in hexadecimal
	}{
		{typeHandshakeResponse, "00000000" + "01" + "00" + "0000" + "0200"},
		{typeTunnelResponse, "0000" + "00000000" + "0300" + "0000" + "01000000" + "02000000"},
		{typeTunnelAuthReply, "00000000" + "0300" + "0000" + "17000000" + "5a000000"},
		{typeChannelResponse, "00000000" + "0100" + "0000" + "01000000"},
		{typeCloseReply, "00000000" + "0000" + "0000"},
		{typeData, "0080" + strings.Repeat("78", window)},
		{typeData, "0100" + "78"},
	}
	for _, x := range want {
		p, err := readPacket(&w.Buffer, maxBody)
		if err != nil || p.kind != x.kind || hex.EncodeToString(p.body) != x.body {
			t.Errorf("got packet %#x %.80x, %v; want %#x %.80s", p.kind, p.body, err, x.kind, x.body)
		}
	}
	if w.Len() != 0 {
		t.Errorf("%d more bytes were sent", w.Len())
	}
}

// worded refuses everybody, in words.
type worded struct{}

func (worded) Open(context.Context, Request) (Grant, error) {
	return Grant{}, &Refusal{Code: CodeBadCookie, Message: "Download it again – now.", Err: errors.New("stale")}
}

func TestARefusalIsShownToThePersonAtTheClient(t *testing.T) {
	w := &wire{Reader: bytes.NewReader(append(opening("stale"), data("RDP's first bytes")...))}
	if _, err := Accept(t.Context(), w, worded{}); err == nil || err.Error() != "stale" {
		t.Fatal(err)
	}
	var last []packet
	for {
		p, err := readPacket(&w.Buffer, maxBody)
		if err != nil {
			break
		}
		last = append(last, p)
	}
	if len(last) != 6 || last[4].kind != typeServiceMessage || last[5].kind != typeCloseChannel {
		t.Fatalf("answers are %v", last)
	}
	f := fields{rest: last[4].body}
	if got := f.text(); got != "Download it again – now." || f.short || len(f.rest) > 0 {
		t.Errorf("the person reads %q", got)
	}
	if code := binary.LittleEndian.Uint32(last[5].body); code != CodeBadCookie {
		t.Errorf("closed with %#x", code)
	}
	// A client that shows no texts has the code alone.
	w = &wire{Reader: bytes.NewReader(bytes.Replace(opening("stale"), encode(typeTunnelCreate, uint32(0x3f))[8:], encode(typeTunnelCreate, uint32(0x3f&^capServiceMessage))[8:], 1))}
	if _, err := Accept(t.Context(), w, worded{}); err == nil {
		t.Fatal("let in")
	}
	if _, err := readPacket(&w.Buffer, maxBody); err != nil {
		t.Fatal(err)
	}
	if p, err := readPacket(&w.Buffer, maxBody); err != nil || p.kind != typeTunnelResponse || binary.LittleEndian.Uint32(p.body[2:]) != CodeBadCookie || w.Len() > 0 {
		t.Errorf("it got %v, %v and %d more bytes", p, err, w.Len())
	}
}

func TestRefusalsAreToldByTheirCode(t *testing.T) {
	handshake := func(auth uint16) []byte {
		return encode(typeHandshakeRequest, uint8(1), uint8(0), uint16(0), auth)
	}
	for _, c := range []struct {
		name string
		said []byte
		kind uint16 // of the last answer
		code uint32 // in it
		at   int    // where the code is
	}{
		{"a bad cookie", opening("bad"), typeTunnelResponse, CodeBadCookie, 2},
		{"no cookie", append(handshake(authNone), encode(typeTunnelCreate, uint32(0), uint16(0), uint16(0))...), typeTunnelResponse, CodeBadCookie, 2},
		{"NTLM", handshake(4), typeHandshakeResponse, CodeCapability, 0},
		{"another version", encode(typeHandshakeRequest, uint8(2), uint8(0), uint16(0), uint16(2)), typeHandshakeResponse, CodeCapability, 0},
		{"a cut cookie", append(handshake(authPAA), encode(typeTunnelCreate, uint32(0), uint16(1), uint16(0), uint16(400))...), typeTunnelResponse, CodeInternal, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := &wire{Reader: bytes.NewReader(c.said)}
			if _, err := Accept(t.Context(), w, &gate{}); err == nil {
				t.Fatal("accepted")
			}
			var last packet
			for {
				p, err := readPacket(&w.Buffer, maxSetup)
				if err != nil {
					break
				}
				last = p
			}
			if last.kind != c.kind || len(last.body) < c.at+4 || binary.LittleEndian.Uint32(last.body[c.at:]) != c.code {
				t.Errorf("last answer is %#x %x", last.kind, last.body)
			}
		})
	}
}

func TestPacketsOutOfTurnAreRefused(t *testing.T) {
	for name, said := range map[string][]byte{
		"data first":        data("x"),
		"no tunnel":         append(encode(typeHandshakeRequest, uint8(1), uint8(0), uint16(0), uint16(2)), encode(typeChannelCreate)...),
		"too long":          {typeHandshakeRequest, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f},
		"shorter than head": {typeHandshakeRequest, 0, 0, 0, 7, 0, 0, 0},
		"cut":               {typeHandshakeRequest, 0, 0},
		"nothing":           {},
	} {
		if _, err := Accept(t.Context(), &wire{Reader: bytes.NewReader(said)}, &gate{}); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDataThatContradictsItsLengthIsRefused(t *testing.T) {
	for _, said := range [][]byte{encode(typeData, uint16(9), []byte("abc")), encode(typeData, uint8(1)), encode(typeTunnelAuth)} {
		c, err := Accept(t.Context(), &wire{Reader: bytes.NewReader(append(opening("good"), said...))}, &gate{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(c); err == nil || len(got) != 0 {
			t.Errorf("%x: read %q, %v", said, got, err)
		}
	}
}

func TestRedirectionIsToldAsFlags(t *testing.T) {
	for want, r := range map[uint32]Redirection{
		redirectAll:                  {Clipboard: true, Drives: true, Printers: true, Ports: true, PnP: true},
		redirectNone:                 {},
		disableDrives | disablePorts: {Clipboard: true, Printers: true, PnP: true},
	} {
		if got := r.flags(); got != want {
			t.Errorf("%+v: %#x, not %#x", r, got, want)
		}
	}
}

// FuzzAccept: whatever a client sends, there is no channel without the ticket, and what
// is read of a channel is what data packets carried.
func FuzzAccept(f *testing.F) {
	f.Add(opening("good"))
	f.Add(append(opening("good"), data("hello")...))
	f.Add(opening("bad"))
	f.Fuzz(func(t *testing.T, said []byte) {
		g := &gate{}
		c, err := Accept(t.Context(), &wire{Reader: bytes.NewReader(said)}, g)
		if err != nil {
			return
		}
		if len(g.asked) != 1 || g.asked[0].Cookie != "good" {
			t.Fatalf("a channel after %v", g.asked)
		}
		if got, _ := io.ReadAll(c); len(got) > len(said) { // any error is a right answer to noise
			t.Errorf("%d bytes came of %d", len(got), len(said))
		}
	})
}

// echo runs a channel that sends back what it gets.
func echo(s Stream, g Gate) error {
	c, err := Accept(context.Background(), s, g)
	if err == nil {
		_, err = io.Copy(c, c)
	}
	return errors.Join(err, s.Close())
}

var _ Stream = net.Conn(nil)

// halting is a stream that says between bytes that nothing more has arrived.
type halting struct {
	rest []byte
	told bool
}

var errNotYet = errors.New("nothing more has arrived")

func (h *halting) Read(b []byte) (int, error) {
	if h.told = !h.told; h.told {
		return 0, errNotYet
	}
	if len(h.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, h.rest[:1])
	h.rest = h.rest[n:]
	return n, nil
}

func TestAReadThatMayNotWaitLosesNothing(t *testing.T) {
	var stream []byte
	for _, p := range [][]byte{encode(typeData, uint16(2), []byte("ab")), encode(typeKeepalive, []byte("xyz")), encode(typeData, uint16(3), []byte("cde"))} {
		stream = append(stream, p...)
	}
	c := &Channel{in: bufio.NewReader(&halting{rest: stream})}
	var got []byte
	for b := make([]byte, 10); ; {
		n, err := c.Read(b)
		got = append(got, b[:n]...)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errNotYet) {
			t.Fatal(err)
		}
	}
	if string(got) != "abcde" {
		t.Errorf("%q", got)
	}
}
