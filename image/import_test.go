package image

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestAnImportedImageIsWholeAndNobodyMayWriteIt(t *testing.T) {
	c := openCatalogue(t)
	dir := t.TempDir()
	source := tiny(t, "what is on it")
	qemuImg(t, dir, "convert", "-O", "qcow2", source, "source.qcow2")
	kernel := filepath.Join(dir, "vmlinuz")
	if err := os.WriteFile(kernel, []byte("kernel"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := manifest("Contoso:debian:minimal:1.2.3")
	m.Arguments = "quiet"
	var steps []string
	e, err := c.Import(t.Context(), Import{Manifest: m, Disk: filepath.Join(dir, "source.qcow2"), Kernel: kernel, Progress: func(step string, done, total int64) {
		if len(steps) == 0 || steps[len(steps)-1] != step {
			steps = append(steps, step)
		}
		if done > total {
			t.Errorf("%s is at %d of %d", step, done, total)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(steps, " "); got != "inspect convert checksum" {
		t.Errorf("steps told: %s", got)
	}
	i, err := c.Resolve(t.Context(), "", m.Reference())
	if err != nil || i.VirtualBytes != 64<<10 || i.Kernel != filepath.Join(e.Folder, "kernel") || i.Arguments != "quiet" || i.Initrd != "" {
		t.Fatalf("%+v, %v", i, err)
	}
	err = filepath.WalkDir(c.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == ".lock" {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o444)
		if d.IsDir() {
			want = 0o755
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	qemuImg(t, dir, "compare", "-f", "raw", "-F", "qcow2", source, i.Path)
	if _, err := c.Import(t.Context(), Import{Manifest: m, Disk: source, Format: "raw"}); !errors.Is(err, ErrExists) {
		t.Errorf("the same version again: %v, want ErrExists", err)
	}
	if err := errors.Join(os.Chmod(i.Path, 0o644), flip(i.Path)); err != nil {
		t.Fatal(err)
	}
	if err := c.Verify(t.Context(), e, nil); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("verifying a disk that was written to: %v", err)
	}
}

// flip changes a file's last byte.
func flip(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	text[len(text)-1] ^= 1
	return os.WriteFile(path, text, 0o644)
}

// hostile are files that would have a machine read the host's own.
func hostile(t *testing.T) map[string]string {
	dir := t.TempDir()
	secret := tiny(t, "the host's secret")
	qemuImg(t, dir, "create", "-q", "-f", "qcow2", "-F", "raw", "-b", secret, "backing.qcow2")
	qemuImg(t, dir, "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/passwd", "passwd.qcow2", "1M")
	qemuImg(t, dir, "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "json:{\"driver\":\"nbd\",\"host\":\"127.0.0.1\"}", "nbd.qcow2", "1M")
	qemuImg(t, dir, "create", "-q", "-f", "qcow2", "-o", "data_file="+filepath.Join(dir, "data.raw")+",data_file_raw=on", "data.qcow2", "64K")
	qemuImg(t, dir, "create", "-q", "-f", "vmdk", "disk.vmdk", "1M")
	qemuImg(t, dir, "create", "-q", "--object", "secret,id=s,data=x", "-f", "qcow2", "-o", "encrypt.format=aes,encrypt.key-secret=s", "locked.qcow2", "1M")
	descriptor := "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\nRW 16 FLAT \"/etc/passwd\" 0\n"
	if err := os.WriteFile(filepath.Join(dir, "flat.vmdk"), []byte(descriptor), 0o600); err != nil {
		t.Fatal(err)
	}
	// A header that claims a disk of 8 EiB.
	qemuImg(t, dir, "create", "-q", "-f", "qcow2", "huge.qcow2", "1M")
	text, err := os.ReadFile(filepath.Join(dir, "huge.qcow2"))
	if err != nil {
		t.Fatal(err)
	}
	binary.BigEndian.PutUint64(text[24:], 1<<62)
	if err := os.WriteFile(filepath.Join(dir, "huge.qcow2"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, name := range []string{"backing.qcow2", "passwd.qcow2", "nbd.qcow2", "data.qcow2", "disk.vmdk", "flat.vmdk", "locked.qcow2", "huge.qcow2"} {
		files[name] = filepath.Join(dir, name)
	}
	files["a folder"] = dir
	files["a device"] = "/dev/zero"
	return files
}

func TestFilesThatReachIntoTheHostAreRefusedAndLeaveNothing(t *testing.T) {
	for name, path := range hostile(t) {
		t.Run(name, func(t *testing.T) {
			c := openCatalogue(t)
			for _, format := range []string{"", "qcow2"} {
				_, err := c.Import(t.Context(), Import{Manifest: manifest("a:b:c:1"), Disk: path, Format: format})
				if err == nil {
					t.Fatal("it was imported")
				}
				reaches := name == "backing.qcow2" || name == "passwd.qcow2" || name == "nbd.qcow2" || name == "data.qcow2"
				if reaches != errors.Is(err, ErrDangerous) {
					t.Errorf("refused with %v", err)
				}
			}
			nothingLeft(t, c)
		})
	}
}

func TestAFileThatIsExchangedAfterItsInspectionGainsNothing(t *testing.T) {
	path := hostile(t)["backing.qcow2"]
	target := filepath.Join(t.TempDir(), "out.qcow2")
	// As though the inspection had seen a harmless file: its backing file is not opened.
	if err := convert(t.Context(), path, "qcow2", target, nil); err != nil {
		t.Fatal(err)
	}
	raw := target + ".raw"
	qemuImg(t, t.TempDir(), "convert", "-O", "raw", target, raw)
	text, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Trim(string(text), "\x00") != "" {
		t.Errorf("the image has the host's file in it: %.40q", text)
	}
}

func nothingLeft(t *testing.T, c *Catalogue) {
	t.Helper()
	left, err := os.ReadDir(c.Dir())
	if err != nil || len(left) > 1 || len(left) == 1 && left[0].Name() != ".lock" {
		t.Errorf("left in the catalogue: %v, %v", left, err)
	}
}

func TestAnInterruptedImportLeavesNothing(t *testing.T) {
	qemuImg(t, t.TempDir(), "--version")
	for _, at := range []string{"inspect", "convert", "checksum"} {
		t.Run(at, func(t *testing.T) {
			c := openCatalogue(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			_, err := c.Import(ctx, Import{Manifest: manifest("a:b:c:1"), Disk: tiny(t, "x"), Format: "raw", Progress: func(step string, _, _ int64) {
				if step == at {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Errorf("cancelled at %s: %v", at, err)
			}
			nothingLeft(t, c)
		})
	}
}

func TestWhatAKilledImportLeftIsNoImageAndGoesWithTheNext(t *testing.T) {
	c := openCatalogue(t)
	stale := filepath.Join(c.Dir(), stagePrefix+"123")
	gone := filepath.Join(c.Dir(), gonePrefix+"a+b+c+0")
	for _, d := range []string{stale, gone} {
		if err := errors.Join(os.Mkdir(d, 0o755), os.WriteFile(filepath.Join(d, manifestName), []byte(goodManifest), 0o444)); err != nil {
			t.Fatal(err)
		}
	}
	if all, err := c.List(); err != nil || len(all) != 0 {
		t.Fatalf("%v, %v", all, err)
	}
	importTiny(t, c, "a:b:c:1")
	for _, d := range []string{stale, gone} {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is still there: %v", d, err)
		}
	}
}

func TestOneImportAtATime(t *testing.T) {
	c := openCatalogue(t)
	unlock, err := c.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Import(t.Context(), Import{Manifest: manifest("a:b:c:1"), Disk: tiny(t, "x"), Format: "raw"}); !errors.Is(err, ErrBusy) {
		t.Errorf("a second import: %v, want ErrBusy", err)
	}
	unlock()
	importTiny(t, c, "a:b:c:1")
}

func TestImportTakesTheFormatsOfOtherHypervisors(t *testing.T) {
	dir := t.TempDir()
	source := tiny(t, "the same content")
	for i, format := range []string{"qcow2", "vhdx", "vpc"} {
		path := filepath.Join(dir, "disk."+format)
		args := []string{"convert", "-f", "raw", "-O", format, source, path}
		qemuImg(t, dir, args...)
		c := openCatalogue(t)
		e, err := c.Import(t.Context(), Import{Manifest: manifest("a:b:c:1"), Disk: path})
		if err != nil {
			t.Errorf("%d %s: %v", i, format, err)
			continue
		}
		raw := path + ".raw"
		if out, err := exec.Command("qemu-img", "convert", "-O", "raw", e.Image().Path, raw).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(raw)
		if err != nil || !strings.HasPrefix(string(text), "the same content") {
			t.Errorf("%s: %.20q, %v", format, text, err)
		}
	}
}
