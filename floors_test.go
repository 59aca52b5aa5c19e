package deskyard_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/deskyard/deskyard"

// floors is the house from the ground up: a package imports only packages of lower
// floors (ARCHITECTURE.md, "The house"). A package that is not listed fails the
// test, so that a new one is given its floor on purpose.
var floors = [][]string{
	{"durable", "images", "web"}, // images: the recipes, embedded; web: the built web client
	{"arm", "reverse", "bootloader", "socket", "proxy", "rdp", "tsgu", "relay", "ntlm"},
	{""}, // the module root: the vocabulary
	{"token", "rbac", "directory", "seal", "reconcile", "template", "compute", "signon", "broker", "federation", "history"},
	{"identity", "components", "sxs", "monitor", "image", "compute/media", "compute/network", "compute/computetest"},
	{"sqlstore", "agent", "guest", "compute/qemu", "compute/libvirt", "compute/fake"}, // they put to work what the rooms below them are or ask for
	{"provision", "connect"},
	{"armapi", "agentapi", "gateway", "feed"},
	{"server"},
	{"cmd/deskyard/cli"},
	{"cmd/deskyard", "cmd/deskyard-agent", "cmd/deskyard-bootloader", "cmd/deskyard-sxs", "cmd/deskyard-monitor"},
}

// beside holds folders outside the house: tests, benchmarks and packaging, which
// may import anything and which nothing in the house imports.
var beside = []string{"e2e", "bench", "packaging"}

func TestNoPackageImportsUpward(t *testing.T) {
	level := map[string]int{}
	for i, f := range floors {
		for _, p := range f {
			level[p] = i
		}
	}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if isBeside(path) || strings.HasPrefix(d.Name(), ".") && path != "." || d.Name() == "node_modules" || d.Name() == "testdata" || d.Name() == "dist" {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		from := strings.TrimPrefix(filepath.ToSlash(filepath.Dir(path)), ".")
		at, known := level[from]
		if !known {
			t.Errorf("%s: package %q has no floor; add it to the list in this test and in ARCHITECTURE.md", path, from)
			return nil
		}
		for _, to := range imports(t, path) {
			below, known := level[to]
			if isBeside(to) || !known || below > at || below == at && to != from {
				t.Errorf("%s: %q must not import %q, which is not below it", path, from, to)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isBeside(path string) bool {
	first, _, _ := strings.Cut(filepath.ToSlash(path), "/")
	for _, b := range beside {
		if first == b {
			return true
		}
	}
	return false
}

// imports lists the packages of this module that a file imports, as paths below the root.
func imports(t *testing.T, path string) []string {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var own []string
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if p == module {
			own = append(own, "")
		} else if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			own = append(own, rest)
		}
	}
	return own
}
