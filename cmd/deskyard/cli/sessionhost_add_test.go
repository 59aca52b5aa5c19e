package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestAFlagOfTheWizardIsAParameterOfTheRun(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("Correct-Horse-9-Staple\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := sessionHostAdd{NamePrefix: "sh", Count: 1, Image: "/images/debian", AdminUser: "keeper", AdminPasswordFile: password,
		BootDiagnostics: "Custom", DiagnosticsURI: "https://store.example/", CustomLocation: "here", CPUs: 2, Memory: 4096, MemoryBuffer: 20}
	b, err := c.body(&session{})
	if err != nil {
		t.Fatal(err)
	}
	if m := b.Machines; m.BootDiagnostics != "Custom" || m.DiagnosticsAccount != "https://store.example/" || m.MemoryType != "Static" || m.BufferPercent != 20 {
		t.Errorf("static memory with a buffer, which the service refuses, became %+v", m)
	}
	c.MinimumMemory, c.MaximumMemory = 2048, 8192
	if b, err = c.body(&session{}); err != nil {
		t.Fatal(err)
	}
	if m := b.Machines; m.MemoryType != "Dynamic" || m.MinimumMB != 2048 || m.MaximumMB != 8192 || m.BufferPercent != 20 {
		t.Errorf("dynamic memory became %+v", m)
	}
}
