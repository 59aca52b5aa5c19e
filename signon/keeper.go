package signon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// firstUserID is where Debian's accounts of people begin; those below belong to the
// system (login.defs, UID_MIN), the last ones to nobody and to dynamic users.
const (
	firstUserID = 1000
	lastUserID  = 60000
)

// Entry is a line of the machine's account database.
type Entry struct {
	Name, Comment, Home string
	UID                 int
}

// System changes the machine's accounts.
type System interface {
	// Find looks an account up by its name, in whatever database the machine has.
	Find(ctx context.Context, name string) (e Entry, found bool, err error)
	// Make makes an account with a home, a group of its own and no password.
	Make(ctx context.Context, name, comment string) error
	// Rename gives an account that runs nothing another name and comment. Its home
	// stays where it is.
	Rename(ctx context.Context, from, to, comment string) error
	// Administer says whether an account may do everything on the machine.
	Administer(ctx context.Context, name string, may bool) error
}

// Refusal is why somebody is not signed in, in words for the journal and, where a
// program shows them, for the person.
type Refusal struct{ Reason string }

// Error gives the reason.
func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

// keeper gives people their accounts.
type keeper struct {
	path   string // AccountsFile
	system System
	now    func() time.Time
	log    *slog.Logger

	mu sync.Mutex // one change of the machine's accounts at a time
}

// account finds or makes the account of a person.
func (k *keeper) account(ctx context.Context, p Person) (Account, error) {
	if err := p.Validate(); err != nil {
		return Account{}, fmt.Errorf("look for the account of %q: %w", p.UPN, err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	all, err := ReadAccounts(k.path)
	if err != nil {
		return Account{}, err
	}
	a, err := k.settle(ctx, all, p)
	if err != nil {
		return Account{}, err
	}
	if err := k.system.Administer(ctx, a.Name, p.Administrator); err != nil {
		return Account{}, fmt.Errorf("set the rights of %s on this machine: %w", a.Name, err)
	}
	return a, nil
}

// principal is the user principal name behind what somebody typed: that itself, or, of
// an account whose name had to be shortened, the one written down.
func (k *keeper) principal(typed string) (string, error) {
	if upnForm.MatchString(typed) {
		return typed, nil
	}
	all, err := ReadAccounts(k.path)
	if err != nil {
		return "", err
	}
	if i := all.byName(typed); i >= 0 {
		return all[i].UPN, nil
	}
	return "", ErrNotJoined // a local account's name that happens to have that form
}

// settle brings the account of a person to where it should be.
func (k *keeper) settle(ctx context.Context, all Accounts, p Person) (Account, error) {
	at := all.byObject(p.ObjectID)
	if at < 0 {
		return k.make(ctx, all, p)
	}
	a := all[at]
	entry, found, err := k.system.Find(ctx, a.Name)
	switch {
	case err != nil:
		return Account{}, err
	case !found: // an administrator deleted it, or the machine went down before it was made
		return k.make(ctx, slices.Delete(all, at, at+1), p)
	case a.UID == 0 && entry.Comment == a.UPN && personal(entry.UID): // it went down before that was written down
		a.UID = entry.UID
	case entry.UID != a.UID || !personal(entry.UID):
		return Account{}, refuse("the account %s of this machine is not the one that was made for %s any more; an administrator of the machine has to rename or delete it", a.Name, p.UPN)
	}
	if name := AccountName(p); name != a.Name {
		if all, err = k.clear(ctx, all, name); err != nil {
			return Account{}, err
		}
		if err := k.system.Rename(ctx, a.Name, name, p.UPN); err != nil {
			return Account{}, refuse("the user principal name of %s changed, and the account %s cannot be renamed while it is signed in: %v", p.UPN, a.Name, err)
		}
		k.log.Info("account renamed", "from", a.Name, "to", name, "user", p.UPN)
		a.Name = name
		at = all.byObject(p.ObjectID)
	}
	a.UPN = p.UPN
	if all[at] == a {
		return a, nil
	}
	all[at] = a
	return a, all.write(k.path)
}

func personal(uid int) bool { return uid >= firstUserID && uid <= lastUserID }

// make makes the account. That it will be made is written down first: one that was
// made just before the machine went down is known again by its comment.
func (k *keeper) make(ctx context.Context, all Accounts, p Person) (Account, error) {
	a := Account{ObjectID: strings.ToLower(p.ObjectID), UPN: p.UPN, Name: AccountName(p), Made: k.now().UTC()}
	all, err := k.clear(ctx, all, a.Name)
	if err != nil {
		return Account{}, err
	}
	all = append(all, a)
	if err := all.write(k.path); err != nil {
		return Account{}, err
	}
	if err := k.system.Make(ctx, a.Name, a.UPN); err != nil {
		return Account{}, fmt.Errorf("make the account %s: %w", a.Name, err)
	}
	entry, found, err := k.system.Find(ctx, a.Name)
	if err == nil && (!found || !personal(entry.UID)) {
		err = errors.New("it is not among the machine's accounts of people")
	}
	if err != nil {
		return Account{}, fmt.Errorf("look for the account %s that was just made: %w", a.Name, err)
	}
	all[len(all)-1].UID = entry.UID
	k.log.Info("account made", "account", a.Name, "uid", entry.UID, "user", p.UPN, "object", a.ObjectID)
	return all[len(all)-1], all.write(k.path)
}

// clear makes sure that a name is free. The account of somebody who had the user
// principal name before keeps its home and its owner, and loses the name.
func (k *keeper) clear(ctx context.Context, all Accounts, name string) (Accounts, error) {
	entry, found, err := k.system.Find(ctx, name)
	if err != nil || !found {
		if i := all.byName(name); err == nil && i >= 0 { // was deleted on the machine
			all = slices.Delete(all, i, i+1)
		}
		return all, err
	}
	i := all.byName(name)
	if i < 0 || all[i].UID != entry.UID {
		return all, refuse("this machine has an account %s already that is not of the directory; an administrator of the machine has to rename it", name)
	}
	former := AccountName(Person{ObjectID: all[i].ObjectID, UPN: "former.user@" + strings.Repeat("x", maxAccount)}) // too long: the unique form
	if err := k.system.Rename(ctx, name, former, "formerly "+all[i].UPN); err != nil {
		return all, refuse("the account %s is of somebody who had that user principal name before, and cannot be renamed: %v", name, err)
	}
	k.log.Warn("account renamed: its user principal name is another person's now", "from", name, "to", former, "object", all[i].ObjectID)
	all[i].Name = former
	return all, all.write(k.path)
}
