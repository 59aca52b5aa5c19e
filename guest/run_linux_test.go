package guest

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fakeSystemdRun does as systemd-run --wait does with a time: the program runs in a
// session of its own, which the death of systemd-run does not end; the time does.
const fakeSystemdRun = `#!/bin/sh
for a; do
	shift
	case $a in
	--property=RuntimeMaxSec=*ms) ms=${a#*RuntimeMaxSec=}; ms=${ms%ms} ;;
	--) break ;;
	esac
done
exec setsid --wait timeout --signal=TERM "$(printf '%d.%03d' $((ms / 1000)) $((ms % 1000)))" "$@"
`

func TestAUnitEndsWithTheTimeOfItsStep(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "systemd-run"), []byte(fakeSystemdRun), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r := programs{prefix: asUnit}
	if out, exit, err := r.Run(t.Context(), "hello", "sh", "-c", "cat; exit 3"); err != nil || exit != 3 || out != "hello" {
		t.Errorf("without a bound: %q, %d, %v", out, exit, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	ended := filepath.Join(dir, "ended")
	_, _, err := r.Run(ctx, "", "sh", "-c", `trap 'echo > "$0"; exit 0' TERM; while :; do sleep 0.05; done`, ended)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("told %v", err)
	}
	if _, err := os.Stat(ended); err != nil {
		t.Errorf("the program outlived its step: %v", err)
	}
}

func TestAUnitHasTheTimeThatItsStepHas(t *testing.T) {
	for left, want := range map[time.Duration]string{
		90 * time.Minute: "RuntimeMaxSec=5400000ms", 1500 * time.Millisecond: "RuntimeMaxSec=1500ms",
		-time.Second: "RuntimeMaxSec=1ms", // none at all would be for ever
	} {
		if line := strings.Join(asUnit(left), " "); !strings.Contains(line, "--property="+want+" ") || !strings.HasSuffix(line, " --") {
			t.Errorf("%s: %s", left, line)
		}
	}
}
