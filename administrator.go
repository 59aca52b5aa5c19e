package deskyard

import (
	"slices"
	"strings"
	"unicode"

	"github.com/deskyard/deskyard/arm"
)

// Bounds of a machine's local administrator (article "Frequently asked questions
// about Windows virtual machines"; the portal asks for 12 characters, the API for 8).
const (
	maxAdminUser     = 20
	minAdminPassword = 8
	minPortalAdmin   = 12
	maxAdminPassword = 123
)

// reservedAdmins are the names that Azure refuses for a local administrator.
var reservedAdmins = strings.Fields(`1 123 a actuser adm admin admin1 admin2 administrator aspnet backup console david
	guest john owner root server sql support support_388945a0 sys test test1 test2 test3 user user1 user2 user3 user4 user5`)

// bannedPasswords are the ones that Azure refuses though they have every kind of character.
var bannedPasswords = []string{
	"abc@123", "iloveyou!", "P@$$w0rd", "P@ssw0rd", "P@ssword123", "Pa$$word", "pass@word1", "Password!", "Password1", "Password22",
}

// CheckAdminUser notes what is wrong with a local administrator's name.
func CheckAdminUser(v *arm.Violations, path, user string) {
	switch {
	case user == "":
		v.Add(path, "The local administrator's name is required.")
	case len([]rune(user)) > maxAdminUser:
		v.Add(path, "The local administrator's name has %d characters; at most %d are allowed.", len([]rune(user)), maxAdminUser)
	case strings.HasSuffix(user, "."):
		v.Add(path, "The local administrator's name must not end in a full stop.")
	case strings.ContainsAny(user, "\\/\"[]:|<>+=;,?*@& ") || strings.ContainsFunc(user, unicode.IsControl):
		v.Add(path, `The local administrator's name %q must not contain blanks or any of \/"[]:|<>+=;,?*@&.`, user)
	case slices.Contains(reservedAdmins, strings.ToLower(user)):
		v.Add(path, "The Admin Username specified is not allowed: %q is a reserved name. Choose another.", user)
	}
}

// CheckAdminPassword notes what is wrong with a local administrator's password of at
// least min characters: it needs three of the four kinds of characters and must not
// be on the list of those that everybody tries. It never repeats the password.
func CheckAdminPassword(v *arm.Violations, path, password string, min int) {
	n := len([]rune(password))
	switch {
	case password == "":
		v.Add(path, "The local administrator's password is required.")
	case n < min || n > maxAdminPassword:
		v.Add(path, "The local administrator's password must have between %d and %d characters; it has %d.", min, maxAdminPassword, n)
	case kindsOfCharacters(password) < 3:
		v.Add(path, "The local administrator's password must have three of: a lower-case letter, an upper-case letter, a digit, a special character.")
	case slices.ContainsFunc(bannedPasswords, func(b string) bool { return strings.EqualFold(b, password) }):
		v.Add(path, "The local administrator's password is one that everybody tries first. Choose another.")
	}
}

func kindsOfCharacters(s string) int {
	var lower, upper, digit, special int
	for _, r := range s {
		switch {
		case unicode.IsLower(r):
			lower = 1
		case unicode.IsUpper(r):
			upper = 1
		case unicode.IsDigit(r):
			digit = 1
		default:
			special = 1
		}
	}
	return lower + upper + digit + special
}
