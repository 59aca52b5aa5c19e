package agentapi

import (
	"testing"
	"time"

	"github.com/deskyard/deskyard"
)

func TestAnEpochTellsAHostFromItsCopies(t *testing.T) {
	now := sunday
	m := deskyard.Machine{MachineID: "m", SMBIOSID: "AAAA"}
	other := deskyard.Machine{MachineID: "m", SMBIOSID: "bbbb"}
	lower := deskyard.Machine{MachineID: "m", SMBIOSID: "aaaa"}
	unknown := deskyard.Machine{MachineID: "m"}
	h := deskyard.SessionHost{Machine: m, Epoch: "e2", NextEpoch: "e3", LastSeen: now.Add(-time.Hour)}
	long := h
	long.LastSeen = now.Add(-cloneMemory)
	fresh := deskyard.SessionHost{Machine: m}
	for _, c := range []struct {
		name  string
		host  deskyard.SessionHost
		epoch string
		m     deskyard.Machine
		alive bool
		want  verdict
	}{
		{"the first link", fresh, "", m, false, current},
		{"the confirmed epoch", h, "e2", m, false, current},
		{"the epoch handed out last", h, "e3", m, false, current},
		{"a host back before its old link has lapsed", h, "e2", m, true, current},
		{"the same id in another case", h, "e2", lower, true, current},
		{"a machine without SMBIOS id", h, "e2", unknown, true, current},
		{"a snapshot", h, "e1", m, false, restored},
		{"a copy with the same SMBIOS id beside the original", h, "e1", m, true, clone},
		{"an empty epoch after the first link", h, "", m, false, restored},
		{"a copy while the original is connected", h, "e2", other, true, clone},
		{"a copy while the original is briefly away", h, "e2", other, false, clone},
		{"the disk in a new machine", long, "e2", other, false, moved},
		{"the old disk in a new machine", long, "e1", other, false, moved},
	} {
		if got := judgeEpoch(c.host, c.epoch, c.m, c.alive, now); got != c.want {
			t.Errorf("%s: verdict %d, want %d", c.name, got, c.want)
		}
	}
}
