package armapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Bounds of the overview.
const (
	overviewFor   = 2 * time.Second    // a count is shared by all who ask meanwhile
	failedFor     = 24 * time.Hour     // a failed deployment is counted for a day
	keySoon       = 24 * time.Hour     // a key expires within a day,
	keyInAWeek    = 7 * 24 * time.Hour // or within a week
	overviewHosts = 1000               // session hosts read at once
)

// Rights that parts of the overview need, asked for at each pool, or deployment.
var (
	readPools    = desktopAction("hostPools/read")
	readHosts    = desktopAction("hostPools/sessionHosts/read")
	readSessions = desktopAction("hostPools/sessionHosts/userSessions/read")
	readKeys     = desktopAction("hostPools/listRegistrationKeys/action")

	readDeployments = deploymentsPermission + "/read"
)

// poolTally is what one pool adds to an overview.
type poolTally struct {
	id       arm.ResourceID
	hosts    hostTally
	sessions map[string]int
	keys     keyTally
}

// hostTally counts session hosts.
type hostTally struct {
	Total    int            `json:"total"`
	Drained  int            `json:"drained"` // take no new sessions
	ByStatus map[string]int `json:"byStatus"`
	Checks   map[string]int `json:"failingChecks"`  // hosts, by the name of the check that fails
	Updates  int            `json:"updatesWaiting"` // hosts whose update is pending or has begun
}

// keyTally counts registration keys that are not revoked.
type keyTally struct {
	Valid       int `json:"valid"`
	WithinADay  int `json:"expiringWithinADay"`
	WithinAWeek int `json:"expiringWithinAWeek"` // those within a day included
	Expired     int `json:"expiredWithinADay"`   // in the day that has passed
}

// deploymentTally counts deployments: runs that add session hosts are such too.
type deploymentTally struct {
	Running int `json:"running"`
	Failed  int `json:"failedWithinADay"`
}

// tallied is all that a subscription holds, counted by pool; nobody changes it.
type tallied struct {
	at          time.Time
	pools       []*poolTally
	deployments []deskyard.Resource // that run, or failed within a day; without properties
	running     map[string]bool     // of these, by key
}

// overviews shares one count between all who ask at the same time.
type overviews struct {
	mu   sync.Mutex // held while counting: others wait for the result
	last map[string]*tallied
}

// overviewBody answers the overview. A part that the caller may read nowhere is null,
// for a zero would say that all is well.
type overviewBody struct {
	AsOf        arm.Time         `json:"asOf"`
	Pools       int              `json:"hostPools"`
	Hosts       *hostTally       `json:"sessionHosts"`
	Sessions    map[string]int   `json:"userSessions"` // by state
	Keys        *keyTally        `json:"registrationKeys"`
	Deployments *deploymentTally `json:"deployments"`
	PerPool     []poolOverview   `json:"perHostPool"` // those that the caller may read
}

// poolOverview is the part of one host pool.
type poolOverview struct {
	ID       string         `json:"id"`
	Hosts    *hostTally     `json:"sessionHosts"`
	Sessions map[string]int `json:"userSessions"`
	Keys     *keyTally      `json:"registrationKeys"`
}

func (s *Server) overviewDoor() Door {
	return Door{Method: http.MethodGet, Path: "/subscriptions/{subscription}/providers/" + desktopNamespace + "/overview",
		Versions: desktopVersions, Handle: s.overview}
}

// overview counts what the caller may read. It may be two seconds old.
func (s *Server) overview(ctx context.Context, q *Request) (Response, error) {
	refused := s.access.Allow(ctx, q.Principal, readPools, q.ID)
	if refused != nil && refusalOf(refused).status != http.StatusForbidden {
		return Response{}, refused
	}
	all, err := s.counted(ctx, q.ID)
	if err != nil {
		return Response{}, err
	}
	b, err := s.overviewOf(ctx, q, all)
	if err == nil && refused != nil && b.Pools == 0 {
		err = refused
	}
	return Response{Body: b}, err
}

// overviewOf is the part of a count that the caller may read.
func (s *Server) overviewOf(ctx context.Context, q *Request, all *tallied) (b overviewBody, err error) {
	may := func(action string, at arm.ResourceID) bool {
		e := s.access.Allow(ctx, q.Principal, action, at)
		if e != nil && refusalOf(e).status != http.StatusForbidden {
			err = e
		}
		return e == nil
	}
	b.AsOf, b.PerPool = arm.Time{Time: all.at}, []poolOverview{}
	b.open(may, q.ID)
	for _, p := range all.pools {
		if !may(readPools, p.id) {
			continue
		}
		b.open(may, p.id)
		b.Pools++
		own := poolOverview{ID: p.id.String()}
		if may(readHosts, p.id) {
			b.Hosts.add(p.hosts)
			own.Hosts = &p.hosts
		}
		if may(readSessions, p.id) {
			sum(b.Sessions, p.sessions)
			own.Sessions = p.sessions
		}
		if may(readKeys, p.id) {
			b.Keys.add(p.keys)
			own.Keys = &p.keys
		}
		b.PerPool = append(b.PerPool, own)
	}
	for _, d := range all.deployments {
		if !may(readDeployments, d.ID) {
			continue
		}
		if b.Deployments == nil {
			b.Deployments = &deploymentTally{}
		}
		if all.running[d.ID.Key()] {
			b.Deployments.Running++
		} else {
			b.Deployments.Failed++
		}
	}
	return b, err
}

// open makes the parts that the caller may read at a scope.
func (b *overviewBody) open(may func(string, arm.ResourceID) bool, at arm.ResourceID) {
	if b.Hosts == nil && may(readHosts, at) {
		b.Hosts = &hostTally{ByStatus: map[string]int{}, Checks: map[string]int{}}
	}
	if b.Sessions == nil && may(readSessions, at) {
		b.Sessions = map[string]int{}
	}
	if b.Keys == nil && may(readKeys, at) {
		b.Keys = &keyTally{}
	}
	if b.Deployments == nil && may(readDeployments, at) {
		b.Deployments = &deploymentTally{}
	}
}

func (h *hostTally) add(o hostTally) {
	h.Total, h.Drained, h.Updates = h.Total+o.Total, h.Drained+o.Drained, h.Updates+o.Updates
	sum(h.ByStatus, o.ByStatus)
	sum(h.Checks, o.Checks)
}

func (k *keyTally) add(o keyTally) {
	k.Valid, k.WithinADay, k.WithinAWeek, k.Expired = k.Valid+o.Valid, k.WithinADay+o.WithinADay, k.WithinAWeek+o.WithinAWeek, k.Expired+o.Expired
}

func sum(into, from map[string]int) {
	for k, n := range from {
		into[k] += n
	}
}

// counted is the subscription's count, of at most two seconds ago.
func (s *Server) counted(ctx context.Context, scope arm.ResourceID) (*tallied, error) {
	o := &s.overviews
	o.mu.Lock()
	defer o.mu.Unlock()
	now := s.now()
	if t := o.last[scope.Key()]; t != nil && now.Sub(t.at) < overviewFor && !now.Before(t.at) {
		return t, nil
	}
	t := &tallied{at: now, running: map[string]bool{}}
	for _, count := range []func(context.Context, arm.ResourceID, *tallied) error{s.countPools, s.countDeployments} {
		if err := count(ctx, scope, t); err != nil {
			return nil, fmt.Errorf("count what %s holds: %w", scope, err)
		}
	}
	if o.last == nil {
		o.last = map[string]*tallied{}
	}
	o.last[scope.Key()] = t
	return t, nil
}

func (s *Server) countPools(ctx context.Context, scope arm.ResourceID, t *tallied) error {
	rows, err := s.store.Resources(ctx, deskyard.ResourceQuery{Scope: scope, Type: desktopNamespace + "/hostPools"})
	if err != nil {
		return err
	}
	byKey := map[string]*poolTally{}
	for _, r := range rows.Items {
		pool, err := readModel[deskyard.HostPool](r)
		if err != nil {
			return err
		}
		p := &poolTally{id: r.ID, sessions: map[string]int{}, hosts: hostTally{ByStatus: map[string]int{}, Checks: map[string]int{}}}
		keys, err := s.store.RegistrationKeys(ctx, pool.ObjectID)
		if err != nil {
			return err
		}
		for _, k := range keys {
			p.keys.count(k, t.at)
		}
		byKey[r.ID.Key()], t.pools = p, append(t.pools, p)
	}
	query := deskyard.HostQuery{Scope: scope, Limit: overviewHosts}
	for {
		page, err := s.store.SessionHosts(ctx, query)
		if err != nil {
			return err
		}
		for _, h := range page.Items {
			if p := byKey[h.ID.Parent().Key()]; p != nil {
				s.countHost(p, h, t.at)
			}
		}
		if query.After = page.Next; page.Next == "" {
			return nil
		}
	}
}

func (k *keyTally) count(key deskyard.RegistrationKey, now time.Time) {
	left := key.ExpiresAt.Sub(now)
	switch {
	case !key.RevokedAt.IsZero(), key.Limits.MaxUses > 0 && key.Uses >= key.Limits.MaxUses:
	case key.Valid(now):
		k.Valid++
		if left <= keySoon {
			k.WithinADay++
		}
		if left <= keyInAWeek {
			k.WithinAWeek++
		}
	case left > -keySoon:
		k.Expired++
	}
}

func (s *Server) countHost(p *poolTally, h deskyard.SessionHost, now time.Time) {
	h, lease := s.live(h)
	status, _ := h.Status(lease, now)
	p.hosts.Total++
	p.hosts.ByStatus[status]++
	if !h.AllowNewSession {
		p.hosts.Drained++
	}
	if h.Update.State == "Pending" || h.Update.State == "Started" {
		p.hosts.Updates++
	}
	for _, c := range h.Report.Checks {
		if c.Result == deskyard.CheckFailed {
			p.hosts.Checks[c.Name]++
		}
	}
	for _, u := range sessionsOf(h) {
		p.sessions[u.State]++
	}
}

func (s *Server) countDeployments(ctx context.Context, scope arm.ResourceID, t *tallied) error {
	rows, err := s.store.Resources(ctx, deskyard.ResourceQuery{Scope: scope, Type: deploymentsType})
	if err != nil {
		return err
	}
	for _, r := range rows.Items {
		var p struct {
			State     string   `json:"provisioningState"`
			Timestamp arm.Time `json:"timestamp"`
		}
		if err := json.Unmarshal(r.Properties, &p); err != nil {
			return fmt.Errorf("read the deployment %s: %w", r.ID, err)
		}
		switch strings.ToLower(p.State) {
		case "succeeded", "canceled":
			continue
		case "failed":
			if t.at.Sub(p.Timestamp.Time) > failedFor {
				continue
			}
		default:
			t.running[r.ID.Key()] = true
		}
		t.deployments = append(t.deployments, deskyard.Resource{ID: r.ID})
	}
	return nil
}
