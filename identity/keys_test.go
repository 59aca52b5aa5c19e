package identity

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

func TestKeysOutliveTheProcessAndAreForTheirOwnerOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	second, err := OpenKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := first.Signing()
	if b, _ := second.Signing(); a != b || string(first.MAC([]byte("x"))) != string(second.MAC([]byte("x"))) {
		t.Error("another process has other keys")
	}
	for path, want := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, keyFileName): 0o600} {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v; %v", path, info.Mode().Perm(), want, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.json.*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != keyFileName+".lock" {
		t.Errorf("files left behind: %v, %v", left, err)
	}
}

func TestReplacedKeyVerifiesForADay(t *testing.T) {
	c := &clock{at: time.Now().Add(time.Minute)}
	k, err := OpenKeys(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	k.Now = c.now
	old, _ := k.Signing()
	other, err := OpenKeys(filepath.Dir(k.path)) // a second process, started before the rotation
	if err != nil {
		t.Fatal(err)
	}
	other.Now = c.now
	if rotated, err := k.Maintain(); rotated || err != nil {
		t.Fatalf("a new key was replaced: %v, %v", rotated, err)
	}
	c.advance(KeyLife)
	if rotated, err := k.Maintain(); !rotated || err != nil {
		t.Fatalf("a key of %v was not replaced: %v", KeyLife, err)
	}
	fresh, _ := k.Signing()
	if fresh == old || len(k.Set().Keys) != 2 {
		t.Errorf("signing with %s after %s, %d keys published", fresh, old, len(k.Set().Keys))
	}
	if _, ok := other.Verifying(fresh); !ok {
		t.Error("the other process does not find the new key")
	}
	if _, ok := k.Verifying(old); !ok {
		t.Error("the old key is refused at once")
	}
	c.advance(keyOverlap)
	if _, ok := k.Verifying(old); ok || len(k.Set().Keys) != 1 {
		t.Error("a day later the old key is still good")
	}
}

func TestProcessesThatStartAtOnceAgreeOnTheKeys(t *testing.T) {
	dir, ids := t.TempDir(), make([]string, 4)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := OpenKeys(dir)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i], _ = k.Signing()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id == "" || id != ids[0] {
			t.Fatalf("key ids differ: %q", ids)
		}
	}
}

func TestDamagedKeyFileIsNotReplacedSilently(t *testing.T) {
	dir := t.TempDir()
	for _, content := range []string{"", "{}", `{"keys":[{"kid":"x","pkcs8":"AAAA"}],"secret":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`} {
		if err := os.WriteFile(filepath.Join(dir, keyFileName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeys(dir); err == nil {
			t.Errorf("%q was taken for a key file", content)
		}
		if b, err := os.ReadFile(filepath.Join(dir, keyFileName)); err != nil || string(b) != content {
			t.Errorf("the file became %q, %v", b, err)
		}
	}
}
