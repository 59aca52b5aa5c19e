package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStatusTellsAnUnregisteredMachineFromARegisteredOne(t *testing.T) {
	dir := t.TempDir()
	state, status := filepath.Join(dir, "agent.json"), filepath.Join(dir, "status.json")
	show := func() string {
		t.Helper()
		var out strings.Builder
		if err := run([]string{"-state", state, "-status", status, "status"}, &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if s := show(); !strings.Contains(s, "IsRegistered  0") || !strings.Contains(s, "Not running") {
		t.Errorf("fresh machine:\n%s", s)
	}
	write(t, state, `{"hostId":"host-1","resourceId":"/x/sessionHosts/vm-1","brokerUris":["https://a:1"],"seed":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`)
	write(t, status, `{"state":"Linked","registered":true,"pid":1,"version":"1.2.3","service":"https://a:1"}`)
	s := show()
	for _, want := range []string{"Linked", "IsRegistered  1", "/x/sessionHosts/vm-1", "1.2.3"} {
		if !strings.Contains(s, want) {
			t.Errorf("no %q in\n%s", want, s)
		}
	}
	if strings.Contains(s, "AAAAAAAA") {
		t.Error("the private key is shown")
	}
	write(t, status, `{"state":"Linked","registered":true,"pid":2147483646}`)
	if s := show(); !strings.Contains(s, "Not running") {
		t.Errorf("a killed agent:\n%s", s)
	}
}

func TestAnUnknownCommandIsRefused(t *testing.T) {
	if err := run([]string{"fly"}, os.Stdout); err == nil {
		t.Fatal("accepted")
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
