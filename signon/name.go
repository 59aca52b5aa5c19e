package signon

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"
)

// maxUPN is Entra's bound: 64 characters, an "@" and 48.
const maxUPN = 113

// maxAccount is Linux's bound on the name of an account (utmp's ut_user).
const maxAccount = 32

var (
	guidForm = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	upnForm  = regexp.MustCompile(`^[A-Za-z0-9._!#^~'+-]+@[A-Za-z0-9.-]+$`)
	// shortForm is what AccountName makes of names that are no account's.
	shortForm = regexp.MustCompile(`^u[a-z0-9_]{0,18}-[0-9a-f]{12}$`)
	// accountForm is what useradd, sudo, cron and systemd all take for a name.
	accountForm = regexp.MustCompile(`^[a-z0-9_][a-z0-9_.+@-]*$`)
)

// AccountName is the name of a person's account: the user principal name in lower
// case, which is what people type, for programs such as xrdp look the account up by
// what was typed. One that cannot be an account's name, by its length or characters,
// is shortened and made unique by the person's object id; its owner signs in through
// the web client, which is told the name.
func AccountName(p Person) string {
	name := strings.ToLower(p.UPN)
	if len(name) <= maxAccount && accountForm.MatchString(name) {
		return name
	}
	local, _, _ := strings.Cut(name, "@")
	var b strings.Builder
	for _, c := range local {
		if c < 'a' || c > 'z' {
			if c < '0' || c > '9' {
				c = '_'
			}
		}
		b.WriteRune(c)
	}
	sum := sha256.Sum256([]byte(strings.ToLower(p.ObjectID)))
	const tail = 12 // hex digits: 48 bits tell the people of any directory apart
	short := b.String()
	short = short[:min(len(short), maxAccount-tail-2)]
	return "u" + short + "-" + hex.EncodeToString(sum[:tail/2])
}
