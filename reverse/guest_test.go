package reverse

import (
	"crypto/ed25519"
	"encoding/json"
	"testing"
)

func TestAnEnrolmentNeedsTheProofOfItsKey(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	machine := json.RawMessage(`{"hostname":"h"}`)
	good := GuestEnroll{MachineID: "6A6F1C9E-0000-4000-8000-000000000001", Token: "t", PublicKey: public, Machine: machine,
		Proof: ed25519.Sign(private, RegisterProof("t", machine))}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(e *GuestEnroll){
		"other token":   func(e *GuestEnroll) { e.Token = "u" },
		"other machine": func(e *GuestEnroll) { e.Machine = json.RawMessage(`{}`) },
		"no id":         func(e *GuestEnroll) { e.MachineID = "vm1" },
		"no key":        func(e *GuestEnroll) { e.PublicKey = nil },
	} {
		e := good
		change(&e)
		if e.Validate() == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzGuestMessages(f *testing.F) {
	f.Add([]byte(`{"machineId":"6a6f1c9e-0000-4000-8000-000000000001","token":"t"}`))
	f.Add([]byte(`{"session":"s","name":"ann@desk.example","password":"p","from":"::1"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e GuestEnroll
		if json.Unmarshal(b, &e) == nil && e.Validate() == nil && !guestID(e.MachineID) {
			t.Fatalf("accepted %+v", e)
		}
		var o GuestOpen
		if json.Unmarshal(b, &o) == nil && o.Validate() == nil && len(o.Machine) > maxMachine {
			t.Fatal("accepted a long machine")
		}
		var in GuestSignIn
		if json.Unmarshal(b, &in) == nil && in.Validate() == nil && (in.Name == "" || len(in.Name) > maxSignName || in.Password == "" || len(in.Password) > maxPassword) {
			t.Fatalf("accepted a sign-in of %q", in.Name)
		}
	})
}
