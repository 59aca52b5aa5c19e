package signon

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// GrantLife is how long a grant may last at most: the time between the broker's
// decision and the host's login screen.
const GrantLife = time.Minute

// maxGrants bounds the grants that wait: ten times the sessions of a large host.
const maxGrants = 1024

// Person is who signs in, as the service knows them.
type Person struct {
	ObjectID      string `json:"objectId"` // GUID in the directory: what an account is a person's by
	UPN           string `json:"userPrincipalName"`
	Administrator bool   `json:"administrator,omitempty"` // of the machine
}

// Validate checks the forms of what came from outside.
func (p Person) Validate() error {
	if !guidForm.MatchString(p.ObjectID) {
		return errors.New("the object id is not a GUID")
	}
	if !upnForm.MatchString(p.UPN) || len(p.UPN) > maxUPN {
		return errors.New("the user principal name is not of the form name@domain")
	}
	return nil
}

// Grant lets a person sign in once, without their password.
type Grant struct {
	Person
	SecretHash [sha256.Size]byte `json:"-"`
	Expires    time.Time         `json:"-"` // by this machine's clock
}

// grants are the grants that wait to be used. They are in memory alone: after a
// restart of the boot loader people are asked for their password.
type grants struct {
	now func() time.Time

	mu  sync.Mutex // guards all
	all []Grant
}

// add keeps a grant until it is used or has expired.
func (g *grants) add(n Grant) error {
	now := g.now()
	if err := n.Validate(); err != nil {
		return err
	}
	if !now.Before(n.Expires) {
		return fmt.Errorf("the grant for %s has expired", n.UPN)
	}
	if latest := now.Add(GrantLife); n.Expires.After(latest) {
		n.Expires = latest
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(now)
	if len(g.all) >= maxGrants {
		return fmt.Errorf("%d grants wait on this machine already", maxGrants)
	}
	g.all = append(g.all, n)
	return nil
}

// redeem finds the grant of a user principal name or account for a password, and
// uses it up. Every grant is compared, each in constant time, so that the time tells
// neither whose grants wait nor how near a guess is.
func (g *grants) redeem(name, password string) (Person, bool) {
	hash := sha256.Sum256([]byte(password))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.drop(g.now())
	found := -1
	for i, n := range g.all {
		same := subtle.ConstantTimeCompare(n.SecretHash[:], hash[:]) == 1
		if same && (strings.EqualFold(n.UPN, name) || AccountName(n.Person) == name) {
			found = i
		}
	}
	if found < 0 {
		return Person{}, false
	}
	who := g.all[found].Person
	g.all = append(g.all[:found], g.all[found+1:]...)
	return who, true
}

// drop forgets what has expired; mu is held.
func (g *grants) drop(now time.Time) {
	kept := g.all[:0]
	for _, n := range g.all {
		if now.Before(n.Expires) {
			kept = append(kept, n)
		}
	}
	clear(g.all[len(kept):])
	g.all = kept
}
