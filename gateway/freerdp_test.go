package gateway

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// FreeRDP 2 answers no other challenge where a file has a ticket, so a file
// that was kept too long can only be refused: in words, which it shows.
func TestFreeRDPShowsWhyAKeptFileIsRefused(t *testing.T) {
	for _, program := range []string{"xfreerdp", "xvfb-run"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s is not installed", program)
		}
	}
	s, _ := newService(t)
	u, err := url.Parse(s.base)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kept.rdp")
	text := fmt.Sprintf("full address:s:sh-1\r\ngatewayhostname:s:%s\r\ngatewayusagemethod:i:1\r\ngatewayprofileusagemethod:i:1\r\n"+
		"gatewaycredentialssource:i:5\r\ngatewayaccesstoken:s:bad\r\n", u.Host)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := exec.CommandContext(ctx, "xvfb-run", "-a", "xfreerdp", file, "/u:ann", "/p:unused", "/cert:ignore", "/log-level:INFO")
	client.Env = append(os.Environ(), "HOME="+t.TempDir())
	client.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a display server, and the client
	client.Cancel = func() error { return syscall.Kill(-client.Process.Pid, syscall.SIGTERM) }
	client.WaitDelay = time.Second
	var said bytes.Buffer
	client.Stdout, client.Stderr = &said, &said
	began := time.Now()
	if err := client.Run(); err == nil {
		t.Error("the client thinks that it was connected")
	}
	if ctx.Err() != nil || !strings.Contains(said.String(), "download the connection file again") {
		t.Errorf("after %s the person has read:\n%s", time.Since(began), &said)
	}
	t.Logf("told after %s", time.Since(began))
}
