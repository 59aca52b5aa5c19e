//go:build unix

package bootloader

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testBinaryEnv names this test binary to the components' shell scripts, and
// testRoleEnv what it is to do instead of testing.
const (
	testBinaryEnv = "BOOTLOADER_TEST_BINARY"
	testRoleEnv   = "BOOTLOADER_TEST_ROLE"
)

func TestMain(m *testing.M) {
	if os.Getenv(ComponentEnv) != "" && len(os.Args) == 2 {
		os.Exit(playComponent(os.Args[1]))
	}
	if role := os.Getenv(testRoleEnv); role != "" {
		os.Exit(playBootLoader(role))
	}
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	os.Setenv(testBinaryEnv, self)
	os.Exit(m.Run())
}

// playComponent is a component's process. What it does is its argument.
func playComponent(act string) int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	fmt.Println("acting", act)
	if act == "crash" {
		return 3
	}
	if act != "silent" {
		if err := AnnounceReady(context.Background()); err != nil {
			fmt.Println("announce:", err)
			return 4
		}
	}
	switch act {
	case "ready-crash":
		return 5
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		select {}
	}
	<-stop
	fmt.Println("goodbye")
	return 0
}

// yard is a service with packages, and a machine's directories.
type yard struct {
	t      *testing.T
	dir    string
	key    ed25519.PrivateKey
	server *httptest.Server
	out    *syncBuffer

	mu    sync.Mutex // guards files
	files map[string][]byte
}

type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func newYard(t *testing.T) *yard {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	// Not t.TempDir: its long names do not fit into a socket address.
	dir, err := os.MkdirTemp("", "yard")
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{t: t, dir: dir, key: key, files: map[string][]byte{}, out: &syncBuffer{}}
	y.server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		y.mu.Lock()
		b, ok := y.files[r.URL.Path]
		y.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b))
	}))
	t.Cleanup(func() {
		y.server.Close()
		os.RemoveAll(dir)
	})
	return y
}

func (y *yard) options() Options {
	return Options{
		Root: filepath.Join(y.dir, "opt"), StateDir: filepath.Join(y.dir, "state"), RunDir: filepath.Join(y.dir, "run"),
		Fetcher: HTTPFetcher{Client: y.server.Client(), Bases: []string{y.server.URL}},
		Key:     func() (ed25519.PublicKey, error) { return y.key.Public().(ed25519.PublicKey), nil },
		Log:     slog.New(slog.NewTextHandler(y.out, nil)), Output: y.out,
		ReadyWithin: 30 * time.Second, StopWithin: 3 * time.Second, MinBackoff: 10 * time.Millisecond, MaxBackoff: 50 * time.Millisecond,
	}
}

// pack makes the archive of a component whose process does act.
func (y *yard) pack(component, version, act string) (Manifest, []byte) {
	y.t.Helper()
	script := filepath.Join(y.t.TempDir(), "run")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nexec \"$"+testBinaryEnv+"\" \"$1\"\n"), 0o755); err != nil {
		y.t.Fatal(err)
	}
	var b bytes.Buffer
	o := Options{}.withDefaults()
	m, err := Pack(&b, Manifest{Component: component, Version: version, OS: o.OS, Arch: o.Arch, Title: "Test " + component, Entry: "bin/run", Args: []string{act}},
		map[string]string{"bin/run": script})
	if err != nil {
		y.t.Fatal(err)
	}
	return m, b.Bytes()
}

// publish puts a version on the service and says how to ask for it.
func (y *yard) publish(component, version, act string) Desired {
	y.t.Helper()
	m, archive := y.pack(component, version, act)
	return y.serve(m, archive, archive)
}

// serve signs one archive and serves another, which is the same unless a test is about that.
func (y *yard) serve(m Manifest, signed, served []byte) Desired {
	y.t.Helper()
	sum := sha256.Sum256(signed)
	digest := hex.EncodeToString(sum[:])
	s, err := Sign(y.key, Release{Manifest: m, Archive: Blob{SHA256: digest, Size: int64(len(signed))}}, "/blobs/"+digest)
	if err != nil {
		y.t.Fatal(err)
	}
	b, err := json.Marshal(s)
	if err != nil {
		y.t.Fatal(err)
	}
	d := Desired{Component: m.Component, Version: m.Version, Manifest: "/" + m.Component + "/" + m.Version}
	y.put(d.Manifest, b)
	y.put("/blobs/"+digest, served)
	return d
}

func (y *yard) put(path string, b []byte) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.files[path] = b
}

// place installs a version as a system package would.
func (y *yard) place(component, version, act string) {
	y.t.Helper()
	m, archive := y.pack(component, version, act)
	d := disk{filepath.Join(y.options().Root, component)}
	if err := d.install(bytes.NewReader(archive), m); err != nil {
		y.t.Fatal(err)
	}
	if err := pointCurrent(d.dir, version); err != nil {
		y.t.Fatal(err)
	}
}

// run runs a supervisor until the test ends or stop is called, whichever is first.
func (y *yard) run(o Options) (c *Client, stop func()) {
	y.t.Helper()
	s, err := New(o)
	if err != nil {
		y.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			y.t.Errorf("run: %v", err)
		}
		if y.t.Failed() {
			y.t.Log(y.out.String())
		}
	})
	y.t.Cleanup(stop)
	return NewClient(filepath.Join(o.RunDir, "bootloader.sock")), stop
}

// await polls the status of real processes until it is as wanted.
func await(t *testing.T, c *Client, what, component string, ok func(Component) bool) Component {
	t.Helper()
	var last Component
	var lastErr error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		s, err := c.Status(t.Context())
		lastErr = err
		if err != nil {
			continue
		}
		last, _ = s.Component(component)
		if ok(last) {
			return last
		}
	}
	t.Fatalf("never seen: %s; last %+v, %v", what, last, lastErr)
	return last
}

func runs(version string) func(Component) bool {
	return func(c Component) bool { return c.State == Running && c.Version == version && c.PID != 0 }
}

func want(t *testing.T, c *Client, d ...Desired) {
	t.Helper()
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if err = c.SetDesired(t.Context(), d); err == nil {
			return
		}
	}
	t.Fatal(err)
}

func TestADesiredComponentIsFetchedStartedAndRunning(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	want(t, c, y.publish("agent", "1.0.0", "ready"), y.publish("sxs-stack", "7.1", "ready"))
	a := await(t, c, "agent running", "agent", runs("1.0.0"))
	if a.Title != "Test agent" || !slices.Equal(a.Kept, []string{"1.0.0"}) {
		t.Errorf("status %+v", a)
	}
	await(t, c, "stack running", "sxs-stack", runs("7.1"))
	if _, err := os.ReadDir(filepath.Join(y.dir, "state", "downloads")); err != nil {
		t.Error(err)
	} else if left, _ := os.ReadDir(filepath.Join(y.dir, "state", "downloads")); len(left) != 0 {
		t.Errorf("downloads left: %v", left)
	}
	if !strings.Contains(y.out.String(), "agent: acting ready") {
		t.Errorf("output not prefixed:\n%s", y.out)
	}
}

func TestAVersionThatAPackagePlacedRunsWithoutTheService(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	y.server.Close()
	c, _ := y.run(y.options())
	await(t, c, "agent running", "agent", runs("1.0.0"))
}

func TestStopLetsComponentsSayGoodbyeAndKillsTheStubborn(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	y.place("stubborn", "1.0.0", "stubborn")
	c, stop := y.run(y.options())
	await(t, c, "agent running", "agent", runs("1.0.0"))
	pid := await(t, c, "stubborn running", "stubborn", runs("1.0.0")).PID
	stop()
	if !strings.Contains(y.out.String(), "agent: goodbye") {
		t.Errorf("no goodbye:\n%s", y.out)
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("stubborn component lives: %v", err)
	}
}

func TestAnUpdateFlipsAndKeepsThreeVersions(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0", "1.10.0", "1.11.0"} {
		want(t, c, y.publish("agent", v, "ready"))
		await(t, c, v+" running", "agent", runs(v))
	}
	a := await(t, c, "three kept", "agent", func(c Component) bool { return len(c.Kept) == 3 })
	if !slices.Equal(a.Kept, []string{"1.11.0", "1.10.0", "1.2.0"}) {
		t.Errorf("kept %v", a.Kept)
	}
}

func TestADowngradeToAKeptVersionNeedsNoDownload(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	old, new := y.publish("agent", "1.0.0", "ready"), y.publish("agent", "2.0.0", "ready")
	want(t, c, old)
	await(t, c, "old running", "agent", runs("1.0.0"))
	want(t, c, new)
	await(t, c, "new running", "agent", runs("2.0.0"))
	y.server.Close()
	want(t, c, old)
	await(t, c, "old running again", "agent", runs("1.0.0"))
}

func TestAVersionThatNeverGetsReadyIsRolledBack(t *testing.T) {
	y := newYard(t)
	o := y.options()
	o.ReadyWithin = 300 * time.Millisecond
	y.place("agent", "1.0.0", "ready")
	c, _ := y.run(o)
	await(t, c, "old running", "agent", runs("1.0.0"))
	want(t, c, y.publish("agent", "2.0.0", "silent"))
	a := await(t, c, "rolled back", "agent", func(c Component) bool { return c.Failed == "2.0.0" && c.Version == "1.0.0" && c.PID != 0 })
	if a.State != Failed || a.Attempts != 1 || !strings.Contains(a.Detail, "did not announce itself ready within 300ms") {
		t.Errorf("status %+v", a)
	}
	if v, err := readCurrent(filepath.Join(o.Root, "agent")); v != "1.0.0" || err != nil {
		t.Errorf("current %q, %v", v, err)
	}
}

func TestAVersionThatEndsBeforeItIsReadyIsRolledBackAtOnceAndTriedFourTimes(t *testing.T) {
	y := newYard(t)
	o := y.options()
	o.RetryEvery = 20 * time.Millisecond
	y.place("agent", "1.0.0", "ready")
	c, _ := y.run(o)
	await(t, c, "old running", "agent", runs("1.0.0"))
	want(t, c, y.publish("agent", "2.0.0", "crash"))
	a := await(t, c, "given up", "agent", func(c Component) bool { return c.Attempts == 4 && c.Version == "1.0.0" && c.PID != 0 })
	if a.State != Failed || !strings.Contains(a.Detail, "exit status 3") {
		t.Errorf("status %+v", a)
	}
	if n := strings.Count(y.out.String(), "agent: acting crash"); n != 4 {
		t.Errorf("tried %d times", n)
	}
	// Force tries it once more.
	d := y.publish("agent", "2.0.0", "crash")
	d.Force = true
	want(t, c, d)
	for end := time.Now().Add(5 * time.Second); strings.Count(y.out.String(), "agent: acting crash") != 5; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("force does not try again")
		}
	}
	// A version that works gets its turn all the same.
	want(t, c, y.publish("agent", "2.0.1", "ready"))
	await(t, c, "mended version running", "agent", runs("2.0.1"))
}

func TestACrashLoopOfAnUnprovenVersionIsRolledBack(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	c, _ := y.run(y.options())
	await(t, c, "old running", "agent", runs("1.0.0"))
	want(t, c, y.publish("agent", "2.0.0", "ready-crash"))
	a := await(t, c, "rolled back", "agent", func(c Component) bool { return c.Failed == "2.0.0" && c.Version == "1.0.0" && c.PID != 0 })
	if a.State != Failed || !strings.Contains(a.Detail, "ended 5 times in a row") {
		t.Errorf("status %+v", a)
	}
}

func TestACrashedComponentIsStartedAgain(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "ready")
	c, _ := y.run(y.options())
	first := await(t, c, "running", "agent", runs("1.0.0"))
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, c, "running again", "agent", func(c Component) bool {
		return c.Restarts == 1 && c.PID != 0 && c.PID != first.PID && c.State == Running
	})
}

func TestAVersionThatStayedUpIsProvenAndItsFailureForgotten(t *testing.T) {
	y := newYard(t)
	o := y.options()
	o.ProvenAfter = 50 * time.Millisecond
	y.place("agent", "1.0.0", "ready")
	if err := os.MkdirAll(o.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := openLedger(filepath.Join(o.StateDir, "state.json"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := l.change("agent", func(r *record) { r.Failed, r.Attempts = "1.0.0", 2 }); err != nil {
		t.Fatal(err)
	}
	c, stop := y.run(o)
	await(t, c, "failure forgotten", "agent", func(c Component) bool { return c.State == Running && c.Failed == "" && c.Attempts == 0 })
	stop()
	if l, err = openLedger(filepath.Join(o.StateDir, "state.json"), slog.New(slog.DiscardHandler)); err != nil || l.get("agent").Proven != "1.0.0" {
		t.Errorf("record %+v, %v", l.get("agent"), err)
	}
}

func TestRestartDelaysDoubleToTheirBound(t *testing.T) {
	y := newYard(t)
	o := y.options()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	o.Now, o.MinBackoff, o.MaxBackoff = func() time.Time { return now }, time.Second, 10*time.Second
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	u := s.unitFor("agent")
	u.current = "1.0.0"
	for i, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		u.after(record{}, "crashed")
		if got := u.startAt.Sub(now); got != want*time.Second {
			t.Errorf("delay after crash %d is %s, not %s", i+1, got, want*time.Second)
		}
	}
}

func TestOutputOfAComponentGoneWildIsCutAndTold(t *testing.T) {
	var out syncBuffer
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	l := &lineLog{out: &out, outMu: &sync.Mutex{}, prefix: "agent", now: func() time.Time { return now }}
	l.copy(strings.NewReader(strings.Repeat("x\n", linesPerBurst+500)))
	if n := strings.Count(out.String(), "agent: x\n"); n != linesPerBurst {
		t.Errorf("%d lines passed", n)
	}
	now = now.Add(burstEvery)
	l.copy(strings.NewReader(strings.Repeat("y", 3*maxLine) + "\nlast, without an end"))
	got := out.String()[strings.LastIndex(out.String(), "x\n")+2:]
	lines := strings.Split(got, "\n")
	if !strings.Contains(lines[0], "500 lines dropped") || len(lines[1]) != maxLine+len("agent: ") || lines[2] != "agent: last, without an end" {
		t.Errorf("got %.200q", got)
	}
}

func TestTheOnlyVersionIsStartedAgainAndAgain(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "crash")
	c, _ := y.run(y.options())
	await(t, c, "many restarts", "agent", func(c Component) bool { return c.Restarts > 7 })
}

func TestAManifestSignedByAnotherKeyIsRefused(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	_, other, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	mine := y.key
	y.key = other
	d := y.publish("agent", "1.0.0", "ready")
	y.key = mine
	want(t, c, d)
	a := await(t, c, "refused", "agent", func(c Component) bool { return c.Failed == "1.0.0" })
	if a.State != Failed || !strings.Contains(a.Detail, "signature does not match") || a.Version != "" {
		t.Errorf("status %+v", a)
	}
}

func TestATamperedArchiveIsRefusedBeforeItIsUnpacked(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	m, archive := y.pack("agent", "1.0.0", "ready")
	tampered := bytes.Clone(archive)
	tampered[len(tampered)/2] ^= 1
	want(t, c, y.serve(m, archive, tampered))
	a := await(t, c, "refused", "agent", func(c Component) bool { return c.Failed == "1.0.0" })
	if !strings.Contains(a.Detail, "was signed") || len(a.Kept) != 0 {
		t.Errorf("status %+v", a)
	}
}

func TestAReleaseForAnotherVersionOrMachineIsRefused(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	old := y.publish("agent", "1.0.0", "ready")
	want(t, c, Desired{Component: "agent", Version: "2.0.0", Manifest: old.Manifest})
	a := await(t, c, "refused", "agent", func(c Component) bool { return c.Failed == "2.0.0" })
	if !strings.Contains(a.Detail, "is of agent 1.0.0") {
		t.Errorf("status %+v", a)
	}
	m, archive := y.pack("sxs-stack", "1.0.0", "ready")
	m.Arch = "mips"
	want(t, c, y.serve(m, archive, archive))
	a = await(t, c, "refused", "sxs-stack", func(c Component) bool { return c.Failed == "1.0.0" })
	if !strings.Contains(a.Detail, "is for linux/mips") {
		t.Errorf("status %+v", a)
	}
}

func TestABrokenDownloadIsResumed(t *testing.T) {
	y := newYard(t)
	m, archive := y.pack("agent", "1.0.0", "ready")
	sum := sha256.Sum256(archive)
	digest := hex.EncodeToString(sum[:])
	d := y.serve(m, archive, archive)
	downloads := filepath.Join(y.options().StateDir, "downloads")
	if err := os.MkdirAll(downloads, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(downloads, digest), archive[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	// The service has only the rest: the first hundred bytes must come from the disk.
	y.put("/blobs/"+digest, append(make([]byte, 100), archive[100:]...))
	c, _ := y.run(y.options())
	want(t, c, d)
	await(t, c, "running", "agent", runs("1.0.0"))
}

func TestReadyOfAnotherVersionIsRefused(t *testing.T) {
	y := newYard(t)
	y.place("agent", "1.0.0", "silent")
	c, _ := y.run(y.options())
	await(t, c, "started", "agent", func(c Component) bool { return c.PID != 0 && c.State == Installing })
	if err := c.Ready(t.Context(), "agent", "1.0.1"); err == nil {
		t.Error("ready of a version that does not run was accepted")
	}
	if err := c.Ready(t.Context(), "nobody", "1.0.0"); err == nil {
		t.Error("ready of an unknown component was accepted")
	}
	if err := c.Ready(t.Context(), "agent", "1.0.0"); err != nil {
		t.Error(err)
	}
	await(t, c, "running", "agent", runs("1.0.0"))
}

func TestDesiredFromOutsideIsChecked(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	await(t, c, "nothing", "x", func(c Component) bool { return c.Name == "" })
	for _, d := range []Desired{
		{Component: "../agent", Version: "1.0.0"}, {Component: "agent", Version: "../../etc"}, {Component: "agent", Version: "1..", Manifest: "http://evil"},
		{Component: "agent", Version: "1", Manifest: "//evil/x"}, {},
	} {
		if err := c.SetDesired(t.Context(), []Desired{d}); err == nil {
			t.Errorf("%+v was accepted", d)
		}
	}
}

func TestTheControlSocketIsForItsOwnerOnly(t *testing.T) {
	y := newYard(t)
	c, _ := y.run(y.options())
	await(t, c, "answer", "x", func(Component) bool { return true })
	for path, mode := range map[string]os.FileMode{"run": 0o700, "run/bootloader.sock": 0o600, "state": 0o700} {
		info, err := os.Stat(filepath.Join(y.dir, path))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != mode {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
	}
	if _, err := listenControl(filepath.Join(y.dir, "run", "bootloader.sock")); err == nil {
		t.Error("a second boot loader got the socket")
	}
}

// spawn starts a boot loader as a process of its own.
func (y *yard) spawn(role string) *exec.Cmd {
	y.t.Helper()
	cmd := exec.Command(os.Getenv(testBinaryEnv))
	cmd.Env = append(os.Environ(), testRoleEnv+"="+role, "BOOTLOADER_TEST_DIR="+y.dir)
	cmd.Stdout, cmd.Stderr = y.out, y.out
	if err := cmd.Start(); err != nil {
		y.t.Fatal(err)
	}
	y.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}
