package computetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard/compute"
)

// shortFolder makes a folder whose path leaves room for sockets: t.TempDir's does
// not (Unix sockets end at 108 bytes).
func shortFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dyct")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("remove the test's folder: %v", err)
		}
	})
	return dir
}

// imageUntouched compares content, owner, mode and time of the image's files before
// and after machines had a life on it.
func imageUntouched(f *fixture) {
	var files []string
	for _, p := range []string{f.Image.Path, f.Image.Kernel, f.Image.Initrd} {
		if _, err := os.Stat(p); p != "" && err == nil {
			files = append(files, p)
		}
	}
	before := fingerprints(f, files)
	s := f.running()
	if before != fingerprints(f, files) {
		f.Error("the image changed while a machine runs from it")
	}
	f.power(s, compute.PowerOff)
	f.must(f.d.Remove(f.ctx(), s.ID))
	if after := fingerprints(f, files); after != before {
		f.Errorf("the image was\n%s\nand is\n%s", before, after)
	}
}

func fingerprints(f *fixture, files []string) string {
	f.Helper()
	var all strings.Builder
	for _, path := range files {
		file, err := os.Open(path)
		f.must(err)
		hash := sha256.New()
		_, err = io.Copy(hash, file)
		f.must(err)
		info, err := file.Stat()
		f.must(err)
		f.must(file.Close())
		stat := info.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&all, "%s %s %d:%d %s %s\n", filepath.Base(path), info.Mode(), stat.Uid, stat.Gid, info.ModTime(), hex.EncodeToString(hash.Sum(nil)))
	}
	return all.String()
}

// secrets gives a machine a seed that nobody else may read.
func secrets(f *fixture) {
	secret := "secret-" + uuid.NewString()
	s := f.spec()
	s.Seed = compute.Seed{
		NoCloud:     map[string][]byte{"meta-data": []byte("instance-id: " + s.ID + "\n"), "user-data": []byte("#cloud-config\n# " + secret + "\n")},
		Credentials: map[string][]byte{"deskyard.invitation": []byte(secret)},
	}
	f.ensure(s)
	f.power(s, compute.Start)
	f.state(s, compute.Running)
	if found := commandLinesWith(secret); len(found) > 0 {
		f.Errorf("the secret is on the command line of %v", found)
	}
	if strings.Contains(f.log.String(), secret) {
		f.Error("the secret is in the log")
	}
	readable, err := othersCanRead(f.host.Folder, secret)
	f.must(err)
	if len(readable) > 0 {
		f.Errorf("other users can read the secret in %v", readable)
	}
	f.must(f.d.Remove(f.ctx(), s.ID))
	left, err := filesWith(f.host.Folder, secret)
	f.must(err)
	if len(left) > 0 {
		f.Errorf("the secret outlives its machine in %v", left)
	}
}

func commandLinesWith(secret string) (found []string) {
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		panic(err) // the pattern is constant
	}
	for _, path := range lines {
		if b, err := os.ReadFile(path); err == nil && bytes.Contains(b, []byte(secret)) { // a process may have ended
			found = append(found, path)
		}
	}
	return found
}

// maxSearched bounds the files that are searched: disks are larger, and sparse.
const maxSearched = 64 << 20

func filesWith(dir, secret string) (found []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a machine's socket that went while we looked
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > maxSearched {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte(secret)) {
			found = append(found, path)
		}
		return err
	})
	return found, err
}

// othersCanRead lists the files with the secret that users other than their owner
// could open, given the modes of the folders above them up to dir.
func othersCanRead(dir, secret string) (found []string, err error) {
	files, err := filesWith(dir, secret)
	if err != nil {
		return nil, err
	}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		open := info.Mode().Perm()&0o044 != 0
		for p := filepath.Dir(path); open && len(p) > len(dir); p = filepath.Dir(p) {
			folder, err := os.Stat(p)
			if err != nil {
				return nil, err
			}
			open = folder.Mode().Perm()&0o011 != 0
		}
		if open {
			found = append(found, path)
		}
	}
	return found, nil
}
