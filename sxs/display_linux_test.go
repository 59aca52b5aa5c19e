package sxs

import (
	"strings"
	"testing"
)

const unixSockets = `Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 21001 /run/xrdp/sockdir/xrdp_display_10
0000000000000000: 00000003 00000000 00000000 0001 03 21044 /run/xrdp/sockdir/xrdp_display_10
0000000000000000: 00000002 00000000 00010000 0001 01 21002 /run/xrdp/sockdir/xrdp_display_11
0000000000000000: 00000003 00000000 00000000 0001 03 21045
`

func TestADisplayIsConnectedOnlyWithAClientAtItsSocket(t *testing.T) {
	got, err := readDisplays(strings.NewReader(unixSockets))
	if err != nil || len(got) != 1 || !got["10"] {
		t.Fatalf("%v, %v", got, err)
	}
}

const connections = `u_str ESTAB 0 0 /run/xrdp/sockdir/xrdp_display_10 21044 * 21045 users:(("Xorg",pid=700,fd=22))
u_str ESTAB 0 0 * 21045 * 21044 users:(("xrdp",pid=812,fd=18))
u_str ESTAB 0 0 * 30000 * 30001 users:(("xrdp",pid=900,fd=18))
`

func TestTheCarrierOfADisplayIsTheXRDPProcessAtItsFarEnd(t *testing.T) {
	if pid, ok := carrierOf([]byte(connections), "10"); !ok || pid != 812 {
		t.Fatalf("carrier %d, %v", pid, ok)
	}
	if pid, ok := carrierOf([]byte(connections), "11"); ok {
		t.Fatalf("display 11 has no client, yet %d was found", pid)
	}
}

func TestSessionsOfTheSystemAreNotThoseOfPeople(t *testing.T) {
	for name, c := range map[string]struct {
		s    loginSession
		want bool
	}{
		"person":       {loginSession{class: "user", uid: 1000}, true},
		"root":         {loginSession{class: "user", uid: 0}, false},
		"login screen": {loginSession{class: "greeter", uid: 120}, false},
		"lingering":    {loginSession{class: "manager", uid: 1000}, false},
		"ending":       {loginSession{class: "user", uid: 1000, state: "closing"}, false},
	} {
		if c.s.ofPerson() != c.want {
			t.Errorf("%s: %v", name, !c.want)
		}
	}
	rdp := loginSession{class: "user", uid: 1000, service: "xrdp-sesman", display: ":10.0"}
	if got := rdp.userState(map[string]bool{"10": true}); got != "Active" {
		t.Errorf("with a client: %s", got)
	}
	if got := rdp.userState(nil); got != "Disconnected" {
		t.Errorf("without a client: %s", got)
	}
	ssh := loginSession{class: "user", uid: 1000, service: "sshd"}
	if got := ssh.userState(nil); got != "Active" {
		t.Errorf("ssh: %s", got)
	}
}

func TestAMessageCannotDriveATerminal(t *testing.T) {
	if got := printable("a\x1b[2Jb\nc\u009bd", 100); got != "a[2Jb\ncd" {
		t.Errorf("%q", got)
	}
	if got := printable(strings.Repeat("ä", 10), 4); got != "äää…" {
		t.Errorf("%q", got)
	}
}

func FuzzReadDisplays(f *testing.F) {
	f.Add(unixSockets)
	f.Fuzz(func(t *testing.T, s string) {
		// A line longer than the scanner takes is an error, never a panic.
		if _, err := readDisplays(strings.NewReader(s)); err == nil {
			carrierOf([]byte(s), "10")
		}
	})
}
