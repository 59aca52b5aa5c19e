package bootloader

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// oneFile is a manifest of one executable file and its content.
func oneFile(path string, content []byte) Manifest {
	return Manifest{Component: "agent", Version: "1.0.0", OS: "linux", Arch: "amd64", Entry: path,
		Files: []File{{Path: path, Size: int64(len(content)), SHA256: digestOf(content), Executable: true}}}
}

// tarball writes an archive with no regard to what is allowed.
func tarball(t testing.TB, m Manifest, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	tw := tar.NewWriter(zw)
	manifest, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	content := map[bool]string{true: "content", false: ""}
	for i, h := range append([]tar.Header{{Name: ManifestName, Typeflag: tar.TypeReg, Size: int64(len(manifest))}}, entries...) {
		h.Mode = 0o755
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		body := []byte(content[h.Typeflag == tar.TypeReg])
		if i == 0 {
			body = manifest
		}
		if _, err := tw.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnpackRefusesWhatTheManifestDoesNotList(t *testing.T) {
	m := oneFile("run", []byte("content"))
	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Size: 7} }
	for what, entries := range map[string][]tar.Header{
		"a parent path":      {reg("run"), reg("../evil")},
		"an absolute path":   {reg("run"), reg("/tmp/evil")},
		"an extra file":      {reg("run"), reg("more")},
		"the file twice":     {reg("run"), reg("run")},
		"a missing file":     {},
		"a symbolic link":    {{Name: "run", Typeflag: tar.TypeSymlink, Linkname: "/bin/sh"}},
		"a hard link":        {{Name: "run", Typeflag: tar.TypeLink, Linkname: "manifest.json"}},
		"a device":           {{Name: "run", Typeflag: tar.TypeChar}},
		"a directory":        {{Name: "run", Typeflag: tar.TypeDir}},
		"a second manifest":  {reg("run"), reg(ManifestName)},
		"a link and a file":  {{Name: "d", Typeflag: tar.TypeSymlink, Linkname: "/tmp"}, reg("run")},
		"another size":       {{Name: "run", Typeflag: tar.TypeReg, Size: 7}, reg("run")},
		"a backslashed path": {reg(`..\evil`)},
	} {
		dir := t.TempDir()
		inner := filepath.Join(dir, "stage")
		if err := os.Mkdir(inner, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := Unpack(bytes.NewReader(tarball(t, m, entries...)), m, inner); err == nil {
			t.Errorf("archive with %s was unpacked", what)
		}
		if left, _ := os.ReadDir(dir); len(left) != 1 {
			t.Errorf("archive with %s wrote outside: %v", what, left)
		}
	}
	if err := Unpack(bytes.NewReader(tarball(t, m, reg("run"))), m, t.TempDir()); err != nil {
		t.Errorf("honest archive refused: %v", err)
	}
}

func TestUnpackChecksContentAgainstTheSignedManifestNotTheOneInside(t *testing.T) {
	inside := oneFile("run", []byte("content"))
	signed := oneFile("run", []byte("CONTENT"))
	b := tarball(t, inside, tar.Header{Name: "run", Typeflag: tar.TypeReg, Size: 7})
	if err := Unpack(bytes.NewReader(b), signed, t.TempDir()); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("got %v", err)
	}
}

// zeros is an endless supply of nothing.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	if n == 0 {
		return 0, os.ErrClosed
	}
	return int(n), nil
}

func TestABombEndsAtTheBound(t *testing.T) {
	r := &boundedReader{r: &zeros{left: 1 << 40}, left: 10 << 20}
	var total int64
	buf := make([]byte, 1<<20)
	for {
		n, err := r.Read(buf)
		total += int64(n)
		if err != nil {
			break
		}
	}
	if total != 10<<20 {
		t.Errorf("read %d bytes", total)
	}
	// A manifest cannot claim what the bound forbids.
	m := oneFile("run", nil)
	m.Files[0].Size = MaxUnpacked
	m.Files = append(m.Files, File{Path: "more", Size: 1, SHA256: digestOf(nil)})
	if err := m.Validate(); err == nil {
		t.Error("manifest above the bound is valid")
	}
}

func TestManifestRefusesPathsThatLeaveOrCollide(t *testing.T) {
	for _, p := range []string{"", ".", "..", "../x", "/x", "a/../b", "a//b", `a\b`, "c:x", "x\x00", "manifest.json", "MANIFEST.json", "a/.", "dot.", "space /x", strings.Repeat("x", 300)} {
		if err := oneFile(p, nil).Validate(); err == nil {
			t.Errorf("path %q is valid", p)
		}
	}
	m := oneFile("run", nil)
	m.Files = append(m.Files, File{Path: "RUN", SHA256: digestOf(nil)})
	if err := m.Validate(); err == nil {
		t.Error("names that differ in case only are valid")
	}
	m = oneFile("run", nil)
	m.Files[0].Executable = false
	if err := m.Validate(); err == nil {
		t.Error("an entry that cannot be executed is valid")
	}
}

func TestASignatureHoldsForItsVeryBytesOnly(t *testing.T) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := Release{Manifest: oneFile("run", []byte("x")), Archive: Blob{SHA256: digestOf(nil), Size: 1}}
	s, err := Sign(key, r, "/blob")
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	got, location, err := OpenRelease(pub, b)
	if err != nil || got.Version != "1.0.0" || location != "/blob" {
		t.Fatalf("%+v, %q, %v", got, location, err)
	}
	s.Payload = bytes.Replace(s.Payload, []byte("1.0.0"), []byte("1.0.1"), 1)
	if b, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenRelease(pub, b); err == nil {
		t.Error("changed payload was accepted")
	}
	// The same bytes signed without the domain are another message.
	s.Signature = ed25519.Sign(key, s.Payload)
	if b, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenRelease(pub, b); err == nil {
		t.Error("signature without the domain was accepted")
	}
	if _, _, err := OpenRelease(nil, b); err == nil {
		t.Error("no key at all accepted a manifest")
	}
}

func TestPackIsReproducible(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(file, []byte("content"), 0o755); err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	m := Manifest{Component: "agent", Version: "1.0.0", OS: "linux", Arch: "amd64", Entry: "b/run"}
	files := map[string]string{"b/run": file, "a": file, "c": file}
	if _, err := Pack(&a, m, files); err != nil {
		t.Fatal(err)
	}
	packed, err := Pack(&b, m, files)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("two packings differ")
	}
	if got, err := Inspect(&a); err != nil || len(got.Files) != 3 || got.Files[1] != packed.Files[1] {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestCompareVersionsOrdersAsPeopleDo(t *testing.T) {
	order := []string{"0.9", "1.0.0-rc.1", "1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.0.1~beta", "1.0.1", "1.2", "1.10.0", "2"}
	for i, a := range order {
		for j, b := range order {
			got := CompareVersions(a, b)
			if (i < j) != (got < 0) || (i > j) != (got > 0) {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
	if CompareVersions("1.0", "1.0.0+build") != 0 {
		t.Error("1.0 and 1.0.0+build differ")
	}
}

func FuzzParseManifest(f *testing.F) {
	b, err := json.Marshal(oneFile("run", []byte("x")))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"component":"agent"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		for _, file := range m.Files {
			if !filepath.IsLocal(filepath.FromSlash(file.Path)) {
				t.Fatalf("path %q leaves its directory", file.Path)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest(again); err != nil {
			t.Fatalf("valid manifest does not survive: %v", err)
		}
	})
}

func FuzzOpenRelease(f *testing.F) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		f.Fatal(err)
	}
	s, err := Sign(key, Release{Manifest: oneFile("run", nil), Archive: Blob{SHA256: digestOf(nil), Size: 1}}, "/b")
	if err != nil {
		f.Fatal(err)
	}
	b, err := json.Marshal(s)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, _, err := OpenRelease(pub, b)
		if err == nil && (r.Version != "1.0.0" || r.Component != "agent") {
			t.Fatalf("a release that was never signed: %+v", r)
		}
	})
}

func FuzzUnpack(f *testing.F) {
	m := oneFile("run", []byte("content"))
	f.Add(tarball(f, m, tar.Header{Name: "run", Typeflag: tar.TypeReg, Size: 7}))
	f.Add(tarball(f, m, tar.Header{Name: "../run", Typeflag: tar.TypeReg, Size: 7}))
	f.Add(tarball(f, m, tar.Header{Name: "run", Typeflag: tar.TypeSymlink, Linkname: "/etc"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		// Without a disk first: flushing one is what takes the time.
		discard := func(_ File, body io.Reader) error {
			_, err := io.Copy(io.Discard, body)
			return err
		}
		_, err := readArchive(bytes.NewReader(b), &m, discard)
		if _, inner := Inspect(bytes.NewReader(b)); inner != nil && err != nil {
			return
		}
		outer := t.TempDir()
		dir := filepath.Join(outer, "in")
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := Unpack(bytes.NewReader(b), m, dir); err == nil {
			if got, err := os.ReadFile(filepath.Join(dir, "run")); err != nil || string(got) != "content" {
				t.Fatalf("unpacked %q, %v", got, err)
			}
		}
		if left, err := os.ReadDir(outer); err != nil || len(left) != 1 {
			t.Fatalf("wrote outside: %v, %v", left, err)
		}
	})
}
