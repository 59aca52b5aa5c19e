package signon

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard/socket"
)

// Socket is where the boot loader answers the hook and the agent; root alone may
// open it.
const Socket = "/run/deskyard/signon.sock"

// Paths on the socket.
const (
	signInPath = "/v1/signin"
	grantPath  = "/v1/grant"
)

// Directory checks people's passwords and rights with the service.
type Directory interface {
	// SignIn checks a password and the right to sign in to this machine; from is where
	// the person sits, "" when that is not known. A *Refusal is the directory's answer;
	// any other error means that it could not be asked.
	SignIn(ctx context.Context, name, password, from string) (Person, error)
}

// ErrNotJoined is answered by a Directory that this machine was not joined to.
var ErrNotJoined = errors.New("this machine is not joined to the service's directory")

// Options make a Service. All but Directory, Log and Now are required.
type Options struct {
	Accounts  string    // path of the file of accounts
	System    System    // the machine's accounts
	Directory Directory // nil: only grants sign people in
	Log       *slog.Logger
	Now       func() time.Time
}

// Service is the boot loader's part of sign-in.
type Service struct {
	directory Directory
	keeper    *keeper
	grants    grants
	log       *slog.Logger
}

// New makes a Service.
func New(o Options) *Service {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Service{
		directory: o.Directory, log: o.Log, grants: grants{now: o.Now},
		keeper: &keeper{path: o.Accounts, system: o.System, now: o.Now, log: o.Log},
	}
}

// Run answers on the socket at path until ctx ends; ready is called once it does.
func (s *Service) Run(ctx context.Context, path string, ready func()) error {
	return socket.Serve(ctx, path, s.handler(), ready)
}

func (s *Service) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+signInPath, socket.Handle(func(ctx context.Context, _ *http.Request, in attempt) (verdict, error) {
		return s.signIn(ctx, in), nil
	}))
	mux.HandleFunc("POST "+grantPath, socket.Handle(func(ctx context.Context, _ *http.Request, in grantMessage) (grantAnswer, error) {
		g, err := in.grant()
		if err != nil {
			return grantAnswer{}, err
		}
		account, err := s.Grant(ctx, g)
		return grantAnswer{account}, err
	}))
	return mux
}

// attempt is what the hook asks. It carries a password and is never logged.
type attempt struct {
	User     string `json:"user"` // as typed
	Password string `json:"password"`
	Service  string `json:"service,omitempty"` // PAM's name of the program that asks
	From     string `json:"from,omitempty"`    // PAM's remote host
}

// verdict answers an attempt.
type verdict struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"` // why not; "" when it is not for the directory to say
}

// Grant lets a person sign in once within the next minute, and makes sure of their
// account. It returns the account's name, under which an RDP client has to sign in.
func (s *Service) Grant(ctx context.Context, g Grant) (account string, err error) {
	if err := s.grants.add(g); err != nil {
		return "", fmt.Errorf("grant a sign-in: %w", err)
	}
	a, err := s.keeper.account(context.WithoutCancel(ctx), g.Person)
	if err != nil {
		s.log.Error("account not made for a grant", "user", g.UPN, "err", err)
		return "", fmt.Errorf("grant a sign-in to %s: %w", g.UPN, err)
	}
	return a.Name, nil
}

// maxPassword is PAM's bound on a response (PAM_MAX_RESP_SIZE).
const maxPassword = 512

// signIn decides on an attempt and writes the decision down.
func (s *Service) signIn(ctx context.Context, in attempt) verdict {
	if !mayBeOurs(in.User) || in.Password == "" || len(in.Password) > maxPassword {
		return verdict{}
	}
	log := s.log.With("user", clip(in.User), "program", clip(in.Service), "from", clip(in.From))
	who, by, err := s.identify(ctx, in)
	if errors.Is(err, ErrNotJoined) {
		return verdict{} // the next module's business
	}
	var account Account
	if err == nil {
		// A program that asks no longer must not leave half of an account behind.
		account, err = s.keeper.account(context.WithoutCancel(ctx), who)
	}
	if err == nil && account.Name != in.User {
		err = refuse("sign in with the name %s", account.Name)
	}
	var refused *Refusal
	switch {
	case errors.As(err, &refused):
		log.Warn("sign-in refused", "reason", refused.Reason)
		return verdict{Reason: refused.Reason}
	case err != nil:
		log.Error("sign-in not decided", "err", err)
		return verdict{Reason: "the service's directory cannot be asked at this moment; accounts of this machine are not concerned"}
	}
	log.Info("signed in", "by", by, "account", account.Name, "uid", account.UID, "administrator", who.Administrator)
	return verdict{OK: true}
}

// identify finds out who somebody is: by a grant, or by asking the directory.
func (s *Service) identify(ctx context.Context, in attempt) (who Person, by string, err error) {
	if isSecret(in.Password) {
		if who, ok := s.grants.redeem(in.User, in.Password); ok {
			return who, "grant", nil
		}
		return who, "", refuse("the one-time credential is used up, has expired or is for another user; connect again")
	}
	switch {
	case s.directory == nil:
		return who, "", ErrNotJoined
	case strings.ContainsFunc(in.Password, func(r rune) bool { return r < ' ' || r == 0x7f }):
		// What sshd hands on in place of the password of an account that is not there:
		// asked about, it would count as a wrong password.
		return who, "", refuse("this program takes accounts only that the machine has already; sign in over remote desktop once")
	}
	name, err := s.keeper.principal(in.User)
	if err == nil {
		who, err = s.directory.SignIn(ctx, name, in.Password, clip(in.From))
	}
	return who, "password", err
}

// mayBeOurs tells names that may be of the directory from those of local accounts.
func mayBeOurs(name string) bool {
	if upnForm.MatchString(name) && len(name) <= maxUPN {
		return true
	}
	return shortForm.MatchString(name)
}

func clip(s string) string {
	if len(s) > 128 {
		s = s[:128]
	}
	return strings.ToValidUTF8(s, "?")
}

// grantMessage is a Grant on the socket.
type grantMessage struct {
	Person
	SecretHash []byte    `json:"secretHash"`
	Expires    time.Time `json:"expires"`
}

func (m grantMessage) grant() (Grant, error) {
	if len(m.SecretHash) != sha256.Size {
		return Grant{}, &socket.Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("the secret's hash has %d bytes, not %d", len(m.SecretHash), sha256.Size)}
	}
	return Grant{Person: m.Person, SecretHash: [sha256.Size]byte(m.SecretHash), Expires: m.Expires}, nil
}

type grantAnswer struct {
	Account string `json:"account"`
}
