//go:build e2e

package connect

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
)

// programs are the command lines of what the person's account runs.
func (h *host) programs(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("ps", "-u", h.user, "-o", "args=").Output()
	if err != nil && len(out) > 0 { // 1 where there are none
		t.Error(err)
	}
	var all []string
	for line := range strings.Lines(string(out)) {
		all = append(all, strings.TrimSpace(line))
	}
	return all
}

// applications counts xrdp's sessions that were started for one program, as the host's
// stack tells them (package sxs): by the environment of what stands below the session's
// process.
func (h *host) applications(t *testing.T) (n int) {
	t.Helper()
	manager, err := exec.Command("pgrep", "-o", "-x", "xrdp-sesman").Output()
	if err != nil {
		t.Error(err)
		return 0
	}
	out, err := exec.Command("pgrep", "-P", strings.TrimSpace(string(manager)), "-x", "xrdp-sesman").Output()
	if err != nil {
		t.Error(err)
		return 0
	}
	for _, pid := range strings.Fields(string(out)) {
		for _, child := range below(pid, 3) {
			environ, err := os.ReadFile(filepath.Join("/proc", child, "environ"))
			if err == nil && strings.Contains("\x00"+string(environ), "\x00"+deskyard.ApplicationVariable+"=") {
				n++
				break
			}
		}
	}
	return n
}

func below(pid string, depth int) (all []string) {
	if _, err := strconv.Atoi(pid); err != nil || depth == 0 {
		return nil
	}
	list, err := os.ReadFile(filepath.Join("/proc", pid, "task", pid, "children"))
	if err != nil {
		return nil
	}
	for _, child := range strings.Fields(string(list)) {
		all = append(append(all, child), below(child, depth-1)...)
	}
	return all
}

func (h *host) endPrograms(t *testing.T) bool {
	t.Helper()
	if out, err := exec.Command("pkill", "-u", h.user, "-x", "xterm").CombinedOutput(); err != nil {
		t.Errorf("end the program: %v %s", err, out)
	}
	return true
}
