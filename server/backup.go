package server

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/deskyard/deskyard/sqlstore"
)

// databaseEntry and keysEntry are what a backup holds.
const (
	databaseEntry = "deskyard.db"
	keysEntry     = "keys"
)

// Backup writes a consistent copy of the database and the keys folder to one tar
// file of mode 0600, while the service runs. With PostgreSQL it holds the keys
// alone, and withDatabase is false: pg_dump is the tool for the rest.
func Backup(ctx context.Context, c Config, file string) (withDatabase bool, err error) {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("write backup %s: it exists already; name another file", file)
	}
	out, err := os.OpenFile(file+".partial", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return false, fmt.Errorf("write backup: %w", err)
	}
	defer os.Remove(out.Name()) // does nothing once renamed
	w := tar.NewWriter(out)
	_, withDatabase = sqlitePath(c.Database)
	if withDatabase {
		err = addDatabase(ctx, w, c)
	}
	if err == nil {
		err = addKeys(w, c.keysFolder())
	}
	err = errors.Join(err, w.Close(), out.Sync(), out.Close())
	if err == nil {
		err = os.Rename(out.Name(), file)
	}
	if err != nil {
		return withDatabase, fmt.Errorf("write backup %s: %w", file, err)
	}
	return withDatabase, nil
}

func addDatabase(ctx context.Context, w *tar.Writer, c Config) error {
	copied := filepath.Join(c.Data, ".backup.db")
	defer os.Remove(copied)
	if err := os.RemoveAll(copied); err != nil { // of a backup that was cut off
		return err
	}
	if err := sqlstore.Backup(ctx, c.Database, copied); err != nil {
		return err
	}
	return addFile(w, copied, databaseEntry)
}

func addKeys(w *tar.Writer, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return addFile(w, path, keysEntry+"/"+filepath.ToSlash(rel))
	})
}

func addFile(w *tar.Writer, path, name string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: st.Size(), ModTime: st.ModTime(), Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	_, err = io.Copy(w, f)
	return err
}

// Restore makes a data folder from a backup. It refuses a folder that has anything
// in it, so that a restore never mixes two installations.
func Restore(c Config, file string) error {
	if left, err := os.ReadDir(c.Data); err == nil && len(left) > 0 {
		return fmt.Errorf("restore into %s: it is not empty; stop the service and move the folder away first", c.Data)
	}
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read backup: %w", err)
	}
	defer in.Close()
	if err := makeFolder(c.keysFolder()); err != nil {
		return err
	}
	found := 0
	for r := tar.NewReader(in); ; found++ {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read backup %s: %w", file, err)
		}
		if err := restoreEntry(c, h, r); err != nil {
			return fmt.Errorf("restore %s from %s: %w", h.Name, file, err)
		}
	}
	if found == 0 {
		return fmt.Errorf("restore %s: it holds nothing", file)
	}
	return nil
}

func restoreEntry(c Config, h *tar.Header, r io.Reader) error {
	target := filepath.Join(c.Data, "deskyard.db")
	if path, ok := sqlitePath(c.Database); ok {
		target = path
	}
	if h.Name != databaseEntry {
		rest, ok := strings.CutPrefix(h.Name, keysEntry+"/")
		if !ok || !filepath.IsLocal(rest) || h.Typeflag != tar.TypeReg {
			return errors.New("not an entry that a backup has")
		}
		target = filepath.Join(c.keysFolder(), rest)
	}
	if err := makeFolder(filepath.Dir(target)); err != nil {
		return err
	}
	f, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Sync(), f.Close())
}
