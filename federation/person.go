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

// Refusal is an ErrRefused whose reason the directory has told.
type Refusal struct{ Reason Reason }

// Error words it.
func (r *Refusal) Error() string { return ErrRefused.Error() + ": " + string(r.Reason) }

// Is makes it an ErrRefused.
func (r *Refusal) Is(target error) bool { return target == ErrRefused }

// Reason is why a directory refuses somebody, in words for an audit log. Active Directory
// tells all but WrongPassword and Locked to those alone who know the password.
type Reason string

// Reasons, with Active Directory's numbers (system error codes in hexadecimal).
const (
	WrongPassword   Reason = "wrong password"                        // 52e
	WrongTime       Reason = "not at this hour"                      // 530
	WrongMachine    Reason = "not at this machine"                   // 531
	PasswordExpired Reason = "the password has expired"              // 532
	Disabled        Reason = "the account is disabled"               // 533
	NotGranted      Reason = "this way of signing in is not granted" // 569
	Expired         Reason = "the account has expired"               // 701
	MustChange      Reason = "the password must be changed first"    // 773
	Locked          Reason = "the account is locked"                 // 775
)
