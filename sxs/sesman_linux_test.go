package sxs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheLogIsReadAsItGrowsAndFromItsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sesman.log")
	add := func(text string) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.WriteString(text)
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	log := &sesmanLog{path: path}
	read := func(want int) {
		t.Helper()
		got, err := log.read()
		if err != nil || len(got) != want {
			t.Fatalf("read %d events, want %d: %v", len(got), want, err)
		}
	}
	add(written)
	read(0) // was there before anybody looked
	add(written[:len(written)/2])
	half, err := log.read()
	if err != nil {
		t.Fatal(err)
	}
	read(0)
	add(written[len(written)/2:])
	read(7 - len(half)) // the line that was cut is whole now
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	read(0)
	add(written)
	read(7)
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	read(0)
	add(strings.Repeat("x", 3*maxLine) + "\n" + written)
	read(7)
	add(strings.Repeat(written, 2*mostBehind/len(written)))
	read(0) // nobody's sign-ins are that many
	add(written)
	read(7)
}

func TestTheLogIsWhereTheConfigurationSays(t *testing.T) {
	dir := t.TempDir()
	for ini, want := range map[string]string{
		"": "/var/log/xrdp-sesman.log",
		"[Globals]\nLogFile=no\n[Logging]\nLogFile=here.log\n": "/var/log/here.log",
		"[Logging]\nLogFile=/tmp/there.log\n":                  "/tmp/there.log",
	} {
		if err := os.WriteFile(filepath.Join(dir, "sesman.ini"), []byte(ini), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := sesmanFile(dir); got != want {
			t.Errorf("%q: %s", ini, got)
		}
	}
	if got := sesmanFile(filepath.Join(dir, "nothing")); got != "/var/log/xrdp-sesman.log" {
		t.Error(got)
	}
}
