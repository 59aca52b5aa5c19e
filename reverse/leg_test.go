package reverse

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// answering is a gateway that answers so whatever it is asked.
type answering struct {
	asked  bytes.Buffer
	answer io.Reader
	read   int
}

func (a *answering) Write(b []byte) (int, error) { return a.asked.Write(b) }

func (a *answering) Read(b []byte) (int, error) {
	n, err := a.answer.Read(b)
	a.read += n
	return n, err
}

// FuzzLegAnswer has a host read what a gateway, or something in its place, answers to its
// dial-back.
func FuzzLegAnswer(f *testing.F) {
	good := "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + LegProtocol + "\r\n\r\n"
	f.Add([]byte(good))
	f.Add([]byte(good + "early"))
	f.Add([]byte("HTTP/1.1 410 Gone\r\nContent-Length: 5\r\n\r\nlate."))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffff\r\n"))
	f.Add([]byte(strings.Repeat("HTTP/1.1 100 Continue\r\n", 2000)))
	f.Fuzz(func(t *testing.T, answer []byte) {
		a := &answering{answer: bytes.NewReader(answer)}
		err := Leg{ID: strings.Repeat("ab", 16), Host: "h", Proof: []byte{1}}.open(a, "https://gw:1")
		if a.read > 32<<10 {
			t.Fatalf("%d bytes were read", a.read)
		}
		if err == nil && !bytes.HasPrefix(answer, []byte("HTTP/")) {
			t.Fatalf("%q opened a leg", answer)
		}
		if !strings.HasPrefix(a.asked.String(), "GET "+LegPath) {
			t.Fatalf("asked %q", &a.asked)
		}
	})
}
