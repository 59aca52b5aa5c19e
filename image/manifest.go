package image

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
)

// Manifest describes an image version. It stands as manifest.json beside its files.
type Manifest struct {
	Publisher string `json:"publisher"`
	Offer     string `json:"offer"`
	SKU       string `json:"sku"`
	Version   string `json:"version"` // one to four numbers with dots between: 2026.11.23

	OS           string `json:"os"`           // linux | windows
	Firmware     string `json:"firmware"`     // uefi | bios
	Provisioning string `json:"provisioning"` // deskyard | cloud-init | cloudbase-init
	Bus          string `json:"bus,omitempty"`

	Format       string `json:"format"` // qcow2
	VirtualBytes int64  `json:"virtualBytes"`
	Disk         File   `json:"disk"`
	Kernel       *File  `json:"kernel,omitempty"` // with Initrd and Arguments: how it boots without its firmware
	Initrd       *File  `json:"initrd,omitempty"`
	Arguments    string `json:"arguments,omitempty"`

	Locations []string  `json:"locations,omitempty"` // where it may be used; none: everywhere
	Created   time.Time `json:"created"`
	// Source says what it was made from: a recipe with the hash of all that went in,
	// or the name of the file.
	Source      string `json:"source,omitempty"`
	Description string `json:"description,omitempty"`
}

// File is one of an image's files.
type File struct {
	Name   string `json:"name"` // in the image's folder
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Reference is the image's name as a virtual machine's storage profile has it.
func (m *Manifest) Reference() deskyard.ImageReference {
	return deskyard.ImageReference{Publisher: m.Publisher, Offer: m.Offer, SKU: m.SKU, Version: m.Version}
}

// URN is the image's name on one line, publisher:offer:sku:version, as az has it.
func (m *Manifest) URN() string {
	return m.Publisher + ":" + m.Offer + ":" + m.SKU + ":" + m.Version
}

// Files are the image's files, the disk first.
func (m *Manifest) Files() []File {
	all := []File{m.Disk}
	for _, f := range []*File{m.Kernel, m.Initrd} {
		if f != nil {
			all = append(all, *f)
		}
	}
	return all
}

// Bounds of what a manifest may say.
const (
	maxManifest = 64 << 10
	// MaxVirtualBytes is the largest disk of an image: Azure's largest OS disk.
	MaxVirtualBytes = 4095 << 30
)

var (
	// Azure's names of publishers, offers and SKUs; none can leave a folder.
	nameForm    = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$`)
	versionForm = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,9})(?:\.(?:0|[1-9][0-9]{0,9})){0,3}$`)
	fileForm    = regexp.MustCompile(`^[a-z][a-z0-9.-]{0,63}$`)
)

// ParseManifest reads a manifest and checks it.
func ParseManifest(text []byte) (*Manifest, error) {
	if len(text) > maxManifest {
		return nil, fmt.Errorf("read manifest: it is larger than %d bytes", maxManifest)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var m Manifest
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if d.More() {
		return nil, errors.New("read manifest: something follows its end")
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return &m, nil
}

// check holds a manifest to the rules; all that is wrong is told at once.
func (m *Manifest) check() error {
	errs := []error{m.checkName(), m.checkKind()}
	if m.Format != "qcow2" {
		errs = append(errs, fmt.Errorf("the format %q is not qcow2", m.Format))
	}
	if m.VirtualBytes <= 0 || m.VirtualBytes > MaxVirtualBytes {
		errs = append(errs, fmt.Errorf("a disk of %d bytes is not between 1 byte and %d GiB", m.VirtualBytes, MaxVirtualBytes>>30))
	}
	seen := map[string]bool{manifestName: true}
	for _, f := range m.Files() {
		sum, err := hex.DecodeString(f.SHA256)
		switch {
		case !fileForm.MatchString(f.Name) || seen[f.Name]:
			errs = append(errs, fmt.Errorf("%q cannot be the name of one of its files", f.Name))
		case err != nil || len(sum) != 32 || strings.ToLower(f.SHA256) != f.SHA256:
			errs = append(errs, fmt.Errorf("the checksum of %s is not a SHA-256 in lower-case hexadecimal", f.Name))
		case f.Bytes <= 0:
			errs = append(errs, fmt.Errorf("%s has no content", f.Name))
		}
		seen[f.Name] = true
	}
	if m.Kernel == nil && (m.Initrd != nil || m.Arguments != "") {
		errs = append(errs, errors.New("an initial RAM disk or kernel arguments need a kernel"))
	}
	if strings.ContainsAny(m.Arguments, "\n\r\x00") || len(m.Arguments) > 2048 {
		errs = append(errs, errors.New("the kernel arguments are not one line of at most 2048 bytes"))
	}
	for _, l := range m.Locations {
		if normalLocation(l) == "" {
			errs = append(errs, errors.New("a location is empty"))
		}
	}
	return errors.Join(errs...)
}

func (m *Manifest) checkName() error {
	var errs []error
	for _, p := range []struct{ what, value string }{{"publisher", m.Publisher}, {"offer", m.Offer}, {"SKU", m.SKU}} {
		if !nameForm.MatchString(p.value) {
			errs = append(errs, fmt.Errorf("the %s %q is not of 1 to 64 letters, digits, dots, hyphens and underscores", p.what, p.value))
		}
	}
	if !versionForm.MatchString(m.Version) {
		errs = append(errs, fmt.Errorf("the version %q is not of one to four numbers with dots between, such as 2026.11.23", m.Version))
	}
	return errors.Join(errs...)
}

// What an image can be.
var (
	Systems       = []string{"linux", "windows"}
	Firmwares     = []string{"uefi", "bios"}
	Provisionings = []string{"deskyard", "cloud-init", "cloudbase-init"}
	buses         = []string{"", "virtio", "nvme"}
)

func (m *Manifest) checkKind() error {
	var errs []error
	for _, p := range []struct {
		what, value string
		of          []string
	}{{"operating system", m.OS, Systems}, {"firmware", m.Firmware, Firmwares}, {"provisioning", m.Provisioning, Provisionings}, {"bus", m.Bus, buses}} {
		if !slices.Contains(p.of, p.value) {
			errs = append(errs, fmt.Errorf("the %s %q is not one of %s", p.what, p.value, strings.TrimPrefix(strings.Join(p.of, ", "), ", ")))
		}
	}
	if m.OS == "windows" && m.Provisioning == "cloud-init" || m.OS == "linux" && m.Provisioning == "cloudbase-init" {
		errs = append(errs, fmt.Errorf("%s is not set up by %s", m.OS, m.Provisioning))
	}
	return errors.Join(errs...)
}

// folder is the name of the image's folder. The parts' forms have no plus, so that
// two images never share one.
func (m *Manifest) folder() string {
	return strings.ToLower(m.Publisher + "+" + m.Offer + "+" + m.SKU + "+" + m.Version)
}

// compareVersions orders versions by their numbers; a missing one is zero.
func compareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		p, q := "0", "0"
		if i < len(x) {
			p = x[i]
		}
		if i < len(y) {
			q = y[i]
		}
		if len(p) != len(q) { // no leading zeros: the longer number is the larger
			if len(p) < len(q) {
				return -1
			}
			return 1
		}
		if c := strings.Compare(p, q); c != 0 {
			return c
		}
	}
	return 0
}

// normalLocation makes "West Europe" and "westeurope" one.
func normalLocation(l string) string { return strings.ToLower(strings.ReplaceAll(l, " ", "")) }

func (m *Manifest) servedAt(location string) bool {
	if len(m.Locations) == 0 || location == "" {
		return true
	}
	return slices.ContainsFunc(m.Locations, func(l string) bool { return normalLocation(l) == normalLocation(location) })
}
