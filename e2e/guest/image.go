package guest

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// Image is a guest image: the folder that images/debian-host/build makes.
type Image struct{ Dir string }

// Disk is the root file system, only ever used as a backing file.
func (i Image) Disk() string { return filepath.Join(i.Dir, "disk.qcow2") }

// Kernel is the Linux image that QEMU boots directly.
func (i Image) Kernel() string { return filepath.Join(i.Dir, "vmlinuz") }

// BuildImage returns the Debian 12 guest image, building it first unless it is
// cached. Progress goes to the standard error of this process. repo is the folder of
// the project's checkout.
func BuildImage(ctx context.Context, repo string) (Image, error) {
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(repo, "images", "debian-host", "build"))
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return Image{}, fmt.Errorf("build the guest image: %w", err)
	}
	return Image{Dir: strings.TrimSpace(out.String())}, nil
}

// Accelerator is how QEMU runs a guest, and why.
type Accelerator struct {
	Name   string // kvm or tcg
	Reason string // one clause for people
}

// probeFor bounds the probe; a kernel that panics under KVM takes about a second.
const probeFor = 20 * time.Second

// ProbeAccelerator finds out whether KVM really runs guests here, by booting the
// image's kernel with no root disk until it panics and QEMU ends. A device that can
// be opened proves nothing: on some hosts it runs no ordinary guest.
func ProbeAccelerator(ctx context.Context, image Image) Accelerator {
	device, err := os.OpenFile("/dev/kvm", os.O_RDWR, 0)
	if err != nil {
		return Accelerator{Name: "tcg", Reason: "emulation, since /dev/kvm cannot be opened: " + err.Error()}
	}
	device.Close()
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-machine", "pc,usb=off", "-accel", "kvm", "-cpu", "host", "-m", "256",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", image.Kernel(), "-append", "console=ttyS0 panic=-1 root=none")
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.Contains(out, []byte("Kernel panic")) {
		return Accelerator{Name: "kvm", Reason: "KVM, since it ran a test kernel"}
	}
	why := "it ran no test kernel within " + probeFor.String()
	if ctx.Err() == nil {
		why = "QEMU says: " + lastLine(string(out))
	}
	return Accelerator{Name: "tcg", Reason: "emulation, since KVM is there but runs no guest (" + why + ")"}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
