package armapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// commandTime is how long a host is given to carry out what an administrator asks
// of a session, well below the 60 seconds of a request.
const commandTime = 30 * time.Second

// Bounds of a message to a user: those of a Windows message box that is still read.
const (
	maxMessageTitle = 256
	maxMessageBody  = 4096
)

func (s *Server) userSessionType() ResourceType {
	at := "hostPools/sessionHosts/userSessions"
	return ResourceType{
		Path: at, Wire: "hostpools/sessionhosts/usersessions", Composite: true,
		Name: NameRule{Min: 1, Max: 24},
		Actions: []Action{
			{Method: http.MethodGet, Collection: true, Permission: desktopAction(at + "/read"), Handle: s.listUserSessions},
			{Method: http.MethodGet, Permission: desktopAction(at + "/read"), Handle: s.getUserSession},
			{Method: http.MethodDelete, Permission: desktopAction(at + "/delete"), Handle: s.deleteUserSession},
			{Path: "disconnect", Permission: desktopAction(at + "/disconnect/action"), Handle: s.disconnectUserSession},
			{Path: "sendMessage", Permission: desktopAction(at + "/sendMessage/action"), Handle: s.sendMessage},
		},
	}
}

// userSessionProperties is a user session on the wire.
type userSessionProperties struct {
	ObjectID        *string   `json:"objectId"`
	UserPrincipal   string    `json:"userPrincipalName"`
	ApplicationType string    `json:"applicationType"`
	SessionState    string    `json:"sessionState"`
	ADUserName      *string   `json:"activeDirectoryUserName"`
	CreateTime      *arm.Time `json:"createTime"`
}

func (s *Server) renderUserSession(h deskyard.SessionHost, u deskyard.UserSession, systemData any) Body {
	row := s.desktopRow("hostPools/sessionHosts/userSessions")
	id := h.ID.Child("userSessions", strconv.Itoa(u.ID))
	p := userSessionProperties{
		ObjectID: textOrNull(u.ObjectID), UserPrincipal: u.User, ApplicationType: u.ApplicationType, SessionState: u.State,
		ADUserName: textOrNull(u.Account), CreateTime: timeOrNull(u.CreateTime),
	}
	if p.ApplicationType == "" {
		p.ApplicationType = "Desktop"
	}
	if p.SessionState == "" {
		p.SessionState = "Unknown"
	}
	return Body{Name: row.WireName(id), ID: row.WireID(id), Type: row.WireType(), SystemData: systemData, Properties: p}
}

// foundSession is a session and the host it is on.
type foundSession struct {
	host    deskyard.SessionHost
	session deskyard.UserSession
}

// key orders sessions: by host, then by number. It is the continuation of a list.
func (f foundSession) key() string {
	return fmt.Sprintf("%s/%010d", f.host.ID.Key(), f.session.ID)
}

// listUserSessions lists a host's sessions; their systemData is an object of nulls.
func (s *Server) listUserSessions(ctx context.Context, q *Request) (Response, error) {
	h, err := s.findHost(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	sessions, err := s.sessionsOn(ctx, h)
	if err != nil {
		return Response{}, err
	}
	var found []foundSession
	for _, u := range sessions {
		found = append(found, foundSession{h, u})
	}
	return s.sessionPage(q, found, &SystemData{})
}

// listUserSessionsOfPool lists the sessions of every host; their systemData is null.
func (s *Server) listUserSessionsOfPool(ctx context.Context, q *Request) (Response, error) {
	keep, err := sessionFilter(q.query["$filter"])
	if err != nil {
		return Response{}, err
	}
	if _, err := q.Load(ctx, s.store); err != nil {
		return Response{}, err
	}
	hosts, err := s.store.SessionHosts(ctx, deskyard.HostQuery{Pool: q.ID})
	if err != nil {
		return Response{}, err
	}
	pending, err := s.pendingSessions(ctx, deskyard.SlotQuery{Pool: q.ID})
	if err != nil {
		return Response{}, err
	}
	var found []foundSession
	for _, h := range hosts.Items {
		for _, u := range s.withPending(h, pending) {
			if keep(u) {
				found = append(found, foundSession{h, u})
			}
		}
	}
	return s.sessionPage(q, found, nil)
}

// sessionFilter reads the $filter of the pool's list: userprincipalname and
// sessionstate ("state" in Microsoft's example).
func sessionFilter(expr string) (func(deskyard.UserSession) bool, error) {
	if strings.TrimSpace(expr) == "" {
		return func(deskyard.UserSession) bool { return true }, nil
	}
	f, err := parseOData(expr, "userprincipalname", "sessionstate", "state")
	if err != nil {
		return nil, err
	}
	return func(u deskyard.UserSession) bool {
		return f.match(func(field string) []string {
			if field == "userprincipalname" {
				return []string{u.User}
			}
			return []string{u.State}
		})
	}, nil
}

// sessionPage cuts the page that was asked for out of all sessions.
func (s *Server) sessionPage(q *Request, found []foundSession, systemData any) (Response, error) {
	p, err := q.Paging()
	if err != nil {
		return Response{}, err
	}
	slices.SortFunc(found, func(a, b foundSession) int {
		c := strings.Compare(a.key(), b.key())
		if p.Descending {
			c = -c
		}
		return c
	})
	if p.After != "" {
		from := slices.IndexFunc(found, func(f foundSession) bool {
			return f.key() > p.After != p.Descending && f.key() != p.After
		})
		if from < 0 {
			from = len(found)
		}
		found = found[from:]
	}
	found = found[min(p.Skip, len(found)):]
	next := ""
	if len(found) > p.Size {
		found = found[:p.Size]
		next = found[len(found)-1].key()
	}
	items := make([]any, len(found))
	for i, f := range found {
		items[i] = s.renderUserSession(f.host, f.session, systemData)
	}
	return q.ListResponse(items, next), nil
}

// pendingSessions are the sessions that are to be: a place is reserved and its user on
// the way. They are by the hosts' object ids in lower case.
func (s *Server) pendingSessions(ctx context.Context, q deskyard.SlotQuery) (map[string][]deskyard.UserSession, error) {
	if s.opt.Connections == nil {
		return nil, nil
	}
	return s.opt.Connections.Pending(ctx, q)
}

// sessionsOn are the sessions of one host, those that are to be too.
func (s *Server) sessionsOn(ctx context.Context, h deskyard.SessionHost) ([]deskyard.UserSession, error) {
	pending, err := s.pendingSessions(ctx, deskyard.SlotQuery{Host: h.ObjectID})
	return s.withPending(h, pending), err
}

func (s *Server) withPending(h deskyard.SessionHost, pending map[string][]deskyard.UserSession) []deskyard.UserSession {
	h, _ = s.live(h)
	return append(slices.Clip(sessionsOf(h)), pending[strings.ToLower(h.ObjectID)]...)
}

// findSession reads the session that a URL names.
func (s *Server) findSession(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (foundSession, error) {
	h, err := s.findHost(ctx, reader, id.Parent())
	if err != nil {
		return foundSession{}, err
	}
	sessions, err := s.sessionsOn(ctx, h)
	if err != nil {
		return foundSession{}, err
	}
	for _, u := range sessions {
		if strconv.Itoa(u.ID) == id.Name() {
			return foundSession{h, u}, nil
		}
	}
	return foundSession{}, arm.NotFound(id)
}

func (s *Server) getUserSession(ctx context.Context, q *Request) (Response, error) {
	f, err := s.findSession(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: s.renderUserSession(f.host, f.session, &SystemData{})}, nil
}

// command has a session's host carry something out.
func (s *Server) command(ctx context.Context, f foundSession, c deskyard.Command) error {
	c.Session = f.session.Native
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	err := s.fleet.Do(ctx, f.host.ObjectID, c)
	if errors.Is(err, context.DeadlineExceeded) {
		return arm.Errorf(arm.Conflicting, "SessionHostTimeout",
			"The session host '%s' did not carry out '%s' within %s. Look at the host's status and try again.", f.host.ID.Name(), c.Verb, commandTime)
	}
	return err
}

// deleteUserSession signs the user out. With force an unreachable host's record of
// the session is dropped, which is all that can be done.
func (s *Server) deleteUserSession(ctx context.Context, q *Request) (Response, error) {
	force := strings.EqualFold(q.query["force"], "true")
	f, err := s.findSession(ctx, s.store, q.ID)
	if arm.IsMissing(err) {
		return Response{Status: http.StatusNoContent}, s.groupExists(ctx, s.store, q.ID)
	}
	if err != nil {
		return Response{}, err
	}
	q.Detail = "user " + f.session.User
	if f.session.State == deskyard.SlotPending && f.session.Native == "" { // the host knows nothing of it yet
		return Response{}, s.opt.Connections.Release(ctx, f.host.ObjectID, f.session.User)
	}
	err = s.command(ctx, f, deskyard.Command{Verb: "logoff", Force: force})
	if force && errors.Is(err, deskyard.ErrHostUnreachable) {
		q.Detail += ", record dropped: host unreachable"
		err = s.dropSession(ctx, q, f)
	}
	return Response{}, err
}

func (s *Server) dropSession(ctx context.Context, q *Request, f foundSession) error {
	return q.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		h, err := tx.SessionHost(ctx, f.host.ID)
		if arm.IsMissing(err) {
			return nil
		}
		if err != nil {
			return err
		}
		h.Report.Sessions = slices.DeleteFunc(slices.Clone(h.Report.Sessions), func(u deskyard.UserSession) bool { return u.ID == f.session.ID })
		_, err = tx.PutSessionHost(ctx, h)
		return err
	})
}

func (s *Server) disconnectUserSession(ctx context.Context, q *Request) (Response, error) {
	f, err := s.findSession(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	q.Detail = "user " + f.session.User
	err = s.command(ctx, f, deskyard.Command{Verb: "disconnect"})
	if errors.Is(err, deskyard.ErrHostUnreachable) && s.opt.Connections != nil {
		// The host cannot be told, but its user may be cut off: the session is
		// disconnected all the same.
		ended, failed := s.opt.Connections.Disconnect(ctx, f.host.ObjectID, f.session.User)
		if failed != nil {
			return Response{}, failed
		}
		if ended {
			q.Detail += ", at the gateway: host unreachable"
			return Response{}, nil
		}
	}
	return Response{}, err
}

func (s *Server) sendMessage(ctx context.Context, q *Request) (Response, error) {
	var message struct {
		Title string `json:"messageTitle"`
		Body  string `json:"messageBody"`
	}
	if err := q.Decode(&message); err != nil {
		return Response{}, err
	}
	for _, m := range []struct {
		name, text  string
		least, most int
	}{{"messageTitle", message.Title, 0, maxMessageTitle}, {"messageBody", message.Body, 1, maxMessageBody}} {
		if n := len([]rune(m.text)); n < m.least || n > m.most {
			return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter",
				"The property '%s' must have between %d and %d characters; it has %d.", m.name, m.least, m.most, n).WithTarget(m.name)
		}
	}
	f, err := s.findSession(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	q.Detail = "user " + f.session.User
	return Response{}, s.command(ctx, f, deskyard.Command{Verb: "message", Title: message.Title, Body: message.Body})
}
