package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"time"

	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/signon"
	"github.com/deskyard/deskyard/sxs"
)

// dialBack has the stack connect this machine with a gateway, for a user whom the service
// sends. The credential that the user may get in by is taken first: whoever comes over
// the leg shows it at once. Where it is not taken, the machine asks for a password.
func (a *Agent) dialBack(ctx context.Context, m reverse.Message) (*reverse.Dialled, error) {
	var d reverse.DialBack
	if err := m.Into(&d); err != nil {
		return nil, err
	}
	if err := d.Validate(); err != nil {
		return nil, err
	}
	if a.o.Stack == nil {
		return nil, errNoStack
	}
	dialled := &reverse.Dialled{}
	if d.Grant != nil {
		account, err := a.grant(ctx, *d.Grant)
		if err != nil {
			a.log.Warn("one-time credential not taken", "user", d.Grant.User, "err", err)
			dialled.SignOn = clip(err.Error(), 500)
		}
		dialled.Account = account
	}
	a.brokers.mu.Lock()
	host, key, pin := a.host, a.key, a.pin
	a.brokers.mu.Unlock()
	leg := reverse.Leg{ID: d.Leg, Host: host, Proof: ed25519.Sign(key, reverse.LegProof(host, d.Leg))}
	if err := a.o.Stack.Dial(ctx, sxs.Dial{Leg: leg, Connection: d.Connection, User: d.User, URLs: d.URLs, Pin: pin}); err != nil {
		return nil, err
	}
	a.news.opened(d.Connection)
	return dialled, nil
}

func (a *Agent) grant(ctx context.Context, g reverse.Grant) (account string, err error) {
	if a.o.SignOn == nil {
		return "", errors.New("this machine takes no one-time credentials")
	}
	n := signon.Grant{
		Person:  signon.Person{ObjectID: g.Object, UPN: g.User, Administrator: g.Admin},
		Expires: a.now().Add(time.Duration(g.Seconds) * time.Second),
	}
	copy(n.SecretHash[:], g.Secret)
	return a.o.SignOn.Grant(ctx, n)
}
