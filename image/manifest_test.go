package image

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/deskyard/deskyard"
)

const goodManifest = `{
  "publisher": "Deskyard", "offer": "debian-12", "sku": "desktop", "version": "2026.11.23",
  "os": "linux", "firmware": "uefi", "provisioning": "deskyard", "format": "qcow2", "virtualBytes": 1048576,
  "disk": {"name": "disk.qcow2", "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "bytes": 10},
  "created": "2026-11-23T01:00:00Z"
}`

func TestManifestsThatBreakARuleAreRefusedWithTheRule(t *testing.T) {
	if m, err := ParseManifest([]byte(goodManifest)); err != nil || m.URN() != "Deskyard:debian-12:desktop:2026.11.23" {
		t.Fatalf("%v, %v", m, err)
	}
	for _, c := range []struct{ from, to, want string }{
		{`"Deskyard"`, `"../etc"`, "publisher"},
		{`"Deskyard"`, `"a+b"`, "publisher"},
		{`"desktop"`, `""`, "SKU"},
		{`2026.11.23"`, `2026.11.023"`, "version"},
		{`2026.11.23"`, `latest"`, "version"},
		{`"uefi"`, `"efi"`, "firmware"},
		{`"deskyard"`, `"cloudbase-init"`, "not set up by"},
		{`"qcow2", "virt`, `"vmdk", "virt`, "format"},
		{`1048576`, `0`, "disk of 0 bytes"},
		{`1048576`, `9007199254740992`, "4095 GiB"},
		{`"disk.qcow2"`, `"../../etc/passwd"`, "name of one of its files"},
		{`"disk.qcow2"`, `"manifest.json"`, "name of one of its files"},
		{`"e3b0c4`, `"E3B0C4`, "SHA-256"},
		{`"bytes": 10`, `"bytes": 0`, "no content"},
		{`"created"`, `"arguments": "quiet", "created"`, "need a kernel"},
		{`"created"`, `"surprise": 1, "created"`, "unknown field"},
		{"}\n}", "}\n} {}", "follows its end"},
	} {
		text := strings.Replace(goodManifest, c.from, c.to, 1)
		if c.want == "follows its end" {
			text = goodManifest + " {}"
		}
		if text == goodManifest {
			t.Fatalf("%s is not in the manifest", c.from)
		}
		if _, err := ParseManifest([]byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v, want an error with %q", c.to, c.from, err, c.want)
		}
	}
}

func TestVersionsAreComparedByTheirNumbers(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"2026.9.1", "2026.11.1", -1}, {"1.10", "1.9", 1}, {"1", "1.0.0", 0}, {"1.0.1", "1", 1},
		{"2026.11.23.1", "2026.11.23", 1}, {"9999999999", "1000000000", 1},
	} {
		if got := compareVersions(c.a, c.b); got != c.want || compareVersions(c.b, c.a) != -c.want {
			t.Errorf("%s and %s: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(goodManifest))
	f.Add([]byte(`{"publisher":"a","kernel":null}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		if strings.ContainsAny(m.folder(), "/\x00") || strings.HasPrefix(m.folder(), ".") {
			t.Fatalf("an image may go to the folder %q", m.folder())
		}
		for _, file := range m.Files() {
			if strings.ContainsAny(file.Name, "/\x00") || strings.HasPrefix(file.Name, ".") {
				t.Fatalf("an image may have the file %q", file.Name)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseManifest(again); err != nil && len(again) <= maxManifest {
			t.Fatalf("written and read again: %v", err)
		}
	})
}

func FuzzQemuImgAnswer(f *testing.F) {
	f.Add([]byte(`{"virtual-size": 4294967296, "format": "qcow2", "format-specific": {"type": "qcow2", "data": {"compat": "1.1", "corrupt": false}}}`))
	f.Add([]byte(`{"virtual-size": 1, "format": "qcow2", "backing-filename": "/etc/passwd"}`))
	f.Add([]byte(`{"virtual-size": 1, "format": "vmdk", "format-specific": {"data": {"extents": [{}]}}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		info, err := parseInfo(text)
		if err == nil && (info.virtualBytes <= 0 || info.virtualBytes > MaxVirtualBytes || info.format == "" || info.format == "vmdk") {
			t.Fatalf("%q is taken as %+v", text, info)
		}
	})
}

func FuzzBackingName(f *testing.F) {
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x14\x00\x00\x00\x01/"))
	f.Add([]byte("QFI\xfb\x00\x00\x00\x03\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, head []byte) {
		if name := backingName(head); len(name) > len(head) {
			t.Fatalf("a name of %d bytes from %d", len(name), len(head))
		}
	})
}

func FuzzAliases(f *testing.F) {
	f.Add([]byte(`{"aliases":[{"from":"MicrosoftWindowsDesktop:*:*","to":"Deskyard:debian-12:desktop"}]}`))
	f.Add([]byte(`{"aliases":[{"from":"/subscriptions/x","to":"a:b:c:1.2"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		aliases, err := parseAliases(text)
		if err != nil {
			return
		}
		s := snapshot{aliases: aliases}
		target, ok := s.alias(deskyard.ImageReference{Publisher: "MicrosoftWindowsDesktop", Offer: "office-365", SKU: "win11", Version: "latest"})
		if ok && (target.Publisher == "" || target.Version == "") {
			t.Fatalf("an alias of %q leads to %+v", text, target)
		}
	})
}
