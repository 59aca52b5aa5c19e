package bootloader

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Bounds of a package, far above what a component needs and far below what would
// fill a machine's disk.
const (
	MaxArchive  = 512 << 20 // bytes of the compressed archive
	MaxUnpacked = 1 << 30   // bytes of all files
	MaxFiles    = 4096
	maxManifest = 1 << 20 // bytes of the manifest's JSON
)

// ManifestName is the manifest's file name, first in an archive and beside the
// files of an installed version.
const ManifestName = "manifest.json"

// Manifest says what one version of a component is made of.
type Manifest struct {
	Component string   `json:"component"`
	Version   string   `json:"version"`
	OS        string   `json:"os"`   // as GOOS
	Arch      string   `json:"arch"` // as GOARCH
	Title     string   `json:"title,omitempty"`
	Entry     string   `json:"entry"`          // file to start, one of Files
	Args      []string `json:"args,omitempty"` // arguments to start it with
	Files     []File   `json:"files"`
}

// File is one regular file of a component.
type File struct {
	Path       string `json:"path"` // slash-separated, relative
	Size       int64  `json:"size"`
	SHA256     string `json:"sha256"` // lower-case hex
	Executable bool   `json:"executable,omitempty"`
}

// Release is what is signed: a manifest and the archive that carries it.
type Release struct {
	Manifest
	Archive Blob `json:"archive"`
}

// Blob identifies bytes by their digest.
type Blob struct {
	SHA256 string `json:"sha256"` // lower-case hex
	Size   int64  `json:"size"`
}

// Signed is a Release as the service sends it. Location is not signed: it says
// where the archive is (a path on the service), and the digest says whether it is it.
type Signed struct {
	Payload   []byte `json:"payload"` // JSON of a Release; these very bytes are signed
	Signature []byte `json:"signature"`
	Location  string `json:"location"`
}

// signingDomain keeps a signature of a manifest from being one of anything else.
const signingDomain = "deskyard component release v1\n"

// Sign signs a release that validates.
func Sign(key ed25519.PrivateKey, r Release, location string) (Signed, error) {
	if err := r.Validate(); err != nil {
		return Signed{}, err
	}
	payload, err := json.Marshal(r)
	if err != nil {
		return Signed{}, fmt.Errorf("encode release %s %s: %w", r.Component, r.Version, err)
	}
	sig := ed25519.Sign(key, append([]byte(signingDomain), payload...))
	return Signed{Payload: payload, Signature: sig, Location: location}, nil
}

// ErrSignature says that a manifest was not signed by the service's key.
var ErrSignature = errors.New("signature does not match the service's key for components")

// OpenRelease verifies and decodes the JSON of a Signed. Nothing of the release is
// looked at before its signature holds.
func OpenRelease(key ed25519.PublicKey, b []byte) (r Release, location string, err error) {
	if len(b) > 2*maxManifest {
		return r, "", fmt.Errorf("signed manifest has %d bytes; at most %d are read", len(b), 2*maxManifest)
	}
	var s Signed
	if err := json.Unmarshal(b, &s); err != nil {
		return r, "", fmt.Errorf("decode signed manifest: %w", err)
	}
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, append([]byte(signingDomain), s.Payload...), s.Signature) {
		return r, "", ErrSignature
	}
	if err := decodeStrict(s.Payload, &r); err != nil {
		return r, "", fmt.Errorf("decode release: %w", err)
	}
	if err := r.Validate(); err != nil {
		return r, "", err
	}
	if !strings.HasPrefix(s.Location, "/") || strings.HasPrefix(s.Location, "//") {
		return r, "", fmt.Errorf("location %.80q is not an absolute path on the service", s.Location)
	}
	return r, s.Location, nil
}

func decodeStrict(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// ParseManifest decodes and validates the JSON of a Manifest.
func ParseManifest(b []byte) (Manifest, error) {
	var m Manifest
	if len(b) > maxManifest {
		return m, fmt.Errorf("manifest has %d bytes; at most %d are read", len(b), maxManifest)
	}
	if err := decodeStrict(b, &m); err != nil {
		return m, fmt.Errorf("decode manifest: %w", err)
	}
	return m, m.Validate()
}

// Validate reports the first thing wrong with the release.
func (r Release) Validate() error {
	if err := checkDigest(r.Archive.SHA256); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if r.Archive.Size <= 0 || r.Archive.Size > MaxArchive {
		return fmt.Errorf("archive of %d bytes is outside 1 to %d", r.Archive.Size, int64(MaxArchive))
	}
	return r.Manifest.Validate()
}

// Validate reports the first thing wrong with the manifest.
func (m Manifest) Validate() error {
	if err := checkName(m.Component); err != nil {
		return err
	}
	if err := checkVersion(m.Version); err != nil {
		return err
	}
	if checkName(m.OS) != nil || checkName(m.Arch) != nil {
		return fmt.Errorf("%.20q/%.20q is not an operating system and architecture", m.OS, m.Arch)
	}
	if len(m.Title) > 128 || strings.ContainsFunc(m.Title, isControl) {
		return errors.New("title is longer than 128 bytes or has control characters")
	}
	if len(m.Files) == 0 || len(m.Files) > MaxFiles {
		return fmt.Errorf("manifest lists %d files; 1 to %d are allowed", len(m.Files), MaxFiles)
	}
	return m.validateFiles()
}

func (m Manifest) validateFiles() error {
	seen := make(map[string]bool, len(m.Files))
	entry, total := false, int64(0)
	for _, f := range m.Files {
		if err := checkPath(f.Path); err != nil {
			return err
		}
		if err := checkDigest(f.SHA256); err != nil {
			return fmt.Errorf("file %s: %w", f.Path, err)
		}
		if f.Size < 0 || f.Size > MaxUnpacked {
			return fmt.Errorf("file %s: size %d is outside 0 to %d", f.Path, f.Size, int64(MaxUnpacked))
		}
		if total += f.Size; total > MaxUnpacked {
			return fmt.Errorf("files take more than %d bytes", int64(MaxUnpacked))
		}
		// Two names that differ in case only are one file on Windows.
		if folded := strings.ToLower(f.Path); seen[folded] {
			return fmt.Errorf("file %s is listed twice", f.Path)
		} else {
			seen[folded] = true
		}
		entry = entry || f.Path == m.Entry && f.Executable
	}
	if !entry {
		return fmt.Errorf("entry %.80q is not one of the executable files", m.Entry)
	}
	return nil
}

// checkPath admits a slash-separated relative path that means the same on every
// system: no "..", no drive, no stream, no backslash, no device name's trailing dot.
func checkPath(p string) error {
	bad := len(p) > 255 || !fs.ValidPath(p) || p == "." || path.Clean(p) != p ||
		strings.EqualFold(p, ManifestName) || strings.ContainsAny(p, `\:*?"<>|`) || strings.ContainsFunc(p, isControl)
	for part := range strings.SplitSeq(p, "/") {
		bad = bad || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ")
	}
	if bad {
		return fmt.Errorf("%.80q is not a path that a component's file may have", p)
	}
	return nil
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }

func checkDigest(s string) error {
	if b, err := hex.DecodeString(s); err != nil || len(b) != 32 || strings.ToLower(s) != s {
		return fmt.Errorf("%.80q is not a SHA-256 in lower-case hex", s)
	}
	return nil
}
