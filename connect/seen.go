package connect

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reverse"
)

// Symbols of what only the host knows: AVD's (WVDErrors, CodeSymbolic), but AccountExpired,
// which is made like its neighbours.
const (
	InvalidCredentials = "InvalidCredentials"
	AccountExpired     = "AccountExpired"
	AccountDisabled    = "AccountDisabled"
	AccountLockedOut   = "AccountLockedOut"
	PasswordExpired    = "PasswordExpired"
	PasswordMustChange = "PasswordMustChange"
	LogonTypeNotGrant  = "LogonTypeNotGranted"
	NotAuthorizedLogon = "NotAuthorizedForLogon"
	HostResourceNone   = "SessionHostResourceNotAvailable"
	LogonFailed        = "LogonFailed"
	FileNotFound       = "FileNotFound"
)

// mostSeen bounds what hosts say while the store is away: minutes of a large yard's
// sign-ins.
const mostSeen = 10_000

// words are what hosts said of connections and nobody has written down yet.
type words struct {
	mu  sync.Mutex // guards all
	all []word
}

type word struct {
	host string
	reverse.Seen
}

// add keeps a word; false where too many are kept.
func (w *words) add(all ...word) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all)+len(all) > mostSeen {
		return false
	}
	w.all = append(w.all, all...)
	return true
}

func (w *words) take() []word {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.all
	w.all = nil
	return all
}

// Seen tells the service what a host saw of a connection. It returns at once; Run writes
// it down.
func (s *Service) Seen(hostObjectID string, seen reverse.Seen) {
	if !s.words.add(word{hostObjectID, seen}) {
		s.log.Error("host's word on a connection dropped: too many wait for the store", "host", hostObjectID, "connection", seen.Connection)
		return
	}
	s.reported.look()
}

// writeSeen writes down what hosts said. What cannot be written now is tried again with
// the next word or sweep.
func (s *Service) writeSeen(ctx context.Context) {
	all := s.words.take()
	for i, w := range all {
		err := s.writeWord(ctx, w)
		if err == nil {
			continue
		}
		if ctx.Err() == nil {
			s.log.Error("hosts' words on connections not written down", "words", len(all)-i, "err", err)
		}
		s.words.add(all[i:]...)
		return
	}
}

func (s *Service) writeWord(ctx context.Context, w word) error {
	foreign := false
	err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		c, err := tx.Connection(ctx, w.Connection)
		if arm.IsMissing(err) {
			return nil // its record is no longer kept
		}
		if err != nil {
			return err
		}
		if foreign = !strings.EqualFold(c.HostID, w.host); foreign || !heed(&c, w.Seen) {
			return nil
		}
		return tx.PutConnection(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("write down what a host saw of connection %s: %w", w.Connection, err)
	}
	if foreign {
		s.log.Warn("a host speaks of a connection that is another's", "host", w.host, "connection", w.Connection)
		return nil
	}
	s.log.Info("host's word on a connection", "connection", w.Connection, "host", w.host, "what", w.What, "cause", w.Cause, "detail", w.Detail)
	return nil
}

// heed makes a record say what its host saw; false where it says that already.
func heed(c *deskyard.Connection, s reverse.Seen) bool {
	switch s.What {
	case reverse.SeenSignedIn:
		if reached(*c, deskyard.StageLogon) {
			return false
		}
		c.Told = nil // whoever mistyped has got in now
		c.Stages = withStages(c.Stages, []deskyard.ConnectionStage{{Name: deskyard.StageLogon, Took: s.After}})
		return true
	case reverse.SeenShell:
		name := deskyard.StageShell
		if ofApplication(*c) {
			name = deskyard.StageApp
		}
		if reached(*c, name) {
			return false
		}
		c.Stages = withStages(c.Stages, []deskyard.ConnectionStage{{Name: name, Took: s.After}})
		return true
	case reverse.SeenRefused:
		if reached(*c, deskyard.StageLogon) {
			return false // of the same user's, on another connection's page
		}
	case reverse.SeenNotFound:
		if !ofApplication(*c) {
			return false
		}
	}
	c.Told = toldOf(*c, s)
	if !c.Ended.IsZero() {
		explainEnd(c)
	}
	return true
}

func reached(c deskyard.Connection, stage string) bool {
	for _, s := range c.Stages {
		if s.Name == stage {
			return true
		}
	}
	return false
}

// ofApplication reports whether the connection is for an application, not a desktop.
func ofApplication(c deskyard.Connection) bool {
	return strings.EqualFold(c.Resource.Type(), "Microsoft.DesktopVirtualization/applicationGroups/applications")
}

// vanished is how the ends begin that gateways ascribe to a host without its word.
const vanished = "error: the session host closed the connection without a word"

// explainEnd makes what the host said the failure of a connection that has ended, where
// it is of the same end: one that the host made, or one of somebody who was not let in.
func explainEnd(c *deskyard.Connection) {
	hosts := c.EndReason == "host closed" || strings.HasPrefix(c.EndReason, vanished) || strings.HasPrefix(c.EndReason, "error: the host's connection")
	switch {
	case c.Told == nil:
	case c.Told.Symbol == NetworkDisconnect && hosts:
		c.Failure = c.Told
		c.EndReason = "error: " + lostWords(c.Told)
	case c.Told.Symbol != NetworkDisconnect && (hosts || c.EndReason == "client closed" || strings.HasPrefix(c.EndReason, "error: the client's connection")):
		c.Failure = c.Told
	}
}

// lostWords are what a failure of a lost connection says that ended.
func lostWords(f *deskyard.ConnectionFailure) string {
	if strings.Contains(f.Message, ofStack) {
		return "the session host's " + ofStack
	}
	return "the session host's " + ofServer
}

const (
	ofStack  = "stack (component sxs-stack) ended"
	ofServer = "RDP server ended without a word"
)

// toldOf is a host's word as a failure: what happened, and what to do.
func toldOf(c deskyard.Connection, s reverse.Seen) *deskyard.ConnectionFailure {
	host, admin := c.Host.Name(), "Ask your administrator"
	said := ""
	if s.Detail != "" {
		said = " (" + strings.TrimSuffix(s.Detail, ".") + ")"
	}
	switch s.What {
	case reverse.SeenLost:
		what := ofServer
		if s.Cause == reverse.CauseStack {
			what = ofStack
		}
		return failure(NetworkDisconnect, retryLostHost, "The connection broke: the %s on %s. The session goes on; connect again to return to it.", what, host)
	case reverse.SeenNotFound:
		return failure(FileNotFound, 0, "The application's program was not found on %s%s. %s to correct its path, or to install it on every session host of the pool.", host, said, admin)
	}
	refused := func(symbol, why, next string) *deskyard.ConnectionFailure {
		return failure(symbol, 0, "%s did not let you in: %s%s. %s", host, why, said, next)
	}
	switch s.Cause {
	case reverse.CauseCredentials:
		return refused(InvalidCredentials, "the user name or the password is not right", "Connect again and type them anew; who has forgotten the password asks the administrator for a new one.")
	case reverse.CauseExpired:
		return refused(AccountExpired, "the account has expired", admin+" to extend it.")
	case reverse.CauseDisabled:
		return refused(AccountDisabled, "the account is disabled", admin+" to enable it.")
	case reverse.CauseLocked:
		return refused(AccountLockedOut, "the account is locked after too many failed sign-ins", "Wait until the lock ends, or ask your administrator to end it.")
	case reverse.CauseOldPassword:
		return refused(PasswordExpired, "the password has expired", "Change it where you usually do, and connect again; or ask your administrator.")
	case reverse.CauseMustChange:
		return refused(PasswordMustChange, "the password must be changed first", "Change it where you usually do, and connect again; or ask your administrator.")
	case reverse.CauseNoRight:
		return refused(LogonTypeNotGrant, "the account may not sign in by Remote Desktop", admin+" to add you to the group that may (TerminalServerUsers in sesman.ini).")
	case reverse.CauseNotAllowed:
		return refused(NotAuthorizedLogon, "the account may not sign in there, or not now", admin+" to look at the rules of access of that host.")
	case reverse.CauseFull:
		return refused(HostResourceNone, "it has reached its own limit of sessions", "Try again when somebody has signed out, or ask your administrator (MaxSessions in sesman.ini).")
	}
	return refused(LogonFailed, "the sign-in failed", "Try again; if it stays so, ask your administrator.")
}

// retryLostHost is when to try again where a host's RDP server or stack ended: its boot
// loader or systemd starts it again within seconds.
const retryLostHost = 5 * time.Second
