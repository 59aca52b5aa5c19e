package seal

import (
	"bytes"
	"errors"
	"testing"
)

func sealer(t testing.TB, fill byte) *Sealer {
	t.Helper()
	s, err := New(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOpenGivesBackWhatWasSealedForTheSameObject(t *testing.T) {
	s := sealer(t, 1)
	box := s.Seal([]byte("Pa55word"), "/Subscriptions/S/vm1")
	if bytes.Contains(box, []byte("Pa55word")) {
		t.Fatal("the box shows the secret")
	}
	got, err := s.Open(box, "/subscriptions/s/VM1")
	if err != nil || string(got) != "Pa55word" {
		t.Fatalf("got %q, %v", got, err)
	}
}

func TestOpenRefusesAnotherObjectAnotherKeyAndAnyChange(t *testing.T) {
	s := sealer(t, 1)
	box := s.Seal([]byte("secret"), "a")
	changed := bytes.Clone(box)
	changed[len(changed)-1] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another object": func() ([]byte, error) { return s.Open(box, "b") },
		"another key":    func() ([]byte, error) { return sealer(t, 2).Open(box, "a") },
		"changed":        func() ([]byte, error) { return s.Open(changed, "a") },
		"cut":            func() ([]byte, error) { return s.Open(box[:10], "a") },
		"empty":          func() ([]byte, error) { return s.Open(nil, "a") },
	} {
		if _, err := open(); !errors.Is(err, ErrBroken) {
			t.Errorf("%s: got %v, want ErrBroken", name, err)
		}
	}
}

func TestTheSameSecretSealsDifferentlyEachTime(t *testing.T) {
	s := sealer(t, 1)
	if bytes.Equal(s.Seal([]byte("x"), "a"), s.Seal([]byte("x"), "a")) {
		t.Fatal("two boxes are equal: the nonce repeats")
	}
}
