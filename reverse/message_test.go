package reverse

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"
)

func TestAMessageSurvivesEncodingWithItsMachineBytesUnchanged(t *testing.T) {
	machine := json.RawMessage(`{"hostname":"h1","machineId":"a\u003cb"}`)
	in := Auth{Version: 1, HostID: "host-1", Epoch: "e1", Machine: machine, Signature: make([]byte, ed25519.SignatureSize)}
	b, err := Encode(TypeAuth, "", in)
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode(b, MaxFromAgent)
	if err != nil {
		t.Fatal(err)
	}
	var out Auth
	if err := m.Into(&out); err != nil {
		t.Fatal(err)
	}
	if string(out.Machine) != string(machine) {
		t.Fatalf("machine came over as %s: its signature would not hold", out.Machine)
	}
}

func TestDecodeRefusesWhatIsNotAMessage(t *testing.T) {
	for name, bad := range map[string]string{
		"empty":          "",
		"not JSON":       "hello",
		"no type":        `{}`,
		"upper case":     `{"type":"Hello"}`,
		"long type":      `{"type":"` + strings.Repeat("a", 33) + `"}`,
		"control id":     `{"type":"report","id":"a\nb"}`,
		"type of number": `{"type":1}`,
		"too long":       `{"type":"report","body":"` + strings.Repeat("a", MaxFromAgent) + `"}`,
	} {
		if m, err := Decode([]byte(bad), MaxFromAgent); err == nil {
			t.Errorf("%s: decoded as %+v", name, m)
		}
	}
}

func TestAnUnknownTypeDecodesSoThatItCanBeIgnored(t *testing.T) {
	if _, err := Decode([]byte(`{"type":"teleport","body":{"x":1},"new":true}`), MaxFromAgent); err != nil {
		t.Fatal(err)
	}
}

func TestBodiesAreHeldToTheirBounds(t *testing.T) {
	sig := make([]byte, ed25519.SignatureSize)
	machine := json.RawMessage(`{}`)
	for name, bad := range map[string]interface{ Validate() error }{
		"hello without version":   Hello{Nonce: strings.Repeat("n", 32)},
		"hello with short nonce":  Hello{Version: 1, Nonce: "n"},
		"auth without host":       Auth{Version: 1, Machine: machine, Signature: sig},
		"auth short signature":    Auth{Version: 1, HostID: "h", Machine: machine, Signature: sig[1:]},
		"auth newline in epoch":   Auth{Version: 1, HostID: "h", Epoch: "a\nb", Machine: machine, Signature: sig},
		"auth machine is a list":  Auth{Version: 1, HostID: "h", Machine: json.RawMessage(`[]`), Signature: sig},
		"welcome without epoch":   Welcome{HeartbeatSeconds: 5},
		"welcome beat of 0":       Welcome{NextEpoch: "e"},
		"refused for a week":      Refused{Code: "x", RetryAfterSeconds: 7 * 86400},
		"bye with negative retry": Bye{RetryAfterSeconds: -1},
		"confirm nothing":         Confirm{},
		"result too long":         Result{Error: strings.Repeat("e", maxText+1)},
		"register without token":  Register{Machine: machine, PublicKey: make([]byte, 32), Proof: sig},
		"register with a P-256":   Register{Token: "t", Machine: machine, PublicKey: make([]byte, 65), Proof: sig},
	} {
		if bad.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestProofsAreTheAgreedBytes(t *testing.T) {
	const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	if got, want := string(RegisterProof("", nil)), "deskyard register v1\n"+empty+"\n"+empty; got != want {
		t.Errorf("RegisterProof = %q, want %q", got, want)
	}
	if got, want := string(LinkProof("h", "n", "e", nil)), "deskyard link v1\nh\nn\ne\n"+empty; got != want {
		t.Errorf("LinkProof = %q, want %q", got, want)
	}
}

func TestABeatCarriesItsRoundTrip(t *testing.T) {
	for _, us := range []int64{0, 1, 255, 1 << 20, 1<<32 - 1} {
		if got := BeatRTT(Beat(us)); got != us {
			t.Errorf("BeatRTT(Beat(%d)) = %d", us, got)
		}
	}
	if got := BeatRTT(Beat(-5)); got != 0 {
		t.Errorf("a negative round trip became %d", got)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"type":"hello","body":{"version":1,"nonce":"0123456789abcdef"}}`))
	f.Add([]byte(`{"type":"auth","body":{"version":1,"hostId":"h","machine":{},"signature":"AA=="}}`))
	f.Add([]byte(`{"type":"result","id":"7","body":{"error":"x"}}`))
	f.Add([]byte(`{"type":"seen","body":{"connection":"00000000-0000-4000-8000-000000000001","what":"lost","cause":"the stack"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data, MaxFromAgent)
		if err != nil {
			return
		}
		for _, body := range []any{&Hello{}, &Auth{}, &Welcome{}, &Refused{}, &Confirm{}, &Result{}, &Bye{}, &Seen{}} {
			if m.Into(body) == nil && len(m.Body) == 0 {
				t.Fatal("a body was read from nothing")
			}
		}
		again, err := Encode(m.Type, m.ID, m.Body)
		if err != nil {
			t.Fatalf("decoded %q cannot be encoded: %v", data, err)
		}
		if n, err := Decode(again, 8*MaxFromAgent); err != nil || n.Type != m.Type || n.ID != m.ID {
			t.Fatalf("decoded %+v, again %+v, %v", m, n, err)
		}
	})
}

func FuzzDecodeRegister(f *testing.F) {
	f.Add([]byte(`{"token":"t","machine":{"hostname":"h"},"publicKey":"","proof":""}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := DecodeRegister(data)
		if err == nil && (len(r.PublicKey) != ed25519.PublicKeySize || r.Token == "" || len(r.Machine) > maxMachine) {
			t.Fatalf("accepted %+v", r)
		}
	})
}
