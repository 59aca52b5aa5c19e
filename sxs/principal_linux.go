package sxs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/godbus/dbus/v5"
)

// SSSD's InfoPipe (sssd-ifp): what SSSD knows of accounts beyond passwd.
const (
	infoPipeName = "org.freedesktop.sssd.infopipe"
	infoPipePath = "/org/freedesktop/sssd/infopipe"
	upnAttribute = "userPrincipalName"
)

// askSSSD asks SSSD for an account's user principal name. SSSD tells it where its
// configuration allows that attribute, as a join by the service does.
func askSSSD(ctx context.Context, account string) (string, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("reach the system bus: %w", err)
	}
	defer conn.Close()
	var found map[string]dbus.Variant
	err = conn.Object(infoPipeName, infoPipePath).CallWithContext(ctx, infoPipeName+".GetUserAttr", 0, account, []string{upnAttribute}).Store(&found)
	if err != nil {
		return "", fmt.Errorf("ask SSSD for the user principal name of %s (is sssd-dbus installed?): %w", account, err)
	}
	if names, ok := found[upnAttribute].Value().([]string); ok && len(names) > 0 {
		return lowerSuffix(names[0]), nil
	}
	return "", fmt.Errorf("ask SSSD for the user principal name of %s: it tells none", account)
}

// lowerSuffix undoes that SSSD writes what stands behind the "@" as a Kerberos realm.
func lowerSuffix(upn string) string {
	at := strings.LastIndexByte(upn, '@')
	if at < 0 {
		return upn
	}
	return upn[:at] + strings.ToLower(upn[at:])
}

// maxAccountFile bounds what is read of passwd and krb5.conf.
const maxAccountFile = 4 << 20

// isLocal reports whether an account is the machine's own: listed in the passwd file
// below root.
func isLocal(root, account string) (bool, error) {
	text, err := readBounded(filepath.Join(root, "etc/passwd"))
	if err != nil {
		return false, fmt.Errorf("look for the account %s: %w", account, err)
	}
	return strings.HasPrefix(text, account+":") || strings.Contains(text, "\n"+account+":"), nil
}

// likelyPrincipal is the user principal name that accounts have unless somebody chose
// another: their name at the domain that the machine is in, the default realm of the
// krb5.conf below root. An account of no domain keeps its name.
func likelyPrincipal(root, account string) string {
	if _, name, ok := strings.Cut(account, `\`); ok { // winbind's DOMAIN\user
		account = name
	}
	if strings.Contains(account, "@") {
		return account
	}
	text, err := readBounded(filepath.Join(root, "etc/krb5.conf"))
	if err != nil {
		return account // in no domain that has a name here
	}
	for line := range strings.Lines(text) {
		if key, realm, ok := strings.Cut(line, "="); ok && strings.TrimSpace(key) == "default_realm" {
			return account + "@" + strings.ToLower(strings.TrimSpace(realm))
		}
	}
	return account
}

func readBounded(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccountFile))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return string(b), nil
}

// principal is the name by which the service knows the user of an account.
func (l *logind) principal(ctx context.Context, account string) string {
	local, err := isLocal(l.root, account)
	if err != nil {
		l.log.Warn("account not looked up; it counts as the machine's own", "account", account, "err", err)
		return account
	}
	if local {
		return account
	}
	return l.principals.of(ctx, account, likelyPrincipal(l.root, account))
}
