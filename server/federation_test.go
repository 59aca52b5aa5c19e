package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOtherDirectoriesAreCheckedAtTheStart(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	lines := filepath.Join(t.TempDir(), "lines")
	if err := os.WriteFile(lines, []byte("a\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := FederationConfig{LDAPURL: "ldaps://dc.test", LDAPBase: "DC=corp,DC=test", LDAPBind: "x", LDAPPasswordFile: secret,
		OIDCIssuer: "https://login.test/tenant", OIDCClient: "id", OIDCSecretFile: secret}
	for name, c := range map[string]struct {
		change func(*FederationConfig)
		want   string // in what is said; "" for nothing
	}{
		"both":                    {func(*FederationConfig) {}, ""},
		"neither":                 {func(f *FederationConfig) { *f = FederationConfig{} }, ""},
		"in clear":                {func(f *FederationConfig) { f.LDAPURL = "http://dc.test" }, "ldaps://"},
		"no base":                 {func(f *FederationConfig) { f.LDAPBase = "" }, "no base"},
		"base of another form":    {func(f *FederationConfig) { f.LDAPBase = "corp.test" }, "corp.test"},
		"no file":                 {func(f *FederationConfig) { f.LDAPPasswordFile = secret + "x" }, "--ldap-password-file"},
		"a file of two lines":     {func(f *FederationConfig) { f.OIDCSecretFile = lines }, "one line"},
		"CA without certificates": {func(f *FederationConfig) { f.LDAPCA = secret }, "no certificate"},
		"no client id":            {func(f *FederationConfig) { f.OIDCClient = "" }, "client id"},
		"a base without a URL":    {func(f *FederationConfig) { f.LDAPURL = "" }, "need --ldap-url"},
		"a name without issuer":   {func(f *FederationConfig) { f.OIDCIssuer = "" }, "need --oidc-issuer"},
	} {
		config := Config{Listen: "127.0.0.1:1", Data: t.TempDir(), Domain: "desk.test", LogLevel: "info", LogFormat: "text", Hypervisors: "none", BootDeadline: 1e12, Federation: good}
		c.change(&config.Federation)
		err := config.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the secret is told: %v", name, err)
		}
	}
}
