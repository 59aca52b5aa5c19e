package relay

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canned is a connection that gives what it was given, in pieces, and keeps writes.
type canned struct {
	net.Conn
	in     io.Reader
	out    bytes.Buffer
	writes int
}

func (c *canned) Read(b []byte) (int, error) { return c.in.Read(b) }
func (c *canned) Write(b []byte) (int, error) {
	c.writes++
	return c.out.Write(b)
}

// record is a TLS record of n bytes.
func record(n int) []byte {
	b := append([]byte{23, 3, 3, byte(n >> 8), byte(n)}, make([]byte, n)...)
	for i := range n {
		b[5+i] = byte(i)
	}
	return b
}

func TestReadsEndWithTheRecord(t *testing.T) {
	stream := bytes.Join([][]byte{record(10), record(0), record(16000), record(1)}, nil)
	for name, in := range map[string]io.Reader{
		"at once": bytes.NewReader(stream), "byte by byte": iotest.OneByteReader(bytes.NewReader(stream)), "by halves": iotest.HalfReader(bytes.NewReader(stream)),
	} {
		r := NewRecords(&canned{in: in})
		var got []byte
		buf := make([]byte, 20000)
		for {
			n, err := r.Read(buf)
			got = append(got, buf[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if name == "at once" && n != 15 && n != 5 && n != 16005 && n != 6 {
				t.Errorf("a read gave %d bytes, which is no record", n)
			}
		}
		if !bytes.Equal(got, stream) {
			t.Errorf("%s: %d bytes of %d came through", name, len(got), len(stream))
		}
	}
}

func TestPendingTellsWholeRecordsOnly(t *testing.T) {
	r := NewRecords(&canned{in: bytes.NewReader(append(append(record(10), record(20)...), record(30)[:12]...))})
	buf := make([]byte, 100)
	for _, want := range []struct {
		n       int
		pending bool
	}{{15, true}, {25, false}} {
		if n, err := r.Read(buf); n != want.n || err != nil || r.Pending() != want.pending {
			t.Errorf("%d bytes, %v, pending %v; want %+v", n, err, r.Pending(), want)
		}
	}
	r.Drain(true)
	var again net.Error
	if n, err := r.Read(buf); n != 0 || !errors.As(err, &again) || !again.Timeout() {
		t.Errorf("draining, it gave %d bytes of a record that has not arrived, %v", n, err)
	}
	r.Drain(false)
	if n, err := r.Read(buf); n != 12 || err != nil {
		t.Errorf("not draining, it gave %d, %v", n, err)
	}
}

func TestCorkedWritesLeaveTogether(t *testing.T) {
	c := &canned{in: bytes.NewReader(nil)}
	r := NewRecords(c)
	r.Cork()
	for range 3 {
		if _, err := r.Write([]byte("abc")); err != nil {
			t.Fatal(err)
		}
	}
	if c.writes != 0 {
		t.Error("a corked connection wrote")
	}
	if err := r.Uncork(); err != nil || c.writes != 1 || c.out.String() != "abcabcabc" {
		t.Errorf("%d writes of %q, %v", c.writes, c.out.String(), err)
	}
}

// tcpPair is two ends of a connection.
func tcpPair(t testing.TB) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// tlsPair is two ends of TLS over TCP, both on Records.
func tlsPair(t testing.TB) (a, b *tls.Conn) {
	t.Helper()
	return tlsOver(tcpPair(t))(t)
}

// tlsOver makes two ends of TLS over those of a connection, both on Records.
func tlsOver(under, from net.Conn) func(testing.TB) (a, b *tls.Conn) {
	return func(t testing.TB) (a, b *tls.Conn) {
		t.Helper()
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		a = tls.Server(NewRecords(under), &tls.Config{DynamicRecordSizingDisabled: true, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
		b = tls.Client(NewRecords(from), &tls.Config{DynamicRecordSizingDisabled: true, InsecureSkipVerify: true})
		t.Cleanup(func() { _ = a.Close(); _ = b.Close() })
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := a.Handshake(); err != nil {
				t.Error(err)
			}
		})
		if err := b.Handshake(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		return a, b
	}
}

// pieces writes data in pieces of many sizes, as RDP comes, and closes.
func pieces(t testing.TB, to io.WriteCloser, data []byte) {
	sizes := mathrand.New(mathrand.NewPCG(1, 2))
	for len(data) > 0 {
		n := min(len(data), []int{1, 64, 1024, 16000, 40000}[sizes.IntN(5)])
		if _, err := to.Write(data[:n]); err != nil {
			t.Error(err)
			return
		}
		data = data[n:]
	}
}

func TestASessionCarriesEveryByteBothWays(t *testing.T) {
	client, gatewayClient := tlsPair(t)
	gatewayHost, host := tlsPair(t)
	carries(t, client, gatewayClient, gatewayHost, host)
}

// A web client's session ends RDP's TLS at the gateway, inside the TLS of the leg.
func TestASessionCarriesEveryByteThroughTLSInTLS(t *testing.T) {
	client, gatewayClient := tlsPair(t)
	leg, stack := tlsPair(t)
	gatewayHost, host := tlsOver(leg, stack)(t)
	carries(t, client, gatewayClient, gatewayHost, host)
}

// carries has a session carry bytes in pieces of all sizes, both ways at once.
func carries(t *testing.T, client, gatewayClient, gatewayHost, host *tls.Conn) {
	t.Helper()
	var s Sessions
	ended := make(chan End, 1)
	go func() { ended <- s.Run("x", gatewayClient, gatewayHost, 0) }()
	up, down := make([]byte, 3<<20), make([]byte, 5<<20)
	_, _ = rand.Read(up)
	_, _ = rand.Read(down)
	var wg sync.WaitGroup
	wg.Go(func() { pieces(t, client, up) })
	wg.Go(func() { pieces(t, host, down) })
	gotDown := make([]byte, len(down))
	wg.Go(func() {
		if _, err := io.ReadFull(client, gotDown); err != nil {
			t.Error(err)
		}
	})
	gotUp := make([]byte, len(up))
	if _, err := io.ReadFull(host, gotUp); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if !bytes.Equal(gotUp, up) || !bytes.Equal(gotDown, down) {
		t.Error("bytes were changed on their way")
	}
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.Reason != ClientClosed || e.FromClient != uint64(len(up)) || e.FromHost != uint64(len(down)) || e.RTT <= 0 {
		t.Errorf("%+v", e)
	}
}

// FuzzRecords: whatever arrives in whatever pieces, it is what is read.
func FuzzRecords(f *testing.F) {
	f.Add(append(record(10), record(300)...), uint8(7))
	f.Add([]byte{23, 3, 3}, uint8(1))
	f.Fuzz(func(t *testing.T, stream []byte, size uint8) {
		r := NewRecords(&canned{in: iotest.HalfReader(bytes.NewReader(stream))})
		var got []byte
		buf := make([]byte, int(size)+1)
		for range 10*len(stream) + 10 {
			n, err := r.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				if !errors.Is(err, io.EOF) || !bytes.Equal(got, stream) {
					t.Errorf("%x became %x, %v", stream, got, err)
				}
				return
			}
		}
		t.Errorf("%x has no end", stream)
	})
}
