// Package drivers makes the test machine that the hypervisor drivers boot: a Debian
// kernel, the modules of virtual hardware, and package guest as its whole operating
// system. It is up in seconds, also under emulation.
package drivers

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard/compute"
)

// Image is the test machine's: an empty disk, a kernel and an initial file system.
type Image struct {
	Dir string
}

// Arguments are the kernel's, up to what the guest is to do.
const Arguments = "console=ttyS0 mitigations=off audit=0 no_timer_check tsc=reliable nowatchdog random.trust_cpu=on apparmor=0 selinux=0 cryptomgr.notests nokaslr panic=0"

// Compute is the image as drivers know it.
func (i Image) Compute() compute.Image {
	return compute.Image{
		ID: "test-guest", Path: filepath.Join(i.Dir, "disk.qcow2"), Format: "qcow2", VirtualBytes: 1 << 30, OS: "linux", Firmware: "bios", Provisioning: "deskyard",
		Kernel: filepath.Join(i.Dir, "vmlinuz"), Initrd: filepath.Join(i.Dir, "initrd"), Arguments: Arguments,
	}
}

// modules are what virtual hardware needs that Debian's cloud kernel has not built in.
var modules = []string{
	"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "virtio_net", "virtio_balloon", "virtio-rng", "af_packet",
	"evdev", "button", "isofs", "qemu_fw_cfg", "efivarfs", "pvpanic-pci", "pvpanic-mmio",
}

// Build makes the image in dir. debian is the folder that images/debian-host/build
// prints, repo the project's checkout.
func Build(ctx context.Context, repo, debian, dir string) (Image, error) {
	i := Image{Dir: dir}
	raw := filepath.Join(dir, "debian.raw")
	steps := [][]string{
		{"qemu-img", "convert", "-q", "-O", "raw", filepath.Join(debian, "disk.qcow2"), raw},
		{"qemu-img", "create", "-q", "-f", "qcow2", filepath.Join(dir, "disk.qcow2"), "1G"},
		{"cp", filepath.Join(debian, "vmlinuz"), filepath.Join(dir, "vmlinuz")},
	}
	for _, s := range steps {
		if err := run(ctx, "", s...); err != nil {
			return i, err
		}
	}
	init := filepath.Join(dir, "init")
	if err := run(ctx, repo, "env", "CGO_ENABLED=0", "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", init, "./e2e/drivers/guest"); err != nil {
		return i, err
	}
	var archive bytes.Buffer
	program, err := os.ReadFile(init)
	if err != nil {
		return i, err
	}
	for _, d := range []string{"dev", "proc", "sys", "modules"} {
		entry(&archive, d, 0o040755, nil)
	}
	entry(&archive, "init", 0o100755, program)
	if err := addModules(ctx, &archive, raw, dir); err != nil {
		return i, err
	}
	entry(&archive, "TRAILER!!!", 0, nil)
	return i, errors.Join(os.WriteFile(filepath.Join(dir, "initrd"), archive.Bytes(), 0o644), os.Remove(raw))
}

func run(ctx context.Context, dir string, args ...string) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("run %s: %w: %s", args[0], err, bytes.TrimSpace(out))
	}
	return nil
}

// entry adds a file to a cpio archive (format newc).
func entry(b *bytes.Buffer, name string, mode uint32, content []byte) {
	fmt.Fprintf(b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
	pad := func() {
		for b.Len()%4 != 0 {
			b.WriteByte(0)
		}
	}
	b.WriteString(name + "\x00")
	pad()
	b.Write(content)
	pad()
}

// addModules takes the modules out of the Debian file system, with those they need,
// and the order to load them in.
func addModules(ctx context.Context, archive *bytes.Buffer, raw, dir string) error {
	list, err := exec.CommandContext(ctx, debugfs(), "-R", "ls -p /lib/modules", raw).Output()
	if err != nil {
		return fmt.Errorf("look for the kernel's modules: %w", err)
	}
	var root string
	for line := range strings.Lines(string(list)) {
		if f := strings.Split(line, "/"); len(f) > 5 && strings.Contains(f[5], "amd64") {
			root = "/lib/modules/" + f[5]
		}
	}
	read := func(name string) ([]byte, error) {
		file := filepath.Join(dir, "module")
		if err := run(ctx, "", debugfs(), "-R", "dump "+root+"/"+name+" "+file, raw); err != nil {
			return nil, err
		}
		b, err := os.ReadFile(file)
		return b, errors.Join(err, os.Remove(file))
	}
	text, err := read("modules.dep")
	if err != nil {
		return err
	}
	order := loadOrder(string(text), modules)
	var names []string
	for _, m := range order {
		content, err := read(m)
		if err != nil {
			return err
		}
		names = append(names, path.Base(m))
		entry(archive, "modules/"+path.Base(m), 0o100644, content)
	}
	entry(archive, "modules/order", 0o100644, []byte(strings.Join(names, "\n")))
	return nil
}

// debugfs reads ext4 without mounting it.
func debugfs() string {
	if p, err := exec.LookPath("debugfs"); err == nil {
		return p
	}
	return "/usr/sbin/debugfs"
}

// loadOrder lists modules after what they depend on. Names that the kernel has no
// module for are built in.
func loadOrder(dep string, wanted []string) []string {
	needs := map[string][]string{}
	files := map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(dep))
	for lines.Scan() {
		file, rest, _ := strings.Cut(lines.Text(), ":")
		needs[file] = strings.Fields(rest)
		files[strings.TrimSuffix(path.Base(file), ".ko")] = file
	}
	var order []string
	seen := map[string]bool{}
	var visit func(file string)
	visit = func(file string) {
		if file == "" || seen[file] {
			return
		}
		seen[file] = true
		for _, n := range needs[file] {
			visit(n)
		}
		order = append(order, file)
	}
	for _, w := range wanted {
		visit(files[w])
	}
	return order
}
