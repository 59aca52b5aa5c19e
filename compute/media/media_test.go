package media

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deskyard/deskyard/compute"
)

// base makes an image of 64 MiB.
func base(t *testing.T) compute.Image {
	t.Helper()
	path := filepath.Join(t.TempDir(), "base.qcow2")
	img(t, "create", "-q", "-f", "qcow2", path, "64M")
	return compute.Image{Path: path, Format: "qcow2"}
}

func img(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("qemu-img is not installed")
	}
	if out, err := exec.Command("qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v: %s", args, err, out)
	}
}

func TestCloneTakesTheImageAsItsBackingFileAndTheSizeAskedFor(t *testing.T) {
	image, disk := base(t), filepath.Join(t.TempDir(), "disk.qcow2")
	start := time.Now()
	if err := Clone(t.Context(), image, disk, 2); err != nil {
		t.Fatal(err)
	}
	t.Logf("cloned in %s", time.Since(start).Round(time.Millisecond))
	info, err := Inspect(t.Context(), disk, "qcow2")
	if err != nil || info.Backing != image.Path || info.VirtualBytes != 2<<30 {
		t.Errorf("the clone is %+v, %v", info, err)
	}
	if size, err := Size(disk); err != nil || size != 2<<30 {
		t.Errorf("the clone's header says %d, %v", size, err)
	}
	if stat, err := os.Stat(disk); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("the clone's mode is %v, %v", stat.Mode(), err)
	}
	if err := Clone(t.Context(), image, disk, 9); err != nil {
		t.Fatal(err)
	}
	if again, err := Inspect(t.Context(), disk, "qcow2"); err != nil || again.VirtualBytes != 2<<30 {
		t.Errorf("a clone that was there became %+v, %v", again, err)
	}
}

func TestCheckRefusesAnImageThatReadsOtherFiles(t *testing.T) {
	image := base(t)
	trojan := filepath.Join(t.TempDir(), "trojan.qcow2")
	img(t, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", trojan, "64M")
	if _, err := Check(t.Context(), compute.Image{Path: trojan, Format: "qcow2"}); !errors.Is(err, ErrDangerous) {
		t.Errorf("an image over /etc/passwd: %v", err)
	}
	external := filepath.Join(t.TempDir(), "external.qcow2")
	img(t, "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(t.TempDir(), "data"), external, "64M")
	if _, err := Check(t.Context(), compute.Image{Path: external, Format: "qcow2"}); !errors.Is(err, ErrDangerous) {
		t.Errorf("an image with its data elsewhere: %v", err)
	}
	if _, err := Check(t.Context(), compute.Image{Path: image.Path, Format: "vmdk"}); err == nil {
		t.Error("a format that is not ours was accepted")
	}
	if info, err := Check(t.Context(), image); err != nil || info.VirtualBytes != 64<<20 {
		t.Errorf("a good image: %+v, %v", info, err)
	}
	// A raw image whose content is a qcow2 header is raw all the same.
	if info, err := Check(t.Context(), compute.Image{Path: trojan, Format: "raw"}); err != nil || info.Format != "raw" {
		t.Errorf("a raw image: %+v, %v", info, err)
	}
	if _, err := Check(t.Context(), compute.Image{Path: image.Path + "x", Format: "qcow2"}); err == nil {
		t.Error("an image that does not exist was accepted")
	}
}

func TestCloneThatIsCancelledLeavesNoFile(t *testing.T) {
	image, disk := base(t), filepath.Join(t.TempDir(), "disk.qcow2")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Clone(ctx, image, disk, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(disk), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestSeedComesBackAsGivenAndIsPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seed.iso")
	files := map[string][]byte{
		"meta-data": []byte("instance-id: i-1\n"), "user-data": bytes.Repeat([]byte("#cloud-config\n"), 5000),
		"network-config": []byte("version: 2\n"), "vendor-data": {},
	}
	if err := WriteSeed(path, files); err != nil {
		t.Fatal(err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", stat.Mode(), err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadSeed(bytes.NewReader(content))
	if err != nil || !maps.EqualFunc(got, files, bytes.Equal) {
		t.Errorf("read back %d files, %v", len(got), err)
		for n := range got {
			t.Log(n, len(got[n]))
		}
	}
	for _, name := range []string{"../escape", "UPPER", "a/b", "", "a-name-that-is-much-too-long-for-iso"} {
		if err := WriteSeed(path, map[string][]byte{name: nil}); err == nil {
			t.Errorf("a file was named %q", name)
		}
	}
	if err := WriteSeed(path, map[string][]byte{"user-data": make([]byte, maxSeed+1)}); err == nil {
		t.Error("a seed without bound was written")
	}
}

func FuzzParseInfo(f *testing.F) {
	f.Add([]byte(`{"virtual-size": 67108864, "filename": "a", "format": "qcow2", "actual-size": 200704, "format-specific": {"type": "qcow2", "data": {"compat": "1.1"}}, "backing-filename": "/x"}`))
	f.Add([]byte(`{"format":"raw","virtual-size":-1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := parseInfo(text)
		if err == nil && (info.Format == "" || info.VirtualBytes < 0 || info.ActualBytes < 0) {
			t.Errorf("accepted %+v", info)
		}
	})
}

func FuzzParseSize(f *testing.F) {
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x10" + "\x00\x00\x00\x00\x40\x00\x00\x00"))
	f.Add([]byte("QFI\xfb"))
	f.Fuzz(func(t *testing.T, header []byte) {
		if size, err := parseSize(header); err == nil && size < 0 {
			t.Errorf("a size of %d", size)
		}
	})
}
