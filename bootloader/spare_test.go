//go:build unix

package bootloader

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// spare lays a version down as an image would have brought it, and returns its folder.
func (y *yard) spare(m Manifest, archive []byte) string {
	y.t.Helper()
	d := disk{filepath.Join(y.options().Root, spareName, m.Component)}
	if err := d.install(bytes.NewReader(archive), m); err != nil {
		y.t.Fatal(err)
	}
	return d.path(m.Version)
}

func TestASpareVersionWaitsUntilItIsWantedAndIsNotFetched(t *testing.T) {
	y := newYard(t)
	m, archive := y.pack("agent", "1.0.0", "ready")
	folder := y.spare(m, archive)
	d := y.serve(m, archive, nil) // no archive is to be had
	c, _ := y.run(y.options())
	want(t, c, y.publish("sxs-stack", "7.1", "ready"))
	await(t, c, "stack running", "sxs-stack", runs("7.1"))
	if s, err := c.Status(t.Context()); err != nil {
		t.Fatal(err)
	} else if a, there := s.Component("agent"); there {
		t.Fatalf("nobody wants the spare agent, and it is %+v", a)
	}
	want(t, c, d)
	await(t, c, "agent running", "agent", runs("1.0.0"))
	if _, err := os.Stat(folder); err == nil {
		t.Error("the spare version is still there beside the installed one")
	}
}

func TestASpareVersionThatIsNotWhatWasSignedIsFetched(t *testing.T) {
	for name, spoil := range map[string]func(folder string) error{
		"another program": func(folder string) error {
			return os.WriteFile(filepath.Join(folder, "bin", "run"), []byte("#!/bin/sh\nexit 1\n"), 0o755)
		},
		"one more file": func(folder string) error {
			return os.WriteFile(filepath.Join(folder, "bin", "more"), []byte("#!/bin/sh\n"), 0o755)
		},
		"a link for a file": func(folder string) error {
			run := filepath.Join(folder, "bin", "run")
			if err := os.Rename(run, filepath.Join(folder, "..", "elsewhere")); err != nil {
				return err
			}
			return os.Symlink("../../elsewhere", run)
		},
		"another manifest": func(folder string) error {
			path := filepath.Join(folder, ManifestName)
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, bytes.Replace(b, []byte("Test agent"), []byte("Fake agent"), 1), 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t)
			m, archive := y.pack("agent", "1.0.0", "ready")
			if err := spoil(y.spare(m, archive)); err != nil {
				t.Fatal(err)
			}
			c, _ := y.run(y.options())
			want(t, c, y.serve(m, archive, archive))
			await(t, c, "agent running", "agent", runs("1.0.0"))
			if !strings.Contains(y.out.String(), "spare version not taken") {
				t.Errorf("nothing is said of the spare version:\n%s", y.out)
			}
			if got, err := os.ReadFile(filepath.Join(y.options().Root, "agent", "1.0.0", "bin", "run")); err != nil || !bytes.Contains(got, []byte(testBinaryEnv)) {
				t.Errorf("what is installed: %q, %v", got, err)
			}
		})
	}
}
