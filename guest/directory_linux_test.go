package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deskyard/deskyard/signon"
)

func TestTheDirectoryJoinBringsTheHookAndNamesTheTenant(t *testing.T) {
	r := &recording{}
	o := DirectoryStep{Runner: r}.Run(t.Context(), step("directoryjoin", `{"tenantId":"tenant-1"}`, ""))
	if o.Code != "" || len(r.line) != 1 || !strings.HasSuffix(r.line[0], " deskyard tenant-1 "+signon.PAMProfilePath) || r.stdin[0] != signon.PAMProfile {
		t.Errorf("told %+v, ran %q", o, r.line)
	}
	for _, settings := range []string{`{}`, `{"tenantId":"a b"}`, `{"tenantId":"tenant-1","mdmId":"0000000a-0000-0000-c000-000000000000"}`} {
		r := &recording{}
		if o := (DirectoryStep{Runner: r}).Run(t.Context(), step("directoryjoin", settings, "")); o.Code == "" || len(r.line) != 0 {
			t.Errorf("%s: %+v, ran %q", settings, o, r.line)
		}
	}
}

// TestTheHooksProfileIsInstalledOnceByTheJoin runs the script's first part, which does
// not touch the machine, with a pam-auth-update of the test's.
func TestTheHooksProfileIsInstalledOnceByTheJoin(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "pam-auth-update"), []byte("#!/bin/sh\necho \"$@\" >>"+dir+"/ran\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(directoryScript, "mkdir -p /etc/deskyard")
	profile := filepath.Join(dir, "pam-configs", "deskyard")
	for range 2 {
		cmd := exec.Command("/bin/sh", "-c", first, "deskyard", "tenant-1", profile)
		cmd.Env, cmd.Stdin = []string{"PATH=" + dir + ":/usr/bin:/bin"}, strings.NewReader(signon.PAMProfile)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	ran, err := os.ReadFile(filepath.Join(dir, "ran"))
	if err != nil || string(ran) != "--package\n" {
		t.Errorf("ran %q, %v", ran, err)
	}
	if b, err := os.ReadFile(profile); err != nil || string(b) != signon.PAMProfile {
		t.Errorf("profile %q, %v", b, err)
	}
}
