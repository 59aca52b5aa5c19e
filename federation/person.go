// Package federation asks other directories who somebody is: an LDAP directory such as
// Active Directory, by name and password, and an OpenID provider, by a redirect. It
// keeps nothing; package identity makes users of the people it answers with.
package federation

import "errors"

// Person is somebody whom another directory knows.
type Person struct {
	ID          string // GUID, lower case: the same for ever, whatever they are called
	UPN         string // name@domain
	DisplayName string
	Disabled    bool
	MFA         bool // the directory had them prove more than a password
	Groups      []Group
}

// Group is a group of the other directory, direct or through groups.
type Group struct {
	ID   string // GUID, lower case
	Name string
}

// Why there is no Person.
var (
	ErrUnknown = errors.New("the directory knows nobody of that name")
	ErrRefused = errors.New("the directory refuses the sign-in")
)
