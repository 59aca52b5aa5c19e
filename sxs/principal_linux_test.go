package sxs

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestOnlyAccountsOfTheDomainHaveItsNames(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("passwd", "root:x:0:0::/root:/bin/bash\ndeskadmin:x:1000:1000::/home/deskadmin:/bin/bash\n")
	d := &directoryOf{names: map[string]string{"alice": "alice.liddell@people.example", "deskadmin": "somebody@corp.example"}}
	l := &logind{log: slog.New(slog.DiscardHandler), root: root, principals: &principals{ask: d.ask, log: slog.New(slog.DiscardHandler), now: time.Now}}
	if got := l.principal(t.Context(), "bob"); got != "bob" {
		t.Errorf("on a machine of no domain bob is %s", got)
	}
	l.principals.known = nil
	write("krb5.conf", "[libdefaults]\n\tdefault_realm = CORP.EXAMPLE\n\trdns = false\n")
	for account, want := range map[string]string{
		"deskadmin":         "deskadmin",
		"root":              "root",
		"desk":              "desk@corp.example", // no part of a local account's name
		"alice":             "alice.liddell@people.example",
		"bob":               "bob@corp.example",
		`CORP\carol`:        "carol@corp.example",
		"dave@corp.example": "dave@corp.example",
	} {
		if got := l.principal(t.Context(), account); got != want {
			t.Errorf("%s is %s, want %s", account, got, want)
		}
	}
}

func TestThePartOfANameThatSSSDMakesARealmIsADomainAgain(t *testing.T) {
	for told, want := range map[string]string{
		"Alice.Liddell@PEOPLE.EXAMPLE": "Alice.Liddell@people.example",
		"odd@name@PEOPLE.EXAMPLE":      "odd@name@people.example",
		"Alice":                        "Alice",
	} {
		if got := lowerSuffix(told); got != want {
			t.Errorf("%q is %q, want %q", told, got, want)
		}
	}
}
