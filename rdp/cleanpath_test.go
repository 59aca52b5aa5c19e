package rdp

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
)

// What IronRDP's web client sends and takes, recorded.
const (
	recordedRequest = "3055a00402020d3ea2110c0f73682d6c696e75782d303a33333839a3090c07746f6b2d313233a62f042d0300002d28e00000000000436f6f6b69653a206d737473686173683d617664746573740d0a010008000b000000"
	recordedSuccess = "3036a00402020d3ea6150413030000130ed000001234000201080001000000a70630040402deada90f0c0d31302e302e302e343a33333839"
	recorded401     = "3015a00402020d3ea10d300ba003020101a10402020191"
	recordedRefusal = "3026a00402020d3ea1073005a003020102a6150413030000130ed000000000000300080005000000"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTheRecordedRequestIsReadAndNothingBehindIt(t *testing.T) {
	in := bytes.NewReader(append(unhex(t, recordedRequest), "rdp"...))
	q, err := ReadCleanPath(in)
	if err != nil || q.Destination != "sh-linux-0:3389" || q.Ticket != "tok-123" {
		t.Fatalf("%+v, %v", q, err)
	}
	if rest, err := io.ReadAll(in); string(rest) != "rdp" || err != nil {
		t.Errorf("left %q, %v", rest, err)
	}
	if r, err := ParseRequest(q.X224); err != nil || r.Protocols != ProtocolTLS|ProtocolHybrid|ProtocolHybridEx {
		t.Errorf("%+v, %v", r, err)
	}
	if b, err := q.Bytes(); err != nil || hex.EncodeToString(b) != recordedRequest {
		t.Errorf("written again: %x, %v", b, err)
	}
}

func TestAnswersHaveTheRecordedForm(t *testing.T) {
	confirm := unhex(t, "030000130ed000001234000201080001000000")
	if b, err := CleanPathSuccess(confirm, [][]byte{{0xde, 0xad}}, "10.0.0.4:3389"); err != nil || hex.EncodeToString(b) != recordedSuccess {
		t.Errorf("success %x, %v", b, err)
	}
	if b, err := CleanPathFailure(CleanPathError{Code: CleanPathGeneral, HTTP: 401}, nil); err != nil || hex.EncodeToString(b) != recorded401 {
		t.Errorf("401 %x, %v", b, err)
	}
	refusal := unhex(t, "030000130ed000000000000300080005000000")
	if b, err := CleanPathFailure(CleanPathError{Code: CleanPathNegotiation}, refusal); err != nil || hex.EncodeToString(b) != recordedRefusal {
		t.Errorf("refusal %x, %v", b, err)
	}
	if c, err := ParseConfirm(confirm); err != nil || c.Protocol != ProtocolTLS || c.Failure != 0 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := ParseConfirm(refusal); err != nil || c.Failure != 5 {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRequestsThatAreNoneAreRefused(t *testing.T) {
	without, err := CleanPathRequest{Destination: "x", X224: []byte{1}}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "cut": unhex(t, recordedRequest)[:40], "another version": unhex(t, strings.Replace(recordedRequest, "0d3e", "0d3f", 1)),
		"an answer": unhex(t, recordedSuccess), "no ticket": without, "no sequence": []byte("GET / HTTP/1.1"),
		"too long": {0x30, 0x83, 0x7f, 0xff, 0xff}, "of no length": {0x30, 0x80}, "of a long length": {0x30, 0x84, 0, 0, 0, 1},
	} {
		if q, err := ReadCleanPath(bytes.NewReader(b)); err == nil {
			t.Errorf("%s: %+v", name, q)
		}
	}
}

// FuzzCleanPath: what is read can be written and is the same.
func FuzzCleanPath(f *testing.F) {
	f.Add(unhex(f, recordedRequest))
	f.Add(unhex(f, recordedSuccess))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := ReadCleanPath(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := q.Bytes()
		if err != nil {
			return // a text that DER cannot hold came of bytes that it should not have been
		}
		if q2, err := ReadCleanPath(bytes.NewReader(again)); err != nil || q2.Ticket != q.Ticket || !bytes.Equal(q2.X224, q.X224) {
			t.Errorf("%+v became %+v, %v", q, q2, err)
		}
	})
}

// FuzzX224: neither parser reads beyond what it is given.
func FuzzX224(f *testing.F) {
	f.Add(Request{Protocols: 0xb}.Bytes())
	f.Add(Confirm{Protocol: 1}.Bytes())
	f.Add(Confirm{Failure: 5}.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ReadTPKT(bytes.NewReader(b), MaxNegotiation)
		if err != nil {
			return
		}
		if len(p) > len(b) {
			t.Fatalf("%d bytes out of %d", len(p), len(b))
		}
		if c, err := ParseConfirm(p); err == nil && c.Failure != 0 && c.Protocol != 0 {
			t.Errorf("refused and selected: %+v", c)
		}
		if q, err := ParseRequest(p); err == nil {
			if again, err := ParseRequest(q.Bytes()); err != nil || again != q {
				t.Errorf("%+v became %+v, %v", q, again, err)
			}
		}
	})
}
