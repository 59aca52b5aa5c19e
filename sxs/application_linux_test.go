package sxs

import (
	"os"
	"path/filepath"
	"testing"
)

func TestASessionThatWasStartedForOneProgramIsReportedAsARemoteApp(t *testing.T) {
	root := t.TempDir()
	process := func(pid, environ, children string) {
		t.Helper()
		task := filepath.Join(root, "proc", pid, "task", pid)
		if err := os.MkdirAll(task, 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{filepath.Join(root, "proc", pid, "environ"): environ, filepath.Join(task, "children"): children} {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("10", "PATH=/bin\x00", "11 12 ")
	process("11", "DISPLAY=:10\x00", "13 ") // the shell that started it
	process("12", "DISPLAY=:10\x00", "")
	process("13", "DISPLAY=:10\x00DESKYARD_APPLICATION=1\x00", "")
	process("20", "PATH=/bin\x00", "21 99 ") // 99 ended meanwhile
	process("21", "NOT_DESKYARD_APPLICATION=1\x00X=DESKYARD_APPLICATION=1\x00", "")
	l := &logind{root: root}
	for name, c := range map[string]struct {
		session loginSession
		want    string
	}{
		"a program":            {loginSession{leader: 10, service: "xrdp-sesman"}, "RemoteApp"},
		"a desktop":            {loginSession{leader: 20, service: "xrdp-sesman"}, "Desktop"},
		"one that ended":       {loginSession{leader: 30, service: "xrdp-sesman"}, "Desktop"},
		"one at the console":   {loginSession{leader: 10, service: "login"}, "Desktop"},
		"one without a leader": {loginSession{service: "xrdp-sesman"}, "Desktop"},
	} {
		if got := l.applicationType(c.session); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}
