package sxs

import (
	"net"
	"testing"
)

func TestAListeningSocketIsKnownByItsInode(t *testing.T) {
	first, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := first.Addr().String()
	one, err := listening(addr)
	if err != nil || one == "" {
		t.Fatalf("a socket that listens: %q, %v", one, err)
	}
	if again, err := listening(addr); err != nil || again != one {
		t.Errorf("the same one: %q, %v after %q", again, err, one)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if gone, err := listening(addr); err != nil || gone != "" {
		t.Errorf("a socket that was closed: %q, %v", gone, err)
	}
	second, err := net.Listen("tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if other, err := listening(addr); err != nil || other == "" || other == one {
		t.Errorf("its successor: %q, %v after %q", other, err, one)
	}
	if _, err := listening("no address"); err == nil {
		t.Error("what is no address was looked for")
	}
}
