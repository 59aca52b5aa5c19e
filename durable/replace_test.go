package durable_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/deskyard/deskyard/durable"
)

func TestReplaceLeavesTheNewFileOrTheOldOneAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for _, content := range []string{"first", "second"} {
		if err := durable.Replace(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != content {
			t.Fatalf("%q, %v; want %q", got, err, content)
		}
	}
	refused := errors.New("refused")
	err := durable.Replace(path, []byte("third"), 0o600, func(*os.File) error { return refused })
	if !errors.Is(err, refused) {
		t.Fatalf("a failed preparation: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "second" {
		t.Fatalf("after a failure: %q, %v", got, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Fatalf("left behind: %v, %v", left, err)
	}
	if err := durable.Replace(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o644 || st.Size() != 0 {
		t.Fatalf("%v, %v", st, err)
	}
	if err := durable.Replace(filepath.Join(dir, "no", "file"), nil, 0o600); err == nil {
		t.Error("a folder that is not there was written to")
	}
}
