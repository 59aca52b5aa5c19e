package connect

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/broker"
	"github.com/deskyard/deskyard/rbac"
	"github.com/deskyard/deskyard/reverse"
	"github.com/deskyard/deskyard/signon"
)

const (
	// dialFor is how long a host has to dial back: two round trips, or a few failing
	// addresses before the one that works.
	dialFor = 15 * time.Second
	// grantFor is how long the one-time credential works: RDP's negotiation, and a slow
	// host's way to its sign-on.
	grantFor = time.Minute
	// startWait is how long a native client is kept waiting while its desktop's machine
	// starts: about as long as they wait for a channel.
	startWait = time.Minute
	startPoll = 3 * time.Second
)

// Admit implements deskyard.Brokerage.
func (s *Service) Admit(ctx context.Context, r deskyard.AdmitRequest) (deskyard.Admission, error) {
	a, err := s.admit(ctx, r)
	result := "ok"
	var failure *deskyard.ConnectionFailure
	switch {
	case errors.As(err, &failure):
		result = failure.Symbol
	case err != nil:
		result = "error"
	}
	s.count.admitted.WithLabelValues(r.Door, result).Inc()
	return a, err
}

func (s *Service) admit(ctx context.Context, r deskyard.AdmitRequest) (deskyard.Admission, error) {
	if !reverse.LegID(r.Leg) || len(r.URLs) == 0 {
		return deskyard.Admission{}, errors.New("admit a client: the gateway names no leg or no address")
	}
	t, err := s.verify(r.Ticket)
	if err != nil {
		s.log.Warn("ticket refused", "door", r.Door, "client", r.Client.Address, "reason", err)
		return deskyard.Admission{}, ticketInvalid()
	}
	user, err := s.o.People.Principal(ctx, t.User)
	if arm.IsMissing(err) {
		return deskyard.Admission{}, notAuthorized()
	}
	if err != nil {
		return deskyard.Admission{}, err
	}
	id := t.Connection
	if t.For == forFile {
		if id, err = s.connectFile(ctx, user, t, r); err != nil {
			return deskyard.Admission{}, err
		}
	}
	c, resource, err := s.redeem(ctx, id, user, t, r)
	if err != nil {
		return deskyard.Admission{}, err
	}
	return s.dialBack(ctx, c, user, resource, r)
}

// connectFile makes the connection that a file's ticket asks for. A client of a file
// cannot be told to come back, so it waits a while for a machine that is started.
func (s *Service) connectFile(ctx context.Context, user deskyard.Principal, t claims, r deskyard.AdmitRequest) (string, error) {
	resource, err := arm.ParseID(t.Resource)
	if err != nil {
		return "", ticketInvalid()
	}
	ask := Ask{Door: r.Door, Client: r.Client}
	started, err := s.Connect(ctx, user, resource, ask)
	var failure *deskyard.ConnectionFailure
	if !errors.As(err, &failure) || failure.Symbol != broker.Deallocated {
		return started.Connection, err
	}
	if !s.awaitStart(ctx, user, resource) {
		return "", err
	}
	started, err = s.Connect(ctx, user, resource, ask)
	return started.Connection, err
}

// awaitStart waits until the user's machine is up, or something else is wrong with it,
// as long as clients wait; then it is false.
func (s *Service) awaitStart(ctx context.Context, user deskyard.Principal, resource arm.ResourceID) bool {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	poll := time.NewTicker(s.poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-poll.C:
		}
		r, err := s.entitled(ctx, user, resource)
		if err != nil {
			return true // Connect says what it is
		}
		o, err := s.rehearse(ctx, user.Name, r)
		if err != nil || o.Failure == nil || o.Failure.Symbol != broker.Deallocated {
			return true
		}
	}
}

// redeem burns the ticket: the connection's row is marked in the same transaction that
// checks that it is the connection that the ticket is for.
func (s *Service) redeem(ctx context.Context, id string, user deskyard.Principal, t claims, r deskyard.AdmitRequest) (deskyard.Connection, Resource, error) {
	c, err := s.o.Store.Connection(ctx, id)
	if arm.IsMissing(err) {
		return c, Resource{}, ticketInvalid()
	}
	if err != nil {
		return c, Resource{}, err
	}
	// The right may have been taken away since the decision.
	resource, err := s.entitled(ctx, user, c.Resource)
	if err != nil {
		return c, Resource{}, s.abandon(ctx, c, err)
	}
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		if c, err = tx.Connection(ctx, id); err != nil {
			return err
		}
		foreign := !strings.EqualFold(c.UserID, t.User) || t.For == forConnection && !strings.EqualFold(c.HostID, t.Host)
		if foreign || c.State != deskyard.ConnectionStarted {
			return deskyard.ErrTicketUsed
		}
		c.Gateway, c.Door = r.Gateway, r.Door
		c.Client = merged(c.Client, clipped(r.Client))
		if err := tx.PutConnection(ctx, c); err != nil {
			return err
		}
		return tx.RedeemConnection(ctx, id, s.now())
	})
	if errors.Is(err, deskyard.ErrTicketUsed) || arm.IsMissing(err) {
		s.log.Warn("ticket refused", "connection", id, "door", r.Door, "client", r.Client.Address, "reason", "it was used, or its connection is over")
		return c, Resource{}, ticketInvalid()
	}
	return c, resource, err
}

// merged is what a client said of itself when it asked, and what the gateway adds.
func merged(a, b deskyard.ClientInfo) deskyard.ClientInfo {
	for _, f := range []struct{ to, from *string }{{&a.Name, &b.Name}, {&a.OS, &b.OS}, {&a.Type, &b.Type}, {&a.Version, &b.Version}, {&a.Address, &b.Address}} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	return a
}

// dialBack has the host open its leg and completes the admission.
func (s *Service) dialBack(ctx context.Context, c deskyard.Connection, user deskyard.Principal, resource Resource, r deskyard.AdmitRequest) (deskyard.Admission, error) {
	h, err := s.o.Store.SessionHostByObjectID(ctx, c.HostID)
	if arm.IsMissing(err) || err == nil && !h.RevokedAt.IsZero() {
		return deskyard.Admission{}, s.abandon(ctx, c, noAnswer(c.Host.Name(), "it was removed from the host pool"))
	}
	if err != nil {
		return deskyard.Admission{}, err
	}
	if report, ok := s.o.Fleet.Report(h.ObjectID); ok {
		h.Report = report
	}
	a := deskyard.Admission{Connection: c.ID, HostID: h.ObjectID, HostName: h.ID.Name(), HostKey: ed25519.PublicKey(h.PublicKey), User: c.User,
		Redirect: redirection(resource.Properties)}
	if resource.Kind == KindRemoteApp {
		a.Application = cmp.Or(resource.Application.Shell(), strings.TrimSpace(resource.Application.Program+" "+resource.Application.Arguments))
	}
	a.Certificate, err = certificate(h.Report.ListenerCertificate)
	if err != nil {
		return deskyard.Admission{}, s.abandon(ctx, c, noAnswer(h.ID.Name(), err.Error()))
	}
	d := reverse.DialBack{Leg: r.Leg, URLs: r.URLs, Connection: c.ID, User: user.Name}
	password := ""
	if grants(c.Door, h, resource) {
		if password, d.Grant, err = s.grant(ctx, user, h); err != nil {
			return deskyard.Admission{}, err
		}
	}
	begin := time.Now()
	dial, cancel := context.WithTimeout(ctx, dialFor)
	defer cancel()
	dialled, err := s.o.Dialer.Dial(dial, h.ObjectID, d)
	if err != nil {
		s.log.Warn("host did not dial back", "connection", c.ID, "host", h.ID, "err", err)
		return deskyard.Admission{}, s.abandon(ctx, c, noAnswer(h.ID.Name(), said(dial, err)))
	}
	if dialled.Account != "" && password != "" {
		a.SignOn = &deskyard.SignOn{Account: dialled.Account, Password: password}
	} else if password != "" {
		s.log.Info("host asks for a password", "connection", c.ID, "host", h.ID, "reason", dialled.SignOn)
	}
	c.Stages = append(c.Stages, deskyard.ConnectionStage{Name: "reverse-connect", Took: time.Since(begin)})
	if err := s.change(ctx, c.ID, func(stored *deskyard.Connection) { stored.Stages = c.Stages }); err != nil {
		return deskyard.Admission{}, err
	}
	s.log.Info("client admitted", "connection", c.ID, "user", c.User, "host", h.ID, "door", c.Door, "gateway", c.Gateway, "signOn", a.SignOn != nil)
	return a, nil
}

// said is a host's reason in words for a user.
func said(ctx context.Context, err error) string {
	var refused *arm.Error
	switch {
	case errors.Is(err, deskyard.ErrHostUnreachable):
		return "it has no link to the service"
	case ctx.Err() != nil:
		return "it did not answer within " + dialFor.String()
	case errors.As(err, &refused):
		return refused.Message
	}
	return err.Error()
}

// certificate reads the digest of the listener's certificate that a host reported. A
// host that reports none is one whose stack is older: nothing can be pinned then.
func certificate(reported string) (digest [sha256.Size]byte, err error) {
	if reported == "" {
		return digest, nil
	}
	raw, err := hex.DecodeString(reported)
	if err != nil || len(raw) != len(digest) {
		return digest, errors.New("it reported no usable certificate")
	}
	copy(digest[:], raw)
	return digest, nil
}

// grants reports whether the host is to take a one-time credential: at doors where the
// gateway hands it over, on hosts whose sign-on is ours (Linux), and unless the pool
// says not to (enablerdsaadauth:i:0, which is AVD's property for single sign-on).
func grants(door string, h deskyard.SessionHost, r Resource) bool {
	if door != deskyard.DoorWeb && door != deskyard.DoorAVD || h.Machine.OS != "linux" {
		return false
	}
	on, set := rdpProperty(r.Properties, "enablerdsaadauth")
	return !set || on != "0"
}

// grant makes a one-time credential for the user.
func (s *Service) grant(ctx context.Context, user deskyard.Principal, h deskyard.SessionHost) (password string, g *reverse.Grant, err error) {
	password, digest := signon.NewSecret()
	admin := false
	if vm, err := arm.ParseID(h.ResourceID); err == nil && h.ResourceID != "" {
		action := rbac.LogInAsAdmin
		if strings.EqualFold(vm.Type(), deskyard.TypeHybridMachine) {
			action = rbac.LogInHybridAsAdmin
		}
		err := s.o.Access.AllowData(ctx, user, action, vm)
		var denied *arm.Error
		if err != nil && !(errors.As(err, &denied) && denied.Kind == arm.Forbidden) {
			return "", nil, err
		}
		admin = err == nil
	}
	return password, &reverse.Grant{User: user.Name, Object: user.ObjectID, Secret: digest[:], Seconds: int(grantFor / time.Second), Admin: admin}, nil
}

// rdpProperty is one custom property of a pool.
func rdpProperty(custom, name string) (value string, set bool) {
	properties, _ := deskyard.ParseRDPProperties(custom) // malformed pieces were refused when the pool was written
	for _, p := range properties {
		if p.Name == name {
			return strings.TrimSpace(p.Value), true
		}
	}
	return "", false
}

// redirection reads what a pool's RDP properties allow; what they do not name is as in
// AVD's list of defaults: allowed.
func redirection(custom string) deskyard.Redirection {
	on := func(name string) bool {
		v, set := rdpProperty(custom, name)
		return !set || v != "0" && v != ""
	}
	return deskyard.Redirection{Clipboard: on("redirectclipboard"), Drives: on("drivestoredirect"), Printers: on("redirectprinters"),
		Ports: on("redirectcomports"), PnP: on("devicestoredirect") || on("usbdevicestoredirect")}
}
