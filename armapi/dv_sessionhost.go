package armapi

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// sessionHostType has no generic verb: a session host exists by registering, so
// there is no PUT, and what it says comes from its link and its last report.
func (s *Server) sessionHostType() ResourceType {
	read := desktopAction("hostPools/sessionHosts/read")
	host := ResourceType{
		Path: "hostPools/sessionHosts", Wire: "hostpools/sessionhosts", Composite: true,
		Name: NameRule{Min: 3, Max: 48, Pattern: desktopName},
		Actions: []Action{
			s.statusHistoryAction(), s.updateAction(),
			{Method: http.MethodGet, Collection: true, Permission: read, Handle: s.listSessionHosts},
			{Method: http.MethodGet, Permission: read, Handle: s.getSessionHost},
			{Method: http.MethodPatch, Permission: desktopAction("hostPools/sessionHosts/write"), Handle: s.patchSessionHost},
			{Method: http.MethodDelete, Permission: desktopAction("hostPools/sessionHosts/delete"), Handle: s.deleteSessionHost},
			{Path: "listSingleSessionHostRegistrationTokens", Audit: true, Versions: since("2026-01-01-preview"),
				Permission: desktopAction("hostPools/sessionHosts/listSingleSessionHostRegistrationTokens/action"), Handle: s.listSingleHostTokens},
		},
	}
	host.Actions = append(host.Actions, s.removalActions()...)
	return host
}

// sessionHostProperties is a session host on the wire. statusReason, one sentence on
// why the host is not Available, and metrics, the last measurement of a connected
// host, are ours; clients of Azure ignore them.
type sessionHostProperties struct {
	ObjectID         string                `json:"objectId"`
	FriendlyName     *string               `json:"friendlyName"`
	LastHeartBeat    *arm.Time             `json:"lastHeartBeat"`
	Sessions         int                   `json:"sessions"`
	AgentVersion     *string               `json:"agentVersion"`
	AllowNewSession  bool                  `json:"allowNewSession"`
	VirtualMachineID *string               `json:"virtualMachineId"`
	ResourceID       *string               `json:"resourceId"`
	AssignedUser     *string               `json:"assignedUser"`
	Status           string                `json:"status"`
	StatusReason     *string               `json:"statusReason"`
	Metrics          *deskyard.HostMetrics `json:"metrics"`
	StatusTimestamp  *arm.Time             `json:"statusTimestamp"`
	OSVersion        *string               `json:"osVersion"`
	SxSStackVersion  *string               `json:"sxSStackVersion"`
	LastUpdateTime   *arm.Time             `json:"lastUpdateTime"`
	UpdateState      string                `json:"updateState"`
	UpdateError      string                `json:"updateErrorMessage"`
	Checks           []healthCheckBody     `json:"sessionHostHealthCheckResults"`
}

// healthCheckBody is one health check on the wire.
type healthCheckBody struct {
	Name    string `json:"healthCheckName"`
	Result  string `json:"healthCheckResult"`
	Failure struct {
		Message string    `json:"message"`
		Code    int       `json:"errorCode"`
		At      *arm.Time `json:"lastHealthCheckDateTime"`
	} `json:"additionalFailureDetails"`
}

// live is a host with the freshest report that there is, and its link.
func (s *Server) live(h deskyard.SessionHost) (deskyard.SessionHost, deskyard.Lease) {
	if report, ok := s.fleet.Report(h.ObjectID); ok {
		h.Report = report
	}
	return h, s.fleet.Lease(h.ObjectID)
}

// renderSessionHost puts a host on the wire.
func (s *Server) renderSessionHost(h deskyard.SessionHost) Body {
	h, lease := s.live(h)
	status, reason := h.Status(lease, s.now())
	seen := lease.Heartbeat
	if seen.IsZero() {
		seen = h.LastSeen
	}
	machine := h.VirtualMachineID
	if machine == "" {
		machine = h.Machine.SMBIOSID
	}
	osVersion := h.Report.OSVersion
	if osVersion == "" {
		osVersion = h.Machine.OSVersion
	}
	p := sessionHostProperties{
		ObjectID: h.ObjectID, FriendlyName: textOrNull(h.FriendlyName), LastHeartBeat: timeOrNull(seen),
		AgentVersion: textOrNull(h.Report.AgentVersion), AllowNewSession: h.AllowNewSession,
		VirtualMachineID: textOrNull(machine), ResourceID: textOrNull(h.ResourceID), AssignedUser: textOrNull(h.AssignedUser),
		Status: status, StatusReason: textOrNull(reason), StatusTimestamp: timeOrNull(h.StatusAt),
		OSVersion: textOrNull(osVersion), SxSStackVersion: textOrNull(h.Report.SxSVersion),
		LastUpdateTime: timeOrNull(h.Update.At), UpdateState: h.Update.State, UpdateError: h.Update.Error,
		Checks: []healthCheckBody{},
	}
	if p.UpdateState == "" {
		p.UpdateState = "Initial"
	}
	p.Sessions = len(sessionsOf(h))
	if m, ok := s.fleet.Metrics(h.ObjectID); ok && lease.Alive(s.now()) {
		p.Metrics = &m
	}
	for _, c := range h.Report.Checks {
		b := healthCheckBody{Name: c.Name, Result: c.Result}
		b.Failure.Message, b.Failure.Code, b.Failure.At = c.Message, c.Code, timeOrNull(c.At)
		p.Checks = append(p.Checks, b)
	}
	row := s.desktopRow("hostPools/sessionHosts")
	at := timeOrNull(h.RegisteredAt)
	return Body{Name: row.WireName(h.ID), ID: row.WireID(h.ID), Type: row.WireType(),
		SystemData: &SystemData{CreatedAt: at, LastModifiedAt: at}, Properties: p} // created by nobody: the agent registered it
}

// sessionsOf are the sessions that a host is known to have. A machine that said
// goodbye has none left.
func sessionsOf(h deskyard.SessionHost) []deskyard.UserSession {
	if h.Report.Stopping {
		return nil
	}
	return h.Report.Sessions
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOrNull(t time.Time) *arm.Time {
	if t.IsZero() {
		return nil
	}
	return &arm.Time{Time: t}
}

// findHost reads a session host by the name in a URL, which may be its FQDN while
// it registered with the short name, or the other way round.
func (s *Server) findHost(ctx context.Context, reader deskyard.Reader, id arm.ResourceID) (deskyard.SessionHost, error) {
	h, err := reader.SessionHost(ctx, id)
	if !arm.IsMissing(err) {
		return h, err
	}
	if _, err := s.load(ctx, reader, id.Parent()); err != nil {
		return h, err
	}
	if short, domain, ok := strings.Cut(id.Name(), "."); ok && domain != "" {
		h, err := reader.SessionHost(ctx, id.Parent().Child("sessionHosts", short))
		if err == nil && strings.EqualFold(h.Machine.FQDN, id.Name()) {
			return h, nil
		}
		if err != nil && !arm.IsMissing(err) {
			return h, err
		}
	}
	return h, arm.NotFound(id)
}

func (s *Server) getSessionHost(ctx context.Context, q *Request) (Response, error) {
	h, err := s.findHost(ctx, s.store, q.ID)
	if err != nil {
		return Response{}, err
	}
	return Response{Body: s.renderSessionHost(h)}, nil
}

func (s *Server) listSessionHosts(ctx context.Context, q *Request) (Response, error) {
	p, err := q.Paging()
	if err != nil {
		return Response{}, err
	}
	if _, err := s.load(ctx, s.store, q.ID); err != nil {
		return Response{}, err
	}
	page, err := s.store.SessionHosts(ctx, deskyard.HostQuery{Pool: q.ID, Descending: p.Descending, Skip: p.Skip, After: p.After, Limit: p.Size})
	if err != nil {
		return Response{}, err
	}
	items := make([]any, len(page.Items))
	for i, h := range page.Items {
		items[i] = s.renderSessionHost(h)
	}
	return q.ListResponse(items, page.Next), nil
}

// hostPatch is the body of a PATCH; what is absent stays.
type hostPatch struct {
	Properties struct {
		AllowNewSession *bool       `json:"allowNewSession"`
		AssignedUser    optionalStr `json:"assignedUser"`
		FriendlyName    optionalStr `json:"friendlyName"`
	} `json:"properties"`
}

// optionalStr tells an absent text from null, which clears it.
type optionalStr struct {
	Given bool
	Text  string
}

// UnmarshalJSON reads a text or null.
func (o *optionalStr) UnmarshalJSON(b []byte) error {
	o.Given = true
	var s *string
	if err := decodeNumbers(b, &s); err != nil {
		return errors.New("a text or null was expected")
	}
	if s != nil {
		o.Text = *s
	}
	return nil
}

func (s *Server) patchSessionHost(ctx context.Context, q *Request) (Response, error) {
	var patch hostPatch
	if err := q.Decode(&patch); err != nil {
		return Response{}, err
	}
	force := strings.EqualFold(q.query["force"], "true")
	var changed deskyard.SessionHost
	err := q.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		h, err := s.findHost(ctx, tx, q.ID)
		if err != nil {
			return err
		}
		p := patch.Properties
		if p.AllowNewSession != nil {
			h.AllowNewSession = *p.AllowNewSession
		}
		if p.FriendlyName.Given {
			if h.FriendlyName = p.FriendlyName.Text; len([]rune(h.FriendlyName)) > 256 {
				return arm.Errorf(arm.Invalid, "InvalidParameter", "The text of 'friendlyName' must have at most 256 characters.").WithTarget("properties.friendlyName")
			}
		}
		if p.AssignedUser.Given {
			if err := s.assign(ctx, tx, &h, strings.TrimSpace(p.AssignedUser.Text), force); err != nil {
				return err
			}
		}
		changed, err = tx.PutSessionHost(ctx, h)
		return err
	})
	if err != nil {
		return Response{}, err
	}
	return Response{Body: s.renderSessionHost(changed)}, nil
}

// assign gives a personal desktop to a user, or with "" takes it back. Taking it
// from someone needs force, since that user loses it; one user has one host a pool.
func (s *Server) assign(ctx context.Context, tx deskyard.Tx, h *deskyard.SessionHost, user string, force bool) error {
	const at = "properties.assignedUser"
	if strings.EqualFold(user, h.AssignedUser) {
		return nil
	}
	r, pool, err := s.poolOf(ctx, tx, h.ID)
	if err != nil {
		return err
	}
	if !pool.Personal() {
		return arm.Errorf(arm.Invalid, "AssignmentNotSupported",
			"Users are assigned to session hosts of personal host pools only; '%s' is %s.", r.ID.Name(), pool.HostPoolType).WithTarget(at)
	}
	if len(user) > 256 {
		return arm.Errorf(arm.Invalid, "InvalidParameter", "The text of 'assignedUser' must have at most 256 bytes.").WithTarget(at)
	}
	if h.AssignedUser != "" && !force {
		return arm.Errorf(arm.Conflicting, "SessionHostAssignmentExists",
			"The session host '%s' is assigned to '%s'. Repeat the request with force=true to take it from that user.", h.ID.Name(), h.AssignedUser).WithTarget(at)
	}
	if user != "" {
		others, err := tx.SessionHosts(ctx, deskyard.HostQuery{Pool: r.ID})
		if err != nil {
			return err
		}
		for _, o := range others.Items {
			if o.ObjectID != h.ObjectID && strings.EqualFold(o.AssignedUser, user) {
				return arm.Errorf(arm.Conflicting, "UserAlreadyAssigned",
					"The user '%s' is assigned to the session host '%s' of this host pool. Unassign that one first.", user, o.ID.Name()).WithTarget(at)
			}
		}
	}
	h.AssignedUser = user
	return nil
}

// deleteSessionHost removes the record and closes the link; the machine stays.
func (s *Server) deleteSessionHost(ctx context.Context, q *Request) (Response, error) {
	force := strings.EqualFold(q.query["force"], "true")
	objectID := ""
	err := q.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		objectID = ""
		h, err := s.findHost(ctx, tx, q.ID)
		if arm.IsMissing(err) {
			return s.groupExists(ctx, tx, q.ID)
		}
		if err != nil {
			return err
		}
		fresh, _ := s.live(h)
		if n := len(sessionsOf(fresh)); n > 0 && !force {
			return arm.Errorf(arm.Conflicting, "SessionHostUserSessionsExist",
				"The session host '%s' has %d user sessions (5008). Sign the users out first, or delete with force=true.", h.ID.Name(), n)
		}
		objectID = h.ObjectID
		if err := s.removingAssignments(ctx, tx, h.ID); err != nil {
			return err
		}
		return tx.DeleteSessionHost(ctx, h.ID)
	})
	if err != nil {
		return Response{}, err
	}
	if objectID == "" {
		return Response{Status: http.StatusNoContent}, nil
	}
	s.assignmentsRemoved(q.ID)
	s.fleet.Drop(objectID, "The session host was removed from its host pool.")
	return Response{}, nil
}
