package connect

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

// Kinds of resources, as applicationGroupType has them.
const (
	KindDesktop   = "Desktop"
	KindRemoteApp = "RemoteApp"
)

const (
	typeWorkspace   = "Microsoft.DesktopVirtualization/workspaces"
	typeGroup       = "Microsoft.DesktopVirtualization/applicationGroups"
	typeDesktop     = typeGroup + "/desktops"
	typeApplication = typeGroup + "/applications"
)

// Workspace is what a user sees of a workspace.
type Workspace struct {
	ID          arm.ResourceID
	ObjectID    string
	Name        string // friendly name, or the name
	Description string
	Resources   []Resource // by name; at least one
}

// Resource is a desktop or an application that a user may open.
type Resource struct {
	ID          arm.ResourceID // …/desktops/SessionDesktop, …/applications/{name}
	ObjectID    string
	Kind        string // KindDesktop | KindRemoteApp
	Name        string // friendly name, or the name; of a desktop that has none its group's; of a personal desktop its host's friendly name where it has one
	Description string
	Group       arm.ResourceID // application group
	Pool        arm.ResourceID
	PoolName    string // friendly name, or the name
	Properties  string // the pool's customRdpProperty
	Application Application
	Version     string // changes when the resource's definition does
}

// Application is what a RemoteApp starts. The icon is a file on the session host, so a
// door draws one of its own by the application's name.
type Application struct {
	Program   string // path on the session host
	Arguments string // that the client must pass; "" where there are none
	IconPath  string
}

// Shell is what the session starts instead of a desktop, where the program's path is one
// of Linux: RDP servers there have no windows of their own to offer. It is "" for others.
func (a Application) Shell() string {
	if !strings.HasPrefix(a.Program, "/") {
		return ""
	}
	return strings.TrimSpace("/usr/bin/env " + deskyard.ApplicationVariable + "=1 " + a.Program + " " + a.Arguments)
}

// groupRow is an application group with what belongs to it.
type groupRow struct {
	row   deskyard.Resource
	group deskyard.ApplicationGroup
	pool  arm.ResourceID
}

func readGroup(r deskyard.Resource) (groupRow, error) {
	g := groupRow{row: r}
	if err := json.Unmarshal(r.Properties, &g.group); err != nil {
		return g, fmt.Errorf("read stored properties of %s: %w", r.ID, err)
	}
	var err error
	if g.pool, err = arm.ParseID(g.group.HostPoolARMPath); err != nil {
		return g, fmt.Errorf("read the host pool of %s: %w", r.ID, err)
	}
	return g, nil
}

// may asks for the right to use an application group.
func (s *Service) may(ctx context.Context, p deskyard.Principal, group arm.ResourceID) (bool, error) {
	err := s.o.Access.AllowData(ctx, p, rbac.UseApplications, group)
	var denied *arm.Error
	if errors.As(err, &denied) && denied.Kind == arm.Forbidden {
		return false, nil
	}
	return err == nil, err
}

// entitled finds the resource that a user wants to open. A refusal is a
// *deskyard.ConnectionFailure, the same for what is not there as for what is not assigned.
func (s *Service) entitled(ctx context.Context, p deskyard.Principal, id arm.ResourceID) (Resource, error) {
	if !strings.EqualFold(id.Type(), typeDesktop) && !strings.EqualFold(id.Type(), typeApplication) {
		return Resource{}, notAuthorized()
	}
	allowed, err := s.may(ctx, p, id.Parent())
	if err != nil {
		return Resource{}, err
	}
	if !allowed {
		return Resource{}, notAuthorized()
	}
	r, era, known := s.published.get(id)
	if known {
		return r, nil
	}
	if r, err = s.find(ctx, id); err == nil {
		s.published.put(id, r, era)
	}
	return r, err
}

// find reads a resource with the rows that it is described by.
func (s *Service) find(ctx context.Context, id arm.ResourceID) (Resource, error) {
	row, err := s.o.Store.Resource(ctx, id)
	if err != nil {
		return Resource{}, unlessMissing(err)
	}
	parent, err := s.o.Store.Resource(ctx, id.Parent())
	if err != nil {
		return Resource{}, unlessMissing(err)
	}
	g, err := readGroup(parent)
	if err != nil {
		return Resource{}, err
	}
	pool, err := readPool(ctx, s.o.Store, g.pool)
	if errors.Is(err, errNoPool) {
		return Resource{}, notAuthorized()
	}
	if err != nil {
		return Resource{}, err
	}
	return s.describe(row, g, pool)
}

// publications remembers what was published, for a storm of users who open the same few
// desktops. Any write of a resource that a description is made of forgets them all:
// these are rare.
type publications struct {
	mu   sync.Mutex // guards the fields below
	rows map[string]Resource
	era  uint64 // counts what was forgotten, so that what was read before is not remembered after
}

// maxPublications bounds what is remembered; more starts afresh.
const maxPublications = 10_000

func (c *publications) get(id arm.ResourceID) (r Resource, era uint64, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, known = c.rows[id.Key()]
	return r, c.era, known
}

func (c *publications) put(id arm.ResourceID, r Resource, era uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if era != c.era {
		return
	}
	if c.rows == nil || len(c.rows) >= maxPublications {
		c.rows = map[string]Resource{}
	}
	c.rows[id.Key()] = r
}

func (c *publications) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows = nil
	c.era++
}

func unlessMissing(err error) error {
	if arm.IsMissing(err) {
		return notAuthorized()
	}
	return err
}

// describe makes a Resource of the rows it comes from.
func (s *Service) describe(row deskyard.Resource, g groupRow, pool *deskyard.HostPool) (Resource, error) {
	r := Resource{ID: row.ID, Kind: KindDesktop, Group: g.row.ID, Pool: g.pool, PoolName: named(pool.FriendlyName, g.pool),
		Properties: text(pool.CustomRDPProperty), Version: fmt.Sprintf("%d.%d", row.Version, g.row.Version)}
	if strings.EqualFold(row.ID.Type(), typeDesktop) {
		var d deskyard.Desktop
		if err := json.Unmarshal(row.Properties, &d); err != nil {
			return r, fmt.Errorf("read stored properties of %s: %w", row.ID, err)
		}
		r.ObjectID, r.Name, r.Description = d.ObjectID, desktopName(d, g.group, row.ID), text(d.Description)
		return r, nil
	}
	var a deskyard.Application
	if err := json.Unmarshal(row.Properties, &a); err != nil {
		return r, fmt.Errorf("read stored properties of %s: %w", row.ID, err)
	}
	r.Kind, r.ObjectID, r.Name, r.Description = KindRemoteApp, a.ObjectID, named(a.FriendlyName, row.ID), text(a.Description)
	r.Application = Application{Program: text(a.FilePath), IconPath: text(a.IconPath)}
	if a.CommandLineSetting == "Require" {
		r.Application.Arguments = text(a.CommandLineArguments)
	}
	return r, nil
}

// desktopName is the desktop's friendly name; where nobody changed the one that every
// desktop is made with, its group's, which tells desktops apart.
func desktopName(d deskyard.Desktop, g deskyard.ApplicationGroup, id arm.ResourceID) string {
	if name := named(d.FriendlyName, id); name != deskyard.SessionDesktop {
		return name
	}
	return named(g.FriendlyName, id)
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// named is the friendly name, or the name where there is none.
func named(friendly *string, id arm.ResourceID) string { return cmp.Or(text(friendly), id.Name()) }

// Resources is what the user may open, by workspace and name: what is assigned to the
// user or a group of the user's, stands in a workspace that is open to clients, and is
// shown in feeds. Of a pool of which both a desktop and applications are assigned, the
// kind that the pool prefers is shown (preferred-application-group-type article).
func (s *Service) Resources(ctx context.Context, p deskyard.Principal) ([]Workspace, error) {
	rows, err := s.o.Store.Resources(ctx, deskyard.ResourceQuery{Type: typeGroup})
	if err != nil {
		return nil, fmt.Errorf("list application groups: %w", err)
	}
	var groups []groupRow
	for _, row := range rows.Items {
		allowed, err := s.may(ctx, p, row.ID)
		if err != nil {
			return nil, err
		}
		if !allowed {
			continue
		}
		g, err := readGroup(row)
		if err != nil {
			return nil, err
		}
		if g.group.ShowInFeed == nil || *g.group.ShowInFeed {
			groups = append(groups, g)
		}
	}
	if len(groups) == 0 {
		return nil, nil
	}
	pools, err := s.poolsOf(ctx, groups)
	if err != nil {
		return nil, err
	}
	groups = preferred(groups, pools)
	found, err := s.workspaces(ctx, groups)
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx, p, found, groups, pools); err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(w Workspace) bool { return len(w.Resources) == 0 })
	slices.SortFunc(found, func(a, b Workspace) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID.Key(), b.ID.Key()))
	})
	return found, nil
}

// poolsOf reads the pools of groups, by key. One that is gone is missing.
func (s *Service) poolsOf(ctx context.Context, groups []groupRow) (map[string]*deskyard.HostPool, error) {
	pools := map[string]*deskyard.HostPool{}
	for _, g := range groups {
		key := g.pool.Key()
		if _, read := pools[key]; read {
			continue
		}
		m, err := readPool(ctx, s.o.Store, g.pool)
		if err != nil && !errors.Is(err, errNoPool) {
			return nil, err
		}
		pools[key] = m
	}
	return pools, nil
}

// preferred drops the groups whose kind gives way to the pool's preferred one, and
// those of pools that are gone.
func preferred(groups []groupRow, pools map[string]*deskyard.HostPool) []groupRow {
	kinds := map[string]map[string]bool{}
	for _, g := range groups {
		key := g.pool.Key()
		if kinds[key] == nil {
			kinds[key] = map[string]bool{}
		}
		kinds[key][g.group.ApplicationGroupType] = true
	}
	return slices.DeleteFunc(groups, func(g groupRow) bool {
		pool := pools[g.pool.Key()]
		if pool == nil {
			return true
		}
		if len(kinds[g.pool.Key()]) < 2 {
			return false
		}
		want := KindDesktop // also where the pool prefers none
		if pool.PreferredAppGroupType == "RailApplications" {
			want = KindRemoteApp
		}
		return g.group.ApplicationGroupType != want
	})
}

// workspaces are those that the groups stand in, with the ids of the groups for
// resources to be filled in.
func (s *Service) workspaces(ctx context.Context, groups []groupRow) ([]Workspace, error) {
	ids := make([]arm.ResourceID, len(groups))
	for i, g := range groups {
		ids[i] = g.row.ID
	}
	by, err := s.o.Store.Referrers(ctx, deskyard.RelationApplicationGroup, ids...)
	if err != nil {
		return nil, fmt.Errorf("look for workspaces: %w", err)
	}
	index := map[string]bool{}
	var all []Workspace
	for _, id := range ids {
		for _, w := range by[id.Key()] {
			if index[w.Key()] || !strings.EqualFold(w.Type(), typeWorkspace) {
				continue
			}
			index[w.Key()] = true
			row, err := s.o.Store.Resource(ctx, w)
			if arm.IsMissing(err) {
				continue // deleted since
			}
			if err != nil {
				return nil, err
			}
			var m deskyard.Workspace
			if err := json.Unmarshal(row.Properties, &m); err != nil {
				return nil, fmt.Errorf("read stored properties of %s: %w", w, err)
			}
			if text(m.PublicNetworkAccess) != "Disabled" {
				all = append(all, Workspace{ID: row.ID, ObjectID: m.ObjectID, Name: named(m.FriendlyName, row.ID), Description: text(m.Description)})
			}
		}
	}
	return all, nil
}

// fill puts the resources of groups into the workspaces that they stand in.
func (s *Service) fill(ctx context.Context, p deskyard.Principal, into []Workspace, groups []groupRow, pools map[string]*deskyard.HostPool) error {
	for _, g := range groups {
		resources, err := s.resourcesOf(ctx, p, g, pools[g.pool.Key()])
		if err != nil {
			return err
		}
		by, err := s.o.Store.Referrers(ctx, deskyard.RelationApplicationGroup, g.row.ID)
		if err != nil {
			return err
		}
		for i := range into {
			if slices.ContainsFunc(by[g.row.ID.Key()], into[i].ID.Equal) {
				into[i].Resources = append(into[i].Resources, resources...)
			}
		}
	}
	for i := range into {
		slices.SortFunc(into[i].Resources, func(a, b Resource) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.ID.Key(), b.ID.Key()))
		})
	}
	return nil
}

func (s *Service) resourcesOf(ctx context.Context, p deskyard.Principal, g groupRow, pool *deskyard.HostPool) ([]Resource, error) {
	kind := typeApplication
	if g.group.ApplicationGroupType == KindDesktop {
		kind = typeDesktop
	}
	rows, err := s.o.Store.Resources(ctx, deskyard.ResourceQuery{Scope: g.row.ID, Type: kind})
	if err != nil {
		return nil, fmt.Errorf("list what %s publishes: %w", g.row.ID, err)
	}
	var all []Resource
	for _, row := range rows.Items {
		r, err := s.describe(row, g, pool)
		if err != nil {
			return nil, err
		}
		if kind == typeDesktop && pool.Personal() {
			if r.Name, err = s.personalName(ctx, p, r); err != nil {
				return nil, err
			}
		}
		all = append(all, r)
	}
	return all, nil
}

// personalName is the friendly name of the user's own host, where it has one.
func (s *Service) personalName(ctx context.Context, user deskyard.Principal, r Resource) (string, error) {
	p := s.view(r.Pool)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := s.freshen(ctx, p); err != nil {
		if errors.Is(err, errNoPool) {
			return r.Name, nil
		}
		return "", err
	}
	for _, m := range p.order {
		if strings.EqualFold(m.row.AssignedUser, user.Name) && m.row.FriendlyName != "" {
			return m.row.FriendlyName, nil
		}
	}
	return r.Name, nil
}
