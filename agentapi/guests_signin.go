package agentapi

import (
	"net/http"

	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// SignIn is somebody who sits before the login screen of a machine. It carries their
// password and is never logged.
type SignIn struct {
	Machine  string         // SMBIOS UUID, lower case: proved by the machine's key
	VM       arm.ResourceID // what rights are looked for at
	Name     string         // as typed
	Password string
	From     string        // where they sit, in the machine's words
	Request  *http.Request // the machine's
}

// guestSignIn asks whoever decides. The machine learns who it is and nothing that it
// could use elsewhere: no token leaves the service.
func (s *Server) guestSignIn(r *http.Request, in reverse.GuestSignIn) (any, error) {
	g, err := s.guestSession(in.Session)
	if err != nil {
		return nil, err
	}
	if s.o.SignIn == nil {
		return nil, arm.Errorf(arm.Forbidden, reverse.GuestSignInRefused, "This service signs nobody in to machines.")
	}
	who, err := s.o.SignIn(r.Context(), SignIn{Machine: g.machine, VM: g.vm, Name: in.Name, Password: in.Password, From: in.From, Request: r})
	if err != nil {
		return nil, err
	}
	return who, nil
}
