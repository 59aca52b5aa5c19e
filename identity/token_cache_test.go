package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

func signToken(t *testing.T, key *rsa.PrivateKey, kid, payload string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := sig.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestARememberedTokenIsRefusedOnceItsKeyNoLongerVerifies(t *testing.T) {
	first, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	second, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	valid := map[string]*rsa.PublicKey{"k": &first.PublicKey}
	find := func(kid string) (*rsa.PublicKey, bool) { k, ok := valid[kid]; return k, ok }
	token := signToken(t, first, "k", `{"oid":"someone"}`)
	var o opened
	for range 2 { // the second time from memory
		if c, err := o.open(token, find); err != nil || c.ObjectID != "someone" {
			t.Fatalf("%+v, %v", c, err)
		}
	}
	valid["k"] = &second.PublicKey
	if _, err := o.open(token, find); err == nil {
		t.Error("accepted although another key has taken the name of its own")
	}
	delete(valid, "k")
	if _, err := o.open(token, find); err == nil {
		t.Error("accepted although its key is gone")
	}
	if _, err := o.open(token[:len(token)-4]+"AAAA", find); err == nil {
		t.Error("a changed signature was accepted")
	}
}

func TestTheMemoryOfTokensIsBounded(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	find := func(string) (*rsa.PublicKey, bool) { return &key.PublicKey, true }
	o := opened{rows: map[[32]byte]openedToken{}}
	for i := range maxOpened {
		o.rows[[32]byte{byte(i), byte(i >> 8), 1}] = openedToken{}
	}
	for i := range 3 {
		if _, err := o.open(signToken(t, key, "k", fmt.Sprintf(`{"oid":"%d"}`, i)), find); err != nil {
			t.Fatal(err)
		}
	}
	if len(o.rows) > maxOpened {
		t.Fatalf("%d tokens remembered", len(o.rows))
	}
}
