package signon

import (
	"context"

	"github.com/deskyard/deskyard/socket"
)

// Client speaks to the boot loader of this machine.
type Client struct{ socket *socket.Client }

// NewClient makes a client of the socket at path.
func NewClient(path string) *Client { return &Client{socket.NewClient(path)} }

// Grant has the machine let a person in once, with the password that the hash is of,
// until the grant expires: GrantLife from now at the latest. It returns the name of
// the person's account, which an RDP client has to sign in with.
func (c *Client) Grant(ctx context.Context, g Grant) (account string, err error) {
	var answer grantAnswer
	err = c.socket.Call(ctx, "POST", grantPath, grantMessage{Person: g.Person, SecretHash: g.SecretHash[:], Expires: g.Expires}, &answer)
	return answer.Account, err
}
