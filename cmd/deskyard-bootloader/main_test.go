package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/bootloader"
)

func TestStatusTableListsTheFourComponentsEvenWhenTheyAreAbsent(t *testing.T) {
	var b bytes.Buffer
	err := printStatus(&b, bootloader.Status{Components: []bootloader.Component{
		{Name: "agent", Version: "1.2.3", State: bootloader.Running, Kept: []string{"1.2.3", "1.2.2"}},
		{Name: "bootloader", Version: "1.0.0", State: bootloader.Running, Failed: "1.1.0", Attempts: 2},
		{Name: "extra", Version: "9", State: bootloader.Stopped, Detail: "one\ntwo"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSpace(b.String()), "\n")
	for i, want := range []string{"COMPONENT", "Infrastructure Agent", "Boot Loader", "SxS Network Stack", "Monitoring Agent", "extra"} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Fatalf("row %d is not %q:\n%s", i, want, &b)
		}
	}
	for i, want := range map[int]string{1: "1.2.3 1.2.2", 2: "version 1.1.0 failed (attempts: 2)", 3: "Absent", 5: "one; two"} {
		if !strings.Contains(got[i], want) {
			t.Errorf("row %d lacks %q: %s", i, want, got[i])
		}
	}
}
