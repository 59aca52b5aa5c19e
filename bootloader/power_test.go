//go:build unix

package bootloader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// playBootLoader is a boot loader as a process of its own, to be killed or replaced.
func playBootLoader(role string) int {
	dir := os.Getenv("BOOTLOADER_TEST_DIR")
	if len(os.Args) > 1 && os.Args[1] == SelfTest {
		return 0
	}
	if role == "install" {
		return playInstaller(dir)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	s, err := New(Options{
		Root: filepath.Join(dir, "opt"), StateDir: filepath.Join(dir, "state"), RunDir: filepath.Join(dir, "run"),
		Self: "bootloader", SelfVersion: os.Getenv("BOOTLOADER_TEST_VERSION"), SelfSettle: 300 * time.Millisecond,
		StopWithin: 2 * time.Second, Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	err = s.Run(ctx)
	if r := (*Reexec)(nil); errors.As(err, &r) {
		err = Exec(r.Path, nil)
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// playInstaller installs and flips between two versions until it is killed.
func playInstaller(dir string) int {
	d := disk{filepath.Join(dir, "opt", "agent")}
	if err := d.sweep(); err != nil {
		fmt.Println(err)
		return 1
	}
	for {
		for _, name := range []string{"1.0.0", "2.0.0"} {
			b, err := os.ReadFile(filepath.Join(dir, name+".tar.gz"))
			if err != nil {
				fmt.Println(err)
				return 1
			}
			m, err := Inspect(bytes.NewReader(b))
			if err == nil {
				err = d.install(bytes.NewReader(b), m)
			}
			if err == nil {
				err = pointCurrent(d.dir, name)
			}
			if err != nil {
				fmt.Println(err)
				return 1
			}
		}
	}
}

func TestAKilledInstallLeavesOnlyWholeVersions(t *testing.T) {
	y := newYard(t)
	for _, v := range []string{"1.0.0", "2.0.0"} {
		_, b := y.pack("agent", v, "ready")
		if err := os.WriteFile(filepath.Join(y.dir, v+".tar.gz"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := disk{filepath.Join(y.dir, "opt", "agent")}
	first := y.spawn("install")
	for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if all, err := d.versions(); err != nil || len(all) > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("nothing was ever installed: %s", y.out)
		}
	}
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = first.Wait()
	for i := range 25 {
		cmd := y.spawn("install")
		time.Sleep(time.Duration(10+7*i) * time.Millisecond) // where in an install it is hit does not matter
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		versions, err := d.versions()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range versions {
			if err := d.intact(v); err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
		if _, err := d.current(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
}

// placeSelf installs a boot loader: this test binary, told its version by a script.
func (y *yard) placeSelf(version string, current bool) {
	y.t.Helper()
	script := filepath.Join(y.t.TempDir(), "run")
	text := "#!/bin/sh\nBOOTLOADER_TEST_VERSION=" + version + " exec \"$" + testBinaryEnv + "\" \"$@\"\n"
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		y.t.Fatal(err)
	}
	o := Options{}.withDefaults()
	var b bytes.Buffer
	m, err := Pack(&b, Manifest{Component: "bootloader", Version: version, OS: o.OS, Arch: o.Arch, Entry: "run"}, map[string]string{"run": script})
	if err != nil {
		y.t.Fatal(err)
	}
	d := disk{filepath.Join(y.dir, "opt", "bootloader")}
	if err := d.install(&b, m); err != nil {
		y.t.Fatal(err)
	}
	if current {
		if err := pointCurrent(d.dir, version); err != nil {
			y.t.Fatal(err)
		}
	}
}

func TestTheBootLoaderReplacesItselfUnderTheSameProcessAndKeepsItsChildren(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	y.placeSelf("1.0.0", true)
	y.placeSelf("2.0.0", false)
	t.Setenv("BOOTLOADER_TEST_VERSION", "1.0.0")
	cmd := y.spawn("run")
	c := NewClient(filepath.Join(y.dir, "run", "bootloader.sock"))
	agent := await(t, c, "agent running", "agent", runs("1.0.0"))
	want(t, c, Desired{Component: "bootloader", Version: "2.0.0"})
	self := await(t, c, "replaced and settled", "bootloader", runs("2.0.0"))
	if self.PID != cmd.Process.Pid {
		t.Errorf("boot loader is process %d, was %d", self.PID, cmd.Process.Pid)
	}
	after := await(t, c, "agent running", "agent", runs("1.0.0"))
	if after.PID != agent.PID {
		t.Errorf("agent was restarted: process %d, was %d", after.PID, agent.PID)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("end: %v\n%s", err, y.out)
	}
	if !strings.Contains(y.out.String(), "agent: goodbye") {
		t.Errorf("output of the taken-over agent lost:\n%s", y.out)
	}
}

func TestUpdatesOfAllComponentsAtOnceDoNotLoseAnAnnouncementToTheReplacement(t *testing.T) {
	y := newYard(t)
	y.placeSelf("1.0.0", true)
	y.placeSelf("2.0.0", false)
	desired := []Desired{{Component: "bootloader", Version: "2.0.0"}}
	for _, n := range []string{"agent", "sxs-stack", "monitoring-agent"} {
		y.place(n, "1.1.0", "ready")
		y.place(n, "1.0.0", "ready")
		desired = append(desired, Desired{Component: n, Version: "1.1.0"})
	}
	t.Setenv("BOOTLOADER_TEST_VERSION", "1.0.0")
	cmd := y.spawn("run")
	c := NewClient(filepath.Join(y.dir, "run", "bootloader.sock"))
	for _, d := range desired[1:] {
		await(t, c, d.Component+" running", d.Component, runs("1.0.0"))
	}
	want(t, c, desired...)
	for _, d := range desired {
		got := await(t, c, d.Component+" updated", d.Component, runs(d.Version))
		if got.Failed != "" {
			t.Errorf("%s failed on the way: %+v", d.Component, got)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("end: %v\n%s", err, y.out)
	}
	if strings.Contains(y.out.String(), "announce:") {
		t.Errorf("an announcement was lost:\n%s", y.out)
	}
}

func TestABootLoaderThatKeepsEndingGivesWayToTheOneBefore(t *testing.T) {
	y := newYard(t)
	y.placeSelf("1.0.0", false)
	y.placeSelf("2.0.0", true)
	o := y.options()
	o.Self, o.SelfVersion, o.SelfSettle = "bootloader", "2.0.0", time.Hour
	l, err := openLedger(filepath.Join(o.StateDir, "state.json"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := l.change("bootloader", func(r *record) { r.Trial, r.Previous = "2.0.0", "1.0.0" }); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		_, stop := y.run(o)
		await(t, NewClient(filepath.Join(o.RunDir, "bootloader.sock")), fmt.Sprint("start ", i), "bootloader", func(c Component) bool { return c.State == Installing })
		stop()
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	err = s.Run(t.Context())
	r := (*Reexec)(nil)
	if !errors.As(err, &r) || r.Version != "1.0.0" {
		t.Fatalf("fifth start: %v, want a re-exec of 1.0.0", err)
	}
}

func TestABootLoaderThatDoesNotRunIsNotSwitchedTo(t *testing.T) {
	y := newYard(t)
	y.placeSelf("1.0.0", true)
	o := y.options()
	o.Self, o.SelfVersion = "bootloader", "1.0.0"
	m, archive := y.pack("bootloader", "2.0.0", "x")
	c, _ := y.run(o)
	t.Setenv(testBinaryEnv, "/bin/false")
	want(t, c, y.serve(m, archive, archive))
	await(t, c, "refused", "bootloader", func(c Component) bool { return c.Failed == "2.0.0" && c.Version == "1.0.0" })
	if v, err := readCurrent(filepath.Join(o.Root, "bootloader")); v != "1.0.0" || err != nil {
		t.Errorf("current %q, %v", v, err)
	}
}

func TestAfterABootLoaderWasKilledItsComponentsAreNotDoubled(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	cmd := y.spawn("run")
	c := NewClient(filepath.Join(y.dir, "run", "bootloader.sock"))
	first := await(t, c, "agent running", "agent", runs("1.0.0"))
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	cmd = y.spawn("run")
	await(t, c, "another agent running", "agent", func(c Component) bool { return runs("1.0.0")(c) && c.PID != first.PID })
	if err := syscall.Kill(first.PID, 0); err == nil {
		if _, _, ok := processTicks(first.PID); ok {
			t.Error("the orphan still runs")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestATrialCutShortByPowerLossIsRepeatedAndBounded(t *testing.T) {
	for _, flipped := range []bool{false, true} { // power lost before or after the link was flipped
		y := newYard(t)
		y.place("agent", "2.0.0", "silent")
		y.place("agent", "1.0.0", "ready")
		o := y.options()
		if flipped {
			if err := pointCurrent(filepath.Join(o.Root, "agent"), "2.0.0"); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
			t.Fatal(err)
		}
		l, err := openLedger(filepath.Join(o.StateDir, "state.json"), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		trial := func(r *record) {
			r.Desired = Desired{Component: "agent", Version: "2.0.0"}
			r.Trial, r.Previous, r.Attempt = "2.0.0", "1.0.0", 1
		}
		if err := l.change("agent", trial); err != nil {
			t.Fatal(err)
		}
		c, stop := y.run(o)
		await(t, c, "trial repeated", "agent", func(c Component) bool {
			return c.Detail == "version 2.0.0 is on trial" && c.Version == "1.0.0" && c.PID != 0
		})
		stop()
		if err := l.change("agent", func(r *record) { trial(r); r.Attempt = 4 }); err != nil {
			t.Fatal(err)
		}
		c, _ = y.run(o)
		a := await(t, c, "given up", "agent", func(c Component) bool { return c.Version == "1.0.0" && c.PID != 0 })
		if a.Failed != "2.0.0" || a.State != Failed {
			t.Errorf("status %+v", a)
		}
	}
}

func TestAnUnreadableStateFileDoesNotStopTheMachine(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	o := y.options()
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(o.StateDir, "state.json"), []byte("{\"agent\": tru"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, _ := y.run(o)
	await(t, c, "agent running", "agent", runs("1.0.0"))
}
