package guest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/signon"
)

// link is an open link to the service.
type link struct {
	c       *connection
	session string
}

func (g *Guest) setLink(l *link) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.link = l
}

// errNoLink says that the service cannot be asked now.
var errNoLink = errors.New("the machine has no link to the service")

// SignIn implements signon.Directory: the service checks the password and the right to
// sign in to this machine.
func (g *Guest) SignIn(ctx context.Context, name, password, from string) (signon.Person, error) {
	if _, err := os.Stat(g.o.TenantFile); g.o.TenantFile == "" || errors.Is(err, fs.ErrNotExist) {
		return signon.Person{}, signon.ErrNotJoined
	}
	g.mu.Lock()
	l := g.link
	g.mu.Unlock()
	if l == nil {
		return signon.Person{}, errNoLink
	}
	var who reverse.GuestSignedIn
	err := l.c.call(ctx, reverse.GuestSignInPath, reverse.GuestSignIn{Session: l.session, Name: name, Password: password, From: from}, &who)
	var said *arm.Error
	switch {
	case errors.As(err, &said) && said.Code == reverse.GuestSignInRefused:
		return signon.Person{}, &signon.Refusal{Reason: said.Message}
	case err != nil:
		return signon.Person{}, fmt.Errorf("ask the service about %s: %w", name, err)
	}
	return signon.Person{ObjectID: who.ObjectID, UPN: who.UPN, Administrator: who.Administrator}, nil
}
